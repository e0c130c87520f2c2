"""The measurements measure what they say, and simulated recordings lie within tolerances of real ones."""

import numpy as np
import pytest

from benchmarks.calibration import calibrate
from hldm.data import CircorCorpus, ClinicalRecord, Recording, Segment, State, SystolicMurmur, simulate
from hldm.data.measurement import compare, measure, measure_all, twins
from hldm.data.priors.constants import calibration, constant


def test_measurements_against_a_recording_made_by_hand():
    """Tones of known level and frequency in every state: S1 at 60 Hz, S2 6 dB softer at 90 Hz, silence between."""
    rate, wave, segments = 4000, np.zeros(4000 * 6), []
    for beat in range(8):
        start = 0.75 * beat
        lengths = {State.S1: (0.12, 60, 0.2), State.SYSTOLE: (0.18, 200, 0.02), State.S2: (0.1, 90, 0.1),
                   State.DIASTOLE: (0.35, 180, 0.01)}  # fmt: skip
        for state, (length, frequency, amplitude) in lengths.items():
            first, last = round(start * rate), round((start + length) * rate)
            wave[first:last] = amplitude * np.sin(2 * np.pi * frequency * np.arange(last - first) / rate)
            segments.append(Segment(start, start + length, state))
            start += length
    found = measure(Recording(wave.astype(np.float32), rate, segments=tuple(segments)))
    assert found["heart_rate_bpm"] == pytest.approx(80)
    assert found["systole_ms"] == pytest.approx(300)
    assert found["diastole_ms"] == pytest.approx(450)
    assert found["s1_duration_ms"] == pytest.approx(120)
    assert found["s2_duration_ms"] == pytest.approx(100)
    assert found["rr_variation"] == pytest.approx(0, abs=1e-6)
    assert found["s1_level_dbfs"] == pytest.approx(20 * np.log10(0.2 / np.sqrt(2)), abs=0.3)
    assert found["s1_minus_s2_db"] == pytest.approx(6.02, abs=0.3)
    assert found["systole_level_db"] == pytest.approx(-20, abs=0.3)
    assert found["diastole_level_db"] == pytest.approx(-26, abs=0.3)
    assert found["background_125"] == pytest.approx(-26, abs=0.5)  # 180 Hz lies in the octave above 125 Hz
    assert found["s1_peak_hz"] == pytest.approx(60, abs=3)
    assert found["s2_centroid_hz"] == pytest.approx(90, abs=5)


def test_too_few_beats_are_not_measured():
    assert measure(simulate(ClinicalRecord(heart_rate=60), duration=2.0).recording) is None


def test_grades_show_in_the_measured_level():
    def systole(grade: str) -> float:
        murmur = SystolicMurmur("Holosystolic", "Plateau", grade, "Medium", "Blowing")
        record = ClinicalRecord(murmur="Present", systolic=murmur, heart_rate=90)
        return measure(simulate(record, seed=1).recording)["systole_level_db"]

    assert systole("II/VI") < systole("III/VI") < systole("V/VI")


def test_constants_can_be_tried_out_without_touching_the_table():
    before = constant("heart_rate_bpm", "Child")
    with calibration({("heart_rate_bpm", "Child"): 55.0}):
        assert constant("heart_rate_bpm", "Child") == 55.0
        with pytest.raises(KeyError, match="s1_snap_db of all"):
            constant("s1_snap_db", "all")
    assert constant("heart_rate_bpm", "Child") == before


def test_calibration_finds_constants_back():
    """Recordings simulated with known constants, calibrated from scratch."""
    records = [ClinicalRecord(age_group="Child", murmur="Absent", location=s) for s in ("AV", "MV") for _ in range(20)]
    known = {
        name: constant(*name)
        for name in [("heart_rate_bpm", "Child"), ("systole_k_sqrt_ms", "Child"), ("s1_minus_s2_db", "MV")]
    }
    made = (simulate(record, seed=900 + i, duration=6).recording for i, record in enumerate(records))
    table = calibrate(measure_all(made), "simulated", rounds=2).set_index(["quantity", "group"])
    assert table.loc[("heart_rate_bpm", "Child"), "value"] == pytest.approx(known["heart_rate_bpm", "Child"], rel=0.1)
    found = table.loc[("systole_k_sqrt_ms", "Child"), "value"]
    assert found == pytest.approx(known["systole_k_sqrt_ms", "Child"], rel=0.04)
    assert table.loc[("s1_minus_s2_db", "MV"), "value"] == pytest.approx(known["s1_minus_s2_db", "MV"], abs=3.5)


# How far simulated distributions may lie from real ones: a Wasserstein distance in the statistic's unit for
# groups of 60 recordings or more, beyond the distance of two halves of the real recordings.
TOLERANCES = {
    "heart_rate_bpm": 6, "rr_variation": 0.02, "systole_ms": 15, "diastole_ms": 45, "s1_duration_ms": 12,
    "s2_duration_ms": 12, "s1_minus_s2_db": 2, "s1_centroid_hz": 20, "s2_centroid_hz": 20, "centroid_hz": 40,
    "systole_level_db": 3, "diastole_level_db": 3, "wander_db": 2,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:left out")
def test_simulated_recordings_lie_close_to_real_ones(circor):
    """A subset of CirCor's train patients; the whole comparison stands in chapter 1."""
    train = CircorCorpus(circor.root, "train")
    real = measure_all(train.recordings(np.random.default_rng(0).permutation(train.names)[:240]))
    table = compare(real, twins(real, duration=6.0, seed=50))
    table = table[table["n"] >= 60]
    assert set(TOLERANCES) == set(table["statistic"])
    for row in table.itertuples():
        assert row.distance <= row.floor + TOLERANCES[row.statistic], (row.statistic, row.group, row.distance)
