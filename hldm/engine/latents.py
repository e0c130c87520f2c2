"""Signals as a denoiser meets them: encoded once, then drawn in batches with noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from hldm.engine.process import GaussianDiffusion
from hldm.engine.processes import share, team


@dataclass(frozen=True)
class Latents:
    """Encoded signals and what is known about them.

    Attributes
    ----------
    z : Tensor (items, latent channels, latent frames)
        Standardised: of zero mean and unit variance in every channel.
    features : tuple of dict of Tensor (items, ...)
        What the conditioning module makes a condition of; several where the same is said in several wordings. Always
        on the CPU.
    position : Tensor (items, latent frames) or None
        As of `hldm.engine.Condition`.
    """

    z: Tensor
    features: tuple[dict[str, Tensor], ...]
    position: Tensor | None

    def __len__(self) -> int:
        return len(self.z)

    def to(self, device: str | torch.device) -> Latents:
        """Latents and positions on another device."""
        return replace(self, z=self.z.to(device), position=None if self.position is None else self.position.to(device))


class DenoisingBatch(NamedTuple):
    """What one update learns from: latents, their noise and its level, and what is said about them."""

    z: Tensor  # (batch, latent channels, latent frames)
    noise: Tensor  # like z
    t: Tensor  # (batch,)
    position: Tensor | None  # (batch, latent frames)
    features: dict[str, Tensor]
    dropped: Tensor  # (batch,), bool: whose condition is left out


def draw(
    data: Latents, chances: Tensor, batch_size: int, step: int, process: GaussianDiffusion, generator: torch.Generator
) -> DenoisingBatch:
    """The rows of this process in the batch that all processes draw alike.

    Parameters
    ----------
    chances : Tensor (items,)
        How often each is drawn, up to a factor.
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
    said, rows = data.features[step % len(data.features)], chosen[mine]
    return DenoisingBatch(
        data.z[rows], noise[mine].to(device), t[mine].to(device),
        None if data.position is None else data.position[rows],
        {name: value[rows].to(device) for name, value in said.items()}, dropped[mine].to(device),
    )  # fmt: skip
