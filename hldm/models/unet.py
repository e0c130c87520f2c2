"""The denoiser: a 1-D U-Net over latent frames with Medical Attention and one output head a subspace (Eq. 4, 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn

from hldm.config import SUBSPACES, UNetConfig
from hldm.engine.blocks import AdaptiveBlock, CrossAttention
from hldm.engine.condition import Condition
from hldm.models.attention import MedicalAttention
from hldm.pretrained import Pretrained


class Level(nn.Module):
    """What happens at one resolution: residual block, Medical Attention, cross-attention."""

    def __init__(self, inputs: int, outputs: int, config: UNetConfig):
        super().__init__()
        self.block = AdaptiveBlock(inputs, outputs, config.condition_width)
        self.attention = MedicalAttention(outputs, config.heads, config.medical_attention)
        self.cross = CrossAttention(outputs, config.condition_width, config.heads)

    def forward(self, x: Tensor, embedding: Tensor, tokens: Tensor, beat_position: Tensor) -> Tensor:
        return self.cross(self.attention(self.block(x, embedding), beat_position), tokens)


class SubspaceWeights(nn.Module):
    """w_i(c) of Eq. 5: how much better each subspace is known with c than without.

    A small network learns, from the training errors themselves, the expected log squared error of every subspace with
    and without the condition. The weight is the ratio of the two root mean square errors, scaled to mean 1 over the
    four: where the condition tells much, guidance pushes harder.
    """

    LOG_SNRS = (-4.0, -2.0, 0.0, 2.0)  # noise levels that the weights are averaged over

    def __init__(self, condition_width: int = 128, hidden: int = 64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(condition_width + 1, hidden), nn.SiLU(), nn.Linear(hidden, 2 * len(SUBSPACES))
        )

    def log_errors(self, vector: Tensor, log_snr: Tensor) -> Tensor:
        """``(batch, 2, 4)``: expected log squared error, first with the condition, then without."""
        inputs = torch.cat([vector, log_snr[:, None] / 5], dim=1)
        return self.net(inputs).unflatten(-1, (2, len(SUBSPACES)))

    def loss(self, vector: Tensor, log_snr: Tensor, errors: Tensor, dropped: Tensor) -> Tensor:
        """Regression on observed squared errors ``(batch, 4)``; ``dropped`` (batch,): where c was left out."""
        expected = self.log_errors(vector, log_snr)
        expected = expected[torch.arange(len(vector), device=vector.device), dropped.long()]
        return F.mse_loss(expected, errors.clamp_min(1e-8).log())

    def forward(self, vector: Tensor) -> Tensor:
        """``(batch, condition width)`` to weights ``(batch, 4)``."""
        gains = []
        for level in self.LOG_SNRS:
            cond, uncond = self.log_errors(vector, vector.new_full((len(vector),), level)).unbind(1)
            gains.append((0.5 * (uncond - cond)).exp())
        weights = torch.stack(gains).mean(0)
        return weights / weights.mean(1, keepdim=True)


class StructuredUNet(Pretrained):
    """Predicts the noise (or velocity) of a latent, subspace by subspace.

    Beside the noisy latent it sees where each frame lies in the heartbeat: sine and cosine of the cardiac phase and
    of its double. Heart rate is obeyed because the beat grid is an input, not a wish.

    Eq. 5 sums full-width heads, which leaves their shares undetermined. Here head i owns the channels of subspace i;
    the weights w_i(c) act in guidance (see `hldm.engine.process`).
    """

    config_class, weights_name = UNetConfig, "unet"

    def __init__(self, config: UNetConfig = UNetConfig()):
        super().__init__()
        self.config = config
        widths, condition = config.widths, config.condition_width
        self.time = nn.Sequential(nn.Linear(128, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.stem = nn.Conv1d(config.latent_channels + 4, widths[0], 3, padding=1)
        steps = list(zip((widths[0], *widths), widths, strict=False))
        self.down = nn.ModuleList([Level(i, o, config) for i, o in steps])
        self.shrink = nn.ModuleList([nn.Conv1d(w, w, 4, stride=2, padding=1) for w in widths[:-1]])
        self.middle = Level(widths[-1], widths[-1], config)
        self.up = nn.ModuleList([Level(2 * o, i, config) for i, o in reversed(steps)])
        self.grow = nn.ModuleList(
            [nn.ConvTranspose1d(w, w, 4, stride=2, padding=1) for w in reversed(widths[:-1])]
        )  # fmt: skip
        self.subspace_weights = SubspaceWeights(condition)
        heads = len(SUBSPACES) if config.structured else 1
        hidden = widths[0] // 2 * len(SUBSPACES) // heads  # one head is as wide as four: what goes through is as much
        self.heads = nn.ModuleList(
            [
                nn.Sequential(
                    nn.GroupNorm(8, widths[0]), nn.SiLU(), nn.Conv1d(widths[0], hidden, 3, padding=1),
                    nn.SiLU(), nn.Conv1d(hidden, config.latent_channels // heads, 3, padding=1),
                )
                for _ in range(heads)
            ]
        )  # fmt: skip

    def grids(self, beat_position: Tensor) -> list[Tensor]:
        """Beat positions ``(batch, frames)`` at every resolution, the finest first."""
        grids = [beat_position]
        for _ in self.shrink:
            grids.append(grids[-1].unflatten(-1, (-1, 2)).mean(-1))
        return grids

    def cut_shares(self, beat_position: Tensor) -> dict[str, Tensor]:
        """Share of the entries of M_cardiac that are cut, for each head ``(heads,)`` of each layer, by its name."""
        grids = self.grids(beat_position)
        levels = {
            f"down {index}": (level, grid) for index, (level, grid) in enumerate(zip(self.down, grids, strict=True))
        }
        levels["middle"] = (self.middle, grids[-1])
        levels |= {f"up {i}": (level, grid) for i, (level, grid) in enumerate(zip(self.up, grids[::-1], strict=True))}
        return {name: level.attention.cut_share(grid) for name, (level, grid) in levels.items()}

    def forward(self, z: Tensor, step: Tensor, condition: Condition) -> Tensor:
        """Prediction of the shape of ``z``.

        Parameters
        ----------
        z : Tensor (batch, latent channels, frames)
            Frames are a multiple of 4.
        step : Tensor (batch,)
            Diffusion step t.
        condition : Condition
            c of Eq. 1; the position of its frames is in beats since some S1.
        """
        vector, tokens, beat_position = condition
        embedding = self.time(get_timestep_embedding(step, 128)) + vector
        angle = 2 * torch.pi * beat_position[:, None]
        x = self.stem(torch.cat([z, angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()], dim=1))
        skips, grids = [], self.grids(beat_position)
        for index, level in enumerate(self.down):
            x = level(x, embedding, tokens, grids[index])
            skips.append(x)
            if index < len(self.shrink):
                x = self.shrink[index](x)
        x = self.middle(x, embedding, tokens, grids[-1])
        for index, level in enumerate(self.up):
            x = level(torch.cat([x, skips.pop()], dim=1), embedding, tokens, grids.pop())
            if index < len(self.grow):
                x = self.grow[index](x)
        return torch.cat([head(x) for head in self.heads], dim=1)
