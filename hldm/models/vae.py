"""The multi-scale VAE: a log-mel becomes four named latent subspaces, and back (Eq. 2, 3)."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hldm.config import SUBSPACES, VAEConfig
from hldm.engine.blocks import ResidualBlock
from hldm.models.latent_probes import LatentProbes
from hldm.models.subspaces import split_subspaces
from hldm.pretrained import Pretrained


class SubspaceHead(nn.Module):
    """Mean and log-variance of one subspace, from the scale where its physiology lives.

    A feature map at another rate is brought to the latent rate by strided convolution or interpolation.
    """

    def __init__(self, width: int, channels: int, reduction: int):
        super().__init__()
        steps = [nn.Conv1d(width, width, 4, stride=2, padding=1) for _ in range(reduction)]
        self.reduce = nn.Sequential(*(layer for conv in steps for layer in (conv, nn.SiLU())))
        self.project = nn.Sequential(ResidualBlock(width), nn.Conv1d(width, 2 * channels, 1))

    def forward(self, features: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        features = self.reduce(features)
        if features.shape[-1] != frames:
            features = F.interpolate(features, size=frames, mode="linear", align_corners=False)
        mean, log_variance = self.project(features).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 4)


class Posterior(NamedTuple):
    mean: Tensor  # (batch, latent channels, latent frames)
    log_variance: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(self.mean.shape, generator=generator).to(self.mean)
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Tensor:
        """KL to the standard normal, nats a latent value; scalar."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).mean()


def power_sum(*log_mels: Tensor) -> Tensor:
    """Level in dB of several sounds heard together."""
    return 10 / math.log(10) * torch.logsumexp(torch.stack(log_mels) * (math.log(10) / 10), dim=0)


def _decoder(latent: int, width: int, n_mels: int) -> nn.Sequential:
    """From the latent's frame rate to four times as many frames."""
    return nn.Sequential(
        nn.Conv1d(latent, width, 3, padding=1), ResidualBlock(width), ResidualBlock(width, 2),
        nn.ConvTranspose1d(width, width, 4, stride=2, padding=1), ResidualBlock(width), ResidualBlock(width, 2),
        nn.ConvTranspose1d(width, width, 4, stride=2, padding=1), ResidualBlock(width), ResidualBlock(width, 2),
        nn.GroupNorm(8, width), nn.SiLU(), nn.Conv1d(width, n_mels, 3, padding=1),
    )  # fmt: skip


class MultiScaleVAE(Pretrained):
    """Encoder with one head a subspace, each at its own scale, and decoders that mirror it.

    ====== ======================= ==========================================
    group  fed from frames a second why there
    ====== ======================= ==========================================
    rhythm 62.5 / 8                 beats are slow
    sounds 62.5                     S1 and S2 are transients
    murmur 62.5 / 2                 a murmur is a band with an envelope
    noise  62.5 / 4                 the rest, at the latent's own rate
    ====== ======================= ==========================================

    The latent keeps a time axis: ``(batch, mels, frames)`` becomes ``(batch, 4 * group_channels, frames / 4)``.

    Sounds add up in the air, so with ``config.superposition`` there are three decoders whose powers are summed: S1
    and S2 come from rhythm and sounds, the murmur from rhythm and murmur, the noise from noise. An edit of the murmur
    then cannot touch S1.
    """

    config_class, weights_name = VAEConfig, "vae"

    # Which encoder scale (as a power of two of the mel rate) feeds each subspace.
    SCALES = {"rhythm": 3, "sounds": 0, "murmur": 1, "noise": 2}  # noqa: RUF012 (constant)
    # Which subspaces each component of the sound is decoded from.
    COMPONENTS = {"sounds": ("rhythm", "sounds"), "murmur": ("rhythm", "murmur"), "noise": ("noise",)}  # noqa: RUF012

    NOISE_TEXTURE = 1.35  # of .9 to 1.5, what brought resynthesised val recordings nearest to the original ones

    def __init__(self, config: VAEConfig = VAEConfig()):
        super().__init__()
        self.config = config
        width, latent = config.width, config.latent_channels
        self.stem = nn.Conv1d(config.n_mels, width, 3, padding=1)
        self.scales = nn.ModuleList([nn.Sequential(ResidualBlock(width), ResidualBlock(width, 2)) for _ in range(4)])
        self.down = nn.ModuleList([nn.Conv1d(width, width, 4, stride=2, padding=1) for _ in range(3)])
        self.heads = nn.ModuleDict(
            {name: SubspaceHead(width, config.group_channels, max(0, 2 - scale)) for name, scale in self.SCALES.items()}
        )
        n = config.group_channels
        if config.superposition:
            self.decoders = nn.ModuleDict(
                {name: _decoder(n * len(parts), config.component_width, config.n_mels)
                 for name, parts in self.COMPONENTS.items()}
            )  # fmt: skip
        else:
            self.decoder = _decoder(latent, width, config.n_mels)
        self.probes = LatentProbes(config)
        # Statistics of the training latents, so that diffusion sees zero mean and unit variance in every channel.
        self.register_buffer("latent_mean", torch.zeros(latent, 1))
        self.register_buffer("latent_std", torch.ones(latent, 1))

    def encode(self, log_mel: Tensor) -> Posterior:
        """``(batch, mels, frames)`` in dB to a posterior; ``frames`` is a multiple of 8."""
        if log_mel.ndim != 3 or log_mel.shape[1] != self.config.n_mels or log_mel.shape[2] % 8:
            raise ValueError(
                f"log_mel: found shape {tuple(log_mel.shape)}, expected (batch, {self.config.n_mels}, a multiple of 8)"
            )
        x = self.stem((log_mel - self.config.mean_db) / self.config.scale_db)
        pyramid = []
        for level, block in enumerate(self.scales):
            x = block(x)
            pyramid.append(x)
            if level < len(self.down):
                x = self.down[level](x)
        frames = log_mel.shape[-1] // self.config.downsampling
        parts = [self.heads[name](pyramid[self.SCALES[name]], frames) for name in SUBSPACES]
        return Posterior(torch.cat([m for m, _ in parts], 1), torch.cat([v for _, v in parts], 1))

    def decode(self, z: Tensor, noise_texture: Tensor | None = None) -> Tensor:
        """``(batch, latent channels, latent frames)`` to a log-mel in dB, four times as many frames.

        Parameters
        ----------
        z : Tensor
        noise_texture : Tensor (..., mels, frames), optional
            dB, as of `hldm.data.LogMel.noise_texture`. A decoder trained by L1 gives the median level of a noise, and
            no one hears noise without its texture: it is added to what is noise, murmur and background, `NOISE_TEXTURE`
            times. One decoder for all cannot tell what is noise, and leaves it out.
        """
        if not self.config.superposition:
            return self.decoder(z) * self.config.scale_db + self.config.mean_db
        parts = self.components(z)
        if noise_texture is not None:
            parts |= {name: parts[name] + self.NOISE_TEXTURE * noise_texture for name in ("murmur", "noise")}
        return power_sum(*parts.values())

    def components(self, z: Tensor, wanted: Collection[str] = ("sounds", "murmur", "noise")) -> dict[str, Tensor]:
        """Log-mels in dB of ``"sounds"``, ``"murmur"`` and ``"noise"`` alone, or those wanted; each as of `decode`.

        Raises
        ------
        ValueError
            Where one decoder makes the whole sound (``config.superposition`` is off).
        """
        if not self.config.superposition:
            raise ValueError("superposition is off: one decoder makes the whole sound, expected a decoder a component")
        part, (mean, scale) = split_subspaces(z), (self.config.mean_db, self.config.scale_db)
        return {
            name: decoder(torch.cat([part[p] for p in self.COMPONENTS[name]], 1)) * scale + mean
            for name, decoder in self.decoders.items()
            if name in wanted
        }

    def standardise(self, z: Tensor) -> Tensor:
        """Latent to zero mean and unit variance a channel, as diffusion wants it."""
        return (z - self.latent_mean) / self.latent_std

    def unstandardise(self, z: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        return z * self.latent_std + self.latent_mean


def correlation_penalty(z: Tensor) -> Tensor:
    """Mean squared correlation between channels of different subspaces; the other half of L_disentangle (Eq. 3).

    Correlations are taken over batch and time; scalar in [0, 1].
    """
    rows = z.transpose(0, 1).flatten(1)  # (channels, batch * frames)
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-6)
    group = torch.arange(len(rows), device=z.device) // (len(rows) // len(SUBSPACES))
    across = group[:, None] != group[None, :]
    return (rows @ rows.T)[across].square().mean()
