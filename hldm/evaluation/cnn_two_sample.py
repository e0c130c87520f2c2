"""Can a small network tell two sets of sounds apart? It is trained on both, and asked about sounds it has not heard.

The sternest of the two-sample tests: a linear one sees what an embedding keeps, this one the spectrogram itself, over
the whole band and with its level. What it learns is forgotten again.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from hldm.evaluation.fidelity import folds_by_patient
from hldm.evaluation.resampling import Estimate, Sample, interval
from hldm.evaluation.result import Row

WIDTHS = (16, 32, 48, 64)
FFT, HOP = 256, 64  # samples; at 4,000 Hz 129 bins up to 2,000 Hz, a frame every 16 ms
FLOOR_DB = -120.0


def cnn_two_sample(
    x: Sample,
    real: Sample,
    *,
    updates: int = 150,
    batch_size: int = 16,
    folds: int = 2,
    repeats: int = 100,
    seed: int = 0,
    data: str = "",
) -> Row:
    """Area under the curve of a small CNN, real against generated, beside real against real.

    One network a fold, trained on the others, scores the fold; no patient stands on both sides. 0.5 means that the sets
    cannot be told apart, 1 that they always can. The interval resamples patients, not trainings.

    Parameters
    ----------
    x, real : Sample
        Values (rows, samples): waveforms of one rate and one length. The larger sets are cut: both comparisons are
        between sets of one size, at most half of the real sounds.
    updates, batch_size : int
        Of each training; a batch has as many sounds of one set as of the other.
    folds : int
        At least 2.
    repeats : int
        Resamplings of the interval.

    Raises
    ------
    DataError
        For real sounds of one patient only.
    """
    rng = np.random.default_rng(seed)
    halves = real.halves(rng)
    n = min(len(x), *map(len, halves))

    def auc(one: Sample, other: Sample) -> Estimate:
        scored = _scores(one, other, folds=folds, updates=updates, batch_size=batch_size, seed=seed)
        return interval(_mean_auc, *scored, repeats=repeats, seed=seed)

    companion = auc(*(half.at_most(n, rng) for half in halves))
    value = auc(x.at_most(n, rng), real.at_most(n, rng))
    by = f"CNN of {sum(p.numel() for p in _network().parameters()):,} weights, {updates} updates"
    return Row("small-CNN two-sample AUC", value, "lower", real=companion, measured_by=by, data=data)


def _scores(x: Sample, real: Sample, *, folds: int, updates: int, batch_size: int, seed: int) -> tuple[Sample, Sample]:
    """Rows (fold, score) of both sets, each row scored by the network that did not learn its patient."""
    images = _log_spectrogram(np.concatenate([x.values, real.values]))
    labels, parts = folds_by_patient(x, real, folds, seed)
    found = np.full((len(labels), 2), np.nan)
    for i, (seen, held) in enumerate(parts):
        network = _train(images[seen], labels[seen], updates, batch_size, seed + i)
        found[held, 0] = i
        with torch.inference_mode():
            parts_of_it = np.array_split(held, -(-len(held) // 32))  # all at once would take much memory
            found[held, 1] = torch.cat([network(images[rows])[:, 0] for rows in parts_of_it])
    return Sample(found[: len(x)], x.groups), Sample(found[len(x) :], real.groups)


def _mean_auc(x: Sample, real: Sample) -> float:
    """Mean over folds, for scores of two networks have no common scale; NaN where no fold has both sets."""
    found = []
    for fold in np.unique(x.values[:, 0]):
        sides = [side.values[side.values[:, 0] == fold, 1] for side in (x, real)]
        if all(map(len, sides)):
            found.append(roc_auc_score(np.repeat([0, 1], [*map(len, sides)]), np.concatenate(sides)))
    return float(np.mean(found)) if found else np.nan


def _train(images: Tensor, labels: np.ndarray, updates: int, batch_size: int, seed: int) -> nn.Module:
    """A network that gives real sounds (label 1) the higher scores, in evaluation mode."""
    rng = np.random.default_rng(seed)
    sides, frames = [np.flatnonzero(labels == label) for label in (0, 1)], images.shape[-1]
    network = _network(seed).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=updates)
    targets = torch.tensor([0.0, 1.0]).repeat_interleave(batch_size // 2)
    for _ in range(updates):
        rows = np.concatenate([rng.choice(side, batch_size // 2) for side in sides])
        first = rng.integers(frames // 2 + 1)  # half a sound, now this and now that one: nothing is learnt by heart
        scores = network(images[rows, :, :, first : first + frames // 2])[:, 0]
        loss = F.binary_cross_entropy_with_logits(scores, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


class _Pool(nn.Module):
    """Mean and maximum over frequency and time, (batch, 2 channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)


def _network(seed: int = 0) -> nn.Module:
    layers, before = [], 1
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator
        torch.manual_seed(seed)
        for width in WIDTHS:
            layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        return nn.Sequential(*layers, _Pool(), nn.Linear(2 * before, 1))


def _log_spectrogram(waveforms: np.ndarray) -> Tensor:
    """(rows, 1, bins, frames), dB of full scale brought to about -3 to 3; the whole band, level kept."""
    window = torch.hann_window(FFT)
    waveforms = torch.from_numpy(np.asarray(waveforms, np.float32))
    spectrum = torch.stft(waveforms, FFT, HOP, window=window, return_complex=True).abs() * 2 / window.sum()
    return ((20 * torch.log10(spectrum.clamp_min(10 ** (FLOOR_DB / 20))) + 80) / 20)[:, None]
