"""The vocoder: a log-mel gets a phase and becomes a sound.

Griffin-Lim finds most of the phase in its first rounds and then creeps. So it makes a short start here, a small
network that has seen many recordings corrects magnitude and phase (after Masuyama et al. 2019, "Deep Griffin-Lim
iteration"), and an inverse Fourier transform, which has nothing to learn, makes the samples (as in Vocos, Siuzdak
2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hldm.config import AudioConfig
from hldm.data.spectrogram import LogMel
from hldm.pretrained import Pretrained


@dataclass(frozen=True)
class VocoderConfig:
    """Shape of a `Vocoder`."""

    audio: AudioConfig = AudioConfig()  # the front end whose log-mels it takes
    width: int = 16  # channels over the time-frequency plane
    dilations: tuple[int, ...] = (1, 2, 1, 4, 1, 2, 1, 4)  # along time, of the residual convolutions
    settling: int = 32  # rounds of Griffin-Lim before the network
    polishing: int = 3  # and after it
    mean_db: float = -55.0  # levels enter the network as (x - mean_db) / scale_db
    scale_db: float = 12.0


class Corrector(nn.Module):
    """Convolutions over the time-frequency plane: what a spectrum is and ought to be in, corrections out.

    Phase is a matter of neighbours: what is wrong at a bin shows within the window's length and main lobe. So every
    convolution is small, and the same at every bin, but for a mark that says how far the phase of the bin's centre
    turns from one frame to the next: a quarter of a turn more for each bin, so four marks.
    """

    MARKS = 4

    def __init__(self, config: VocoderConfig):
        super().__init__()
        width = config.width
        self.stem = nn.Conv2d(4 + self.MARKS, width, (3, 5), padding=(1, 2))
        self.body = nn.ModuleList(
            [nn.Conv2d(width, width, 3, padding=(1, d), dilation=(1, d)) for d in config.dilations]
        )
        self.head = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.head.weight)  # it starts as plain Griffin-Lim
        nn.init.zeros_(self.head.bias)

    def forward(self, level: Tensor, relative: Tensor) -> tuple[Tensor, Tensor]:
        """Two corrections.

        Parameters
        ----------
        level : Tensor (batch, bins, frames)
            Wanted magnitude on a logarithmic scale.
        relative : Tensor (batch, bins, frames), complex
            The spectrum found, over the wanted magnitude.

        Returns
        -------
        Tensor (batch, bins, frames)
            To be added to `level`.
        Tensor (batch, bins, frames), complex
            To be added to the phase as a point on the unit circle.
        """
        bins, frames = level.shape[1:]
        index = torch.arange(bins, device=level.device)
        # A window's centre as the origin of time: the sign of every other bin turns.
        sign = 1.0 - 2.0 * (index % 2)[:, None]
        length = relative.abs()
        seen = relative * sign / length.clamp_min(2) * 2  # no longer than 2
        marks = F.one_hot(index % self.MARKS, self.MARKS).T[None, :, :, None].to(level)
        features = torch.stack([level, seen.real, seen.imag, length.clamp(0.05, 4).log()], dim=1)
        x = self.stem(torch.cat([features, marks.expand(len(level), -1, -1, frames)], dim=1))
        for layer in self.body:
            x = x + layer(F.gelu(x))
        change, real, imag = self.head(F.gelu(x)).unbind(1)
        return change, torch.complex(real, imag) * sign


class Vocoder(Pretrained):
    """Log-mel in, waveform out, at any length, at the level of the log-mel.

    White noise lends the first phase, and a seed decides everything. Above ``fmax``, where the mel says nothing, all is
    noise, and a linear layer guesses its level from what the mel says below.

    Parameters
    ----------
    config : VocoderConfig
    """

    config_class, weights_name, shared = VocoderConfig, "vocoder", True

    def __init__(self, config: VocoderConfig = VocoderConfig()):
        super().__init__()
        audio = config.audio
        self.config, self.audio, self.mel = config, audio, LogMel(audio)
        bins = audio.n_fft // 2 + 1
        self.heard = int(self.mel.filters.any(0).nonzero().max()) + 1  # bins up to fmax
        self.corrector = Corrector(config)
        self.above = nn.Linear(audio.n_mels, bins - self.heard)
        nn.init.zeros_(self.above.weight)
        nn.init.zeros_(self.above.bias)
        self.register_buffer("between", _between_filters(audio), persistent=False)  # (bins, mels)

    def forward(self, log_mel: Tensor, noise: Tensor) -> Tensor:
        """A waveform with this log-mel.

        Parameters
        ----------
        log_mel : Tensor (batch, mels, frames), dB
        noise : Tensor (batch or 1, frames * hop_length)
            White, of variance 1.

        Returns
        -------
        Tensor (batch, frames * hop_length)
        """
        log_mel = torch.cat([log_mel, log_mel[..., -1:]], dim=-1)  # a centred transform has one more
        magnitude = self._magnitude(log_mel)  # (batch, bins, frames + 1)
        white = self.mel.transform(noise.expand(len(log_mel), -1)) / self.mel.window.norm()  # of mean square 1
        with torch.no_grad():
            found = self.mel.settle(magnitude, white, self.config.settling)[:, : self.heard]
        low = magnitude[:, : self.heard]
        level = (20 * (low * self.mel.scale).log10() - self.config.mean_db) / self.config.scale_db
        change, turn = self.corrector(level, found / low)
        low = low * self._gain(change) * torch.sgn(torch.sgn(found) + turn)
        spectrum = torch.cat([low, magnitude[:, self.heard :] * white[:, self.heard :]], dim=1)
        waveform, magnitude = self.mel.to_waveform(spectrum), spectrum.abs()
        for _ in range(self.config.polishing):
            waveform = self.mel.to_waveform(magnitude * torch.sgn(self.mel.transform(waveform)))
        return waveform

    @torch.inference_mode()
    def vocode(self, log_mel: Tensor, seed: int = 0) -> Tensor:
        """``(..., mels, frames)`` in dB to ``(..., frames * hop_length)``; the same seed gives the same sound.

        One by one, so that a sound does not depend on its neighbours in the batch, not even in its rounding.
        """
        shape = log_mel.shape
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(1, shape[-1] * self.audio.hop_length, generator=generator).to(log_mel)
        sounds = [self(one[None], noise) for one in log_mel.reshape(-1, *shape[-2:])]
        return torch.cat(sounds).reshape(*shape[:-2], -1)

    def _magnitude(self, log_mel: Tensor) -> Tensor:
        """Where a filter reaches, the inversion of the mel; beside them the nearest mel, above them what was learnt."""
        with torch.no_grad():
            reached = self.mel.filters.any(0)[:, None]
            beside = 10 ** (self.between @ log_mel / 20)
            magnitude = (
                torch.where(reached, self.mel.to_magnitude(log_mel, 20), beside).clamp_min(1e-5) / self.mel.scale
            )
        level = (log_mel - self.config.mean_db) / self.config.scale_db
        gain = self._gain(self.above(level.transpose(1, 2)).transpose(1, 2))
        return torch.cat([magnitude[:, : self.heard], magnitude[:, self.heard :] * gain], dim=1)

    def _gain(self, change: Tensor) -> Tensor:
        """The factor of a magnitude, from the change of its level."""
        return 10 ** (self.config.scale_db * change.clamp(-4, 4) / 20)


def _between_filters(audio: AudioConfig) -> Tensor:
    """The matrix ``(bins, mels)`` that reads a log-mel at the bins' frequencies: linear between filter centres."""
    import librosa

    centres = librosa.mel_frequencies(audio.n_mels + 2, fmin=audio.fmin, fmax=audio.fmax)[1:-1]
    frequencies = np.arange(audio.n_fft // 2 + 1) * audio.sampling_rate / audio.n_fft
    rows = [np.interp(frequencies, centres, one) for one in np.eye(audio.n_mels)]
    return torch.tensor(np.stack(rows, axis=1), dtype=torch.float32)
