"""What the stages train on: real recordings where `HLDM_CIRCOR` names them, else the small simulated corpus."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from hldm.config import Profile
from hldm.data.circor.corpus import CircorCorpus
from hldm.data.clips import ClipDataset
from hldm.data.errors import DataError
from hldm.data.records import ClinicalRecord
from hldm.paths import circor_folder, simulated_folder


def open_corpus(split: str, max_patients: int | None = None) -> CircorCorpus:
    """One part of the corpus in use, by person."""
    return CircorCorpus(circor_folder() or simulated_folder(), split=split, max_patients=max_patients)


def corpus_name() -> str:
    """How pages and model cards name the corpus in use."""
    return "CirCor DigiScope" if circor_folder() else "simulated corpus"


@dataclass(frozen=True)
class Batch:
    """Clips as tensors.

    Attributes
    ----------
    log_mel : Tensor (batch, mels, frames), dB
    beat_position : Tensor (batch, frames), beats
    states : Tensor (batch, frames), int64
    heart_rate : Tensor (batch,), bpm
    murmur : Tensor (batch,)
        1 heard at this site, 0 not heard, NaN unknown.
    """

    log_mel: Tensor
    beat_position: Tensor
    states: Tensor
    heart_rate: Tensor
    murmur: Tensor

    def to(self, device: str | torch.device) -> Batch:
        """The same batch on another device."""
        return to_device(self, device)


def to_device(batch, device: str | torch.device):
    """A dataclass with its tensors, and those of dataclasses within it, on another device."""
    fields = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    nested = {name: value for name, value in fields.items() if dataclasses.is_dataclass(value)}
    moved = {name: value.to(device) for name, value in fields.items() if isinstance(value, Tensor)}
    return dataclasses.replace(batch, **moved, **{name: to_device(value, device) for name, value in nested.items()})


def murmur_label(record: ClinicalRecord) -> float:
    """1, 0 or NaN: whether a murmur is heard at the record's site."""
    return float("nan") if record.murmur_here is None else float(record.murmur_here)


class ClipBatches:
    """Random batches of a `ClipDataset`, drawn by the generator they are given."""

    def __init__(self, clips: ClipDataset, batch_size: int):
        if not len(clips):
            raise DataError("a recording with an annotated stretch as long as a clip", field="corpus", value="no clip")
        self.clips, self.batch_size = clips, batch_size

    def steps(self, epochs: int, profile: Profile) -> int:
        """Updates that so many epochs take, within the profile's cap."""
        wanted = epochs * -(-len(self.clips) // self.batch_size)
        return wanted if profile.max_steps is None else min(wanted, profile.max_steps)

    def draw(self, generator: torch.Generator) -> list[int]:
        """Indices of a batch."""
        return torch.randint(len(self.clips), (self.batch_size,), generator=generator).tolist()

    def batch(self, indices: list[int]) -> Batch:
        """The clips at these indices."""
        clips = [self.clips[i] for i in indices]
        return Batch(
            torch.stack([c.log_mel for c in clips]),
            torch.stack([c.beat_position for c in clips]),
            torch.stack([c.states for c in clips]),
            torch.tensor([c.record.heart_rate for c in clips], dtype=torch.float32),
            torch.tensor([murmur_label(c.record) for c in clips], dtype=torch.float32),
        )
