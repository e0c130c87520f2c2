"""The heart sounds themselves: S1 and S2 with two components each, gallops, clicks and snaps."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from hldm.data.priors.beats import Beats
from hldm.data.priors.constants import age_key, attribute, constant, physiology
from hldm.data.records import ClinicalRecord, Location

#: Sounds beside S1 and S2 that a caller may ask for, in the order of a heartbeat.
EXTRA_SOUNDS = ("ejection click", "mid-systolic click", "opening snap", "S3", "S4")
# Peak level over the RMS of S1; general knowledge: gallops are faint, clicks and snaps stand out.
LEVELS_DB = {"ejection click": 0.0, "mid-systolic click": 0.0, "opening snap": 0.0, "S3": -4.0, "S4": -4.0}
# The snap of a closing valve, and how sounds and snaps differ from beat to beat: read off real recordings' mean
# envelopes and spectrograms.
SNAP = {"frequency": 90.0, "chirp": 4.0, "decay": 0.005, "rise": 0.0008}
BEAT_SD_DB = 1.2
DELAY_SD = 0.004  # s
SNAP_BEAT_SD_DB = 2.5
SECOND_SNAP = 0.3  # of the second component; two equal snaps would comb the spectrum


@dataclass(frozen=True)
class Sound:
    """One component of the heart sounds, over all beats: a damped chirp, and the snap that goes with it.

    Attributes
    ----------
    times, amplitudes : ndarray (beats,)
        Onset in seconds, and amplitude relative to an S1 of RMS 1.
    frequency : float
        Hz, where the chirp comes to rest; it starts at `chirp` times that.
    decay, rise : float
        Time constants in seconds.
    snaps : ndarray (beats,)
        Amplitude of the snap, the short burst of higher frequencies as a valve closes.
    """

    times: np.ndarray
    amplitudes: np.ndarray
    frequency: float
    decay: float
    snaps: np.ndarray
    chirp: float = 1.6
    rise: float = 0.008

    def scaled(self, factor: float) -> Sound:
        """The same sound, `factor` times as loud."""
        return replace(self, amplitudes=factor * self.amplitudes, snaps=factor * self.snaps)

    def render(self, samples: int, sampling_rate: int) -> np.ndarray:
        """The waveform, (samples,)."""
        length = int(8 * (self.decay + self.rise) * sampling_rate)
        first = np.floor(self.times * sampling_rate).astype(int)
        at = first[:, None] + np.arange(length)  # (beats, length)
        t = np.maximum(at / sampling_rate - self.times[:, None], 0.0)
        pulse = self.amplitudes[:, None] * _damped_chirp(t, self.frequency, self.chirp, self.decay, self.rise)
        pulse += self.snaps[:, None] * _damped_chirp(t, **SNAP)
        inside = (at >= 0) & (at < samples)
        return np.bincount(at[inside], weights=pulse[inside], minlength=samples)


def _damped_chirp(t: np.ndarray, frequency: float, chirp: float, decay: float, rise: float) -> np.ndarray:
    """``(1 - e^(-t/rise))^2 e^(-t/decay)`` times a sine whose frequency falls from `chirp` times to `frequency`."""
    glide = decay * (chirp - 1) * (1 - np.exp(-t / decay))
    return (1 - np.exp(-t / rise)) ** 2 * np.exp(-t / decay) * np.sin(2 * np.pi * frequency * (t + glide))


def draw_sounds(
    record: ClinicalRecord, beats: Beats, rng: np.random.Generator, extras: tuple[str, ...] = ()
) -> dict[str, Sound]:
    """M1, T1, A2, P2 and the extra sounds of a completed record, by name.

    A2 and P2 part in inspiration. S1 has a median RMS of 1; the level of S2 follows from the site.
    """
    age = age_key(record)
    site = Location.MV if record.location == Location.PHC else record.location
    inspiration = 0.5 + 0.5 * np.sin(beats.breath)
    first, second, other = rng.spawn(3)  # so that the number of beats does not move later draws
    late = rng.uniform([0.004, 0.018, 0.006], [0.018, 0.030, 0.020])  # M1 after onset, T1 after M1, A2, seconds
    m1, t1 = _valve_pair("s1", age, beats.onsets[:-1] + late[0], late[1], -2.0, first)
    scale = 1 / _rms([m1, t1], beats.onsets[0], np.median(beats.s1_duration))
    sounds = {"M1": m1.scaled(scale), "T1": t1.scaled(scale)}

    rest, breathed = (physiology(age, f"a2p2_{phase}_ms") / 1e3 for phase in ("expiration", "inspiration"))
    split = np.exp(rng.normal(0, 0.3)) * (rest + (breathed - rest) * inspiration)
    ratio = physiology(age, "p2_minus_a2_db_at_PV") - (0.0 if site == Location.PV else 6.0)
    a2, p2 = _valve_pair("s2", age, beats.s2_onsets + late[2], split, ratio, second)
    softer = constant("s1_minus_s2_db", site, otherwise=physiology(age, f"s1_minus_s2_db_{site}"))
    softer += constant("s1_minus_s2_sd_db", "all") * np.clip(rng.normal(), -2.5, 2.5)
    scale = 10 ** (-softer / 20) / _rms([a2, p2], beats.s2_onsets[0], np.median(beats.s2_duration))
    sounds |= {"A2": a2.scaled(scale), "P2": p2.scaled(scale)}

    physiological = other.uniform() < physiology(age, "physiological_s3_probability")
    if physiological and "S3" not in extras:
        extras = (*extras, "S3")
    quirks = other.uniform(size=(len(EXTRA_SOUNDS), 3))
    for name in extras:
        sounds[name] = _extra_sound(name, beats, quirks[EXTRA_SOUNDS.index(name)])
    return sounds


def _valve_pair(
    sound: str, age: str, times: np.ndarray, delay: np.ndarray | float, ratio_db: float, rng: np.random.Generator
) -> tuple[Sound, Sound]:
    """Both components of S1 or S2; the second is `delay` later and `ratio_db` louder than the first."""
    pitch = constant(f"{sound}_peak_hz", age, otherwise=physiology(age, f"{sound}_peak_hz"))
    octaves, louder = rng.standard_normal(2)
    pitch *= 2 ** (constant(f"{sound}_pitch_octave_sd", "all") * octaves)
    decay = constant(f"{sound}_duration_ms", age, otherwise=physiology(age, f"{sound}_duration_ms")) / 8e3
    snap = constant(f"{sound}_snap_db", "all") + constant(f"{sound}_snap_sd_db", "all") * np.clip(louder, -2, 2)
    level = 10 ** (BEAT_SD_DB * rng.standard_normal(len(times)) / 20)
    snaps = level * 10 ** ((snap + SNAP_BEAT_SD_DB * rng.standard_normal(len(times))) / 20)
    times = times + DELAY_SD * np.clip(rng.standard_normal(len(times)), -2, 2)
    first = Sound(times, level, pitch, decay, snaps)
    second = replace(first, times=times + delay, frequency=1.15 * pitch, snaps=SECOND_SNAP * snaps)
    return first, second.scaled(10 ** (ratio_db / 20))


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
        decay=0.025 if dull else 0.006, snaps=np.zeros(len(where)), rise=0.012 if dull else 0.001,
    )  # fmt: skip


def _rms(sounds: list[Sound], onset: float, duration: float) -> float:
    """RMS of one heart sound within its window, when every beat is as loud as the sounds' median."""
    rate, before = 4000, 0.05
    wave = np.zeros(int(0.6 * rate))
    for s in sounds:
        typical = {name: np.median(getattr(s, name), keepdims=True) for name in ("amplitudes", "snaps")}
        wave += replace(s, times=s.times[:1] - onset + before, **typical).render(len(wave), rate)
    return float(np.sqrt(np.mean(wave[int(before * rate) : int((before + duration) * rate)] ** 2)))
