"""What a denoiser is told, and the learnt null condition of classifier-free guidance (Ho and Salimans 2022)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Condition(NamedTuple):
    """What a denoiser is told.

    Attributes
    ----------
    vector : Tensor (batch, width)
        For adaptive normalisation.
    tokens : Tensor (batch, tokens, width)
        Distinct views of the same knowledge, for cross-attention.
    position : Tensor (batch, frames), optional
        Where each frame of the latent lies, such as its place in a cycle that is asked for. It rides along with the
        frames: it is cut into windows as they are, and no dropout touches it.
    """

    vector: Tensor
    tokens: Tensor
    position: Tensor | None = None

    def map(self, change: Callable[..., Tensor], *others: Condition) -> Condition:
        """`change` of every part that is there, with the same part of each of `others`."""
        return Condition(*(None if parts[0] is None else change(*parts) for parts in zip(self, *others, strict=True)))


class Conditioning(nn.Module):
    """Base of every module whose `forward` makes a `Condition`: it adds the null condition, which is learnt.

    A subclass calls `add_null` once it knows its sizes.
    """

    null_vector: nn.Parameter
    null_tokens: nn.Parameter

    def add_null(self, width: int, tokens: int, seed: int = 0) -> None:
        """Make the null condition: a vector and so many tokens of this width."""
        self.null_vector = nn.Parameter(0.1 * normal(width, seed=seed))
        self.null_tokens = nn.Parameter(0.1 * normal(tokens, width, seed=seed + 1))

    def null(self, batch: int) -> Condition:
        """The null condition, `batch` times."""
        return Condition(self.null_vector.expand(batch, -1), self.null_tokens.expand(batch, -1, -1))

    def drop(self, condition: Condition, where: Tensor) -> Condition:
        """The null condition where `where` (batch,), bool, is True; elsewhere the condition that is given."""
        null = self.null(len(where))
        return condition._replace(
            vector=torch.where(where[:, None], null.vector, condition.vector),
            tokens=torch.where(where[:, None, None], null.tokens, condition.tokens),
        )


def normal(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers that no other draw can move."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
