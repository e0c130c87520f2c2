"""Murmurs: shaped noise, or harmonics, under the envelopes of CirCor's vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.special import ndtri

from hldm.data.priors.beats import Beats
from hldm.data.priors.constants import attribute, constant
from hldm.data.priors.loudness import attenuation, grade_level
from hldm.data.records import ClinicalRecord, Murmur, Quality, Shape, SystolicGrade, SystolicMurmur

FADE = 0.010  # s, raised cosine at both ends of every envelope, as the knowledge table asks


@dataclass(frozen=True)
class MurmurFactors:
    """One murmur of one recording.

    Attributes
    ----------
    phase : {"systolic", "diastolic"}
    murmur : SystolicMurmur or DiastolicMurmur
        Its attributes, all known.
    starts, ends : ndarray (beats,)
        The window in which it sounds, seconds.
    band_hz : tuple of float
        Lower edge, peak and upper edge.
    level_db : float
        RMS inside the window over the RMS of S1, at the loudest site.
    attenuation_db : float
        What is lost on the way to this recording's site; -inf where it is not heard.
    peak : float
        Where in the window a diamond is loudest, 0 to 1.
    pitch_hz : float
        Fundamental of a musical murmur.
    """

    phase: str
    murmur: SystolicMurmur
    starts: np.ndarray
    ends: np.ndarray
    band_hz: tuple[float, float, float]
    level_db: float
    attenuation_db: float
    peak: float
    pitch_hz: float

    def envelope(self, samples: int, sampling_rate: int) -> np.ndarray:
        """Amplitude over time, (samples,), of mean square 1 inside the windows and 0 outside."""
        t = np.arange(samples) / sampling_rate
        beat = np.clip(np.searchsorted(self.starts, t, side="right") - 1, 0, len(self.starts) - 1)
        length = self.ends[beat] - self.starts[beat]
        u = (t - self.starts[beat]) / length
        inside = (u >= 0) & (u <= 1)
        u = np.clip(u, 0, 1)
        fade = np.minimum(FADE / length, 0.5)
        rim = np.sin(0.5 * np.pi * np.clip(np.minimum(u, 1 - u) / fade, 0, 1)) ** 2
        shape = envelope_shape(self.murmur.shape, u, self.peak) * rim * inside
        return shape / np.sqrt(max(np.mean(shape[inside] ** 2), 1e-12)) if inside.any() else shape


def envelope_shape(shape: Shape, u: np.ndarray, peak: float = 0.5) -> np.ndarray:
    """The four shapes over the relative time `u` in [0, 1], as ``attributes.csv`` writes them.

    A diamond is ``sin(pi u^g)`` with ``g = ln(1/2) / ln(peak)``, which puts its maximum at `peak`.
    """
    if shape == Shape.CRESCENDO:
        return u**1.5
    if shape == Shape.DECRESCENDO:
        return (1 - u) ** 1.5
    if shape == Shape.DIAMOND:
        return np.sin(np.pi * u ** (np.log(0.5) / np.log(peak)))
    rim = np.clip(np.minimum(u, 1 - u) / 0.1, 0, 1)  # Tukey window, alpha 0.2
    return 0.5 - 0.5 * np.cos(np.pi * rim)


def draw_murmurs(record: ClinicalRecord, beats: Beats, rng: np.random.Generator) -> tuple[MurmurFactors, ...]:
    """The murmurs of a completed record; none unless it says "Present"."""
    # Every number is drawn whether used or not: changing an attribute must not change the other draws.
    draws = rng.uniform(size=(2, 4))
    if record.murmur != Murmur.PRESENT:
        return ()
    given = [m for m in (record.systolic, record.diastolic) if m is not None]
    return tuple(_factors(m, record, beats, draws[("systolic", "diastolic").index(m.phase)]) for m in given)


def _factors(murmur: SystolicMurmur, record: ClinicalRecord, beats: Beats, draws: np.ndarray) -> MurmurFactors:
    phase = murmur.phase.capitalize()
    starts, ends = murmur_window(murmur, beats)
    pitch = attribute(f"{phase} murmur pitch", murmur.pitch)
    band = tuple(float(pitch[f"freq_{edge}_hz"]) for edge in ("low", "peak", "high"))
    detune = 2 ** (0.3 * (2 * draws[0] - 1))
    spread = constant("murmur_level_sd_db", SystolicGrade.III)  # softer ones drown, and do not show theirs
    return MurmurFactors(
        phase=murmur.phase,
        murmur=murmur,
        starts=starts,
        ends=ends,
        band_hz=tuple(detune * f for f in band),
        level_db=grade_level(murmur) + spread * np.clip(ndtri(draws[1]), -2, 2),
        attenuation_db=attenuation(record),
        peak=0.35 + 0.30 * draws[2],
        pitch_hz=detune * np.clip(band[1], 90, 250) * (0.9 + 0.2 * draws[3]),
    )


def murmur_window(murmur: SystolicMurmur, beats: Beats) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of the murmur in every beat, seconds: fractions of the interval between the sounds."""
    row = attribute(f"{murmur.phase.capitalize()} murmur timing", murmur.timing)
    if murmur.phase == "systolic":
        start, end = beats.onsets[:-1] + beats.s1_duration, beats.s2_onsets
    else:
        start, end = beats.s2_onsets + beats.s2_duration, beats.onsets[1:]
    low, high = float(row["window_start_frac"]), float(row["window_end_frac"])
    return start + low * (end - start), start + high * (end - start)


def render_murmur(factors: MurmurFactors, samples: int, sampling_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The waveform, (samples,), relative to an S1 of RMS 1."""
    white = rng.standard_normal(samples)
    rough = rng.standard_normal(samples)
    if not np.isfinite(factors.attenuation_db):
        return np.zeros(samples)
    quality = factors.murmur.quality
    low, peak, high = factors.band_hz
    if quality == Quality.MUSICAL:
        carrier = musical(factors.pitch_hz, white, rough, sampling_rate)
    else:
        slope = -6.0 if quality == Quality.HARSH else -4.0  # dB per octave above the peak
        carrier = band_noise(white, low, peak, high, slope, sampling_rate)
    if quality == Quality.HARSH:
        flutter = band_noise(rough, 20.0, 40.0, 70.0, -6.0, sampling_rate)
        carrier = carrier * np.maximum(1 + 0.45 * flutter, 0)
        carrier /= carrier.std()
    gain = 10 ** ((factors.level_db + factors.attenuation_db) / 20)
    return gain * factors.envelope(samples, sampling_rate) * carrier


def band_noise(white: np.ndarray, low: float, peak: float, high: float, slope: float, sampling_rate: int) -> np.ndarray:
    """Noise of RMS 1 with its maximum at `peak`, `slope` dB an octave above it, steep edges at low and high."""
    size = fft.next_fast_len(len(white), real=True)
    f = np.maximum(fft.rfftfreq(size, 1 / sampling_rate), 1e-3)
    octaves = np.log2(f / peak)
    gain = 10 ** (np.where(octaves > 0, slope * octaves, 4.0 * octaves) / 20)
    gain /= np.sqrt((1 + (low / f) ** 8) * (1 + (f / high) ** 8))
    noise = fft.irfft(fft.rfft(white, size) * gain, size)[: len(white)]
    return noise / noise.std()


def musical(pitch: float, white: np.ndarray, rough: np.ndarray, sampling_rate: int, partials: int = 3) -> np.ndarray:
    """A harmonic stack of RMS 1, 8 dB a partial, with 2 % pitch jitter and noise 15 dB down."""
    jitter = band_noise(rough, 1.0, 3.0, 8.0, -6.0, sampling_rate)
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.02 * jitter)) / sampling_rate
    tone = sum(10 ** (-8 * n / 20) * np.sin((n + 1) * phase) for n in range(partials))
    tone = tone / tone.std() + 10 ** (-15 / 20) * band_noise(white, 70, pitch, 500, -6.0, sampling_rate)
    return tone / tone.std()
