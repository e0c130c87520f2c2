"""The simulator keeps its promises: every factor is returned, true, and independent of the others."""

from dataclasses import replace
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from hldm.data import (
    AgeGroup,
    CircorCorpus,
    ClinicalRecord,
    DiastolicMurmur,
    Location,
    Murmur,
    State,
    SystolicGrade,
    SystolicMurmur,
    simulate,
    simulate_corpus,
)
from hldm.data.priors.constants import marginal
from hldm.data.simulator import EXTRA_SOUNDS, SHOWCASE, complete_record, draw_patient
from hldm.data.simulator.murmurs import envelope_shape
from hldm.data.tables import read_table
from hldm.paths import simulated_folder

MURMUR = SystolicMurmur("Holosystolic", "Plateau", "III/VI", "Medium", "Harsh")
CHILD = ClinicalRecord(
    age_group="Child",
    murmur="Present",
    murmur_locations=("MV", "TV"),
    most_audible_location="MV",
    systolic=MURMUR,
    heart_rate=90,
    location="MV",
)
ages = st.sampled_from([None, *AgeGroup])
optional = st.none()
records = st.builds(
    ClinicalRecord,
    age_group=ages,
    pregnant=st.sampled_from([None, False, True]),
    murmur=st.sampled_from([None, *Murmur]),
    heart_rate=st.one_of(optional, st.floats(45, 200)),
    location=st.sampled_from([None, *Location]),
)


@given(record=records, seed=st.integers(0, 2**32 - 1), duration=st.floats(0.2, 6.0))
@settings(max_examples=20, deadline=None)
def test_any_record_becomes_a_sound(record, seed, duration):
    made = simulate(record, seed=seed, duration=duration)
    recording, parts = made.recording, made.factors.components
    assert recording.waveform.shape == (round(4000 * duration),)
    assert recording.waveform.dtype == np.float32
    assert np.all(np.abs(recording.waveform) <= 1)
    np.testing.assert_array_equal(recording.waveform, np.clip(sum(parts.values()), -1, 1))
    assert recording.location == recording.record.location is not None
    assert recording.segments[0].start == 0.0
    assert recording.segments[-1].end == pytest.approx(duration)
    for before, after in zip(recording.segments, recording.segments[1:], strict=False):
        assert before.end == after.start
        assert after.state == before.state % 4 + 1


@given(record=records, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_completing_a_record_keeps_what_was_known(record, seed):
    complete = complete_record(record, seed)
    for name in ("age_group", "pregnant", "murmur", "heart_rate", "location"):
        if getattr(record, name) is not None:
            assert getattr(complete, name) == getattr(record, name)
    assert complete.heart_rate is not None
    if complete.murmur == Murmur.PRESENT:
        assert complete.most_audible_location in complete.murmur_locations or record.location is not None
        for murmur in filter(None, (complete.systolic, complete.diastolic)):
            assert None not in (murmur.timing, murmur.shape, murmur.grade, murmur.pitch, murmur.quality)
    assert complete_record(complete, seed + 1) == complete


def test_same_seed_same_bytes_other_seed_other_sound():
    first, again, other = (simulate(CHILD, seed=s, duration=3) for s in (4, 4, 5))
    assert first.recording.waveform.tobytes() == again.recording.waveform.tobytes()
    assert not np.array_equal(first.recording.waveform, other.recording.waveform)


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"systolic": replace(MURMUR, grade="I/VI")}, {"murmur"}),
        ({"systolic": replace(MURMUR, shape="Diamond", timing="Mid-systolic")}, {"murmur"}),
        ({"systolic": replace(MURMUR, pitch="High", quality="Blowing")}, {"murmur"}),
        ({"diastolic": DiastolicMurmur("Early-diastolic", "Decrescendo", "II/IV", "High", "Blowing")}, {"murmur"}),
        ({"most_audible_location": "TV"}, {"murmur"}),
        ({"sex": "Female", "outcome": "Normal"}, set()),
    ],
)
def test_one_changed_factor_leaves_the_others_bit_identical(change, moves):
    base, changed = (simulate(record, seed=11, duration=4).factors for record in (CHILD, CHILD.replace(**change)))
    for name, wave in base.components.items():
        assert np.array_equal(wave, changed.components[name]) == (name not in moves), name
    np.testing.assert_array_equal(base.beats.onsets, changed.beats.onsets)
    assert base.gain_db == changed.gain_db


def test_heart_rate_changes_rhythm_but_not_the_character_of_sound_and_noise():
    slow, fast = (simulate(CHILD.replace(heart_rate=rate), seed=3, duration=20) for rate in (70, 120))
    assert slow.recording.heart_rate == pytest.approx(70, rel=0.1)
    assert fast.recording.heart_rate == pytest.approx(120, rel=0.1)
    for name in ("M1", "T1", "A2", "P2"):
        assert slow.factors.sounds[name].frequency == fast.factors.sounds[name].frequency
    systole = [np.median(made.factors.beats.systole / np.sqrt(made.factors.beats.rr)) for made in (slow, fast)]
    assert systole[0] == pytest.approx(systole[1], rel=0.04)  # the constant of Bazett's root is the patient's
    np.testing.assert_array_equal(slow.factors.background_db, fast.factors.background_db)


def test_segments_tell_where_the_sounds_are():
    made = simulate(CHILD.replace(murmur="Absent", systolic=None, murmur_locations=()), noise={}, seed=1)
    wave, level = made.recording.waveform, {}
    for state in (State.S1, State.SYSTOLE, State.S2, State.DIASTOLE):
        spans = [s for s in made.recording.segments if s.state == state]
        inside = np.concatenate([wave[int(4000 * s.start) : int(4000 * s.end)] for s in spans])
        level[state] = 20 * np.log10(np.sqrt(np.mean(inside**2)) + 1e-12)
    assert min(level[State.S1], level[State.S2]) > max(level[State.SYSTOLE], level[State.DIASTOLE]) + 10
    assert level[State.S1] == pytest.approx(made.factors.gain_db, abs=2)


def test_second_sound_splits_with_inspiration():
    factors = simulate(CHILD, seed=2, duration=30).factors
    inspiration = np.sin(factors.beats.breath)
    assert np.corrcoef(factors.split_ms, inspiration)[0, 1] > 0.7
    assert factors.split_ms[inspiration > 0.8].mean() > factors.split_ms[inspiration < -0.8].mean() + 8


def test_breathing_quickens_the_heart():
    beats = simulate(CHILD, seed=2, duration=60).factors.beats
    assert np.corrcoef(beats.rr, np.sin(beats.breath))[0, 1] < -0.4


def test_murmur_is_louder_with_every_grade():
    def level(grade: SystolicGrade) -> float:
        record = CHILD.replace(systolic=replace(MURMUR, grade=grade))
        return float(np.std(simulate(record, seed=6, noise={}).factors.components["murmur"]))

    levels = [level(grade) for grade in SystolicGrade]
    assert levels == sorted(levels)
    assert levels[0] > 0


def test_murmur_level_is_what_the_factors_say():
    made = simulate(CHILD, seed=8, noise={}, duration=20)
    (murmur,) = made.factors.murmurs
    wave = made.factors.components["murmur"]
    t = np.arange(len(wave)) / 4000
    inside = np.any((t[:, None] >= murmur.starts) & (t[:, None] <= murmur.ends), axis=1)
    found = 20 * np.log10(np.sqrt(np.mean(wave[inside] ** 2)))
    assert found == pytest.approx(made.factors.gain_db + murmur.level_db, abs=1.0)
    assert not np.any(wave[~inside])


@pytest.mark.parametrize(("site", "heard"), [("MV", True), ("TV", True), ("AV", False), ("PV", False)])
def test_murmur_is_heard_only_where_the_record_says(site, heard):
    parts = simulate(CHILD.replace(location=site), seed=1, duration=3).factors.components
    assert bool(np.any(parts["murmur"])) == heard


def test_diastolic_murmur_sounds_in_diastole():
    murmur = DiastolicMurmur("Early-diastolic", "Decrescendo", "III/IV", "High", "Blowing")
    made = simulate(CHILD.replace(systolic=None, diastolic=murmur), seed=1)
    wave = made.factors.components["murmur"]
    for segment in made.recording.segments:
        part = wave[int(np.ceil(4000 * segment.start)) : int(4000 * segment.end)]
        assert segment.state == State.DIASTOLE or not np.any(part)


@pytest.mark.parametrize(("pitch", "low", "high"), [("Low", 40, 150), ("Medium", 100, 300), ("High", 180, 600)])
def test_murmur_energy_lies_in_the_band_of_its_pitch(pitch, low, high):
    record = CHILD.replace(systolic=replace(MURMUR, pitch=pitch, quality="Blowing"))
    wave = simulate(record, seed=3, duration=20).factors.components["murmur"]
    frequency, power = welch(wave, 4000, nperseg=1024)
    inside = (frequency >= low / 1.3) & (frequency <= high * 1.3)  # a murmur's band is drawn around the table's
    assert power[inside].sum() / power.sum() > 0.8


def test_musical_murmur_has_a_line_spectrum():
    def crest(quality: str) -> float:
        record = CHILD.replace(systolic=replace(MURMUR, quality=quality))
        _, power = welch(simulate(record, seed=3, duration=20).factors.components["murmur"], 4000, nperseg=1024)
        return float(power.max() / power.mean())

    assert crest("Musical") > 2 * crest("Blowing")


@given(u=st.floats(0, 1), peak=st.floats(0.3, 0.7))
def test_envelopes_follow_their_names(u, peak):
    assert envelope_shape("Crescendo", np.array(u)) == pytest.approx(envelope_shape("Decrescendo", np.array(1 - u)))
    assert envelope_shape("Diamond", np.array(peak), peak) == pytest.approx(1)
    for shape in ("Crescendo", "Decrescendo", "Diamond", "Plateau"):
        assert -1e-9 <= envelope_shape(shape, np.array(u), peak) <= 1


@pytest.mark.parametrize("kind", ["background", "breath", "friction", "crying", "electronic"])
@pytest.mark.parametrize("snr", [-5.0, 12.0])
def test_noise_has_the_snr_asked_for(kind, snr):
    factors = simulate(CHILD, seed=5, noise={kind: snr}).factors
    heart, rest = (np.mean(factors.components[name].astype(float) ** 2) for name in ("sounds", "noise"))
    assert 10 * np.log10(heart / rest) == pytest.approx(snr, abs=0.01)
    assert set(factors.snr_db) == {kind, "all"}


def test_crying_and_hum_are_tones():
    for kind, f0 in (("crying", (300, 650)), ("electronic", (55, 65))):
        wave = simulate(CHILD, seed=5, noise={kind: 0.0}).factors.components["noise"]
        frequency, power = welch(wave, 4000, nperseg=2048)
        strongest = frequency[np.argmax(power)]
        assert f0[0] <= strongest <= f0[1] or (kind == "electronic" and strongest % 60 < 3)


@pytest.mark.parametrize("name", EXTRA_SOUNDS)
def test_extra_sounds_lie_where_the_table_puts_them(name):
    factors = simulate(CHILD, seed=9, extra_sounds=(name,)).factors
    beats, times = factors.beats, factors.sounds[name].times
    if name == "S4":
        assert np.all((beats.onsets[1:] - times > 0.079) & (beats.onsets[1:] - times < 0.121))
    elif name in ("S3", "opening snap"):
        assert np.all((times > beats.s2_onsets + 0.05) & (times < beats.onsets[1:]))
    else:
        assert np.all((times > beats.onsets[:-1]) & (times < beats.s2_onsets))


@pytest.mark.parametrize(
    "wrong", [{"duration": 0}, {"duration": float("nan")}, {"noise": {"thunder": 3}}, {"extra_sounds": ("S5",)}]
)
def test_wrong_requests_name_what_was_expected(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: found .* expected"):
        simulate(CHILD, **wrong)


def test_patients_are_distributed_as_in_circor():
    drawn = [draw_patient(seed) for seed in range(700)]
    present = [p for p in drawn if p.murmur == Murmur.PRESENT]
    systolic = [p.systolic for p in present if p.systolic]

    def share(found: list, field: str) -> None:
        values, expected = marginal(field)
        for value, p in zip(values, expected, strict=True):
            error = 4 * np.sqrt(p * (1 - p) / len(found)) + 0.01
            assert np.mean([str(f) == value for f in found]) == pytest.approx(p, abs=error), (field, value)

    share([p.murmur for p in drawn], "Murmur")
    share([p.outcome for p in drawn], "Outcome")
    share([p.sex for p in drawn], "Sex")
    for name, column in {"timing": "timing", "shape": "shape", "grade": "grading", "pitch": "pitch"}.items():
        share([getattr(m, name) for m in systolic], f"Systolic murmur {column}")
    assert np.mean([bool(p.pregnant) for p in drawn]) == pytest.approx(70 / 942, abs=0.04)
    assert {"AV", "PV", "TV", "MV"} <= {site for p in present for site in p.murmur_locations}


def test_corpus_reads_back_without_a_problem(tmp_path):
    root = simulate_corpus(tmp_path / "corpus", 3, seed=5, duration=4)
    corpus = CircorCorpus(root)
    assert corpus.check().ok
    recordings = list(corpus)
    assert [r.location for r in recordings] == ["AV", "PV", "TV", "MV"] * 3
    assert all(len(r.cycles) >= 2 for r in recordings)
    again = CircorCorpus(simulate_corpus(tmp_path / "again", 3, seed=5, duration=4))
    for one, two in zip(recordings, again, strict=True):
        assert one.waveform.tobytes() == two.waveform.tobytes()
        assert one.record == two.record
    with pytest.raises(FileExistsError):
        simulate_corpus(root, 1)


def test_two_hundred_patients_take_less_than_a_minute_of_one_core():
    start = process_time()
    for seed in range(20):
        simulate(draw_patient(seed), seed=seed, duration=10)
    assert 800 / 20 * (process_time() - start) < 60


def test_the_shipped_corpus_is_what_the_simulator_makes(simulated, tmp_path):
    assert len(simulated.patients) == len(SHOWCASE)
    assert sum(path.stat().st_size for path in simulated_folder().rglob("*") if path.is_file()) <= 3e6
    assert {p.record.murmur for p in simulated.patients} == set(Murmur)
    assert any(p.record.pregnant for p in simulated.patients)
    assert any(p.record.diastolic and not p.record.systolic for p in simulated.patients)
    fresh = CircorCorpus(simulate_corpus(tmp_path / "fresh", SHOWCASE, seed=0, duration=5.5))
    for shipped, made in zip(simulated, fresh, strict=True):
        assert shipped.record == made.record
        # Another machine's Fourier transform may round the last bit differently.
        np.testing.assert_allclose(shipped.waveform, made.waveform, atol=2 / 2**15)


def test_constants_come_from_the_calibration_table():
    table = read_table("calibration")
    assert list(table.columns) == ["quantity", "group", "value", "unit", "measured_on", "n"]
    assert np.isfinite(table["value"].astype(float)).all()
    assert (table["n"].astype(int) > 0).all()
    grades = table[table["quantity"] == "murmur_level_db"].set_index("group")["value"].astype(float)
    assert grades["I/VI"] < grades["II/VI"] < grades["III/VI"]
