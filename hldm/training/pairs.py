"""Pairs of simulated hearts, with all that comes of exchanging one of their four parts rendered.

The simulator draws each component from a stream of its own, so the murmur of one heart can be rendered again in the
systoles of another: what a decoded swap ought to sound like is known.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hldm.config import AudioConfig
from hldm.data.clips import REFERENCE_RMS
from hldm.data.priors.constants import stream
from hldm.data.records import ClinicalRecord
from hldm.data.simulator import Beats, Simulation, complete_record, simulate
from hldm.data.simulator.murmurs import murmur_window, render_murmur
from hldm.data.simulator.sounds import draw_sounds
from hldm.data.spectrogram import LogMel
from hldm.models.vae import power_sum
from hldm.paths import cache_folder, workplace

SPARE = 1.6  # s beyond a clip, so that one can start at an S1 even at 40 bpm
VERSION = 1  # of what is rendered and in which order: part of the cache's key


@dataclass(frozen=True)
class PairBatch:
    """The hearts of some pairs: the first of every pair, then the second of every pair.

    Attributes
    ----------
    log_mel : Tensor (2 * pairs, mels, frames), dB
    sounds, murmur : Tensor (2 * pairs, 2, 2, mels, frames), dB
        Components by whose beats and whose sound: 0 one's own, 1 the partner's.
    noise : Tensor (2 * pairs, 2, mels, frames), dB
        By whose.
    states : Tensor (2 * pairs, frames), int64
    records : tuple of ClinicalRecord
    """

    log_mel: Tensor
    sounds: Tensor
    murmur: Tensor
    noise: Tensor
    states: Tensor
    records: tuple[ClinicalRecord, ...]

    def components(self, subspace: str | None = None) -> dict[str, Tensor]:
        """What each heart's three components sound like with one part of its partner's, by name, dB.

        Levels stay what they were in the recording they come from.

        Parameters
        ----------
        subspace : {"rhythm", "sounds", "murmur", "noise"}, optional
            None: nothing is exchanged.
        """
        beats = int(subspace == "rhythm")
        return {
            "sounds": self.sounds[:, beats, int(subspace == "sounds")],
            "murmur": self.murmur[:, beats, int(subspace == "murmur")],
            "noise": self.noise[:, int(subspace == "noise")],
        }

    def swapped(self, subspace: str) -> Tensor:
        """What each heart sounds like with one part of its partner's, (2 * pairs, mels, frames), dB.

        Powers are added, which leaves out how two components interfere: no model could foresee it.
        """
        return power_sum(*self.components(subspace).values())

    @property
    def heard(self) -> Tensor:
        """1 where a murmur is heard, else 0, (2 * pairs,)."""
        return torch.tensor([float(record.murmur_here) for record in self.records])

    @property
    def partner(self) -> Tensor:
        """Index of everyone's partner."""
        return torch.arange(len(self.log_mel)).roll(len(self.log_mel) // 2)


class SimulatedPairs:
    """Pairs of simulated hearts, rendered once and kept in the cache folder.

    Each heart has a murmur or not with even chances; all else is drawn as CirCor's patients are distributed.

    Parameters
    ----------
    pairs : int
    seed : int
        Training and evaluation use different seeds, and so different hearts.
    audio : AudioConfig
    cache : path, optional
        Default: ``pairs`` in the cache folder.
    """

    def __init__(
        self, pairs: int, seed: int = 0, audio: AudioConfig = AudioConfig(), cache: str | os.PathLike | None = None
    ):
        seeds = np.random.SeedSequence(seed).generate_state(2 * pairs).reshape(pairs, 2).tolist()
        self.records = [tuple(draw_heart(seed) for seed in pair) for pair in seeds]
        self.audio, self.seeds = audio, seeds
        key = hashlib.sha256(repr((VERSION, pairs, seed, astuple(audio), REFERENCE_RMS)).encode()).hexdigest()[:24]
        folder = (Path(cache) if cache is not None else cache_folder() / "pairs") / key
        folder.parent.mkdir(parents=True, exist_ok=True)
        with workplace(folder.with_name(f".{key}.partial"), wait=True) as aside:
            if not folder.is_dir():  # several processes may share the cache
                self._render(aside / key)
                os.replace(aside / key, folder)
        self._features = np.load(folder / "features.npy", mmap_mode="r")  # (pairs, 2, 11, mels, frames), float16
        self._states = np.load(folder / "states.npy")  # (pairs, 2, frames)

    def _render(self, folder: Path) -> None:
        """Write both arrays, pair by pair: through a memory map, a full disk would kill the process."""
        folder.mkdir()
        mel = LogMel(self.audio)
        shape = (len(self), 2, 11, self.audio.n_mels, self.audio.clip_frames)
        states = np.empty((*shape[:2], shape[-1]), np.int8)
        with (folder / "features.npy").open("wb") as file:
            header = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for i, (seeds, records) in enumerate(zip(self.seeds, self.records, strict=True)):
                features, states[i] = render_pair(records, seeds, mel)
                file.write(features.tobytes())
        np.save(folder / "states.npy", states)

    def __len__(self) -> int:
        return len(self.records)

    def draw(self, number: int, generator: torch.Generator) -> list[int]:
        """Indices of some pairs."""
        return torch.randint(len(self), (number,), generator=generator).tolist()

    def batch(self, indices: Sequence[int]) -> PairBatch:
        """The pairs at these indices."""
        order = list(indices)
        features = torch.from_numpy(self._features[order]).float().transpose(0, 1).flatten(0, 1)
        states = torch.from_numpy(self._states[order]).long().transpose(0, 1).flatten(0, 1)
        table = features[:, 1:9].unflatten(1, (2, 2, 2))  # component, whose beats, whose sound
        records = tuple(self.records[i][side] for side in range(2) for i in order)
        return PairBatch(features[:, 0], table[:, 0], table[:, 1], features[:, 9:], states, records)


def draw_heart(seed: int) -> ClinicalRecord:
    """A record with a murmur or without, with even chances."""
    return complete_record(ClinicalRecord(murmur="Present" if seed % 2 else "Absent"), seed)


def render_pair(records: Sequence[ClinicalRecord], seeds: Sequence[int], mel: LogMel) -> tuple[np.ndarray, np.ndarray]:
    """Two hearts, and each with the other's beats, sounds and murmur.

    Returns
    -------
    features : ndarray (2, 11, mels, frames), float16, dB
        For each heart: the recording; its sounds and then its murmur by [whose beats, whose sound], one's own
        first; its noise, and the partner's.
    states : ndarray (2, frames), int8
    """
    audio = mel.config
    duration = audio.clip_seconds + SPARE
    made = [simulate(r, duration=duration, sampling_rate=audio.sampling_rate, seed=s)
            for r, s in zip(records, seeds, strict=True)]  # fmt: skip
    beats = [one.factors.beats for one in made]
    gains = [REFERENCE_RMS / max(float(np.sqrt(np.mean(one.recording.waveform**2))), 1e-6) for one in made]
    first = [int(np.ceil(b.onsets[b.onsets >= 0][0] * audio.frame_rate)) for b in beats]
    sources = range(2)

    def features(waveform: np.ndarray, whose: int, grid: int) -> np.ndarray:
        """Log-mel of a component at the level it has in the recording it comes from, from an S1 of `grid` on."""
        log_mel = mel(torch.from_numpy((gains[whose] * waveform).astype(np.float32)))
        return log_mel[:, first[grid] : first[grid] + audio.clip_frames].numpy()

    sounds = [[features(sounds_on(made[s], seeds[s], beats[g]), s, g) for s in sources] for g in sources]
    murmur = [[features(murmur_on(made[s], seeds[s], beats[g]), s, g) for s in sources] for g in sources]
    noise = [features(made[s].factors.components["noise"], s, s) for s in sources]
    rows = []
    for own, other in ((0, 1), (1, 0)):
        table = [part[g][s] for part in (sounds, murmur) for g in (own, other) for s in (own, other)]
        rows.append([features(made[own].recording.waveform, own, own), *table, noise[own], noise[other]])
    times = np.arange(audio.clip_frames) / audio.frame_rate
    states = [states_at(b, times + start / audio.frame_rate) for b, start in zip(beats, first, strict=True)]
    return np.array(rows, dtype=np.float16), np.array(states, dtype=np.int8)


def sounds_on(made: Simulation, seed: int, beats: Beats) -> np.ndarray:
    """S1 and S2 of a simulation as they are at other beats, (samples,)."""
    samples, rate = len(made.recording.waveform), made.recording.sampling_rate
    sounds = draw_sounds(made.factors.record, beats, stream(seed, "sounds"))
    return 10 ** (made.factors.gain_db / 20) * sum(sound.render(samples, rate) for sound in sounds.values())


def murmur_on(made: Simulation, seed: int, beats: Beats) -> np.ndarray:
    """The murmur of a simulation in the systoles of other beats, (samples,)."""
    samples, rate = len(made.recording.waveform), made.recording.sampling_rate
    total = np.zeros(samples)
    for murmur in made.factors.murmurs:
        starts, ends = murmur_window(murmur.murmur, beats)
        moved = replace(murmur, starts=starts, ends=ends)
        total += render_murmur(moved, samples, rate, stream(seed, f"{murmur.phase} murmur"))
    return 10 ** (made.factors.gain_db / 20) * total


def states_at(beats: Beats, times: np.ndarray) -> np.ndarray:
    """CirCor's label of the state at each time, (times,), 1 to 4."""
    s1, s2 = beats.onsets[:-1], beats.s2_onsets
    changes = np.stack([s1, s1 + beats.s1_duration, s2, s2 + beats.s2_duration], axis=1).ravel()
    return (np.searchsorted(changes, times, side="right") - 1) % 4 + 1
