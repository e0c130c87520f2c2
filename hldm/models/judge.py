"""The judge: a small network that hears what a cardiologist wrote down.

It finds the heart's four states frame by frame, gathers what it hears within each, and names the murmur, its
attributes and the auscultation site from that. It is a measuring instrument: trained on real recordings only,
then frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hldm.config import AudioConfig
from hldm.data.records import ClinicalRecord, Recording
from hldm.data.spectrogram import LogMel
from hldm.pretrained import Pretrained

#: What the judge names, with the values CirCor uses, in the order of its logits.
#: Grades end at III, which in CirCor means III or louder.
ATTRIBUTES = {
    "murmur": ("Absent", "Present"),
    "location": ("AV", "PV", "TV", "MV"),
    "timing": ("Early-systolic", "Mid-systolic", "Late-systolic", "Holosystolic"),
    "shape": ("Crescendo", "Decrescendo", "Diamond", "Plateau"),
    "grade": ("I/VI", "II/VI", "III/VI"),
    "pitch": ("Low", "Medium", "High"),
    "quality": ("Blowing", "Harsh", "Musical"),
}
#: The attributes of a systolic murmur, known only where one is heard.
MURMUR_ATTRIBUTES = ("timing", "shape", "grade", "pitch", "quality")
STATES = ("S1", "systole", "S2", "diastole")
IGNORE = -100  # a label that is not known


def attributes_of(record: ClinicalRecord) -> dict[str, str | None]:
    """What a record says about each of `ATTRIBUTES`; None where it says nothing.

    A murmur counts where it is heard (`ClinicalRecord.murmur_here`), its attributes only with it.
    """
    here = record.murmur_here
    said = dict.fromkeys(ATTRIBUTES) | {"location": record.location}
    if here is not None:
        said["murmur"] = "Present" if here else "Absent"
    if here and record.systolic:
        said |= {name: getattr(record.systolic, name) for name in MURMUR_ATTRIBUTES}
    return {name: value if value in ATTRIBUTES[name] else None for name, value in said.items()}


def labels_of(record: ClinicalRecord) -> dict[str, int]:
    """`attributes_of` a record as class indices; `IGNORE` where unknown."""
    said = attributes_of(record)
    return {n: IGNORE if v is None else ATTRIBUTES[n].index(v) for n, v in said.items()}


@dataclass(frozen=True)
class JudgeConfig:
    """Shape of a `JudgeNet`."""

    audio: AudioConfig = AudioConfig()  # the front end whose log-mels it takes
    widths: tuple[int, ...] = (12, 24, 32, 48)  # channels of the mel-halving convolutions
    channels: int = 64  # features per frame
    dilations: tuple[int, ...] = (1, 2, 4, 8)  # together they see 2 s: more than a beat
    embedding: int = 48  # small, since the bias of a Frechet distance grows with it
    dropout: float = 0.3


@dataclass
class Verdict:
    """What the judge says about a batch of clips.

    Attributes
    ----------
    logits : dict of Tensor (batch, values)
        One entry for each of `ATTRIBUTES`.
    log_rate : Tensor (batch,)
        Natural logarithm of the heart rate in beats per minute.
    states : Tensor (batch, 4, frames)
        Logits of `STATES`, one frame for every two of the log-mel.
    embedding : Tensor (batch, embedding)
        The features that every logit is a linear function of.
    """

    logits: dict[str, Tensor]
    log_rate: Tensor
    states: Tensor
    embedding: Tensor


def level(waveform: Tensor) -> Tensor:
    """Scale each clip to a root mean square of 0.05, ``(..., samples)``: the gain of a stethoscope says nothing."""
    return waveform * 0.05 / waveform.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-5)


class _Dilated(nn.Module):
    """A residual convolution over time."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels, channels, 5, padding=2 * dilation, dilation=dilation, bias=False),
            nn.BatchNorm1d(channels),
            nn.GELU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class JudgeNet(Pretrained):
    """Log-mel in, `Verdict` out.

    Parameters
    ----------
    config : JudgeConfig
    """

    config_class, weights_name, shared = JudgeConfig, "judge", True

    def __init__(self, config: JudgeConfig = JudgeConfig()):
        super().__init__()
        self.config = config
        layers, before = [], 1
        for i, width in enumerate(config.widths):
            layers += [
                nn.Conv2d(before, width, 3, stride=(2, 2 if i == 0 else 1), padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.GELU(),
            ]
            before = width
        self.stem = nn.Sequential(*layers)
        bands = config.audio.n_mels // 2 ** len(config.widths)
        self.gather = nn.Conv1d(before * bands, config.channels, 1)
        self.time = nn.Sequential(*(_Dilated(config.channels, d) for d in config.dilations))
        self.states = nn.Conv1d(config.channels, len(STATES), 1)
        self.embed = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(config.channels * (len(STATES) + 1), config.embedding)
        )
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.embedding, len(values)) for name, values in ATTRIBUTES.items()}
        )
        self.rate = nn.Linear(config.embedding, 1)

    def forward(self, log_mel: Tensor) -> Verdict:
        """Judge ``(batch, mels, frames)`` in decibels, of clips brought to one `level`."""
        x = self.stem((log_mel[:, None] + 60) / 20)  # (batch, width, bands, frames / 2)
        x = self.time(self.gather(x.flatten(1, 2)))  # (batch, channels, frames / 2)
        states = self.states(x)
        # What is heard in systole is a murmur or nothing, so features are averaged within each state.
        weights = states.softmax(1)
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-3)
        within = torch.einsum("bct,bst->bsc", x, weights).flatten(1)
        embedding = self.embed(torch.cat([within, x.std(-1)], dim=1))
        logits = {name: head(embedding) for name, head in self.heads.items()}
        return Verdict(logits, 4.65 + self.rate(embedding)[:, 0], states, embedding)  # exp(4.65) = 105 bpm


def annotated_span(recording: Recording, samples: int) -> tuple[int, int]:
    """First and last start of a clip of `samples` within the annotated beats, or anywhere if those are short."""
    beats = recording.cycles
    first, last = 0, len(recording.waveform)
    if len(beats) and (beats[-1, 4] - beats[0, 0]) * recording.sampling_rate >= samples:
        first, last = (round(t * recording.sampling_rate) for t in (beats[0, 0], beats[-1, 4]))
    return first, max(first, min(last, len(recording.waveform)) - samples)


def crop(recording: Recording, start: int, samples: int) -> np.ndarray:
    """A clip of the waveform, repeated where the recording ends before it does."""
    clip = recording.waveform[start : start + samples]
    return np.resize(clip, samples) if len(clip) < samples else clip


def windows(recording: Recording, samples: int) -> list[np.ndarray]:
    """Clips that lie end to end over the annotated part of a recording."""
    first, last = annotated_span(recording, samples)
    return [crop(recording, start, samples) for start in range(first, last + 1, samples)]


@torch.inference_mode()
def judge_recordings(model: JudgeNet, recordings: Sequence[Recording]) -> dict[str, np.ndarray]:
    """Probabilities per recording, averaged over its windows, and the median heart rate.

    Returns
    -------
    dict
        For each of `ATTRIBUTES` an array (recordings, values); under ``"heart_rate"`` (recordings,) bpm.
    """
    model.eval()
    audio = model.config.audio
    mel, found = LogMel(audio), {name: [] for name in (*ATTRIBUTES, "heart_rate")}
    for recording in recordings:
        clips = torch.from_numpy(np.stack(windows(recording, audio.clip_samples)))
        verdict = model(mel(level(clips)))
        for name, logits in verdict.logits.items():
            found[name].append(logits.softmax(-1).mean(0).numpy())
        found["heart_rate"].append(float(verdict.log_rate.exp().median()))
    return {name: np.array(values) for name, values in found.items()}
