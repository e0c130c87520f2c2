"""Waveform <-> log-mel: the one front end of every model and every metric."""

from __future__ import annotations

import librosa
import torch
from torch import Tensor, nn

from hldm.config import AudioConfig


class LogMel(nn.Module):
    """Log-mel spectrogram in decibels, differentiable, and its inversion to a linear magnitude.

    The filters lie 12 Hz apart over 20 to 800 Hz: closer than the 15.6 Hz bins of the transform, so they
    lose next to nothing, and the inversion is well posed.

    Parameters
    ----------
    config : AudioConfig
    """

    def __init__(self, config: AudioConfig = AudioConfig()):
        super().__init__()
        self.config = config
        filters = librosa.filters.mel(
            sr=config.sampling_rate, n_fft=config.n_fft, n_mels=config.n_mels,
            fmin=config.fmin, fmax=config.fmax, norm=None,
        )  # fmt: skip
        window = torch.hann_window(config.n_fft)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)  # (mels, bins)
        self.register_buffer("window", window, persistent=False)
        self.scale = 2 / float(window.sum())  # a full-scale sine reads 0 dB

    def magnitude(self, waveform: Tensor) -> Tensor:
        """Linear magnitude, ``(..., samples) -> (..., bins, frames)``, ``frames = samples // hop_length``."""
        shape = waveform.shape
        spectrum = torch.stft(
            waveform.reshape(-1, shape[-1]), self.config.n_fft, self.config.hop_length,
            window=self.window, center=True, pad_mode="constant", return_complex=True,
        )  # fmt: skip
        magnitude = spectrum.abs()[..., : shape[-1] // self.config.hop_length] * self.scale
        return magnitude.reshape(*shape[:-1], *magnitude.shape[-2:])

    def forward(self, waveform: Tensor) -> Tensor:
        """Log-mel in dB re full scale, ``(..., samples) -> (..., mels, frames)``, clipped at ``floor_db``."""
        power = torch.matmul(self.filters, self.magnitude(waveform).square())
        return 10 * torch.log10(power.clamp_min(10 ** (self.config.floor_db / 10)))

    def to_magnitude(self, log_mel: Tensor, iterations: int = 40) -> Tensor:
        """The linear magnitude whose log-mel is closest, ``(..., mels, frames) -> (..., bins, frames)``.

        Multiplicative updates of Lee and Seung (2001) for the Euclidean distance on power spectra.
        """
        target = 10 ** (log_mel / 10)
        heard = self.filters.any(0)  # the bins that a filter covers; the others stay at 0
        back = self.filters[:, heard].T
        gram = back @ back.T
        power = back @ target
        for _ in range(iterations):
            power = power * (back @ target) / (gram @ power + 1e-12)
        magnitude = power.new_zeros(*power.shape[:-2], len(heard), power.shape[-1])
        magnitude[..., heard, :] = power.clamp_min(0).sqrt()
        return magnitude

    def transform(self, waveform: Tensor) -> Tensor:
        """Short-time spectrum, ``(batch, samples) -> (batch, bins, samples // hop_length + 1)``, complex."""
        return torch.stft(
            waveform, self.config.n_fft, self.config.hop_length,
            window=self.window, center=True, pad_mode="constant", return_complex=True,
        )  # fmt: skip

    def to_waveform(self, spectrum: Tensor) -> Tensor:
        """The inverse of `transform`, ``(batch, bins, frames + 1) -> (batch, frames * hop_length)``."""
        samples = (spectrum.shape[-1] - 1) * self.config.hop_length
        return torch.istft(
            spectrum, self.config.n_fft, self.config.hop_length, window=self.window, center=True, length=samples
        )

    def settle(self, magnitude: Tensor, spectrum: Tensor, rounds: int) -> Tensor:
        """A spectrum whose phase fits `magnitude`, from the phase of `spectrum`; both ``(batch, bins, frames + 1)``.

        Fast Griffin-Lim (Perraudin et al. 2013), with librosa's momentum of 0.99.
        """
        before = torch.zeros_like(spectrum)
        for _ in range(rounds):
            found = self.transform(self.to_waveform(magnitude * torch.sgn(spectrum)))
            spectrum, before = found - 0.99 / 1.99 * before, found
        return spectrum

    @torch.no_grad()
    def noise_texture(self, frames: int, seed: int = 0) -> Tensor:
        """How the log-mel of white noise wanders about its level, ``(mels, frames)``, dB; medians are 0.

        Every noise has it, and no level tells it. The noise is the one from whose phase `griffin_lim` starts.
        """
        log_mel = self(self._white(frames, seed))
        return log_mel - log_mel.median(-1, keepdim=True).values

    def _white(self, frames: int, seed: int) -> Tensor:
        return torch.randn(frames * self.config.hop_length, generator=torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def griffin_lim(self, log_mel: Tensor, iterations: int = 16, seed: int = 0) -> Tensor:
        """A waveform with about this log-mel, ``(..., mels, frames) -> (..., frames * hop_length)``, float32.

        It starts from the phase of white noise, the same for all sounds of a batch, so that none depends on its
        neighbours. The phase is a guess: compare spectra, not samples. Nothing is left above ``fmax``.
        """
        log_mel = log_mel.detach().float().cpu()
        shape = log_mel.shape
        magnitude = self.to_magnitude(log_mel.reshape(-1, *shape[-2:])) / self.scale
        # One more frame, since a centred transform of `frames * hop` samples has it.
        magnitude = torch.cat([magnitude, magnitude[..., -1:]], dim=-1)
        first = self.transform(self._white(shape[-1], seed)[None]).expand(magnitude.shape)
        spectrum = self.settle(magnitude, first, iterations)
        return self.to_waveform(magnitude * torch.sgn(spectrum)).reshape(*shape[:-2], -1)
