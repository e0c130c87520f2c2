"""What autoencoders and denoisers of every system are built of: layers over ``(batch, channels, frames)``."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3-tap convolutions along time around a skip."""

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, channels), nn.SiLU(),
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation),
            nn.GroupNorm(8, channels), nn.SiLU(),
            nn.Conv1d(channels, channels, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class AdaptiveBlock(nn.Module):
    """A residual block whose second normalisation is scaled and shifted by the time and the condition."""

    def __init__(self, inputs: int, outputs: int, condition_width: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inputs), nn.Conv1d(inputs, outputs, 3, padding=1)
        self.affine = nn.Linear(condition_width, 2 * outputs)
        self.norm2, self.conv2 = nn.GroupNorm(8, outputs), nn.Conv1d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.affine(embedding)[..., None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(x) + h


class SelfAttention(nn.Module):
    """Every frame asks the others what to be."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``mask``, (batch, heads, frames, frames), queries by keys, is added to the logits."""
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=1)
        return x + self.out(_attend(q, k, v, self.heads, mask))


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
        """``tokens``: (batch, tokens, token width)."""
        k, v = self.kv(tokens).transpose(1, 2).chunk(2, dim=1)
        return x + self.out(_attend(self.q(self.norm(x)), k, v, self.heads))


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(d) + mask) V by heads; all ``(batch, channels, frames or tokens)``, the result like `q`."""
    q, k, v = (part.unflatten(1, (heads, -1)).transpose(2, 3) for part in (q, k, v))
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return attended.transpose(2, 3).flatten(1, 2)
