"""The attribute predictor: a small network that hears in a log-mel what each subspace ought to say.

It stands in for the paper's auxiliary classifiers: trained beforehand, then frozen, it teaches the VAE by listening to
decoded swaps. It is another network than the judge (`hldm.models.judge`), which only evaluates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hldm.config import AudioConfig
from hldm.models.judge import ATTRIBUTES, MURMUR_ATTRIBUTES
from hldm.models.latent_probes import FACTORS, pool
from hldm.pretrained import Pretrained


@dataclass(frozen=True)
class AttributePredictorConfig:
    """Shape of an `AttributePredictor`."""

    audio: AudioConfig = AudioConfig()  # the front end whose log-mels it takes
    width: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1)
    dropout: float = 0.2


@dataclass
class Measurement:
    """What the attribute predictor hears in a batch of clips.

    Attributes
    ----------
    factors : Tensor (batch, len(FACTORS))
        Standardised as `hldm.models.latent_probes.FACTORS` says; the murmur as a logit.
    attributes : dict of Tensor (batch, values)
        Logits of timing, shape, grade, pitch and quality: which, if there is a murmur.
    states : Tensor (batch, 4, frames / 2)
        Logits of S1, systole, S2 and diastole.
    """

    factors: Tensor
    attributes: dict[str, Tensor]
    states: Tensor


class _Block(nn.Module):
    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class AttributePredictor(Pretrained):
    """Log-mel in, `Measurement` out: dilated convolutions over time, gathered within each state.

    Parameters
    ----------
    config : AttributePredictorConfig
    """

    config_class, weights_name, shared = AttributePredictorConfig, "attribute_predictor", True

    def __init__(self, config: AttributePredictorConfig = AttributePredictorConfig()):
        super().__init__()
        self.config = config
        width = config.width
        self.stem = nn.Conv1d(config.audio.n_mels, width, 5, stride=2, padding=2)
        self.body = nn.Sequential(*(_Block(width, dilation) for dilation in config.dilations), nn.SiLU())
        self.states = nn.Conv1d(width, 4, 1)
        self.drop = nn.Dropout(config.dropout)
        self.factors = nn.Linear(6 * width, len(FACTORS))
        self.attributes = nn.ModuleDict(
            {name: nn.Linear(6 * width, len(ATTRIBUTES[name])) for name in MURMUR_ATTRIBUTES}
        )

    def forward(self, log_mel: Tensor) -> Measurement:
        """Measure ``(batch, mels, frames)`` in dB."""
        x = self.body(self.stem((log_mel + 55) / 12))
        states = self.states(x)
        share = states.softmax(1)
        share = share / share.sum(-1, keepdim=True).clamp_min(1e-3)
        within = torch.einsum("bct,bst->bsc", x, share).flatten(1)
        gathered = self.drop(torch.cat([within, pool(x)], dim=1))
        attributes = {name: head(gathered) for name, head in self.attributes.items()}
        return Measurement(self.factors(gathered), attributes, states)
