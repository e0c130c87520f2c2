"""One simulated recording, with everything that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hldm.data.priors.beats import Beats, draw_beats
from hldm.data.priors.constants import constant, stream
from hldm.data.priors.population import complete_record
from hldm.data.records import ClinicalRecord, Murmur, Recording
from hldm.data.simulator import noise as noises
from hldm.data.simulator.murmurs import MurmurFactors, draw_murmurs, render_murmur
from hldm.data.simulator.sounds import EXTRA_SOUNDS, Sound, draw_sounds

# How often a recording holds each noise, and at which SNR in dB (mean, standard deviation): for recordings that
# could be judged, and for those too poor ("Unknown"). CirCor's authors name the noises, not how often they occur.
OCCURRENCE = {
    "breath": (0.35, 0.6), "friction": (0.7, 0.9), "crying": (0.05, 0.3), "electronic": (0.05, 0.1),
}  # fmt: skip
SNR_DB = {False: (14.0, 5.0), True: (4.0, 4.0)}


@dataclass(frozen=True)
class Factors:
    """Every ground-truth factor of a simulated recording.

    Attributes
    ----------
    record : ClinicalRecord
        With every field known that shaped the sound.
    beats : Beats
        Onsets, RR intervals, systole, length of the sounds, breathing.
    sounds : dict of Sound
        ``"M1"``, ``"T1"``, ``"A2"``, ``"P2"`` and any of `EXTRA_SOUNDS`: times, amplitudes, frequency, decay.
    murmurs : tuple of MurmurFactors
        Window, band, level and envelope; empty without a murmur.
    background_db : ndarray (octaves,) or None
        Octave levels of the background in dB relative to S1; None without a background.
    snr_db : dict
        Ratio of the heart sounds' power to each noise's, by kind; ``"all"`` for their sum.
    gain_db : float
        Level of S1 in dB relative to full scale.
    components : dict of ndarray (samples,), float32
        ``"sounds"``, ``"murmur"`` and ``"noise"``; the waveform is their sum, clipped to [-1, 1].
    """

    record: ClinicalRecord
    beats: Beats
    sounds: dict[str, Sound]
    murmurs: tuple[MurmurFactors, ...]
    background_db: np.ndarray | None
    snr_db: dict[str, float]
    gain_db: float
    components: dict[str, np.ndarray] = field(repr=False)

    @property
    def split_ms(self) -> np.ndarray:
        """From A2 to P2 in every beat, milliseconds."""
        return 1e3 * (self.sounds["P2"].times - self.sounds["A2"].times)


@dataclass(frozen=True)
class Simulation:
    """A simulated recording and the factors that made it."""

    recording: Recording
    factors: Factors


def simulate(
    record: ClinicalRecord | None = None,
    *,
    duration: float = 10.0,
    sampling_rate: int = 4000,
    seed: int = 0,
    noise: Mapping[str, float] | None = None,
    extra_sounds: tuple[str, ...] = (),
) -> Simulation:
    """A heart sound as a stethoscope would record it.

    Each component has a random stream of its own: two calls with the same seed, of which one changes one field
    of the record, share everything that this field does not touch, bit by bit.

    Parameters
    ----------
    record : ClinicalRecord, optional
        What is known. Fields left open are drawn from CirCor's distributions.
    duration : float
        Seconds.
    sampling_rate : int
        Hz.
    seed : int
    noise : mapping of str to float, optional
        SNR in dB (power of the heart sounds over that of the noise) for any of ``"background"``, ``"breath"``,
        ``"friction"``, ``"crying"`` and ``"electronic"``; an empty mapping gives a silent room. By default the
        background has the level of real recordings, and the others come and go.
    extra_sounds : tuple of str
        Any of "ejection click", "mid-systolic click", "opening snap", "S3", "S4".

    Raises
    ------
    ValueError
        For a duration that is not positive, or a noise or sound that does not exist.
    """
    _check(duration, noise, extra_sounds)
    samples = round(duration * sampling_rate)
    record = complete_record(record or ClinicalRecord(), seed)
    beats = draw_beats(record, duration, stream(seed, "beats"))
    sounds = draw_sounds(record, beats, stream(seed, "sounds"), tuple(extra_sounds))
    heart = sum(sound.render(samples, sampling_rate) for sound in sounds.values())
    murmurs = draw_murmurs(record, beats, stream(seed, "murmurs"))
    flow = np.zeros(samples)
    for murmur in murmurs:
        flow += render_murmur(murmur, samples, sampling_rate, stream(seed, f"{murmur.phase} murmur"))
    levels, rest = _noise(record, noise, heart, beats, sampling_rate, seed)
    power = float(np.mean(heart**2))
    total = sum(rest.values(), start=np.zeros(samples))

    rng = stream(seed, "gain")
    gain_db = constant("s1_level_dbfs", "all")
    gain_db += constant("s1_level_sd_db", "all") * float(np.clip(rng.normal(), -2, 2))
    gain = 10 ** (gain_db / 20)
    parts = {"sounds": heart, "murmur": flow, "noise": total}
    components = {name: (gain * part).astype(np.float32) for name, part in parts.items()}
    waveform = np.clip(sum(components.values()), -1.0, 1.0)
    snr = {name: _decibels(power, part) for name, part in {**rest, "all": total}.items()}
    factors = Factors(record, beats, sounds, murmurs, levels, snr, gain_db, components)
    recording = Recording(
        waveform, sampling_rate, record.location, beats.segments(duration), record, name=f"simulated_{seed}"
    )
    return Simulation(recording, factors)


def _check(duration: float, noise: Mapping[str, float] | None, extra_sounds: tuple[str, ...]) -> None:
    if not duration > 0:
        raise ValueError(f"duration: found {duration!r}, expected a positive number of seconds")
    for name in noise or ():
        if name not in {"background", *noises.NOISES}:
            raise ValueError(f"noise: found {name!r}, expected one of background, {', '.join(noises.NOISES)}")
    for name in extra_sounds:
        if name not in EXTRA_SOUNDS:
            raise ValueError(f"extra_sounds: found {name!r}, expected one of {', '.join(EXTRA_SOUNDS)}")


def _noise(record, asked, heart, beats: Beats, sampling_rate: int, seed: int):
    """Octave levels of the background, and the waveform of every noise, relative to S1."""
    poor = record.murmur == Murmur.UNKNOWN
    power, samples = float(np.mean(heart**2)), len(heart)
    rest, levels = {}, None
    if asked is None or "background" in asked:
        rng = stream(seed, "background")
        levels = noises.background_levels("poor" if poor else "good", rng)
        rest["background"] = noises.background(levels, samples, sampling_rate, rng)
        if asked:
            before = np.mean(rest["background"] ** 2)
            rest["background"] = noises.at_snr(rest["background"], power, asked["background"])
            levels = levels + 10 * np.log10(np.mean(rest["background"] ** 2) / before)
    for name, make in noises.NOISES.items():
        rng = stream(seed, name)
        chance, (mean, spread) = OCCURRENCE[name][poor], SNR_DB[poor]
        present, snr = rng.uniform() < chance, rng.normal(mean, spread)
        if asked is not None:
            present, snr = name in asked, asked.get(name)
        if present:
            rest[name] = noises.at_snr(make(samples, sampling_rate, beats, rng), power, snr)
    return levels, rest


def _decibels(power: float, noise: np.ndarray) -> float:
    """SNR in dB: infinite without noise, minus infinity in a cut so short that no heart sound falls into it."""
    below = float(np.mean(noise**2))
    if below == 0:
        return np.inf
    return 10 * float(np.log10(power / below)) if power > 0 else -np.inf
