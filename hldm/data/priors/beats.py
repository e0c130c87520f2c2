"""When the heart beats: a heart-rate-variability model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hldm.data.priors.constants import age_key, constant, physiology
from hldm.data.records import ClinicalRecord, Segment, State

LOW_FREQUENCY = 0.1  # Hz, the Mayer wave of blood pressure
# Shares of the beat-to-beat variance: breathing, the 0.1 Hz wave, and what neither explains.
SHARES = {"respiratory": 0.5, "low_frequency": 0.25, "jitter": 0.25}


@dataclass(frozen=True)
class Beats:
    """Every beat that touches the recording.

    Attributes
    ----------
    onsets : ndarray (beats + 1,)
        Onset of each S1 in seconds, and of the S1 after the last beat; the first may lie before 0.
    systole : ndarray (beats,)
        From the onset of S1 to the onset of S2, seconds.
    s1_duration, s2_duration : ndarray (beats,)
        How long the sounds last, seconds.
    breath : ndarray (beats,)
        Respiratory phase at S1 in radians; inspiration is at its height at pi / 2.
    respiration, breath_offset : float
        Breaths per second, and the respiratory phase at 0 s in radians.
    """

    onsets: np.ndarray
    systole: np.ndarray
    s1_duration: np.ndarray
    s2_duration: np.ndarray
    breath: np.ndarray
    respiration: float
    breath_offset: float

    @property
    def rr(self) -> np.ndarray:
        """Beat-to-beat intervals in seconds, (beats,)."""
        return np.diff(self.onsets)

    @property
    def s2_onsets(self) -> np.ndarray:
        """Onset of each S2 in seconds, (beats,)."""
        return self.onsets[:-1] + self.systole

    def segments(self, duration: float) -> tuple[Segment, ...]:
        """The states as CirCor would annotate them, cut to the recording."""
        s1, s2, end = self.onsets[:-1], self.s2_onsets, self.onsets[1:]
        edges = np.stack([s1, s1 + self.s1_duration, s2, s2 + self.s2_duration], axis=1).ravel()
        edges = np.clip(np.append(edges, end[-1]), 0.0, duration)
        states = np.tile([State.S1, State.SYSTOLE, State.S2, State.DIASTOLE], len(s1))
        rows = zip(edges[:-1], edges[1:], states, strict=True)
        return tuple(Segment(float(a), float(b), State(s)) for a, b, s in rows if b > a)


def draw_beats(record: ClinicalRecord, duration: float, rng: np.random.Generator) -> Beats:
    """Beat times for a record whose heart rate is known.

    The interval follows breathing (respiratory sinus arrhythmia: shorter in inspiration), the 0.1 Hz wave of
    blood pressure and a jitter; the spread comes from real recordings. Systole follows Bazett's root
    ``k sqrt(RR)``.
    """
    age = age_key(record)
    mean = 60.0 / record.heart_rate
    low, median, high = (physiology(age, f"resp_rate_{q}") for q in ("low", "median", "high"))
    respiration = rng.triangular(low, median, high) / 60.0
    breath_offset, wave_offset, start = rng.uniform(0, [2 * np.pi, 2 * np.pi, 1.0])
    unrest, patient, *lengths = rng.standard_normal(4)  # before anything whose number of draws depends on the rate

    # Half as much again as on average would need, so that the number of draws never depends on the draws.
    count = int(np.ceil(1.5 * duration / mean)) + 3
    clock = mean * np.arange(count)
    breath = 2 * np.pi * respiration * clock + breath_offset
    wave = 2 * np.pi * LOW_FREQUENCY * clock + wave_offset
    spread = constant("rr_variation", age, otherwise=0.05) * np.exp(0.4 * unrest)
    relative = (
        -np.sqrt(2 * SHARES["respiratory"]) * np.sin(breath)
        + np.sqrt(2 * SHARES["low_frequency"]) * np.sin(wave)
        + np.sqrt(SHARES["jitter"]) * rng.standard_normal(count)
    )
    rr = mean * np.clip(1 + spread * relative, 0.6, 1.6)
    onsets = np.concatenate([[0.0], np.cumsum(rr)]) - start * mean

    k = constant("systole_k_sqrt_ms", age, otherwise=physiology(age, "systole_k_sqrt_ms"))
    k = k * np.exp(constant("systole_k_log_sd", "all") * patient)
    jitter = rng.normal(0, 0.006, count)
    systole = np.clip(k * np.sqrt(1e3 * rr) / 1e3 + jitter, 0.12, 0.62 * rr)

    def length(sound: str, deviation: float) -> np.ndarray:
        mean = constant(f"{sound}_duration_ms", age, otherwise=physiology(age, f"{sound}_duration_ms"))
        sd = constant(f"{sound}_duration_log_sd", "all")
        return mean / 1e3 * np.exp(sd * deviation + rng.normal(0, 0.08, count))

    s1 = np.minimum(length("s1", lengths[0]), 0.6 * systole)
    s2 = np.minimum(length("s2", lengths[1]), 0.6 * (rr - systole))
    keep = onsets[:-1] < duration
    return Beats(
        np.append(onsets[:-1][keep], onsets[1:][keep][-1]),
        systole[keep], s1[keep], s2[keep], breath[keep], respiration, breath_offset,
    )  # fmt: skip
