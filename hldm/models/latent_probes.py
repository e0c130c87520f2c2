"""What each subspace ought to know, and linear probes of it: the supervised half of L_disentangle (Eq. 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hldm.config import VAEConfig
from hldm.models.subspaces import split_subspaces


class Factor(NamedTuple):
    """One number a clip that belongs to one subspace; it enters the network as (x - mean) / scale."""

    subspace: str
    mean: float
    scale: float


#: What a clip is labelled with. Heart rate: log of beats a second; contrast: S1 over S2, dB; murmur: 1 where one is
#: heard; level: of the murmur in systole, 100 to 400 Hz, dB; floor: level of the noise in diastole, dB.
FACTORS = {
    "heart_rate": Factor("rhythm", 0.55, 0.2),
    "contrast": Factor("sounds", -1.0, 4.0),
    "murmur": Factor("murmur", 0.0, 1.0),
    "level": Factor("murmur", -50.0, 6.0),
    "floor": Factor("noise", -33.0, 4.5),
}


def pool(z: Tensor) -> Tensor:
    """Mean and spread over time of every channel, ``(batch, channels, frames) -> (batch, 2 * channels)``.

    What every linear probe of a subspace sees.
    """
    return torch.cat([z.mean(-1), z.std(-1)], dim=1)


class LatentProbes(nn.Module):
    """Linear probes of what each subspace ought to know, trained with the VAE.

    Frame by frame, rhythm tells the cardiac phase and sounds the state. From mean and spread over time, each
    subspace tells the factors that `FACTORS` gives it.
    """

    def __init__(self, config: VAEConfig = VAEConfig()):
        super().__init__()
        n = config.group_channels
        self.phase = nn.Conv1d(n, 2, 5, padding=2)  # cos and sin of the phase
        self.states = nn.Conv1d(n, 4, 5, padding=2)  # logits of S1, systole, S2, diastole
        self.factors = nn.ModuleDict({name: nn.Linear(2 * n, 1) for name in FACTORS})

    def read(self, z: Tensor, factor: str) -> Tensor:
        """A factor as its own subspace tells it, (batch,): standardised, or the logit of a murmur."""
        return self.factors[factor](pool(split_subspaces(z)[FACTORS[factor].subspace]))[:, 0]

    def loss(self, z: Tensor, position: Tensor, states: Tensor, factors: Tensor) -> Tensor:
        """Sum of the errors.

        Parameters
        ----------
        z : Tensor (batch, latent channels, frames)
        position : Tensor (batch, frames)
            As of `hldm.models.subspaces.cycle_position`, at the latent's frame rate.
        states : Tensor (batch, frames), int64 in 1..4
        factors : Tensor (batch, len(FACTORS))
            As of `hldm.training.beat.clip_factors`; NaN is not scored.
        """
        part = split_subspaces(z)
        angle = 2 * torch.pi * position
        circle = torch.stack([angle.cos(), angle.sin()], dim=1)
        total = F.mse_loss(self.phase(part["rhythm"]), circle)
        total = total + F.cross_entropy(self.states(part["sounds"]), states - 1)
        for name, truth in zip(FACTORS, factors.T, strict=True):
            total = total + factor_error(name, self.read(z, name), truth)
        return total


def factor_error(name: str, said: Tensor, truth: Tensor) -> Tensor:
    """How wrong a reading of one factor is: cross-entropy of a murmur's logit, else squared error; NaN is not scored.

    Parameters
    ----------
    said, truth : Tensor (batch,)
        Standardised, as of `FACTORS`; `truth` of a murmur lies in [0, 1].
    """
    known = ~truth.isnan()
    if not known.any():
        return said.sum() * 0
    error = F.binary_cross_entropy_with_logits if name == "murmur" else F.mse_loss
    return error(said[known], truth[known])
