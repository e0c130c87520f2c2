"""What a stethoscope would tell: heart rate, beats, levels of the sounds and of the murmur, from a waveform alone.

These measurers know nothing of any model, so they may judge all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.signal import butter, hilbert, sosfiltfilt

from hldm.data.errors import DataError

ENVELOPE_RATE = 100  # Hz
SLOWEST, FASTEST = 40.0, 200.0  # bpm that the estimator considers

# S1 to S2 against beat length T in seconds, a line through 451 annotated `train` recordings of CirCor (sd 20 ms).
SYSTOLE_OFFSET, SYSTOLE_SLOPE = 0.126, 0.217


def envelope(
    waveform: np.ndarray,
    sampling_rate: int,
    band: tuple[float, float] = (20.0, 100.0),
    cutoff: float = 20.0,
) -> np.ndarray:
    """Amplitude of a frequency band over time, at `ENVELOPE_RATE`.

    Parameters
    ----------
    waveform : ndarray (samples,)
    sampling_rate : int
        Hz, a multiple of `ENVELOPE_RATE`.
    band : (float, float)
        Hz. The default holds S1 and S2 and little of most murmurs.
    cutoff : float
        Hz, of the low-pass that smooths the magnitude of the analytic signal.

    Returns
    -------
    ndarray (seconds * ENVELOPE_RATE,)
        Positive, in units of the waveform.

    Raises
    ------
    ValueError
        For a waveform that is not 1-D, shorter than half a second, or holds values that are not finite.
    """
    waveform = np.asarray(waveform, dtype=np.float64)
    if waveform.ndim != 1 or len(waveform) < sampling_rate / 2 or not np.isfinite(waveform).all():
        raise ValueError(f"waveform of shape {waveform.shape}, expected at least 0.5 s of finite samples, 1-D")
    if sampling_rate % ENVELOPE_RATE:
        raise ValueError(f"sampling_rate is {sampling_rate}, expected a multiple of {ENVELOPE_RATE} Hz")
    inside = sosfiltfilt(butter(2, band, "bandpass", fs=sampling_rate, output="sos"), waveform)
    padded = fft.next_fast_len(len(inside))  # a prime length would make the transform slow
    magnitude = np.abs(hilbert(inside, padded)[: len(inside)])
    smooth = sosfiltfilt(butter(1, cutoff, fs=sampling_rate, output="sos"), magnitude)
    step = sampling_rate // ENVELOPE_RATE
    blocks = smooth[: len(smooth) // step * step].reshape(-1, step).mean(1)
    return np.maximum(blocks, 1e-6)


def _autocorrelation(x: np.ndarray, lags: int) -> np.ndarray:
    """Normalised to 1 at lag 0; half-way between the unbiased one, wild at long lags, and the biased one."""
    spectrum = np.fft.rfft(x - x.mean(), 2 * len(x))
    raw = np.fft.irfft(np.abs(spectrum) ** 2)[:lags] / np.sqrt(len(x) - np.arange(lags))
    return raw / max(raw[0], 1e-12)


def estimate_heart_rate(waveform: np.ndarray, sampling_rate: int) -> float:
    """Heart rate from the autocorrelation of the log-envelope, read by a comb that knows systole.

    A plain peak of the autocorrelation mistakes two beats for one, or the step from S1 to S2 for a beat. For each
    beat length T this one asks that the sound repeats at T and 2T, that it also matches at the lags that S1 and S2
    would make (systole s, diastole T - s, and T + s), and not half-way between them; s follows T as in children's
    hearts (after the idea of Schmidt et al. 2010). A weak prior around 105 bpm settles what is left.

    Parameters
    ----------
    waveform : ndarray (samples,)
        At least 2 s; 4 s and more for the stated accuracy.
    sampling_rate : int
        Hz.

    Returns
    -------
    float
        Beats per minute, between `SLOWEST` and `FASTEST`, in steps of 1.
    """
    loud = np.log(envelope(waveform, sampling_rate))
    loud = np.minimum(loud, np.percentile(loud, 98))  # a knock on the stethoscope counts no more than a beat
    width = 2 * ENVELOPE_RATE
    trend = np.convolve(np.pad(loud, (width // 2, width - width // 2 - 1), "reflect"), np.ones(width) / width, "valid")
    lags = min(round(4.2 * ENVELOPE_RATE), len(loud) - 1)
    correlation = _autocorrelation(loud - trend, lags)

    def at(seconds: np.ndarray) -> np.ndarray:
        return np.interp(seconds, np.arange(lags) / ENVELOPE_RATE, correlation, right=np.nan)

    rates = np.arange(SLOWEST, FASTEST + 1)
    beat = 60 / rates
    s1_s2 = SYSTOLE_OFFSET + SYSTOLE_SLOPE * beat
    s2_s1 = beat - s1_s2
    repeats = np.nanmean([at(beat), at(2 * beat)], axis=0)
    shifts = (-0.06, -0.03, 0.0, 0.03, 0.06)  # s of one heart lies this near the line
    sounds = np.max([np.nanmean([at(s1_s2 + d), at(s2_s1 - d), at(beat + s1_s2 + d)], axis=0) for d in shifts], 0)
    silences = np.nanmean(
        [at(s1_s2 / 2), at(s1_s2 + s2_s1 / 2), at(beat + s1_s2 / 2), at(beat + s1_s2 + s2_s1 / 2)], axis=0
    )
    prior = -0.5 * (np.log(rates / 105) / 0.35) ** 2
    return float(rates[np.argmax(repeats + 0.25 * sounds - 0.25 * silences + 0.1 * prior)])


@dataclass(frozen=True)
class Levels:
    """Root mean square within each heart state, dB re full scale: the median over beats."""

    s1: float
    systole: float
    s2: float
    diastole: float

    @property
    def s1_to_s2(self) -> float:
        """dB."""
        return self.s1 - self.s2

    @property
    def sounds_to_floor(self) -> float:
        """Mean level of S1 and S2 over diastole's, dB: an unpaired kin of the signal-to-noise ratio."""
        return (self.s1 + self.s2) / 2 - self.diastole


def state_levels(
    waveform: np.ndarray,
    sampling_rate: int,
    cycles: np.ndarray,
    band: tuple[float, float] = (20.0, 400.0),
) -> Levels:
    """Level of each heart state, as the median over beats.

    Parameters
    ----------
    waveform : ndarray (samples,)
    cycles : ndarray (beats, 5)
        Onsets in seconds of S1, systole, S2 and diastole, and the end: as of `Recording.cycles`, or found by
        `hldm.evaluation.measurers.Judge.cycles`.
    band : (float, float)
        Hz.

    Raises
    ------
    ValueError
        Without a beat inside the waveform.
    """
    cycles = np.asarray(cycles, dtype=np.float64).reshape(-1, 5)
    power = sosfiltfilt(butter(4, band, "bandpass", fs=sampling_rate, output="sos"), np.asarray(waveform, np.float64))
    energy = np.concatenate([[0.0], np.cumsum(power**2)])
    edges = np.rint(cycles * sampling_rate).astype(int)
    edges = edges[(edges[:, 0] >= 0) & (edges[:, -1] <= len(waveform)) & (np.diff(edges) > 0).all(1)]
    if not len(edges):
        raise DataError("at least one", value=f"{len(cycles)} beats, none inside the waveform")
    mean_square = np.diff(energy[edges]) / np.diff(edges)  # (beats, 4)
    return Levels(*(10 * np.log10(np.median(mean_square, axis=0) + 1e-12)))


def murmur_band_level(waveform: np.ndarray, sampling_rate: int, cycles: np.ndarray, phase: str = "systolic") -> float:
    """How far the phase in which a murmur may lie stands above the other one, 100 to 400 Hz.

    Parameters
    ----------
    phase : {"systolic", "diastolic"}

    Returns
    -------
    float
        dB: systole over diastole, or the reverse. Around 0 without a murmur, wherever the gain is set.
    """
    levels = state_levels(waveform, sampling_rate, cycles, band=(100.0, 400.0))
    difference = levels.systole - levels.diastole
    return {"systolic": difference, "diastolic": -difference}[phase]


def s1_s2_envelope_correlation(a: np.ndarray, b: np.ndarray, sampling_rate: int) -> float:
    """Do two sounds share their S1 and S2? Pearson correlation of their 20 to 80 Hz envelopes, -1 to 1.

    What-if edits of a murmur should leave it near 1. Sounds are compared as they lie, without alignment; the
    longer one is cut.
    """
    size = min(len(a), len(b))
    first, second = (envelope(x[:size], sampling_rate, band=(20.0, 80.0)) for x in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


def spectral_centroid(waveform: np.ndarray, sampling_rate: int, band: tuple[float, float] = (20.0, 800.0)) -> float:
    """Centre of mass of the power spectrum within a band, Hz."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    frequency = np.fft.rfftfreq(len(waveform), 1 / sampling_rate)
    inside = (frequency >= band[0]) & (frequency <= band[1])
    return float(np.sum(frequency[inside] * power[inside]) / max(np.sum(power[inside]), 1e-20))
