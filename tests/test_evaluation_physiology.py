"""Measurers of the waveform, on sounds whose truth is known and on real annotated recordings."""

import numpy as np
import pytest

from hldm.data import ClinicalRecord, circor_split
from hldm.evaluation import estimate_heart_rate
from hldm.evaluation import physiology as p
from hldm.models.judge import attributes_of

RATE = 4000


def heart(bpm: float, seconds: float = 6.0, murmur: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two thuds a beat over faint noise, and a systolic 100 to 400 Hz noise: waveform and its beats."""
    rng = np.random.default_rng(seed)
    beat = 60 / bpm
    s1_s2 = p.SYSTOLE_OFFSET + p.SYSTOLE_SLOPE * beat
    onsets = np.arange(0, seconds - beat, beat)
    cycles = np.stack([onsets, onsets + 0.1, onsets + s1_s2, onsets + s1_s2 + 0.08, onsets + beat], axis=1)
    t = np.arange(round(seconds * RATE)) / RATE
    sound = 1e-3 * rng.standard_normal(len(t))
    for start, _, second, _, _ in cycles:
        for onset, length, level in ((start, 0.1, 0.5), (second, 0.08, 0.25)):
            x = (t - onset) / length
            sound += level * np.where((x > 0) & (x < 1), np.sin(np.pi * x.clip(0, 1)), 0) * np.sin(2 * np.pi * 50 * t)
        sound += murmur * ((t > start + 0.1) & (t < second)) * rng.standard_normal(len(t))
    return sound.astype(np.float32), cycles


@pytest.mark.parametrize("bpm", [45, 60, 75, 90, 110, 130, 150, 170])
def test_heart_rate_of_known_beats(bpm):
    assert estimate_heart_rate(heart(bpm)[0], RATE) == pytest.approx(bpm, abs=1.5)
    assert estimate_heart_rate(heart(bpm, murmur=0.05)[0], RATE) == pytest.approx(bpm, abs=1.5)


def test_heart_rate_does_not_depend_on_gain_or_a_knock():
    sound, _ = heart(95)
    knocked = sound.copy()
    knocked[9000:9050] += 1
    rates = [estimate_heart_rate(x, RATE) for x in (sound, 0.01 * sound, knocked)]
    assert rates == pytest.approx([95] * 3, abs=1.5)


def test_heart_rate_on_real_recordings(circor):
    """A fifth of the annotated `val` recordings; the page gives the figures on all of them."""
    split = circor_split()
    names = [n for n in circor.names if split[n.split("_")[0]] == "val"][::5]
    recordings = [r for r in map(circor.recording, names) if len(r.cycles) >= 3]
    error = np.array([abs(estimate_heart_rate(r.waveform, r.sampling_rate) - r.heart_rate) for r in recordings])
    assert len(error) > 60
    assert error.mean() < 5
    assert np.median(error) < 2.5
    assert np.mean(error <= 5) > 0.8


@pytest.mark.parametrize(
    ("waveform", "rate", "message"),
    [
        (np.zeros(100), RATE, r"shape \(100,\), expected at least 0.5 s"),
        (np.zeros((2, 8000)), RATE, "1-D"),
        (np.full(8000, np.nan), RATE, "finite"),
        (np.zeros(8000), 4410 + 1, "4411, expected a multiple of 100"),
    ],
)
def test_what_cannot_be_measured_is_refused(waveform, rate, message):
    with pytest.raises(ValueError, match=message):
        estimate_heart_rate(waveform, rate)


def test_silence_has_a_heart_rate_only_in_name():
    assert p.SLOWEST <= estimate_heart_rate(np.zeros(4 * RATE), RATE) <= p.FASTEST


def test_levels_are_those_put_in():
    sound, cycles = heart(80)
    levels = p.state_levels(sound, RATE, cycles)
    # S1 has twice the amplitude of S2, and both are half-sine bursts of a sine: rms 0.5 * amplitude.
    assert levels.s1_to_s2 == pytest.approx(6, abs=1)
    assert levels.s1 == pytest.approx(20 * np.log10(0.25), abs=1)
    assert levels.sounds_to_floor > 40
    louder = p.state_levels(10 * sound, RATE, cycles)
    assert louder.s1 - levels.s1 == pytest.approx(20, abs=0.1)
    with pytest.raises(ValueError, match="1 beats, none inside"):
        p.state_levels(sound, RATE, cycles[:1] + 100)


def test_murmur_level_rises_with_the_murmur_and_not_with_gain():
    levels = [p.murmur_band_level(heart(80, murmur=m)[0], RATE, heart(80)[1]) for m in (0, 0.005, 0.02)]
    assert levels[0] < levels[1] < levels[2]
    assert levels[2] - levels[1] == pytest.approx(12, abs=1.5)
    sound, cycles = heart(80, murmur=0.02)
    assert p.murmur_band_level(3 * sound, RATE, cycles) == pytest.approx(levels[2], abs=0.1)
    assert p.murmur_band_level(sound, RATE, cycles, "diastolic") == -p.murmur_band_level(sound, RATE, cycles)


def test_s1_and_s2_are_recognised_under_a_murmur():
    base, loud, other = heart(80)[0], heart(80, murmur=0.05, seed=1)[0], heart(97)[0]
    assert p.s1_s2_envelope_correlation(base, base, RATE) == pytest.approx(1)
    assert p.s1_s2_envelope_correlation(base, loud, RATE) > 0.95
    assert p.s1_s2_envelope_correlation(base, other, RATE) < 0.6


def test_centroid_of_a_tone():
    tone = np.sin(2 * np.pi * 200 * np.arange(8000) / RATE)
    assert p.spectral_centroid(tone, RATE) == pytest.approx(200, abs=1)


def test_a_murmur_counts_where_it_is_heard():
    record = ClinicalRecord(murmur="Present", murmur_locations=("MV",), location="AV")
    assert attributes_of(record)["murmur"] == "Absent"  # heard at MV, not here
    assert attributes_of(record.replace(location="MV"))["murmur"] == "Present"
    assert attributes_of(ClinicalRecord())["murmur"] is None
