"""Medical Attention: self-attention that knows where in the heartbeat every frame lies (Eq. 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hldm.engine.blocks import SelfAttention

#: How heads begin, in turn: b, lambda (1 / beat), phi (beats).
PHYSIOLOGY = (
    (3.0, 0.0, 0.0),  # the same phase of every beat
    (0.0, 8.0, 0.0),  # the neighbourhood, half a beat to each side
    (3.0, 0.0, 0.36),  # one systole earlier, from S2 to its S1: systole is about .36 of the cycle
    (0.0, 0.0, 0.0),  # plain self-attention
)

#: Nats: an entry so far below the best of its row would get less than 2 % of that one's weight at equal content.
CUTOFF = 4.0


class MedicalAttention(SelfAttention):
    r"""Eq. 4: softmax(Q K^T / sqrt(d) + M_cardiac) V over the frames of a latent.

    The paper gives no formula for the mask. Ours is, for head h and frames i, j at beat positions tau (in beats),

    .. math:: M_h(i, j) = b_h \cos(2 \pi (\tau_i - \tau_j - \phi_h)) - \lambda_h |\tau_i - \tau_j|

    with b_h, lambda_h and phi_h learnt from the start that `PHYSIOLOGY` gives. Entries more than `CUTOFF` nats below
    the best of their row are minus infinity, so the mask is sparse: those frames get no weight at all. A larger b or
    lambda narrows what is left, a smaller one widens it. A frame always sees itself, so no row is empty.
    With ``medical=False`` the mask is left out.
    """

    def __init__(self, channels: int, heads: int = 4, medical: bool = True):
        super().__init__(channels, heads)
        b, locality, phase = torch.tensor([PHYSIOLOGY[head % len(PHYSIOLOGY)] for head in range(heads)]).unbind(1)
        self.periodicity = nn.Parameter(b.clone()) if medical else None
        self.locality = nn.Parameter(locality.clone()) if medical else None
        self.phase = nn.Parameter(phase.clone()) if medical else None

    def mask(self, beat_position: Tensor) -> Tensor | None:
        """M_cardiac, ``(batch, frames)`` in beats to ``(batch, heads, frames, frames)``: queries by keys."""
        if self.periodicity is None:
            return None
        tau = beat_position[:, None]  # (batch, 1, frames)
        query, key = 2 * torch.pi * (tau - self.phase[:, None]), 2 * torch.pi * tau
        # The cosine of a difference is a product of two columns, which costs 2 (not frames) cosines a frame.
        query = self.periodicity[:, None, None] * torch.stack([query.cos(), query.sin()], dim=-1)
        periodic = query @ torch.stack([key.cos(), key.sin()], dim=-2)
        mask = periodic.addcmul(self.locality[:, None, None], (tau[..., :, None] - tau[..., None, :]).abs(), value=-1)
        cut = mask.detach() < mask.detach().amax(-1, keepdim=True) - CUTOFF
        cut.diagonal(dim1=-2, dim2=-1).fill_(False)
        return mask.masked_fill(cut, -torch.inf)

    @torch.no_grad()
    def cut_share(self, beat_position: Tensor) -> Tensor:
        """Share of the mask's entries that are minus infinity, for each head ``(heads,)``."""
        mask = self.mask(beat_position)
        return beat_position.new_zeros(self.heads) if mask is None else mask.isinf().float().mean((0, 2, 3))

    def forward(self, x: Tensor, beat_position: Tensor) -> Tensor:
        """``x``: (batch, channels, frames); ``beat_position``: (batch, frames)."""
        return super().forward(x, self.mask(beat_position))
