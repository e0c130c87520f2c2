"""No person in two parts."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hldm.data import ClinicalRecord, DataError, Murmur, Patient, circor_split, read_table, split_by_person
from hldm.data.split import persons, splits_for


def test_the_projects_split_covers_circor():
    split = circor_split()
    assert Counter(split.values()) == {"train": 662, "val": 140, "test": 140}


def test_the_projects_split_keeps_the_70_twice_seen_persons_whole():
    parts = defaultdict(set)
    table = read_table("split")
    for person, part in zip(table["person"], table["split"], strict=True):
        parts[person].add(part)
    assert len(table) - len(parts) == 70
    assert all(len(found) == 1 for found in parts.values())


def test_no_leak_through_additional_id(circor):
    """The link in the published table, not the person column of our own file, is the reference."""
    split = circor_split()
    linked = circor.table["Additional ID"]
    linked = linked[linked != "nan"]
    assert len(linked) > 0
    assert all(split[one] == split[other] for one, other in linked.items())


def test_a_fresh_split_of_the_real_table_does_not_leak_either(circor):
    split = split_by_person(circor.patients, seed=3)
    for patient in circor.patients:
        if patient.additional_id in split:
            assert split[patient.patient_id] == split[patient.additional_id]


def test_a_part_is_selected_by_the_projects_split(circor):
    from hldm.data import CircorCorpus

    split = circor_split()
    part = CircorCorpus(circor.root, split="val")
    assert {p.patient_id for p in part.patients} == {
        p.patient_id for p in circor.patients if split[p.patient_id] == "val"
    }


@st.composite
def cohorts(draw):
    """Patients with links between any of them, chains and links to nobody included."""
    count = draw(st.integers(0, 60))
    ids = [f"P{number}" for number in range(count)]
    links = st.one_of(st.none(), st.none(), st.sampled_from([*ids, "elsewhere"]))
    murmurs = st.sampled_from([*Murmur, None])
    return [Patient(i, ClinicalRecord(murmur=draw(murmurs)), additional_id=draw(links)) for i in ids]


@given(cohorts(), st.integers(0, 5))
def test_linked_patients_are_never_parted(patients, seed):
    split = split_by_person(patients, seed=seed)
    assert set(split) == {p.patient_id for p in patients}
    together = defaultdict(set)
    for patient in patients:  # two with the same link are one person as well, be its end in the cohort or not
        together[patient.additional_id] |= {split[patient.patient_id]}
        if patient.additional_id in split:
            assert split[patient.patient_id] == split[patient.additional_id]
    together.pop(None, None)
    assert all(len(parts) == 1 for parts in together.values())


@given(st.lists(st.sampled_from(list(Murmur)), max_size=200), st.integers(0, 5))
def test_every_murmur_class_is_shared_out_by_the_fractions(murmurs, seed):
    patients = [Patient(f"P{i}", ClinicalRecord(murmur=m)) for i, m in enumerate(murmurs)]
    split = split_by_person(patients, (0.7, 0.2, 0.1), seed)
    for murmur in Murmur:
        ids = [p.patient_id for p in patients if p.record.murmur == murmur]
        for part, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
            assert abs(sum(split[i] == part for i in ids) - share * len(ids)) <= 2


def test_a_chain_of_links_is_one_person():
    patients = [
        Patient("1", ClinicalRecord(), additional_id="2"),
        Patient("2", ClinicalRecord(), additional_id="3"),
        Patient("3", ClinicalRecord()),
        Patient("4", ClinicalRecord()),
    ]
    assert [tuple(p.patient_id for p in person) for person in persons(patients)] == [("1", "2", "3"), ("4",)]


def test_same_seed_same_split():
    patients = [Patient(f"P{i}", ClinicalRecord()) for i in range(40)]
    assert split_by_person(patients, seed=1) == split_by_person(patients, seed=1)
    assert split_by_person(patients, seed=1) != split_by_person(patients, seed=2)


def test_a_share_of_nothing_gets_nobody():
    patients = [Patient(f"P{i}", ClinicalRecord()) for i in range(10)]
    assert set(split_by_person(patients, (0.5, 0.5, 0)).values()) == {"train", "val"}


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1)])
def test_fractions_must_be_three_shares(fractions):
    with pytest.raises(ValueError, match="three shares"):
        split_by_person([], fractions)


def test_a_mixed_corpus_needs_its_own_split():
    known = next(iter(circor_split()))
    strangers = [Patient("S1", ClinicalRecord()), Patient("S2", ClinicalRecord())]
    assert splits_for([Patient(known, ClinicalRecord())])[known] == circor_split()[known]
    assert set(splits_for(strangers)) == {"S1", "S2"}
    with pytest.raises(DataError, match="S1"):
        splits_for([Patient(known, ClinicalRecord()), *strangers])
