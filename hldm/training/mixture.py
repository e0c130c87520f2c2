"""Batches of which one half is real and the other simulated; one VAE learns from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hldm.data.clips import ClipDataset
from hldm.data.records import ClinicalRecord
from hldm.models.subspaces import cycle_position
from hldm.training.beat import clip_factors, heart_rate
from hldm.training.corpus import ClipBatches, to_device
from hldm.training.pairs import PairBatch, SimulatedPairs


@dataclass(frozen=True)
class MixtureBatch:
    """Clips of a corpus first, then both hearts of some simulated pairs.

    Attributes
    ----------
    log_mel : Tensor (batch, mels, frames), dB
    states : Tensor (batch, frames), int64 in 1..4
    position : Tensor (batch, frames)
        As of `hldm.models.subspaces.cycle_position`.
    factors : Tensor (batch, len(FACTORS))
        As of `hldm.training.beat.clip_factors`.
    partner : Tensor (batch,), int64
        With whom each swaps: the next clip of the corpus, or the other heart of the pair.
    records : tuple of ClinicalRecord
    real : int
        How many clips are from the corpus.
    pairs : PairBatch or None
    """

    log_mel: Tensor
    states: Tensor
    position: Tensor
    factors: Tensor
    partner: Tensor
    records: tuple[ClinicalRecord, ...]
    real: int
    pairs: PairBatch | None

    def to(self, device: str | torch.device) -> MixtureBatch:
        """The same batch on another device."""
        return to_device(self, device)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many clips are from the corpus, and how many simulated."""
        return self.real, len(self.log_mel) - self.real


class Mixture:
    """Random `MixtureBatch`es.

    Parameters
    ----------
    clips : ClipDataset
    batch_size : int
        A multiple of 4 where there are pairs.
    pairs : int
        Simulated pairs to draw from; 0 for none.
    """

    def __init__(self, clips: ClipDataset, batch_size: int, pairs: int):
        self.pairs = SimulatedPairs(pairs, audio=clips.config) if pairs else None
        self.real = batch_size // 2 if pairs else batch_size
        self.corpus = ClipBatches(clips, self.real)

    def draw(self, generator: torch.Generator) -> MixtureBatch:
        """A random batch."""
        pairs = self.pairs.draw(self.real // 2, generator) if self.pairs else ()
        return self.batch(self.corpus.draw(generator), pairs)

    def batch(self, indices: Sequence[int], pairs: Sequence[int]) -> MixtureBatch:
        """The clips and the pairs at these indices."""
        corpus = self.corpus.batch(list(indices))
        records = tuple(self.corpus.clips[i].record for i in indices)
        log_mel, states = corpus.log_mel, corpus.states
        factors = clip_factors(log_mel, states, corpus.heart_rate, corpus.murmur)
        partner = torch.arange(len(log_mel)).roll(1)
        made = self.pairs.batch(pairs) if pairs else None
        if made is not None:
            known = clip_factors(made.log_mel, made.states, heart_rate(made.states), made.heard, made.components())
            factors, partner = torch.cat([factors, known]), torch.cat([partner, len(log_mel) + made.partner])
            log_mel, states = torch.cat([log_mel, made.log_mel]), torch.cat([states, made.states])
            records += made.records
        return MixtureBatch(log_mel, states, cycle_position(states), factors, partner, records, len(indices), made)
