"""Statistics of a signal against closed forms."""

import numpy as np
import pytest

from hldm.data.errors import DataError
from hldm.evaluation import Sample
from hldm.evaluation.signal_statistics import BANDS, STATISTICS, ratio_of_spreads, shift_of_mean, signal_statistics

RATE = 4000
TIME = np.arange(8 * RATE) / RATE


def measured(waveform: np.ndarray) -> dict[str, float]:
    return dict(zip(STATISTICS, signal_statistics(waveform, RATE), strict=True))


@pytest.mark.parametrize(("frequency", "amplitude"), [(17, 0.5), (70, 0.1), (300, 0.02), (1200, 1.0)])
def test_of_a_sine(frequency, amplitude):
    found = measured(amplitude * np.sin(2 * np.pi * frequency * TIME))
    assert found["level (dB)"] == pytest.approx(10 * np.log10(amplitude**2 / 2), abs=1e-3)
    assert found["crest (dB)"] == pytest.approx(0, abs=0.01)
    assert found["centroid (Hz)"] == pytest.approx(frequency, rel=1e-3)
    for low, high in BANDS:
        share = found[f"{low} to {high} Hz (dB)"]
        assert share == pytest.approx(0, abs=1e-3) if low <= frequency < high else share < -40


def test_of_white_noise():
    found = measured(np.random.default_rng(0).normal(0, 0.1, 60 * RATE))
    assert found["level (dB)"] == pytest.approx(-20, abs=0.05)
    # The envelope is Rayleigh's: its quantile p is proportional to sqrt(-ln(1 - p)).
    assert found["crest (dB)"] == pytest.approx(10 * np.log10(np.log(100) / np.log(2)), abs=0.1)
    assert found["centroid (Hz)"] == pytest.approx(1005, rel=0.01)
    for low, high in BANDS:
        assert found[f"{low} to {high} Hz (dB)"] == pytest.approx(10 * np.log10((high - low) / 2000), abs=0.3)


def test_gain_moves_the_level_alone_and_an_offset_no_band():
    sound = np.random.default_rng(0).normal(0, 0.01, 5 * RATE)
    softer, louder = signal_statistics(sound, RATE), signal_statistics(10 * sound, RATE)
    assert louder[0] - softer[0] == pytest.approx(20)
    assert louder[1:] == pytest.approx(softer[1:], abs=1e-6)
    assert signal_statistics(sound + 0.2, RATE)[2:] == pytest.approx(softer[2:], abs=0.01)


def test_silence_is_a_floor_and_what_is_no_sound_is_refused():
    found = signal_statistics(np.zeros(RATE), RATE)
    assert found[[0, 1, *range(3, 10)]].tolist() == [-120, 0, *[-120] * 7]
    assert np.isnan(found[2])
    for waveform, rate, said in (
        (np.zeros(RATE - 1), RATE, "a second"),
        (np.full(RATE, np.nan), RATE, "finite"),
        (np.zeros(RATE), 2000, "4000 Hz"),
    ):
        with pytest.raises(DataError, match=said):
            signal_statistics(waveform, rate)


def test_shift_and_spread_by_hand():
    real = Sample.of([1.0, 3.0])  # mean 2, standard deviation sqrt(2)
    assert shift_of_mean(Sample.of([5.0, 5.0]), real) == pytest.approx(3 / 2**0.5)
    assert ratio_of_spreads(Sample.of([0.0, 6.0]), real) == pytest.approx(3)
    assert ratio_of_spreads(Sample.of([5.0, 5.0]), real) == 0
    assert np.isnan([shift_of_mean(real, Sample.of([1.0, 1.0])), ratio_of_spreads(real, Sample.of([1.0]))]).all()
