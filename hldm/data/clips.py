"""Fixed-length clips of whole, annotated heartbeats, with their log-mel features cached on disk."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hldm.config import AudioConfig
from hldm.data.records import ClinicalRecord, Recording, State
from hldm.data.spectrogram import LogMel
from hldm.paths import cache_folder, replacing

#: Root mean square that the annotated part of every recording is brought to. Gains differ between recordings for
#: reasons that the metadata does not tell; 0.05 leaves 26 dB for the peaks.
REFERENCE_RMS = 0.05


def normalise(waveform: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Scale a waveform so that `reference` (default: all of it) has the root mean square `REFERENCE_RMS`."""
    reference = waveform if reference is None or not len(reference) else reference
    return waveform * np.float32(REFERENCE_RMS / max(float(np.sqrt(np.mean(np.square(reference)))), 1e-6))


@dataclass(frozen=True)
class Clip:
    """One clip that starts at the onset of S1.

    Attributes
    ----------
    log_mel : Tensor (mels, frames), dB
    beat_position : Tensor (frames,)
        Beats since the clip's first S1; its fractional part is the cardiac phase.
    states : Tensor (frames,), int64
        CirCor's segment label of each frame.
    whole_frames : int
        Frames that whole beats fill; what follows is the start of the next beat.
    record : ClinicalRecord
        The recording's, with `heart_rate` measured on this clip's beats.
    start : float
        Seconds into the recording.
    """

    log_mel: Tensor
    beat_position: Tensor
    states: Tensor
    whole_frames: int
    record: ClinicalRecord
    patient_id: str
    name: str
    start: float


def annotated_stretches(recording: Recording, tolerance: float = 0.02) -> list[np.ndarray]:
    """Runs of beats that follow one another within `tolerance` seconds: arrays as of `Recording.cycles`."""
    beats = recording.cycles
    breaks = np.flatnonzero(np.abs(beats[1:, 0] - beats[:-1, 4]) > tolerance) + 1
    return [run for run in np.split(beats, breaks) if len(run)]


def clip_starts(stretch: np.ndarray, length: float, hop: float) -> list[int]:
    """Indices of the beats of a stretch at which clips of `length` seconds start, at least `hop` apart."""
    starts, earliest = [], -np.inf
    for index, onset in enumerate(stretch[:, 0]):
        if onset >= earliest and onset + length <= stretch[-1, 4]:
            starts.append(index)
            earliest = onset + hop
    return starts


def _frame_labels(recording: Recording, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beat position (beats since the first) and state of every frame; NaN and UNANNOTATED outside annotated beats."""
    position = np.full(len(times), np.nan)
    states = np.zeros(len(times), dtype=np.int64)
    count = 0
    for stretch in annotated_stretches(recording):
        inside = (times >= stretch[0, 0]) & (times < stretch[-1, 4])
        onsets = np.append(stretch[:, 0], stretch[-1, 4])
        position[inside] = np.interp(times[inside], onsets, count + np.arange(len(onsets)))
        changes = stretch[:, :4].ravel()
        states[inside] = (np.searchsorted(changes, times[inside], side="right") - 1) % 4 + State.S1
        count += len(stretch)
    return position, states


class ClipDataset(torch.utils.data.Dataset):
    """Clips of all recordings given.

    Log-mels are computed once and kept under ``cache``, one file a recording, named by the hash of the samples and
    of the front end: a changed recording or setting is never served stale. Files appear whole (written aside, then
    renamed), so several processes may share the folder.

    Parameters
    ----------
    recordings : iterable of Recording
        Those of another rate are resampled. Recordings without a long enough annotated stretch give no clip; their
        names are kept in `skipped`.
    config : AudioConfig
    hop_seconds : float, optional
        Least distance between the starts of two clips; default: the length of a clip, so that none overlap.
    cache : path, optional
        Default: ``features`` in the cache folder.
    """

    def __init__(
        self,
        recordings: Iterable[Recording],
        config: AudioConfig = AudioConfig(),
        *,
        hop_seconds: float | None = None,
        cache: str | os.PathLike | None = None,
    ):
        self.config = config
        self.mel = LogMel(config)
        self.cache = Path(cache) if cache is not None else cache_folder() / "features"
        self.skipped: list[str] = []
        self._sources: list[tuple[Tensor, Tensor, Tensor, Recording]] = []
        self._clips: list[tuple[int, int, int, float]] = []  # source, first frame, whole frames, heart rate
        for recording in recordings:
            self._add(recording.resample(config.sampling_rate), hop_seconds or config.clip_seconds)

    def _add(self, recording: Recording, hop: float) -> None:
        found, frames = [], len(recording.waveform) // self.config.hop_length
        for stretch in annotated_stretches(recording):
            for index in clip_starts(stretch, self.config.clip_seconds, hop):
                start = stretch[index, 0]
                first = math.ceil(start * self.config.frame_rate)
                inside = stretch[(stretch[:, 0] >= start) & (stretch[:, 4] <= start + self.config.clip_seconds)]
                if len(inside) and first + self.config.clip_frames <= frames:
                    heart_rate = 60 / np.median(inside[:, 4] - inside[:, 0])
                    whole = int((inside[-1, 4] - start) * self.config.frame_rate)
                    found.append((len(self._sources), first, whole, heart_rate))
        if not found:
            self.skipped.append(recording.name)
            return
        log_mel = self._features(recording)
        times = np.arange(log_mel.shape[-1]) / self.config.frame_rate
        position, states = _frame_labels(recording, times)
        # The waveform is not needed again: keep the rest.
        bare = Recording(np.empty(0, np.float32), recording.sampling_rate, recording.location, (),
                         recording.record, recording.patient_id, recording.name)  # fmt: skip
        self._sources.append((log_mel, torch.from_numpy(position), torch.from_numpy(states), bare))
        self._clips += found

    def _features(self, recording: Recording) -> Tensor:
        """Log-mel of the whole recording, ``(mels, frames)``, float16, from the cache where it is there."""
        beats = recording.cycles
        key = hashlib.sha256(repr((astuple(self.config), REFERENCE_RMS)).encode() + recording.waveform.tobytes())
        key.update(beats.tobytes())
        path = self.cache / f"{key.hexdigest()[:32]}.npy"
        if path.is_file():
            return torch.from_numpy(np.load(path))
        times = np.arange(len(recording.waveform)) / recording.sampling_rate
        annotated = (times >= beats[0, 0]) & (times < beats[-1, 4])
        waveform = normalise(recording.waveform, recording.waveform[annotated])
        log_mel = self.mel(torch.from_numpy(waveform)).half()
        self.cache.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            np.save(partial, log_mel.numpy())
        return log_mel

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Clip:
        source, first, whole, heart_rate = self._clips[index]
        log_mel, position, states, recording = self._sources[source]
        frames = slice(first, first + self.config.clip_frames)
        beats = position[frames] - position[frames][0].floor()
        return Clip(
            log_mel[:, frames].float(), beats.float(), states[frames], whole,
            recording.record.replace(heart_rate=round(float(heart_rate), 1)),
            recording.patient_id, recording.name, first / self.config.frame_rate,
        )  # fmt: skip

    def log_mels(self, indices: Sequence[int]) -> Tensor:
        """Log-mels of several clips, ``(clips, mels, frames)``, dB."""
        return torch.stack([self[i].log_mel for i in indices])
