"""Everything a stethoscope hears beside the heart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

from hldm.data.priors.beats import Beats
from hldm.data.priors.constants import OCTAVES, constant
from hldm.data.simulator.murmurs import band_noise

MAINS = 60.0  # Hz, in Brazil, where CirCor was recorded
SPLIT_HZ = 150.0  # low and high background come and go on their own


def background_levels(quality: str, rng: np.random.Generator) -> np.ndarray:
    """Octave levels of one recording's background in dB relative to S1, (octaves,).

    `quality` is "good", or "poor" where a murmur could not be judged. Medians and spread come from real
    recordings. Neighbouring octaves go together: a first-order autoregression along frequency describes the
    correlations found there.
    """
    names = [f"{edge:g}" for edge in OCTAVES[:-1]]
    median = np.array([constant(f"background_{name}", quality) for name in names])
    spread = np.array([constant(f"background_{name}_sd", "all") for name in names])
    together = constant("background_octave_correlation", "all")
    draws = rng.standard_normal(len(names))
    for i in range(1, len(draws)):
        draws[i] = together * draws[i - 1] + np.sqrt(1 - together**2) * draws[i]
    return median + spread * np.clip(draws, -2.5, 2.5)


def background(levels: np.ndarray, samples: int, sampling_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with given octave levels in dB, (samples,), whose loudness wanders as hands and rooms do."""
    edges = np.array(OCTAVES)
    density = levels - 10 * np.log10(np.diff(edges))  # dB per Hz
    centres = np.sqrt(edges[1:] * edges[:-1])
    size = fft.next_fast_len(samples, real=True)
    f = fft.rfftfreq(size, 1 / sampling_rate)
    shape = np.interp(np.log2(np.maximum(f, 1.0)), np.log2(centres), density)
    gain = 10 ** (shape / 20) * np.sqrt(sampling_rate / 2) / np.sqrt(1 + (12.0 / np.maximum(f, 0.1)) ** 6)
    spectrum = fft.rfft(rng.standard_normal(size)) * gain
    unrest = constant("background_wander_db", "all") * np.exp(rng.normal(0, 0.5))
    total = np.zeros(samples)
    for part in (f < SPLIT_HZ, f >= SPLIT_HZ):  # handling rumbles, rooms hiss: each in its own time
        wander = band_noise(rng.standard_normal(samples), 0.1, 0.5, 2.0, -6.0, sampling_rate)
        total += fft.irfft(spectrum * part, size)[:samples] * 10 ** (unrest * np.clip(wander, -1, 3) / 20)
    return total


def breath(samples: int, sampling_rate: int, beats: Beats, rng: np.random.Generator) -> np.ndarray:
    """Air in the lungs: noise that swells with inspiration and, softer, with expiration."""
    t = np.arange(samples) / sampling_rate
    cycle = np.sin(2 * np.pi * beats.respiration * t + beats.breath_offset)
    swell = np.where(cycle > 0, cycle, -0.4 * cycle) ** 2
    return swell * band_noise(rng.standard_normal(samples), 120.0, 220.0, 800.0, -5.0, sampling_rate)


def friction(samples: int, sampling_rate: int, beats: Beats, rng: np.random.Generator) -> np.ndarray:
    """The chest piece rubbing on skin: short broadband bursts of very different loudness."""
    duration = samples / sampling_rate
    t = np.arange(samples) / sampling_rate
    envelope = np.zeros(samples)
    for _ in range(1 + rng.poisson(duration / 4)):
        centre, width = rng.uniform(0, duration), rng.uniform(0.01, 0.12)
        envelope += np.exp(rng.normal(0, 0.8)) * np.exp(-0.5 * ((t - centre) / width) ** 2)
    return envelope * band_noise(rng.standard_normal(samples), 25.0, 90.0, 1500.0, -4.0, sampling_rate)


def crying(samples: int, sampling_rate: int, beats: Beats, rng: np.random.Generator) -> np.ndarray:
    """A crying child: a gliding harmonic tone of 350 to 550 Hz, about one cry a second."""
    t = np.arange(samples) / sampling_rate
    pitch, rate, start = rng.uniform([350, 0.6, 0], [550, 1.0, 1])
    cry = (rate * t + start) % 1.0
    glide = pitch * (0.85 + 0.3 * np.sin(np.pi * np.minimum(cry / 0.75, 1)))
    wobble = band_noise(rng.standard_normal(samples), 2.0, 6.0, 15.0, -6.0, sampling_rate)
    phase = 2 * np.pi * np.cumsum(glide * (1 + 0.015 * wobble)) / sampling_rate
    tone = sum(np.sin(n * phase) / n for n in range(1, 4))
    return np.where(cry < 0.75, np.sin(np.pi * cry / 0.75), 0) ** 0.7 * tone


def electronic(samples: int, sampling_rate: int, beats: Beats, rng: np.random.Generator) -> np.ndarray:
    """Mains hum with its harmonics, and the hiss of a cheap amplifier."""
    t = np.arange(samples) / sampling_rate
    strengths = rng.uniform(0.1, 1.0, 5) / np.arange(1, 6)
    phases = rng.uniform(0, 2 * np.pi, 5)
    hum = sum(a * np.sin(2 * np.pi * MAINS * (n + 1) * t + phases[n]) for n, a in enumerate(strengths))
    return hum + 0.2 * rng.standard_normal(samples)


#: Noises that can be asked for by name, each drawn at arbitrary level.
NOISES: dict[str, Callable[..., np.ndarray]] = {
    "breath": breath, "friction": friction, "crying": crying, "electronic": electronic,
}  # fmt: skip


def at_snr(noise: np.ndarray, signal_power: float, snr_db: float) -> np.ndarray:
    """The noise scaled so that the signal's power lies `snr_db` dB above its own."""
    power = float(np.mean(noise**2))
    return noise * np.sqrt(signal_power / power) * 10 ** (-snr_db / 20) if power > 0 else noise
