"""What a record and a recording promise."""

import multiprocessing
import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from hldm.data import ClinicalRecord, DataError, DiastolicMurmur, Recording, Segment, State, SystolicMurmur
from hldm.data.records import Location, Murmur


def beats(*onsets, end):
    """Segments of beats that start at `onsets`: S1 of 0.1 s, systole to 0.3 s, S2 of 0.1 s, diastole to the next."""
    rows = []
    for start, following in zip(onsets, [*onsets[1:], end], strict=True):
        times = [start, start + 0.1, start + 0.3, start + 0.4, following]
        rows += [Segment(a, b, State(n)) for n, (a, b) in enumerate(pairwise(times), start=1)]
    return tuple(rows)


def recording(segments=(), samples=8000, rate=4000):
    return Recording(np.zeros(samples, np.float32), rate, segments=segments)


def test_strings_become_the_vocabulary():
    record = ClinicalRecord(
        age_group="Child",
        sex="Female",
        murmur="Present",
        murmur_locations=("AV", "Phc"),
        systolic=SystolicMurmur("Holosystolic", "Plateau", "III/VI", "High", "Harsh"),
        diastolic=DiastolicMurmur(grade="II/IV"),
    )
    assert record.murmur is Murmur.PRESENT
    assert record.murmur_locations == (Location.AV, Location.PHC)
    assert record.systolic.grade == "III/VI"


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (lambda: ClinicalRecord(sex="female"), "sex", "female"),
        (lambda: ClinicalRecord(murmur_locations=("XV",)), "murmur_locations", "XV"),
        (lambda: ClinicalRecord(murmur_locations=3), "murmur_locations", 3),
        (lambda: ClinicalRecord(conditions=("vsd", "VSD")), "conditions", "VSD"),
        (lambda: ClinicalRecord(systolic="III/VI"), "systolic", "III/VI"),
        (lambda: SystolicMurmur(grade="II/IV"), "systolic grade", "II/IV"),
        (lambda: DiastolicMurmur(timing="Holosystolic"), "diastolic timing", "Holosystolic"),
        (lambda: ClinicalRecord(age_years=-1), "age_years", -1),
        (lambda: ClinicalRecord(height_cm="tall"), "height_cm", "tall"),
        (lambda: ClinicalRecord(heart_rate=float("nan")), "heart_rate", None),
        (lambda: ClinicalRecord(murmur="Absent", systolic=SystolicMurmur(pitch="Low")), "murmur", "Absent"),
    ],
)
def test_what_is_outside_the_vocabulary_is_named(make, field, value):
    with pytest.raises(DataError) as caught:
        make()
    assert caught.value.field == field
    assert value is None or caught.value.value == value


@pytest.mark.parametrize(
    ("murmur", "locations", "location", "here"),
    [
        ("Present", ("AV",), "AV", True),
        ("Present", ("AV",), "MV", False),
        ("Present", ("AV",), None, True),
        ("Present", (), "MV", True),
        ("Absent", (), "AV", False),
        ("Unknown", (), "AV", None),
        (None, (), "AV", None),
    ],
)
def test_a_murmur_is_heard_where_the_annotators_heard_it(murmur, locations, location, here):
    assert ClinicalRecord(murmur=murmur, murmur_locations=locations, location=location).murmur_here is here


def test_a_change_is_checked_like_the_original():
    record = ClinicalRecord(height_cm="98.0")
    assert record.replace(sex="Male").height_cm == 98
    with pytest.raises(DataError):
        record.replace(sex="M")


def test_cycles_and_heart_rate_by_hand():
    found = recording(beats(0.2, 1.0, 1.7, end=2.5))
    np.testing.assert_allclose(found.cycles[:, 0], [0.2, 1.0, 1.7])
    np.testing.assert_allclose(found.cycles[0], [0.2, 0.3, 0.5, 0.6, 1.0])
    assert found.heart_rate == pytest.approx(60 / 0.8)  # the median of 0.8, 0.7 and 0.8 s
    first, last = (round(t * found.sampling_rate) for t in (0.2, 2.5))
    np.testing.assert_array_equal(found.annotated, found.waveform[first:last])
    assert not len(replace(found, segments=()).annotated)


def test_incomplete_beats_do_not_count():
    rows = beats(0.2, 1.0, end=1.7)
    assert len(recording(rows[2:]).cycles) == 1  # begins with S2
    assert len(recording(rows[:-1]).cycles) == 1  # ends in S2
    late = rows[1]._replace(start=rows[1].start + 0.05)
    assert len(recording((rows[0], late, *rows[2:])).cycles) == 1  # 50 ms of nothing after S1
    assert recording((Segment(0, 2, State.UNANNOTATED),)).heart_rate is None
    assert recording().cycles.shape == (0, 5)


@given(st.sampled_from([1000, 2000, 4000, 8000, 44100]), st.sampled_from([2000, 4000]), st.integers(100, 3000))
def test_resampling_keeps_seconds_and_agrees_with_scipy(rate, target, samples):
    noise = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    before = Recording(noise, rate, segments=(Segment(0, 0.01, State.S1),))
    after = before.resample(target)
    assert after.duration == pytest.approx(before.duration, abs=1 / target)
    assert after.segments == before.segments
    assert after.waveform.dtype == np.float32
    expected = noise if rate == target else resample_poly(noise, target, rate)
    np.testing.assert_allclose(after.waveform, expected, rtol=1e-5, atol=1e-6)


def test_an_error_says_where_what_and_what_else():
    error = DataError("one of A, B", file="x.txt", field="Sex", value="C")
    assert str(error) == "x.txt: Sex: found 'C', expected one of A, B"
    assert str(DataError("a table", file="x.csv")) == "x.csv: expected a table"


@pytest.mark.parametrize(
    ("field", "value"), [("conditions", "vsd"), ("murmur_locations", "AV+PV"), ("pregnant", "yes")]
)
def test_a_string_where_a_sequence_or_a_truth_is_meant_is_named(field, value):
    with pytest.raises(DataError) as error:
        ClinicalRecord(**{field: value})
    assert (error.value.field, error.value.value) == (field, value)
    assert ClinicalRecord(**{field: None}) == ClinicalRecord()


def test_an_error_comes_whole_out_of_another_process():
    error = DataError("one of A, B", file="x.txt", field="Sex", value="C")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.__dict__) == (str(error), error.__dict__)
    with multiprocessing.get_context("spawn").Pool(1) as pool, pytest.raises(DataError, match="sex: found 'X'"):
        pool.apply(ClinicalRecord, kwds={"sex": "X"})


def test_a_patient_without_their_murmur():
    murmur = SystolicMurmur("Holosystolic", grade="III/VI")
    patient = ClinicalRecord(sex="Male", heart_rate=90, location="MV")
    loud = patient.replace(murmur="Present", murmur_locations=("MV",), most_audible_location="MV", systolic=murmur)
    assert loud.without_murmur() == patient.replace(murmur="Absent")


def test_a_field_by_its_flat_name():
    record = ClinicalRecord(sex="Male", systolic=SystolicMurmur(grade="III/VI"))
    assert (record.value_of("sex"), record.value_of("systolic grade")) == ("Male", "III/VI")
    assert record.value_of("systolic.grade") is record.systolic.grade
    assert record.value_of("diastolic grade") is None
