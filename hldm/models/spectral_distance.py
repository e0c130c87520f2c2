"""How far two waveforms are apart in their spectra, at several resolutions: a loss and a measure."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hldm.config import AudioConfig


class SpectralDistance(nn.Module):
    """Multi-resolution STFT distance: spectral convergence and L1 of log-magnitudes (Yamamoto et al. 2020).

    Parameters
    ----------
    audio : AudioConfig
    band : (float, float), optional
        Hz; default: that of the mel.
    windows : tuple of int
        Samples, each moved by a quarter. The default is 16 to 256 ms: clicks count in the short ones, pitch in the
        long ones.
    """

    def __init__(
        self,
        audio: AudioConfig = AudioConfig(),
        band: tuple[float, float] | None = None,
        windows: tuple[int, ...] = (64, 128, 256, 512, 1024),
    ):
        super().__init__()
        self.audio, self.band, self.windows = audio, band or (audio.fmin, audio.fmax), windows

    def magnitude(self, waveform: Tensor, size: int) -> Tensor:
        """``(batch, samples)`` to ``(batch, bins in the band, frames)``; a full-scale sine reads 1."""
        window = torch.hann_window(size, device=waveform.device)
        low, high = (round(f * size / self.audio.sampling_rate) for f in self.band)
        spectrum = torch.stft(waveform, size, size // 4, window=window, return_complex=True)[:, max(1, low) : high]
        return (spectrum.real.square() + spectrum.imag.square() + 1e-12).sqrt() * (2 / window.sum())

    def forward(self, estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Two waveforms ``(batch, samples)`` to convergence and log distance in nepers, each ``(batch,)``."""
        floor = 10 ** (self.audio.floor_db / 20)
        convergence, distance = [], []
        for size in self.windows:
            y, x = self.magnitude(estimate, size), self.magnitude(reference, size)
            convergence.append((y - x).norm(dim=(1, 2)) / x.norm(dim=(1, 2)).clamp_min(1e-6))
            distance.append((y.clamp_min(floor).log() - x.clamp_min(floor).log()).abs().mean((1, 2)))
        return torch.stack(convergence).mean(0), torch.stack(distance).mean(0)
