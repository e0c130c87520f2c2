"""Random records, and what may happen to one: facts are forgotten, one fact is changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from hldm.data.ages import age_group, age_limits
from hldm.data.records import (
    AgeGroup,
    ClinicalRecord,
    DiastolicMurmur,
    Location,
    Murmur,
    Outcome,
    Sex,
    SystolicMurmur,
)  # fmt: skip
from hldm.data.tables import read_table
from hldm.knowledge.narration.narrative import as_told

UNKNOWN_SHARE = 0.15  # of every optional field
BEARS = {Sex.FEMALE: True, Sex.MALE: False, None: True}


def random_record(generator: np.random.Generator) -> ClinicalRecord:
    """Draw a record in which fields vary independently, so that no attribute can be guessed from another.

    Real records correlate (grade III is never low-pitched, diastolic murmurs are rare); an encoder trained on them
    alone may read one word for another. Here each value is equally likely.
    """

    def known(share: float = UNKNOWN_SHARE) -> bool:
        return generator.random() >= share

    def pick(kind):
        return kind[generator.integers(len(kind))]

    def murmur_of(kind: type[SystolicMurmur]) -> SystolicMurmur:
        return kind(**{name: pick(list(values)) for name, values in kind.kinds.items() if known()})

    group = pick(list(AgeGroup)) if known() else None
    sex = pick(list(Sex)) if known() else None
    fields: dict = {"age_group": group, "sex": sex}
    if group is not None and generator.random() < 0.5:
        fields |= {"age_years": generator.uniform(*age_limits()[group]), "age_group": None}  # the years tell it
    if known():
        fields["pregnant"] = BEARS[sex] and group in (None, AgeGroup.YOUNG_ADULT, AgeGroup.ADOLESCENT) and known(0.4)
    if known(0.3):
        fields["height_cm"] = round(generator.uniform(40, 190), 1)
    if known(0.3):
        fields["weight_kg"] = round(generator.uniform(2, 100), 1)
    if known(0.2):
        fields["heart_rate"] = float(round(generator.uniform(45, 200)))
    if known(0.3):
        fields["outcome"] = pick(list(Outcome))
    if known(0.2):
        fields["location"] = pick(list(Location)[:4]) if known() else Location.PHC
    if known(0.95):
        fields["conditions"] = (pick(read_table("conditions")["id"].tolist()),)
    fields["murmur"] = generator.choice([Murmur.PRESENT, Murmur.ABSENT, Murmur.UNKNOWN, None], p=[0.7, 0.15, 0.1, 0.05])
    if fields["murmur"] == Murmur.PRESENT:
        phases = generator.choice([1, 2, 3], p=[0.45, 0.25, 0.3])  # systolic, diastolic, both
        fields["systolic"] = murmur_of(SystolicMurmur) if phases & 1 else None
        fields["diastolic"] = murmur_of(DiastolicMurmur) if phases & 2 else None
        sites = [site for site in Location if generator.random() < (0.2 if site == Location.PHC else 0.5)]
        if known():
            fields["murmur_locations"] = tuple(sorted(sites))
        if sites and known():
            fields["most_audible_location"] = pick(sites)
    return as_told(ClinicalRecord(**fields))


def forget(record: ClinicalRecord, generator: np.random.Generator) -> ClinicalRecord:
    """A record of which a random share of the facts, from none to all, has become unknown."""
    share = generator.uniform(0, 1.1)

    def forgets() -> bool:
        return generator.random() < share

    left: dict = {}
    for field in dataclasses.fields(record):
        if forgets():
            left[field.name] = field.default
    if record.age_years is not None and "age_years" not in left:  # the class follows from the years
        left.pop("age_group", None)
    for phase in ("systolic", "diastolic"):
        murmur = getattr(record, phase)
        if murmur is not None and phase not in left:
            left[phase] = dataclasses.replace(murmur, **{name: None for name in murmur.kinds if forgets()})
    return as_told(record.replace(**left))


def edit(record: ClinicalRecord, generator: np.random.Generator) -> tuple[str, ClinicalRecord]:
    """Change one fact of a record to another value.

    Returns
    -------
    field : str
        Which fact was changed, spelled as in `hldm.conditioning.fields` (``murmur_at`` for any of the sites).
    record : ClinicalRecord

    Raises
    ------
    ValueError
        For a record that states nothing.
    """
    changes = _edits(record)
    if not changes:
        raise ValueError("record: found no fact in it, expected at least one to change")
    field = list(changes)[generator.integers(len(changes))]
    return field, as_told(record.replace(**changes[field](generator)))


def _edits(record: ClinicalRecord) -> dict[str, Callable[[np.random.Generator], dict]]:
    """For every fact that a record states, a function that draws what changes it."""

    def pick(options, generator):
        options = list(options)
        return options[generator.integers(len(options))]

    def other(name: str, values=None):
        mine = getattr(record, name)
        return lambda g: {name: pick([v for v in values or type(mine) if v != mine], g)}

    def other_age(g):
        group = pick([v for v in AgeGroup if v != (record.age_group or age_group(record.age_years))], g)
        years = None if record.age_years is None else g.uniform(*age_limits()[group])
        return {"age_group": group, "age_years": years}

    def other_attribute(phase: str, name: str):
        murmur = getattr(record, phase)
        values = [v for v in murmur.kinds[name] if v != getattr(murmur, name)]
        return lambda g: {phase: dataclasses.replace(murmur, **{name: pick(values, g)})}

    def other_rate(g):
        return {"heart_rate": float(pick([v for v in range(45, 201) if abs(v - record.heart_rate) >= 15], g))}

    def other_sites(g):
        toggled = {pick([v for v in Location if v != record.most_audible_location], g)}
        return {"murmur_locations": tuple(sorted(set(record.murmur_locations) ^ toggled))}

    found: dict = {"age_group": other_age} if record.age_group or record.age_years is not None else {}
    for name in ("sex", "outcome", "location"):
        if getattr(record, name) is not None:
            found[name] = other(name)
    if record.pregnant is not None and BEARS[record.sex]:
        found["pregnant"] = other("pregnant", (True, False))
    if record.heart_rate is not None:
        found["heart_rate"] = other_rate
    if record.murmur == Murmur.PRESENT:
        found["murmur"] = lambda g: vars(record.without_murmur())
    if len(set(record.murmur_locations) - {record.most_audible_location}) > 1:
        found["murmur_at"] = other_sites
    if record.most_audible_location in record.murmur_locations and len(record.murmur_locations) > 1:
        found["most_audible_location"] = other("most_audible_location", record.murmur_locations)
    for phase in ("systolic", "diastolic"):
        murmur = getattr(record, phase)
        for name in murmur.kinds if murmur else ():
            if getattr(murmur, name) is not None:
                found[f"{phase}.{name}"] = other_attribute(phase, name)
    return found
