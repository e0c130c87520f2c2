"""Train the vocoder: crops of recordings become log-mels, some by way of the VAE, and must come back."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hldm.config import AudioConfig, Profile, shared_weights
from hldm.data.clips import normalise
from hldm.data.mel import LogMel
from hldm.data.records import Recording
from hldm.data.simulator import draw_patient, simulate
from hldm.models.vae import MultiScaleVAE
from hldm.models.vocoder import Vocoder, VocoderConfig
from hldm.training.corpus import open_corpus
from hldm.training.loop import fit
from hldm.weights import save_weights


@dataclass(frozen=True)
class VocoderTraining:
    """How a vocoder is trained."""

    batch_size: int = 8
    frames: int = 96  # of a crop: 1.5 s, from the middle of a clip that the VAE has seen as a whole
    simulated: int = 200  # recordings beside those of the corpus, of persons who are in none
    learning_rate: float = 2e-3
    gain_db: float = 6.0
    decoded_share: float = 0.5  # of the log-mels that come out of the VAE: smoother than real ones, and not quite right


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

    def forward(self, estimate: Tensor, reference: Tensor, whole: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Two waveforms ``(batch, samples)`` to convergence and log distance in nepers, each ``(batch,)``.

        Convergence is relative to the magnitude of `whole`; default: `reference`.
        """
        floor = 10 ** (self.audio.floor_db / 20)
        convergence, distance = [], []
        for size in self.windows:
            y, x = self.magnitude(estimate, size), self.magnitude(reference, size)
            size_of = x if whole is None else self.magnitude(whole, size)
            convergence.append((y - x).norm(dim=(1, 2)) / size_of.norm(dim=(1, 2)).clamp_min(1e-6))
            distance.append((y.clamp_min(floor).log() - x.clamp_min(floor).log()).abs().mean((1, 2)))
        return torch.stack(convergence).mean(0), torch.stack(distance).mean(0)


class VocoderLoss(nn.Module):
    """Energy distance between the sounds that the vocoder makes of a log-mel and the one that it is of.

    A log-mel that a VAE decoded does not tell the grain of the sound, so it was drawn. A distance to the original
    alone is least for a sound without grain, in the middle of all that could be. So the vocoder makes two sounds
    y, y' from different noise, and ``d(y, x) / 2 + d(y', x) / 2 - d(y, y') / 2`` is least where they differ from each
    other as they differ from the original x: a proper score (Gneiting and Raftery 2007), for waveforms Gritsenko et
    al. 2020. The distance d adds up spectra of several resolutions, log-mel, the envelope of S1 and S2, and the level
    above `fmax`.
    """

    #: Decibels count as much as nepers; what is guessed counts little.
    WEIGHTS = {"convergence": 1.0, "distance": 1.0, "envelope": 1.0, "mel_db": 0.1, "above": 0.2}  # noqa: RUF012

    def __init__(self, audio: AudioConfig = AudioConfig()):
        super().__init__()
        self.mel = LogMel(audio)
        self.inside = SpectralDistance(audio)
        # Above fmax only the level can be known, so one window is enough.
        self.above = SpectralDistance(audio, (audio.fmax, audio.sampling_rate / 2), windows=(audio.n_fft,))
        # 32 ms windows, 4 ms apart, follow S1 and S2.
        self.sounds = SpectralDistance(audio, (20.0, 110.0), windows=(audio.sampling_rate // 32,))

    def distances(self, estimate: Tensor, reference: Tensor, whole: Tensor) -> dict[str, Tensor]:
        """The parts of d, of two waveforms ``(batch, samples)``; `whole` as of `SpectralDistance`."""
        convergence, distance = self.inside(estimate, reference, whole)
        size = self.sounds.windows[0]
        envelopes = [
            self.sounds.magnitude(x, size).square().sum(1).clamp_min(1e-8).log() / 2 for x in (estimate, reference)
        ]
        return {
            "convergence": convergence.mean(),
            "distance": distance.mean(),
            "envelope": (envelopes[0] - envelopes[1]).abs().mean(),
            "mel_db": (self.mel(estimate) - self.mel(reference)).abs().mean(),
            "above": self.above(estimate, reference)[1].mean(),
        }

    def forward(self, first: Tensor, second: Tensor, reference: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss and its parts, of two sounds of one log-mel and the original, each ``(batch, samples)``."""
        near, also, apart = (
            self.distances(y, x, reference) for y, x in ((first, reference), (second, reference), (first, second))
        )
        parts = {name: (near[name] + also[name] - apart[name]) / 2 for name in near}
        loss = sum(self.WEIGHTS[name] * value for name, value in parts.items())
        figures = {name: float(value.detach()) for name, value in parts.items()}
        return loss, figures | {"apart_db": float(apart["mel_db"].detach())}


class Crops:
    """Random crops of the annotated part of recordings, at the level of the training clips.

    Raises
    ------
    ValueError
        Where no recording is long enough.
    """

    def __init__(self, recordings: Iterable[Recording], samples: int, audio: AudioConfig = AudioConfig()):
        self.samples, self.waveforms = samples, []
        for recording in recordings:
            annotated = recording.resample(audio.sampling_rate).annotated
            if len(annotated) >= samples:
                self.waveforms.append(torch.from_numpy(normalise(annotated)))
        if not self.waveforms:
            raise ValueError(f"no crop: no recording has {samples / audio.sampling_rate:g} s of annotated beats")

    def __len__(self) -> int:
        """Crops that lie end to end."""
        return sum(len(waveform) // self.samples for waveform in self.waveforms)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """``(count, samples)``, every recording as likely as any other."""
        chosen = torch.randint(len(self.waveforms), (count,), generator=generator).tolist()
        places = torch.rand(count, generator=generator).tolist()
        pairs = [(self.waveforms[index], place) for index, place in zip(chosen, places, strict=True)]
        starts = [int(place * (len(waveform) - self.samples + 1)) for waveform, place in pairs]
        return torch.stack([w[start : start + self.samples] for (w, _), start in zip(pairs, starts, strict=True)])


class Lesson(NamedTuple):
    """What the vocoder is given, twice over, and what it should have made of it."""

    log_mel: Tensor  # (2, batch, mels, frames), dB
    noise: Tensor  # (2, batch, samples)
    waveform: Tensor  # (batch, samples)


@torch.no_grad()
def draw_lesson(
    crops: Crops, mel: LogMel, vae: MultiScaleVAE, training: VocoderTraining, generator: torch.Generator
) -> Lesson:
    """Recordings, and their log-mels with two noises.

    Some log-mels come out of the VAE, from a draw of its posterior and with the grain of the noise that the vocoder
    starts from: just what `hldm.Synthesizer` gives it.
    """
    waveform = crops.draw(training.batch_size, generator)
    noise = torch.randn(2, *waveform.shape, generator=generator)
    log_mel = mel(waveform)
    several = round(training.decoded_share * training.batch_size)
    z = vae.encode(log_mel[:several]).sample(generator)
    given = torch.stack([torch.cat([vae.decode(z, mel.grain_of(n[:several])), log_mel[several:]]) for n in noise])
    first = (log_mel.shape[-1] - training.frames) // 2
    frames = slice(first, first + training.frames)
    samples = slice(*(mel.config.hop_length * end for end in (frames.start, frames.stop)))
    gain_db = training.gain_db * (2 * torch.rand(training.batch_size, 1, generator=generator) - 1)
    return Lesson(
        given[..., frames] + gain_db[..., None], noise[..., samples], waveform[:, samples] * 10 ** (gain_db / 20)
    )


def simulated_recordings(count: int, seed: int) -> Iterable[Recording]:
    """Recordings of persons who are in no corpus, ten seconds each."""
    return (
        simulate(draw_patient(number), seed=number).recording for number in range(seed + 10**6, seed + 10**6 + count)
    )


def vae_beside(folder: str | os.PathLike) -> MultiScaleVAE:
    """The VAE of a weights folder, or the shipped one where that has none."""
    return MultiScaleVAE.from_pretrained(shared_weights("vae.safetensors", folder).parent)


def train_vocoder(
    profile: Profile,
    folder: str | os.PathLike,
    *,
    config: VocoderConfig = VocoderConfig(),  # noqa: B008 (frozen)
    training: VocoderTraining = VocoderTraining(),
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> tuple[Vocoder, list[dict[str, float]]]:
    """Train on the corpus in use and on simulated recordings, then write ``vocoder.safetensors`` into `folder`.

    An epoch of the profile, its first figure, is as many clips as the recordings hold. The VAE is that of `folder`, or
    the shipped one.

    Returns
    -------
    model : Vocoder
        In evaluation mode.
    log : list of dict
        Training figures.
    """
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator
        torch.manual_seed(seed)
        vocoder = Vocoder(config).to(device)
    mel, loss = LogMel(vocoder.audio), VocoderLoss(vocoder.audio).to(device)
    vae = vae_beside(folder)
    real = open_corpus("train", profile.max_patients)
    recordings = chain(real, simulated_recordings(training.simulated, seed))
    crops = Crops(recordings, vocoder.audio.clip_samples, vocoder.audio)

    def step_loss(step: int, generator: torch.Generator):
        log_mel, noise, waveform = (x.to(device) for x in draw_lesson(crops, mel, vae, training, generator))
        made = vocoder(log_mel.flatten(0, 1), noise.flatten(0, 1))
        return loss(*made.chunk(2), waveform)

    steps = profile.epochs[0] * -(-len(crops) // training.batch_size)
    steps = steps if profile.max_steps is None else min(steps, profile.max_steps)
    log = fit(
        vocoder, step_loss, steps, folder=Path(folder) / "vocoder", learning_rate=training.learning_rate, seed=seed
    )
    vocoder.eval().cpu()
    save_weights(Path(folder) / "vocoder.safetensors", vocoder.state_dict(), config)
    return vocoder, log
