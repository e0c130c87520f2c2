"""Clips as the denoiser meets them: encoded once, and described by narratives, facts and measured levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hldm.conditioning import ConditionEncoder
from hldm.data.clips import Clip
from hldm.data.records import ClinicalRecord
from hldm.engine.latents import Latents
from hldm.models.vae import MultiScaleVAE
from hldm.training.beat import murmur_level
from hldm.training.corpus import murmur_label
from hldm.training.vae import encode_clips


@dataclass(frozen=True)
class EncodedClips(Latents):
    """`Latents` of clips, positions in beats, features as of `ConditionEncoder.features`.

    Attributes
    ----------
    records : list of ClinicalRecord
    patients : list of str
    """

    records: list[ClinicalRecord]
    patients: list[str]


def encoded(
    clips: Sequence[Clip],
    vae: MultiScaleVAE,
    condition: ConditionEncoder,
    *,
    wordings: int = 1,
    seed: int = 0,
) -> EncodedClips:
    """Clips, each described in so many wordings, with the level of their murmurs."""
    chosen = list(clips)
    records, levels = [clip.record for clip in chosen], [heard_level(clip) for clip in chosen]
    return EncodedClips(
        vae.standardise(encode_clips(vae, chosen)),
        tuple(condition.features(records, seed + k * len(records), levels) for k in range(wordings)),
        torch.stack([clip.beat_position for clip in chosen])[:, :: vae.config.downsampling],
        records,
        [clip.patient_id for clip in chosen],
    )


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
