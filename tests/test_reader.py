"""The prompt reader: phrases as clinicians write them, edits, contradictions, and its own narratives back."""

import numpy as np
import pytest

from hldm.data import ClinicalRecord, DiastolicMurmur, SystolicMurmur
from hldm.knowledge import as_told, narrative, random_record, read_prompt

CHILD_F = {"age_years": 8, "age_group": "Child", "sex": "Female"}
PRESENT, ABSENT = {"murmur": "Present"}, {"murmur": "Absent"}


def systolic(timing=None, shape=None, grade=None, pitch=None, quality=None):
    return PRESENT | {"systolic": SystolicMurmur(timing, shape, grade, pitch, quality)}


def diastolic(timing=None, shape=None, grade=None, pitch=None, quality=None):
    return PRESENT | {"diastolic": DiastolicMurmur(timing, shape, grade, pitch, quality)}


def at(*sites, best=None):
    return {"murmur_locations": sites, "most_audible_location": best}


PHRASES = {
    "An 8-year-old female with a grade II/VI systolic murmur": CHILD_F | systolic(grade="II/VI"),
    "8yo F, 3/6 SEM at LLSB": CHILD_F | systolic("Mid-systolic", grade="III/VI") | at("TV", best="TV"),
    "HSM apex -> axilla": systolic("Holosystolic") | at("MV", best="MV"),
    "holosystolic murmur at the apex radiating to the left axilla": systolic("Holosystolic") | at("MV", best="MV"),
    "no murmur": ABSENT,
    "No murmurs.": ABSENT,
    "without any heart murmur": ABSENT,
    "murmur absent": ABSENT,
    "murmur: absent": ABSENT,
    "no systolic or diastolic murmur": ABSENT,
    "HR 110": {"heart_rate": 110},
    "heart rate of 72 bpm": {"heart_rate": 72},
    "pulse 140/min": {"heart_rate": 140},
    "95 beats per minute": {"heart_rate": 95},
    "wide fixed split S2": {},
    "newborn girl, no murmur, heart rate 150": {"age_group": "Neonate", "sex": "Female", "heart_rate": 150} | ABSENT,
    "eighteen-month-old male": {"age_years": 1.5, "age_group": "Child", "sex": "Male"},
    "three year old girl": {"age_years": 3, "age_group": "Child", "sex": "Female"},
    "6 months old infant": {"age_years": 0.5, "age_group": "Infant"},
    "12 y/o M": {"age_years": 12, "age_group": "Adolescent", "sex": "Male"},
    "aged 15": {"age_years": 15, "age_group": "Adolescent"},
    "10-day-old baby boy": {"age_years": 10 / 365.25, "age_group": "Neonate", "sex": "Male"},
    "twenty-one-year-old pregnant woman": {
        "age_years": 21, "age_group": "Young adult", "sex": "Female", "pregnant": True,
    },
    "non-pregnant young adult": {"age_group": "Young adult", "pregnant": False},
    "teenage girl": {"age_group": "Adolescent", "sex": "Female"},
    "weight 14 kg, height 95 cm": {"weight_kg": 14, "height_cm": 95},
    "early diastolic decrescendo murmur, high-pitched, best heard at LUSB":
        diastolic("Early-diastolic", "Decrescendo", pitch="High") | {"most_audible_location": "PV"},
    "harsh systolic murmur and a blowing early diastolic murmur":
        systolic(quality="Harsh") | diastolic("Early-diastolic", quality="Blowing"),
    "diastolic murmur grade 2/4": diastolic(grade="II/IV"),
    "gr 2 musical mid-systolic murmur": systolic("Mid-systolic", grade="II/VI", quality="Musical"),
    "murmur of grade five out of six": systolic(grade="V/VI"),
    "pansystolic murmur": systolic("Holosystolic"),
    "murmur throughout systole": systolic("Holosystolic"),
    "crescendo-decrescendo systolic murmur": systolic(shape="Diamond"),
    "crescendo late systolic murmur": systolic("Late-systolic", "Crescendo"),
    "low-pitched vibratory systolic murmur": systolic(pitch="Low", quality="Musical"),
    "Female, child, Holosystolic, Diamond, III/VI, High, Harsh":
        {"sex": "Female", "age_group": "Child"} | systolic("Holosystolic", "Diamond", "III/VI", "High", "Harsh"),
    "holosistolic murmur": systolic("Holosystolic"),
    "late systolic murmur with a mid-systolic click": systolic("Late-systolic"),
    "no systolic murmur but a diastolic murmur": diastolic(),
    "systolic murmur, not harsh": systolic(),
    "systolic murmur, suspected VSD": systolic(),
    "systolic murmur, no VSD": systolic(),
    "recorded at the mitral area": {"location": "MV"},
    "stethoscope on the aortic area": {"location": "AV"},
    "murmur at all four sites": PRESENT | at("AV", "MV", "PV", "TV"),
    "systolic murmur loudest at the pulmonic area and radiating to the tricuspid area":
        systolic() | at("PV", "TV", best="PV"),
    "abnormal outcome": {"outcome": "Abnormal"},
    "recording of poor quality": {"murmur": "Unknown"},
    "ventricular septal defect": {"conditions": ("vsd",), "most_audible_location": "TV"}
        | systolic("Holosystolic", "Plateau", "III/VI", "High", "Harsh"),
    "mild MR with a soft systolic murmur": {"conditions": ("mitral_regurgitation",)} | systolic(),
    "as loud as a systolic murmur can be": systolic(),  # "as" is no aortic stenosis
    "normal heart sounds": {"conditions": ("normal",)} | ABSENT,
}  # fmt: skip


@pytest.mark.parametrize("text", PHRASES)
def test_phrases(text):
    reading = read_prompt(text)
    assert reading.record == ClinicalRecord(**PHRASES[text])
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("text", "problem", "record"),
    [
        ("grade VII/VI systolic murmur", "VII/VI", systolic()),
        ("grade 0/6 systolic murmur", "0/6", systolic()),
        ("diastolic murmur grade V/VI", "diastolic grade", diastolic()),
        ("2-3/6 systolic murmur", "range", systolic()),
        ("300-year-old man", "age_years", {"sex": "Male"}),
        ("heart rate 900", "heart_rate", {}),
        ("weight 5000 kg", "weight_kg", {}),
        ("10-year-old neonate", "10-year-old", {}),
        ("8-year-old boy, female", "sex", {"age_years": 8, "age_group": "Child"}),
        ("HR 80, heart rate 120", "heart_rate", {}),
        ("No murmur. Grade III/VI holosystolic murmur.", "murmur", {}),
        ("holosystolic late-systolic murmur", "timing", systolic()),
    ],
)
def test_contradictions_and_impossible_values_are_reported_not_guessed(text, problem, record):
    reading = read_prompt(text)
    assert any(problem in p for p in reading.problems), reading.problems
    assert reading.record == ClinicalRecord(**record)


def test_what_was_not_understood_is_listed():
    reading = read_prompt("8-year-old girl with a zebra-like systolic murmur and purple shoes")
    assert set(reading.unknown) == {"zebra-like", "purple", "shoes"}
    assert [(f.field, f.text) for f in reading.understood][:1] == [("age", "8-year-old")]
    assert any(f.field == "negated" for f in read_prompt("systolic murmur, no thrill").understood)


def test_edits_keep_what_they_do_not_mention():
    base = ClinicalRecord(**CHILD_F, **systolic("Holosystolic", "Plateau", "II/VI"), **at("TV", best="TV"))
    loud = read_prompt("grade IV/VI systolic murmur", base).record
    assert loud == base.replace(systolic=SystolicMurmur("Holosystolic", "Plateau", "IV/VI"))
    silent = read_prompt("no murmur", base).record
    assert silent == ClinicalRecord(**CHILD_F, murmur="Absent")
    assert read_prompt("harsh holosystolic murmur", silent).record.systolic.quality == "Harsh"
    assert read_prompt("HR 150", base).record == base.replace(heart_rate=150)
    assert read_prompt("2 months old", base).record.age_group == "Infant"
    assert read_prompt("no systolic murmur", base).record.systolic is None


def test_round_trip_over_random_records():
    generator = np.random.default_rng(7)
    for seed in range(400):
        record = random_record(generator)
        reading = read_prompt(str(narrative(record, seed)))
        assert reading.record == as_told(record)
        assert reading.problems == reading.unknown == ()


def test_round_trip_over_all_real_records(circor):
    for seed, recording in enumerate(circor):
        record = recording.record
        assert read_prompt(str(narrative(record, seed))).record == as_told(record)
        assert as_told(record) == record  # nothing of a published record is lost in the telling
