"""What a murmur is like within systole: how loud, when, of which shape and pitch, along beats known beforehand.

A what-if edit keeps the beats that were asked for, so the same stretches of two sounds can be compared, and no beat
finder has a say. Like everything in `hldm.evaluation.physiology` these measures know nothing of any model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfiltfilt

from hldm.evaluation.physiology import (
    SYSTOLE_OFFSET,
    SYSTOLE_SLOPE,
    estimate_heart_rate,
    murmur_band_level,
    state_levels,
)  # fmt: skip

BAND = (100.0, 400.0)  # Hz, where murmurs stand out and S1 and S2 have faded
S1_LENGTH, S2_LENGTH = 0.13, 0.11  # s, a little longer than the sounds last
GUARD = 0.02  # s before the S1 or S2 that is due: the sd of the line that foretells S2
PARTS = 8  # of one systole
WINDOW = 256  # samples of a spectrum: 16 Hz a bin at 4 kHz; a shorter systole is padded
HIGHEST = 800.0  # Hz


def cycles_of(onsets: np.ndarray) -> np.ndarray:
    """Heart states along a beat grid: S1 where it was asked for, S2 where it follows in children's hearts.

    Parameters
    ----------
    onsets : ndarray (beats,)
        Of S1, seconds, as `HeartSound.beats`. The last beat is taken to be as long as the median.

    Returns
    -------
    ndarray (beats, 5)
        As of `hldm.data.Recording.cycles`, with systole and diastole kept clear of S1 and S2.

    Raises
    ------
    ValueError
        For fewer than two onsets.
    """
    onsets = np.asarray(onsets, np.float64)
    if len(onsets) < 2:
        raise ValueError(f"{len(onsets)} onsets, expected at least two")
    beat = np.append(np.diff(onsets), np.median(np.diff(onsets)))
    s2 = onsets + SYSTOLE_OFFSET + SYSTOLE_SLOPE * beat
    edges = [onsets, onsets + S1_LENGTH, s2 - GUARD, s2 + S2_LENGTH, onsets + beat - GUARD]
    return np.stack(edges, axis=1)


@dataclass(frozen=True)
class Systole:
    """One sound, measured along its beats.

    Attributes
    ----------
    level : float
        Systole over diastole, 100 to 400 Hz, dB (`hldm.evaluation.physiology.murmur_band_level`).
    systole, diastole : float
        The two that it is made of, dB re full scale.
    timing : float
        Where in systole the murmur's energy lies: 0 at its beginning, 1 at its end, 0.5 for an even one. What
        diastole holds too is taken off first.
    shape : float
        The middle half of systole over its two outer quarters, dB: above 0 for a diamond, near 0 for a plateau.
    pitch : float
        Centre of mass of what the spectrum of systole has above diastole's, 100 to 800 Hz, in Hz.
    flatness : float
        Geometric over arithmetic mean of systole's spectrum, 100 to 400 Hz, dB: 0 for noise, far below for a tone.
    s1_to_s2 : float
        dB.
    heart_rate : float
        Beats per minute, heard in the sound itself and not read off the grid.
    """

    level: float
    systole: float
    diastole: float
    timing: float
    shape: float
    pitch: float
    flatness: float
    s1_to_s2: float
    heart_rate: float


def measure(waveform: np.ndarray, sampling_rate: int, onsets: np.ndarray) -> Systole:
    """Measure one sound along the beats that it was asked to have.

    Parameters
    ----------
    waveform : ndarray (samples,)
    sampling_rate : int
        Hz.
    onsets : ndarray (beats,)
        Of S1, seconds.

    Raises
    ------
    ValueError
        Where no whole beat lies inside the waveform.
    """
    cycles = cycles_of(onsets)
    in_band = state_levels(waveform, sampling_rate, cycles, BAND)
    course = _course(waveform, sampling_rate, cycles) / 10 ** (in_band.diastole / 10)  # diastole's power is 1
    murmur = np.maximum(course - 1, 1e-3)
    middle, outer = course[PARTS // 4 : -PARTS // 4].mean(), course[[0, 1, -2, -1]].mean()
    frequency, loud, quiet = _spectra(waveform, sampling_rate, cycles)
    excess = np.maximum(loud - quiet, 1e-3 * loud)
    inside, above = (frequency >= BAND[0]) & (frequency <= BAND[1]), (frequency >= BAND[0]) & (frequency <= HIGHEST)
    return Systole(
        level=murmur_band_level(waveform, sampling_rate, cycles),
        systole=in_band.systole,
        diastole=in_band.diastole,
        timing=float(murmur @ (np.arange(PARTS) + 0.5) / PARTS / murmur.sum()),
        shape=float(10 * np.log10(middle / outer)),
        pitch=float(frequency[above] @ excess[above] / excess[above].sum()),
        flatness=float(10 * np.log10(np.exp(np.log(loud[inside]).mean()) / loud[inside].mean())),
        s1_to_s2=state_levels(waveform, sampling_rate, cycles).s1_to_s2,
        heart_rate=estimate_heart_rate(waveform, sampling_rate),
    )


def _course(waveform: np.ndarray, sampling_rate: int, cycles: np.ndarray) -> np.ndarray:
    """Power of the band in each of `PARTS` equal parts of systole, the median over beats."""
    power = sosfiltfilt(butter(4, BAND, "bandpass", fs=sampling_rate, output="sos"), waveform.astype(np.float64)) ** 2
    parts = [
        [part.mean() for part in np.array_split(stretch, PARTS)]
        for stretch in _stretches(power, sampling_rate, cycles[:, 1:3])
    ]
    return np.median(parts, axis=0) + 1e-12


def _spectra(waveform: np.ndarray, sampling_rate: int, cycles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequencies in Hz, and the mean power spectra of the middle of systole and of diastole."""
    powers = []
    for edges in (cycles[:, 1:3], cycles[:, 3:5]):
        middles = [x[max(0, (len(x) - WINDOW) // 2) :][:WINDOW] for x in _stretches(waveform, sampling_rate, edges)]
        windowed = [np.fft.rfft(x * np.hanning(len(x)), WINDOW) / np.sqrt(len(x)) for x in middles]
        powers.append(np.mean(np.abs(windowed) ** 2, axis=0) + 1e-20)
    return np.fft.rfftfreq(WINDOW, 1 / sampling_rate), *powers


def _stretches(samples: np.ndarray, sampling_rate: int, edges: np.ndarray) -> list[np.ndarray]:
    """What lies between the edges, seconds, of every beat of which enough lies inside."""
    edges = np.rint(edges * sampling_rate).astype(int)
    return [samples[a:b] for a, b in edges if b <= len(samples) and b - a >= PARTS]
