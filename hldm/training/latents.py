"""Clips as the denoiser meets them: encoded once, told in words and facts, drawn in batches with noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from hldm.conditioning import ConditionEncoder
from hldm.data.clips import Clip
from hldm.data.records import ClinicalRecord
from hldm.engine.process import GaussianDiffusion
from hldm.engine.processes import share, team
from hldm.models.vae import MultiScaleVAE
from hldm.training.beat import murmur_level
from hldm.training.corpus import murmur_label
from hldm.training.vae import encode_clips


@dataclass(frozen=True)
class EncodedClips:
    """Clips as the denoiser meets them.

    Attributes
    ----------
    z : Tensor (clips, latent channels, latent frames)
        Standardised posterior means.
    positions : Tensor (clips, latent frames)
        In beats.
    features : tuple of dict of Tensor
        As of `ConditionEncoder.features`, once for each wording of the narratives; always on the CPU.
    records : list of ClinicalRecord
    patients : list of str
    """

    z: Tensor
    positions: Tensor
    features: tuple[dict[str, Tensor], ...]
    records: list[ClinicalRecord]
    patients: list[str]

    def __len__(self) -> int:
        return len(self.z)

    def to(self, device: str | torch.device) -> EncodedClips:
        """Latents and positions on another device."""
        return replace(self, z=self.z.to(device), positions=self.positions.to(device))


def encoded(
    clips: Sequence[Clip],
    vae: MultiScaleVAE,
    condition: ConditionEncoder,
    *,
    wordings: int = 1,
    seed: int = 0,
) -> EncodedClips:
    """Clips, told in so many wordings each, with the level of their murmurs."""
    chosen = list(clips)
    records, levels = [clip.record for clip in chosen], [heard_level(clip) for clip in chosen]
    return EncodedClips(
        vae.standardise(encode_clips(vae, chosen)),
        torch.stack([clip.beat_position for clip in chosen])[:, :: vae.config.downsampling],
        tuple(condition.features(records, seed + k * len(records), levels) for k in range(wordings)),
        records,
        [clip.patient_id for clip in chosen],
    )


class DenoisingBatch(NamedTuple):
    """What one update learns from: latents, their noise and its level, and what is told about them."""

    z: Tensor  # (batch, latent channels, latent frames)
    noise: Tensor  # like z
    t: Tensor  # (batch,)
    positions: Tensor  # (batch, latent frames)
    features: dict[str, Tensor]
    dropped: Tensor  # (batch,), bool: who is told nothing


def draw(
    data: EncodedClips,
    chances: Tensor,
    batch_size: int,
    step: int,
    process: GaussianDiffusion,
    generator: torch.Generator,
) -> DenoisingBatch:
    """The rows of this process in the batch that all processes draw alike.

    Parameters
    ----------
    chances : Tensor (clips,)
        How often each clip is drawn, up to a factor.
    batch_size : int
        Rows of each process.
    step : int
        Of training: wordings take turns.
    """
    mine, whole, device = share(batch_size), batch_size * team().num_processes, data.z.device
    chosen = torch.multinomial(chances, whole, replacement=True, generator=generator)
    t = torch.randint(process.config.train_steps, (whole,), generator=generator)
    noise = torch.randn((whole, *data.z.shape[1:]), generator=generator)
    dropped = torch.rand(whole, generator=generator) < process.config.condition_dropout
    told, rows = data.features[step % len(data.features)], chosen[mine]
    return DenoisingBatch(
        data.z[rows], noise[mine].to(device), t[mine].to(device), data.positions[rows],
        {name: value[rows].to(device) for name, value in told.items()}, dropped[mine].to(device),
    )  # fmt: skip


def heard_level(clip: Clip) -> float:
    """Measured level of a clip's systolic murmur, dB; NaN where none is said to be heard."""
    if clip.record.systolic is None or not clip.record.murmur_here:
        return float("nan")
    return float(murmur_level(clip.log_mel[None], clip.states[None]))


def rare_class_weights(records: Sequence[ClinicalRecord]) -> Tensor:
    """Chance of every clip: murmur heard and not heard alike, and grades alike among those heard."""
    labels = []
    for record in records:
        grade = record.systolic.grade if record.murmur_here and record.systolic else None
        labels.append((murmur_label(record), grade))
    counts = {label: labels.count(label) for label in set(labels)}
    heard = sum(1 for label in counts if label[0] == 1)
    return torch.tensor([(1 / max(heard, 1) if label[0] == 1 else 1.0) / counts[label] for label in labels])
