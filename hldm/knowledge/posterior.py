"""The differential diagnosis as a ranked posterior over the 17 conditions.

Matching attributes alone over-calls tricuspid regurgitation and patent ductus: several conditions share the same
murmur, and the rare ones win ties. Bayes' rule weighs each picture by how common its condition is at that age:

    p(condition | record)  proportional to  p(condition | age)  x  product over facts of p(fact | condition)

Every condition is asked for every fact. One that was spared a fact it says nothing about would win by silence: where
a picture leaves an attribute open, each of its values is equally likely.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from hldm.data.ages import age_group
from hldm.data.records import (
    ClinicalRecord,
    DiastolicMurmur,
    Location,
    Murmur,
    Pitch,
    Quality,
    Shape,
    SystolicGrade,
    SystolicTiming,
)  # fmt: skip
from hldm.data.tables import read_table
from hldm.knowledge.tables import split_cell

TYPICAL, ALTERNATIVE, OTHER = 0.65, 0.25, 0.10  # probability shared by the values of each rank
RANK_EXPONENT = 2.1  # prior ~ rank ** -2.1: least squares on births per 1,000 with VSD, ASD, PDA, PS, TOF (source ZHAO)
LOUDEST = 3  # CirCor's systolic grades stop at III/VI, which holds III or louder
OFF_AGE, PEAK_AGE = 0.15, 2.0  # prior factors outside the usual ages and at the peak


class Suggestion(NamedTuple):
    """One line of the differential.

    Attributes
    ----------
    condition : str
        Identifier in the graph.
    label : str
        Its preferred term.
    probability : float
        Posterior among the 17 conditions.
    support, against : tuple of str
        Facts at least twice as likely, and at most half as likely, under this condition as on average.
    """

    condition: str
    label: str
    probability: float
    support: tuple[str, ...]
    against: tuple[str, ...]


def _spread(values: tuple[str, ...], typical: list[str], alternative: list[str], value: str) -> float:
    """p(value) where each rank shares its probability evenly; a picture without a typical value is uniform."""
    ranks = [[v for v in values if v in typical], [v for v in values if v in alternative and v not in typical]]
    ranks.append([v for v in values if v not in ranks[0] + ranks[1]])
    if not ranks[0]:
        return 1 / len(values)
    shares = {i: share for i, share in enumerate((TYPICAL, ALTERNATIVE, OTHER)) if ranks[i]}
    rank = next(i for i, members in enumerate(ranks) if value in members)
    return shares[rank] / sum(shares.values()) / len(ranks[rank])


def _systolic_facts(record: ClinicalRecord, row: dict) -> dict[str, float]:
    murmur = record.systolic
    facts = {"a systolic murmur": 0.15 if row["phase"] == "diastolic" else 0.95}
    kinds = {"timing": SystolicTiming, "shape": Shape, "pitch": Pitch, "quality": Quality}
    for name, kind in kinds.items():
        if value := getattr(murmur, name):
            alternatives = split_cell(row[f"{name}_alt"])
            facts[f"{name} {value}"] = _spread(tuple(kind), split_cell(row[name]), alternatives, value)
    if murmur.grade:
        steps = list(SystolicGrade)[:LOUDEST]  # the tables' scale
        heard = steps[min(list(SystolicGrade).index(murmur.grade), LOUDEST - 1)]
        usual = steps[max(int(row["grade_min"]), 1) - 1 : int(row["grade_max"])]
        facts[f"grade {murmur.grade}"] = _spread(tuple(steps), [row["circor_grade"]], usual, heard)
    return facts


def _diastolic_facts(record: ClinicalRecord, row: dict) -> dict[str, float]:
    rare = 0.001 if row["outcome_label"] == "Normal" else 0.02  # no innocent murmur is diastolic
    facts = {"a diastolic murmur": {"diastolic": 0.95, "continuous": 0.9}.get(row["phase"], rare)}
    if row["dia_timing"]:
        facts["a diastolic murmur"] = max(facts["a diastolic murmur"], 0.1)  # an inflow rumble of a large shunt
    for name, kind in DiastolicMurmur.kinds.items():
        value = getattr(record.diastolic, name)
        if value and name != "grade":
            facts[f"diastolic {name} {value}"] = _spread(tuple(kind), split_cell(row[f"dia_{name}"]), [], value)
    return facts


def likelihoods(record: ClinicalRecord, row: dict) -> dict[str, float]:
    """p(fact | condition) for every fact of a record that has a murmur, by the fact's name."""
    facts: dict[str, float] = {}
    if record.systolic is not None:
        facts |= _systolic_facts(record, row)
    if record.diastolic is not None:
        facts |= _diastolic_facts(record, row)
    elif record.systolic is not None:
        facts["no diastolic murmur"] = {"diastolic": 0.05, "continuous": 0.1}.get(row["phase"], 0.95)
    if record.most_audible_location in (Location.AV, Location.PV, Location.TV, Location.MV):
        sites, best = ("AV", "PV", "TV", "MV"), record.most_audible_location
        alternatives = split_cell(row["max_location_alt"])
        facts[f"loudest at {best}"] = _spread(sites, [row["max_location"]], alternatives, best)
    if record.outcome is not None:
        facts[f"outcome {record.outcome}"] = 0.85 if record.outcome == row["outcome_label"] else 0.15
    return facts


def prior(record: ClinicalRecord, row: dict) -> float:
    """p(condition | age), up to a constant: a power of the prevalence rank, lower outside the usual ages."""
    weight = float(row["prevalence_rank"]) ** -RANK_EXPONENT
    age = record.age_group or age_group(record.age_years)
    if age is None:
        return weight
    if age not in split_cell(row["age_groups"]):
        return weight * OFF_AGE
    return weight * (PEAK_AGE if str(age) in row["age_peak"] else 1)


@cache
def _murmur_conditions() -> list[dict]:
    return [row for row in read_table("conditions").to_dict("records") if row["phase"] != "none"]


@lru_cache(maxsize=1024)
def differential(record: ClinicalRecord) -> tuple[Suggestion, ...]:
    """Conditions that explain a murmur, the most probable first.

    Returns
    -------
    tuple of Suggestion
        All conditions that have a murmur, probabilities summing to 1; empty where the record describes no murmur:
        silence and poor recordings rank nothing.
    """
    if record.murmur != Murmur.PRESENT or not (record.systolic or record.diastolic):
        return ()
    rows = _murmur_conditions()
    facts = [likelihoods(record, row) for row in rows]
    log_joint = np.array(
        [np.log(prior(record, row)) + np.log(list(f.values())).sum() for row, f in zip(rows, facts, strict=True)]
    )
    posterior = np.exp(log_joint - np.logaddexp.reduce(log_joint))
    mean = {name: np.mean([f[name] for f in facts]) for name in facts[0]}
    found = [
        Suggestion(
            row["id"], row["preferred_term"], float(p),
            tuple(name for name, value in f.items() if value >= 2 * mean[name]),
            tuple(name for name, value in f.items() if value <= mean[name] / 2),
        )
        for row, f, p in zip(rows, facts, posterior, strict=True)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda s: -s.probability))
