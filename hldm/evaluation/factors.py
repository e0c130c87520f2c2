"""Clips whose physiology is known: measured along the annotation of real recordings, or drawn by the simulator.

One factor a subspace. The two sources give each in the same unit, but not from the same place: what the noise of a
real recording is, nobody knows; there it is what is heard in diastole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hldm.config import AudioConfig
from hldm.data.clips import Clip, ClipDataset, normalise
from hldm.data.errors import DataError
from hldm.data.records import ClinicalRecord, Recording, SystolicMurmur
from hldm.data.simulator import complete_record, simulate
from hldm.data.spectrogram import LogMel
from hldm.evaluation.physiology import state_levels

#: What each subspace stands for: heart rate (log of bpm), level of S1 over S2 (dB), a murmur heard here (0 or 1), and
#: level of the noise (dB re full scale, in recordings that were all brought to one level).
OWN = {"heart rate": "rhythm", "S1 over S2": "sounds", "murmur": "murmur", "noise": "noise"}


@dataclass(frozen=True)
class KnownClips:
    """Clips with what is known of each.

    Attributes
    ----------
    clips : tuple of Clip
    waveforms : ndarray (clips, samples), float32
        Normalised as the log-mels are.
    cycles : tuple of ndarray (beats, 5)
        Annotated beats that lie wholly within the clip, in seconds from its start.
    factors : dict of ndarray (clips,)
        Those of `OWN`.
    name : str
        Of the data, for tables.
    mel : LogMel
        The front end.
    """

    clips: tuple[Clip, ...]
    waveforms: np.ndarray
    cycles: tuple[np.ndarray, ...]
    factors: dict[str, np.ndarray]
    name: str
    mel: LogMel

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def patients(self) -> np.ndarray:
        """Patient of each clip."""
        return np.array([clip.patient_id for clip in self.clips])

    @property
    def log_mels(self) -> Tensor:
        """(clips, mels, frames), dB."""
        return torch.stack([clip.log_mel for clip in self.clips])

    @property
    def states(self) -> Tensor:
        """Heart state of every frame, (clips, frames), int64."""
        return torch.stack([clip.states for clip in self.clips])

    def few(self, most: int, seed: int = 0) -> KnownClips:
        """At most so many of the clips, at random, but one of every patient before a second one of any."""
        if len(self) <= most:
            return self
        chosen = np.sort(take_turns(np.arange(len(self)), self.patients, np.random.default_rng(seed))[:most])
        return replace(
            self,
            clips=tuple(self.clips[i] for i in chosen),
            waveforms=self.waveforms[chosen],
            cycles=tuple(self.cycles[i] for i in chosen),
            factors={name: values[chosen] for name, values in self.factors.items()},
        )


def take_turns(indices: np.ndarray, patients: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The indices at random, but the first clip of every patient before the second one of any."""
    shuffled = rng.permutation(indices)
    turn = pd.Series(patients[shuffled]).groupby(patients[shuffled]).cumcount()
    return shuffled[np.argsort(turn, kind="stable")]


def real_clips(recordings: Iterable[Recording], name: str, audio: AudioConfig = AudioConfig()) -> KnownClips:
    """Annotated clips of recordings whose murmur label is known.

    Levels are medians over the annotated beats of a clip; the noise is what is heard in diastole, where most murmurs
    are not.

    Raises
    ------
    DataError
        Without any clip.
    """
    made = (_known(recording, {}, audio) for recording in recordings)
    return _collect((row for rows in made for row in rows), name, audio)


def simulated_clips(count: int, seed: int = 0, audio: AudioConfig = AudioConfig()) -> KnownClips:
    """One clip of each of `count` simulated hearts, whose rate and murmur are drawn independently of all else.

    Half of the hearts have a systolic murmur, of grade II or III so that it can be heard; rates are uniform from 60
    to 150 bpm. The levels are those of the sounds and of the noise before the simulator added them up.
    """
    made = (_known(*_heart(count * seed + i, audio), audio)[0] for i in range(count))
    return _collect(made, f"simulated hearts, seed {seed}", audio)


def _heart(seed: int, audio: AudioConfig) -> tuple[Recording, dict[str, np.ndarray]]:
    """A simulated recording that is its own patient, and its components."""
    rng = np.random.default_rng(seed)
    record = ClinicalRecord(murmur="Absent", heart_rate=round(rng.uniform(60, 150), 1))
    if rng.random() < 0.5:
        grade = rng.choice(["II/VI", "III/VI"])
        record = record.replace(murmur="Present", systolic=SystolicMurmur(grade=grade))
    record = complete_record(record, seed)
    # A clip starts at an S1, the first of which comes within the spare seconds.
    made = simulate(record, duration=audio.clip_seconds + 3, sampling_rate=audio.sampling_rate, seed=seed)
    return replace(made.recording, patient_id=made.recording.name), made.factors.components


def _known(recording: Recording, components: dict[str, np.ndarray], audio: AudioConfig) -> list[tuple]:
    """Clip, waveform, beats and factors of every clip of a recording; none without a murmur label."""
    recording = recording.resample(audio.sampling_rate)
    if recording.record.murmur_here is None:
        return []
    rate, beats = recording.sampling_rate, recording.cycles
    rows = []
    for clip in ClipDataset([recording], audio):
        annotated = recording.annotated
        first = round(clip.start * rate)

        def cut(samples: np.ndarray, annotated=annotated, first=first) -> np.ndarray:
            return normalise(samples, annotated)[first : first + audio.clip_samples]

        whole = cut(recording.waveform)
        inside = (beats - clip.start).clip(0)  # the first S1 may begin within the first frame
        inside = inside[(inside[:, 1] > 0) & (inside[:, 4] <= audio.clip_seconds)]
        sounds, noise = (
            state_levels(cut(components[part]) if components else whole, rate, inside) for part in ("sounds", "noise")
        )
        factors = (np.log(clip.record.heart_rate), sounds.s1_to_s2, float(clip.record.murmur_here), noise.diastole)
        rows.append((clip, whole, inside, factors))
    return rows


def _collect(rows: Iterable[tuple], name: str, audio: AudioConfig) -> KnownClips:
    rows = list(rows)
    if not rows:
        raise DataError("annotated clips with a known murmur label", field=name, value=0)
    clips, waveforms, cycles, factors = zip(*rows, strict=True)
    columns = dict(zip(OWN, np.array(factors).T, strict=True))
    return KnownClips(clips, np.stack(waveforms).astype(np.float32), cycles, columns, name, LogMel(audio))
