"""Medical Attention: self-attention that knows where in the heartbeat every frame lies (Eq. 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MedicalAttention(nn.Module):
    r"""Eq. 4: softmax(Q K^T / sqrt(d) + M_cardiac) V over the frames of a latent.

    The paper gives no formula for the mask. Ours is, for head h and frames i, j at beat positions tau (in beats),

    .. math:: M_h(i, j) = b_h \cos(2 \pi (\tau_i - \tau_j)) - \lambda_h |\tau_i - \tau_j|

    with b_h and lambda_h learnt and zero at first: a head may come to attend to the same phase of other beats
    (b > 0), to the neighbourhood (lambda > 0), or stay plain. With ``medical=False`` the mask is left out.
    """

    def __init__(self, channels: int, heads: int = 4, medical: bool = True):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)
        self.periodicity = nn.Parameter(torch.zeros(heads)) if medical else None
        self.locality = nn.Parameter(torch.zeros(heads)) if medical else None

    def mask(self, beat_position: Tensor) -> Tensor | None:
        """M_cardiac, ``(batch, frames)`` in beats to ``(batch, heads, frames, frames)``."""
        if self.periodicity is None:
            return None
        difference = (beat_position[:, :, None] - beat_position[:, None, :])[:, None]
        periodic = self.periodicity[:, None, None] * torch.cos(2 * torch.pi * difference)
        return periodic - self.locality[:, None, None] * difference.abs()

    def forward(self, x: Tensor, beat_position: Tensor) -> Tensor:
        """``x``: (batch, channels, frames); ``beat_position``: (batch, frames)."""
        batch, channels, frames = x.shape
        q, k, v = (
            part.reshape(batch, self.heads, channels // self.heads, frames).transpose(2, 3)
            for part in self.qkv(self.norm(x)).chunk(3, dim=1)
        )  # each (batch, heads, frames, channels / heads)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(beat_position))
        return x + self.out(attended.transpose(2, 3).reshape(batch, channels, frames))


class CrossAttention(nn.Module):
    """Every frame asks the condition's tokens what to be."""

    def __init__(self, channels: int, token_width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
        self.q = nn.Conv1d(channels, channels, 1)
        self.kv = nn.Linear(token_width, 2 * channels)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """``x``: (batch, channels, frames); ``tokens``: (batch, tokens, token width)."""
        batch, channels, frames = x.shape
        split = (batch, self.heads, channels // self.heads)
        q = self.q(self.norm(x)).reshape(*split, frames).transpose(2, 3)
        k, v = self.kv(tokens).transpose(1, 2).chunk(2, dim=1)  # each (batch, channels, tokens)
        k, v = k.reshape(*split, -1).transpose(2, 3), v.reshape(*split, -1).transpose(2, 3)
        attended = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(attended.transpose(2, 3).reshape(batch, channels, frames))
