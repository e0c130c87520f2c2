"""The second ear: a network on the waveform that chooses nothing, and so can be believed about what was chosen.

The judge (`hldm.models.judge`) picks settings and epochs; what picks may not report. This one has another architecture
and another front end, hears the whole band up to half of the sampling rate, and keeps the level of a sound.
Only the final report may ask it (`hldm.evaluation.second_ear`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hldm.models.judge import ATTRIBUTES, STATES, Verdict
from hldm.pretrained import Pretrained


@dataclass(frozen=True)
class SecondEarConfig:
    """Shape of a `SecondEar`."""

    sampling_rate: int = 4000  # Hz
    clip_seconds: float = 5.12  # of the clips that it was trained on
    kernel: int = 64  # samples of the first filters: 16 ms
    widths: tuple[int, ...] = (32, 64, 96, 96)  # channels of the strided convolutions
    strides: tuple[int, ...] = (8, 4, 2, 2)  # together 128 samples, 32 ms
    hidden: int = 48  # of the recurrent layer, in each direction
    embedding: int = 32  # small, since the bias of a Frechet distance grows with it
    scale: float = 300.0  # fixed, where the judge divides by the level of the clip

    @property
    def step(self) -> int:
        """Samples from one frame of the states to the next."""
        return math.prod(self.strides)


class SecondEar(Pretrained):
    """Waveform in, `hldm.models.judge.Verdict` out.

    Strided convolutions on the samples, a recurrent layer in both directions, and the mean and the maximum over time.
    Outputs x of the first filters are compressed to sign(x) log(1 + |x|): linear for faint ones, logarithmic for loud
    ones. So it hears what is 40 dB below the heart sounds, and how loud everything is.

    Parameters
    ----------
    config : SecondEarConfig
    """

    config_class, weights_name, shared = SecondEarConfig, "second_ear", True

    def __init__(self, config: SecondEarConfig = SecondEarConfig()):
        super().__init__()
        self.config = config
        first, *widths = config.widths
        stride = config.strides[0]
        self.filters = nn.Conv1d(1, first, config.kernel, stride, padding=(config.kernel - stride) // 2, bias=False)
        layers = [nn.BatchNorm1d(first)]
        for width, stride in zip(widths, config.strides[1:], strict=True):
            layers += [nn.Conv1d(first, width, 2 * stride + 1, stride, padding=stride, bias=False),
                       nn.BatchNorm1d(width), nn.LeakyReLU(0.1)]  # fmt: skip
            first = width
        self.layers = nn.Sequential(*layers)
        self.time = nn.GRU(first, config.hidden, batch_first=True, bidirectional=True)
        self.states = nn.Linear(2 * config.hidden, len(STATES))
        self.embed = nn.Linear(4 * config.hidden, config.embedding)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.embedding, len(values)) for name, values in ATTRIBUTES.items()}
        )
        self.rate = nn.Linear(config.embedding, 1)

    def forward(self, waveform: Tensor) -> Verdict:
        """Hear ``(batch, samples)``, full scale 1; one frame of the states for every `SecondEarConfig.step` samples."""
        x = self.config.scale * self.filters(waveform[:, None])
        x = x.sign() * x.abs().log1p()
        x = self.time(self.layers(x).transpose(1, 2))[0]  # (batch, frames, 2 hidden)
        embedding = self.embed(torch.cat([x.mean(1), x.amax(1)], dim=1))
        logits = {name: head(embedding) for name, head in self.heads.items()}
        states = self.states(x).transpose(1, 2)
        return Verdict(logits, 4.65 + self.rate(embedding)[:, 0], states, embedding)  # exp(4.65) = 105 bpm
