"""Narratives: every record can be told, nothing is added, and seeds change words only."""

import re

import numpy as np
import pytest

from hldm.data import ClinicalRecord, DiastolicMurmur, SystolicMurmur
from hldm.knowledge import as_noted, edit, forget, narrative, note, random_record, read_prompt
from hldm.knowledge.narration.wordings import HELD_OUT, wordings

PAPER = ClinicalRecord(
    age_group="Child", sex="Female", murmur="Present", murmur_locations=("AV", "MV", "PV", "TV"),
    most_audible_location="TV", systolic=SystolicMurmur("Holosystolic", "Diamond", "III/VI", "High", "Harsh"),
)  # fmt: skip


def test_the_papers_example():
    told = narrative(PAPER, seed=0)
    assert re.search(r"female child", told.summary.lower())
    for word in (
        "diamond|crescendo-decrescendo",
        "III/VI|3/6|3 out of 6",
        "high",
        "harsh|coarse|rough|rasping",
        "radiates",
    ):
        assert re.search(word, told.murmur), word
    assert "ifferential" in told.differential or "explanations" in told.differential
    assert str(told) == " ".join(told)


def test_seeds_change_the_wording_and_repeat_it():
    texts = {str(narrative(PAPER, seed)) for seed in range(20)}
    assert len(texts) > 10
    assert narrative(PAPER, 3) == narrative(PAPER, 3)


def test_held_out_sentences_are_used_for_nothing_else():
    def frame(seed, held_out):
        absent = ClinicalRecord(murmur="Absent", sex="Female")
        return narrative(absent, seed, held_out).murmur

    assert not {frame(s, True) for s in range(30)} & {frame(s, False) for s in range(30)}
    for name, frames in ((name, some[""]) for name, some in wordings("narrative").items() if "" in some):
        if "{" in frames[0] and name not in ("grades", "pitches", "radiates"):
            assert len(set(frames)) == len(frames) >= HELD_OUT + 3, name


@pytest.mark.parametrize(
    ("record", "says", "never"),
    [
        (ClinicalRecord(), "unrecorded age", "cm|kg|pregnan|outcome"),
        (ClinicalRecord(murmur="Absent", age_group="Infant"), "no.* murmur|without a murmur", "systolic|loudest|grade"),
        (
            ClinicalRecord(murmur="Unknown"),
            "poor|unknown|undetermined|uninterpretable",
            "with a|differential diagnosis:",
        ),
        (ClinicalRecord(murmur="Present", diastolic=DiastolicMurmur("Early-diastolic")), "diastolic", r"\bsystolic"),
        (ClinicalRecord(pregnant=True, sex="Female"), "pregnant female", "not pregnant"),
        (ClinicalRecord(heart_rate=97, age_years=0.5), "97.*", "0.5-year"),
        (
            PAPER.replace(murmur_locations=("TV",), location="AV"),
            "no murmur is|murmur is not",
            "radiates|where the murmur is h",
        ),
        (PAPER.replace(location="AV"), "where (the|a) murmur is (heard|audible)", "no murmur|is not"),
        (PAPER.replace(conditions=("asd",)), "known diagnosis: atrial septal defect", "suspected"),
    ],
)
def test_what_is_said_and_what_is_not(record, says, never):
    for seed in range(12):
        text = str(narrative(record, seed)).lower()
        assert re.search(says, text), text
        assert not re.search(never, text), text


def test_articles_and_sentences_are_grammatical():
    generator = np.random.default_rng(2)
    for seed in range(300):
        text = str(narrative(random_record(generator), seed))
        assert not re.search(r"\b[Aa] (?:[aeio]|8|11[ -]|18[ -])", text), text
        assert not re.search(r"\b[Aa]n (?:[bcdfgjklmnpqrstvwyz]|[0-79](?![18]))", text), text
        assert not re.search(r"  | [.,;]|\bNone\b|\.\.|, and,", text), text
        assert all(sentence[0].isupper() for sentence in re.split(r"(?<=\.) ", text)), text


def test_all_real_records_can_be_told(circor):
    for recording in circor:
        assert len(str(narrative(recording.record)).split()) > 8


def test_notes_are_short_varied_and_read_back():
    generator = np.random.default_rng(4)
    lengths = []
    for seed in range(300):
        record = forget(random_record(generator), generator)
        lengths.append(len(note(record, seed)) / len(str(narrative(record, seed))))
        assert read_prompt(note(record, seed)).record == as_noted(record), note(record, seed)
    assert np.mean(lengths) < 0.6
    assert len({note(PAPER, seed) for seed in range(20)}) == 20
    assert note(PAPER, 3) == note(PAPER, 3)


def test_a_bare_diagnosis_brings_its_murmur():
    assert as_noted(ClinicalRecord(conditions=("vsd",))).systolic.timing == "Holosystolic"
    silent = ClinicalRecord(conditions=("vsd",), murmur="Absent")
    assert as_noted(silent) == silent


def test_forgetting_adds_nothing():
    generator = np.random.default_rng(5)
    shares = []
    for _ in range(200):
        record = random_record(generator)
        less = forget(record, generator)
        told, left = leaves(record), leaves(less)
        assert all(told[name] == value for name, value in left.items() if name not in ("murmur", "age_group")), less
        shares.append(len(left) / len(told))
    assert min(shares) < 0.2 < 0.9 < max(shares)


def test_an_edit_changes_one_fact():
    generator = np.random.default_rng(6)
    seen = set()
    for _ in range(400):
        record = random_record(generator)
        if not leaves(record):
            continue
        field, changed = edit(record, generator)
        differ = {name for name, value in (leaves(record).items() ^ leaves(changed).items())}
        seen.add(field)
        if field == "murmur":
            assert changed.murmur == "Absent"
        elif field == "age_group":
            assert differ <= {"age_group", "age_years"}
        else:
            assert differ == {field.replace("murmur_at", "murmur_locations")}
    assert {"sex", "murmur_at", "most_audible_location", "systolic.grade", "diastolic.pitch", "pregnant"} <= seen
    with pytest.raises(ValueError, match="no fact"):
        edit(ClinicalRecord(), generator)


def leaves(record):
    """Every known fact of a record by name."""
    flat = {
        name: getattr(record, name) for name in record.__dataclass_fields__ if name not in ("systolic", "diastolic")
    }
    for phase in ("systolic", "diastolic"):
        if murmur := getattr(record, phase):
            flat |= {f"{phase}.{name}": getattr(murmur, name) for name in murmur.kinds}
    return {name: value for name, value in flat.items() if value not in (None, ())}
