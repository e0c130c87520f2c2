"""Overlapping windows over the frames of a latent: signals longer than those that a network was trained on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hldm.engine.condition import Condition


class Windows:
    """MultiDiffusion in time (Bar-Tal et al. 2023): what is predicted window by window is cross-faded into one.

    Windows are spread evenly from the first frame to the last. Their weights are sin^2 bumps, scaled to sum to 1 at
    every frame: a window counts least near its ends, where the network sees least of what surrounds a frame.

    Parameters
    ----------
    frames : int
        Length of the whole latent; up to `width`, there is one window and it is the latent.
    width : int
        Frames of a window.
    hop : int
        Frames from one window to the next, at most.
    device : torch.device, optional
    """

    def __init__(self, frames: int, width: int, hop: int, device: torch.device | str | None = None):
        if not 0 < hop <= width:
            raise ValueError(f"hop is {hop}, expected 1 to {width} frames, the width of a window")
        self.frames, width = frames, min(width, frames)
        self.count = 1 + math.ceil((frames - width) / hop)
        starts = torch.linspace(0, frames - width, self.count).round().long()
        inside = torch.arange(width)
        bump = torch.sin(torch.pi * (inside + 0.5) / width).square()
        index = starts[:, None] + inside
        total = torch.zeros(frames).index_add(0, index.flatten(), bump.repeat(self.count))
        self.index = index.to(device)  # (windows, width): the frames of each
        self.weights = (bump / total[index]).to(device)  # (windows, width)

    def split(self, x: Tensor) -> Tensor:
        """``(batch, ..., frames)`` to ``(windows * batch, ..., width)``, the first window of all first."""
        return x[..., self.index].movedim(-2, 0).flatten(0, 1)

    def split_condition(self, condition: Condition) -> Condition:
        """The condition of every window: the same knowledge, and each window's part of the position."""
        position = None if condition.position is None else self.split(condition.position)
        return Condition(condition.vector.repeat(self.count, 1), condition.tokens.repeat(self.count, 1, 1), position)

    def merge(self, parts: Tensor) -> Tensor:
        """``(windows * batch, channels, width)`` to ``(batch, channels, frames)``."""
        weighted = parts.unflatten(0, (self.count, -1)) * self.weights[:, None, None]
        whole = parts.new_zeros(*weighted.shape[1:3], self.frames)
        return whole.index_add(2, self.index.flatten(), weighted.permute(1, 2, 0, 3).flatten(2))
