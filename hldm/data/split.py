"""Train, validation and test by *person*: CirCor knows 70 persons under two patient ids each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import networkx as nx
import numpy as np

from hldm.data.circor.format import Patient
from hldm.data.errors import DataError
from hldm.data.records import Murmur
from hldm.data.tables import read_table

PARTS = ("train", "val", "test")


def circor_split() -> dict[str, str]:
    """The project's split of CirCor's 942 patients: patient id -> ``"train"``, ``"val"`` or ``"test"``.

    It is an own file (``tables/split.csv``), so every number of the project is about the same persons.
    """
    table = read_table("split")
    return dict(zip(table["patient_id"], table["split"], strict=True))


def persons(patients: Iterable[Patient]) -> list[tuple[Patient, ...]]:
    """Patients grouped by person: whoever an additional id links, directly or through others, is one."""
    patients = list(patients)
    links = nx.Graph()
    links.add_nodes_from(p.patient_id for p in patients)
    links.add_edges_from((p.patient_id, p.additional_id) for p in patients if p.additional_id)
    person_of = {pid: number for number, ids in enumerate(nx.connected_components(links)) for pid in ids}
    groups = defaultdict(list)
    for patient in patients:
        groups[person_of[patient.patient_id]].append(patient)
    return [tuple(group) for group in groups.values()]


def split_by_person(
    patients: Iterable[Patient],
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> dict[str, str]:
    """Split any corpus so that no person stands in two parts, stratified by murmur.

    Murmur class by murmur class, in shuffled order, each person goes to the part that is furthest behind its
    share; so every class, and the whole, comes out within a person or two of the fractions.

    Parameters
    ----------
    patients : iterable of Patient
    fractions : three floats
        Shares of persons in train, val and test; they sum to 1.
    seed : int

    Returns
    -------
    dict
        Patient id -> ``"train"``, ``"val"`` or ``"test"``.

    Raises
    ------
    ValueError
        Where `fractions` are not three shares that sum to 1.
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.shape != (3,) or (shares < 0).any() or not np.isclose(shares.sum(), 1):
        raise ValueError(f"fractions are {fractions}, expected three shares that sum to 1")
    generator = np.random.default_rng(seed)
    strata = defaultdict(list)
    for person in persons(patients):
        strata[_murmur(person)].append(person)
    given = np.zeros(3)
    parts = {}
    for name in sorted(strata):
        for index in generator.permutation(len(strata[name])):
            behind = shares * (given.sum() + 1) - given
            part = int(np.argmax(behind))
            given[part] += 1
            parts |= {patient.patient_id: PARTS[part] for patient in strata[name][index]}
    return parts


def _murmur(person: Sequence[Patient]) -> str:
    """The clearest word about a person, who may have been judged differently at two visits."""
    words = {patient.record.murmur for patient in person}
    return next((word for word in (Murmur.PRESENT, Murmur.ABSENT) if word in words), Murmur.UNKNOWN)


def splits_for(patients: Sequence[Patient]) -> Mapping[str, str]:
    """The split that a corpus goes by: the project's own for CirCor's patients, a fresh one for others.

    Raises
    ------
    DataError
        Where only some of the patients are CirCor's: then the caller has to say what is what.
    """
    known = circor_split()
    ours = [p.patient_id in known for p in patients]
    if all(ours):
        return known
    if any(ours):
        stranger = patients[ours.index(False)].patient_id
        raise DataError("only CirCor's patients, or none of them; else pass splits=", field="patient", value=stranger)
    return split_by_person(patients)
