"""The judge: a small network that hears what a cardiologist wrote down.

It finds the heart's four states frame by frame, gathers what it hears within each, and names the murmur, its
attributes and the auscultation site from that. It is a measuring instrument: trained on real recordings only,
then frozen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

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


@dataclass(frozen=True)
class JudgeConfig:
    """Shape of a `JudgeNet`."""

    n_mels: int = 64
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


class JudgeNet(nn.Module):
    """Log-mel in, `Verdict` out.

    Parameters
    ----------
    config : JudgeConfig
    """

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
        bands = config.n_mels // 2 ** len(config.widths)
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
