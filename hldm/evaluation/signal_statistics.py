"""Plain statistics of a sound: how loud, how peaked, and where in the spectrum. No network can hide what they show."""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.signal import hilbert, welch

from hldm.data.errors import DataError
from hldm.evaluation.resampling import Sample

#: Hz. Together the band of the recordings; heart sounds lie in the lower ones, the room in all.
BANDS = ((10, 25), (25, 50), (50, 100), (100, 200), (200, 400), (400, 800), (800, 2000))
#: What `signal_statistics` measures, in its order.
STATISTICS = ("level (dB)", "crest (dB)", "centroid (Hz)", *(f"{low} to {high} Hz (dB)" for low, high in BANDS))

FLOOR = 1e-12  # -120 dB: what is fainter is silence


def signal_statistics(waveform: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Level, crest, centroid and the shares of `BANDS`.

    The level is the mean square in dB of full scale. The crest is the 99th percentile over the median of the envelope,
    the magnitude of the analytic signal: 0 dB for a sine, 8.2 dB for Gaussian noise. The spectrum is Welch's, over
    windows of a second without their means: its centroid is taken from 10 to 2,000 Hz, its bands as shares of all.

    Parameters
    ----------
    waveform : ndarray (samples,)
        A second or more.
    sampling_rate : int
        Hz, at least 4,000.

    Returns
    -------
    ndarray (10,)
        As named by `STATISTICS`. Nothing is below -120 dB; the centroid of silence is NaN.

    Raises
    ------
    DataError
        For another shape, a lower rate, or values that are not finite.
    """
    x = np.asarray(waveform, np.float64)
    if x.ndim != 1 or len(x) < sampling_rate or not np.isfinite(x).all():
        raise DataError("a second or more of finite samples, 1-D", field="waveform", value=f"shape {x.shape}")
    if sampling_rate < 2 * BANDS[-1][1]:
        raise DataError(f"{2 * BANDS[-1][1]} Hz or more", field="sampling_rate", value=sampling_rate)
    envelope = np.abs(hilbert(x, fft.next_fast_len(len(x)))[: len(x)])
    crest = 20 * np.log10((np.percentile(envelope, 99) + FLOOR) / (np.median(envelope) + FLOOR))
    frequency, power = welch(x, sampling_rate, nperseg=sampling_rate)
    inside = (frequency >= BANDS[0][0]) & (frequency <= BANDS[-1][1])
    heard = power[inside].sum()
    centroid = frequency[inside] @ power[inside] / heard if heard > 0 else np.nan
    # A band holds its lower edge; the last one both, so that nothing of the whole is left out.
    edges = [(low, high + (high == BANDS[-1][1])) for low, high in BANDS]
    bands = np.array([power[(frequency >= low) & (frequency < high)].sum() for low, high in edges])
    shares = bands / max(power.sum(), np.finfo(float).tiny)
    level = 10 * np.log10(max(np.mean(x**2), FLOOR))
    return np.array([level, crest, centroid, *10 * np.log10(np.maximum(shares, FLOOR))])


def shift_of_mean(x: Sample, real: Sample) -> float:
    """Difference of the means over the standard deviation of the real ones: 0 where they agree.

    Parameters
    ----------
    x, real : Sample
        Values (rows,) of one statistic. NaN for fewer than two real rows, or equal ones.
    """
    deviation = _deviation(real)
    return float((np.mean(x.values) - np.mean(real.values)) / deviation) if deviation > 0 else np.nan


def ratio_of_spreads(x: Sample, real: Sample) -> float:
    """Standard deviation over that of the real ones: 1 where they vary alike, less where variety is missing."""
    deviation = _deviation(real)
    return float(_deviation(x) / deviation) if deviation > 0 else np.nan


def _deviation(sample: Sample) -> float:
    return float(np.std(sample.values, ddof=1)) if len(sample) > 1 else np.nan
