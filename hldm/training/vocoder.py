"""Train the vocoder: crops of recordings become log-mels, some of them roughened, and must come back."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hldm.config import AudioConfig, Profile
from hldm.data.clips import normalise
from hldm.data.errors import DataError
from hldm.data.records import Recording
from hldm.data.simulator import draw_patient, simulate
from hldm.data.spectrogram import LogMel
from hldm.engine.fit import fit
from hldm.models.spectral_distance import SpectralDistance
from hldm.models.vocoder import Vocoder, VocoderConfig
from hldm.training.corpus import open_corpus


@dataclass(frozen=True)
class VocoderTraining:
    """How a vocoder is trained."""

    batch_size: int = 8
    frames: int = 96  # of a crop: 1.5 s
    margin: int = 4  # frames on either side that give the mel its context and are not heard
    settling: int = 16  # half the rounds of Griffin-Lim that the vocoder is used with: what it learns holds after more
    simulated: int = 200  # recordings beside those of the corpus, of persons who are in none
    learning_rate: float = 2e-3
    gain_db: float = 6.0
    # A VAE decodes log-mels that are smoother than real ones and not quite right: so are those of half of the crops.
    rough_share: float = 0.5
    rough_db: float = 2.0


class VocoderLoss(nn.Module):
    """What a sound and its original may differ in: spectra, log-mel, the envelope of S1 and S2, the level above it."""

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

    def forward(self, estimate: Tensor, reference: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss and its parts, of two waveforms ``(batch, samples)``."""
        convergence, distance = self.inside(estimate, reference)
        size = self.sounds.windows[0]
        envelopes = [
            self.sounds.magnitude(x, size).square().sum(1).clamp_min(1e-8).log() / 2 for x in (estimate, reference)
        ]
        parts = {
            "convergence": convergence.mean(),
            "distance": distance.mean(),
            "envelope": (envelopes[0] - envelopes[1]).abs().mean(),
            "mel_db": (self.mel(estimate) - self.mel(reference)).abs().mean(),
            "above": self.above(estimate, reference)[1].mean(),
        }
        loss = sum(self.WEIGHTS[name] * value for name, value in parts.items())
        return loss, {name: float(value.detach()) for name, value in parts.items()}


class Crops:
    """Random crops of the annotated part of recordings, at the level of the training clips.

    Raises
    ------
    DataError
        Where no recording is long enough.
    """

    def __init__(self, recordings: Iterable[Recording], samples: int, audio: AudioConfig = AudioConfig()):
        self.samples, self.waveforms = samples, []
        for recording in recordings:
            annotated = recording.resample(audio.sampling_rate).annotated
            if len(annotated) >= samples:
                self.waveforms.append(torch.from_numpy(normalise(annotated)))
        if not self.waveforms:
            seconds = samples / audio.sampling_rate
            raise DataError(f"a recording that has {seconds:g} s of annotated beats", field="corpus", value="no crop")

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


def roughen(log_mel: Tensor, most_db: float, generator: torch.Generator) -> Tensor:
    """Log-mels ``(batch, mels, frames)`` as a decoder might give them: smoothed, and up to `most_db` wrong."""
    smooth, wrong = torch.rand(2, len(log_mel), 1, 1, generator=generator)
    blurred = F.avg_pool2d(log_mel, 3, stride=1, padding=1, count_include_pad=False)
    noise = torch.randn(log_mel.shape, generator=generator)
    return log_mel + smooth * (blurred - log_mel) + most_db * wrong * noise


def draw_pairs(
    crops: Crops, mel: LogMel, training: VocoderTraining, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Log-mels ``(batch, mels, frames)``, some of them roughened, and the waveforms that they are of."""
    gain = training.gain_db * (2 * torch.rand(training.batch_size, 1, generator=generator) - 1)
    waveform = crops.draw(training.batch_size, generator) * 10 ** (gain / 20)
    edge = training.margin * mel.config.hop_length
    log_mel = mel(waveform)[..., training.margin : -training.margin]
    rough = round(training.rough_share * training.batch_size)
    log_mel = torch.cat([roughen(log_mel[:rough], training.rough_db, generator), log_mel[rough:]])
    return log_mel, waveform[:, edge:-edge]


def simulated_recordings(count: int, seed: int) -> Iterable[Recording]:
    """Recordings of persons who are in no corpus, ten seconds each."""
    return (
        simulate(draw_patient(number), seed=number).recording for number in range(seed + 10**6, seed + 10**6 + count)
    )


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

    An epoch of the profile, its first figure, is as many crops as the recordings hold.

    Returns
    -------
    model : Vocoder
        In evaluation mode.
    log : list of dict
        Training figures.
    """
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator
        torch.manual_seed(seed)
        vocoder = Vocoder(replace(config, settling=training.settling)).to(device)
    mel, loss = LogMel(vocoder.audio), VocoderLoss(vocoder.audio).to(device)
    samples = (training.frames + 2 * training.margin) * vocoder.audio.hop_length
    real = open_corpus("train", profile.max_patients)
    crops = Crops(chain(real, simulated_recordings(training.simulated, seed)), samples, vocoder.audio)

    def step_loss(step: int, generator: torch.Generator):
        log_mel, waveform = (x.to(device) for x in draw_pairs(crops, mel, training, generator))
        noise = torch.randn(waveform.shape, generator=generator).to(device)
        return loss(vocoder(log_mel, noise), waveform)

    steps = profile.epochs[0] * -(-len(crops) // training.batch_size)
    steps = steps if profile.max_steps is None else min(steps, profile.max_steps)
    log = fit(
        vocoder, step_loss, steps, folder=Path(folder) / "vocoder", learning_rate=training.learning_rate, seed=seed,
        run={"config": config, "training": training, "crops": len(crops)},
    )  # fmt: skip
    vocoder.eval().cpu()
    vocoder.config = config
    vocoder.save(folder)
    return vocoder, log
