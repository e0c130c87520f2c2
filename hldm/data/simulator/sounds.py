"""The heart sounds themselves: S1 and S2 with two components each, gallops, clicks and snaps."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from hldm.data.records import ClinicalRecord, Location
from hldm.data.simulator.beats import Beats
from hldm.data.simulator.constants import age_key, attribute, constant, physiology

#: Sounds beside S1 and S2 that a caller may ask for, in the order of a heartbeat.
EXTRA_SOUNDS = ("ejection click", "mid-systolic click", "opening snap", "S3", "S4")
# Peak level over the RMS of S1; general knowledge: gallops are faint, clicks and snaps stand out.
LEVELS_DB = {"ejection click": 0.0, "mid-systolic click": 0.0, "opening snap": 0.0, "S3": -4.0, "S4": -4.0}


@dataclass(frozen=True)
class Sound:
    """One component of the heart sounds, over all beats.

    Attributes
    ----------
    times, amplitudes : ndarray (beats,)
        Onset in seconds, and peak amplitude relative to the recording's typical S1 (RMS 1).
    frequency : float
        Hz, where the chirp comes to rest; it starts at `frequency` times `chirp`.
    decay : float
        Time constant of the ringing, seconds.
    """

    times: np.ndarray
    amplitudes: np.ndarray
    frequency: float
    decay: float
    chirp: float = 1.6
    rise: float = 0.006
    phase: float = 0.0

    def scaled(self, factor: float) -> Sound:
        """The same sound, `factor` times as loud."""
        return replace(self, amplitudes=factor * self.amplitudes)

    def render(self, samples: int, sampling_rate: int) -> np.ndarray:
        """The waveform, (samples,): a damped chirp at every onset."""
        length = int(8 * (self.decay + self.rise) * sampling_rate)
        first = np.floor(self.times * sampling_rate).astype(int)
        at = first[:, None] + np.arange(length)  # (beats, length)
        t = np.maximum(at / sampling_rate - self.times[:, None], 0.0)
        glide = self.decay * (self.chirp - 1) * (1 - np.exp(-t / self.decay))
        envelope = (1 - np.exp(-t / self.rise)) ** 2 * np.exp(-t / self.decay)
        pulse = envelope * np.sin(2 * np.pi * self.frequency * (t + glide) + self.phase)
        pulse *= self.amplitudes[:, None]
        inside = (at >= 0) & (at < samples)
        return np.bincount(at[inside], weights=pulse[inside], minlength=samples)


def draw_sounds(
    record: ClinicalRecord, beats: Beats, rng: np.random.Generator, extras: tuple[str, ...] = ()
) -> dict[str, Sound]:
    """M1, T1, A2, P2 and the extra sounds of a completed record, by name.

    A2 and P2 part in inspiration. S1 has a median RMS of 1; the level of S2 follows from the site.
    """
    age, count = age_key(record), len(beats.systole)
    site = Location.MV if record.location == Location.PHC else record.location
    inspiration = 0.5 + 0.5 * np.sin(beats.breath)
    tone = 2 ** rng.normal(0, constant("sound_pitch_octave_sd", "all", otherwise=0.25), 2)
    wobble = 10 ** (rng.normal(0, 1.0, (2, count)) / 20)  # 1 dB from beat to beat
    late = rng.uniform([0.006, 0.022], [0.014, 0.034])  # M1 after the onset, T1 after M1, seconds

    def valve(sound: str) -> tuple[float, float]:
        peak = constant(f"{sound}_peak_hz", age, otherwise=physiology(age, f"{sound}_peak_hz"))
        duration = constant(f"{sound}_duration_ms", age, otherwise=physiology(age, f"{sound}_duration_ms"))
        return peak * tone[("s1", "s2").index(sound)], duration / 1e3

    pitch, length = valve("s1")
    m1 = Sound(beats.onsets[:-1] + late[0], wobble[0], pitch, 0.16 * length, chirp=2.2)
    t1 = Sound(m1.times + late[1], 0.6 * wobble[0], 1.3 * pitch, 0.14 * length, chirp=2.0, phase=0.5)
    scale = 1 / _rms([m1, t1], beats.onsets[0], length)
    sounds = {"M1": m1.scaled(scale), "T1": t1.scaled(scale)}

    pitch, length = valve("s2")
    rest, breathed = (physiology(age, f"a2p2_{phase}_ms") / 1e3 for phase in ("expiration", "inspiration"))
    split = np.exp(rng.normal(0, 0.3)) * (rest + (breathed - rest) * inspiration)
    ratio = physiology(age, "p2_minus_a2_db_at_PV") - (0.0 if site == Location.PV else 6.0)
    a2 = Sound(beats.s2_onsets + rng.uniform(0.006, 0.014), wobble[1], pitch, 0.15 * length, chirp=2.2)
    p2 = Sound(a2.times + split, 10 ** (ratio / 20) * wobble[1], 1.1 * pitch, 0.14 * length, chirp=2.0)
    table = physiology(age, f"s1_minus_s2_db_{site}")
    softer = constant("s1_minus_s2_db", site, otherwise=table)
    softer += constant("s1_minus_s2_sd_db", "all", otherwise=3.0) * np.clip(rng.normal(), -2.5, 2.5)
    scale = 10 ** (-softer / 20) / _rms([a2, p2], beats.s2_onsets[0], length)
    sounds |= {"A2": a2.scaled(scale), "P2": p2.scaled(scale)}

    physiological = rng.uniform() < physiology(age, "physiological_s3_probability")
    if physiological and "S3" not in extras:
        extras = (*extras, "S3")
    quirks = rng.uniform(size=(len(EXTRA_SOUNDS), 3))
    for name in extras:
        sounds[name] = _extra_sound(name, beats, quirks[EXTRA_SOUNDS.index(name)])
    return sounds


def _extra_sound(name: str, beats: Beats, quirks: np.ndarray) -> Sound:
    """A click, snap or gallop where ``attributes.csv`` places it."""
    row = attribute("heart sound extra", name)
    low, high = (float(number) for number in re.findall(r"([\d.]+)-([\d.]+)", row["window_start_frac"])[0])
    place = low + quirks[0] * (high - low)
    where = {
        "ejection click": beats.onsets[:-1] + place / 1e3,
        "mid-systolic click": beats.onsets[:-1] + place * beats.systole,
        "opening snap": beats.s2_onsets + place / 1e3,
        "S3": beats.s2_onsets + np.minimum(place / 1e3, 0.6 * (beats.rr - beats.systole)),
        "S4": beats.onsets[1:] - place / 1e3,
    }[name]
    dull = name in ("S3", "S4")
    amplitude = 10 ** ((LEVELS_DB[name] + 6 * (quirks[1] - 0.5)) / 20)
    return Sound(
        where, np.full(len(where), amplitude), float(row["freq_peak_hz"]) * (0.85 + 0.3 * quirks[2]),
        decay=0.025 if dull else 0.006, chirp=1.2, rise=0.012 if dull else 0.001,
    )  # fmt: skip


def _rms(sounds: list[Sound], onset: float, duration: float) -> float:
    """RMS of one heart sound within its window, when every beat is as loud as the sounds' median."""
    rate, before = 4000, 0.05
    wave = sum(
        replace(s, times=s.times[:1] - onset + before, amplitudes=np.median(s.amplitudes, keepdims=True)).render(
            int(0.6 * rate), rate
        )
        for s in sounds
    )
    return float(np.sqrt(np.mean(wave[int(before * rate) : int((before + duration) * rate)] ** 2)))
