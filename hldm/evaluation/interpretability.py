"""PDS: are the subspaces of the latent apart, and does each hold what its name says?

The paper reports a physiological disentanglement score and gives no formula. Ours has two parts, since each alone can
be gamed: a collapsed latent is perfectly orthogonal, and subspaces that share everything can be modular for one probe.
PDS is their harmonic mean. What others measure stands in `hldm.evaluation.disentanglement`.

Latents come in as rows, one a clip: `pooled` or `repeating` over time. Factors are numbers; one that takes only the
values 0 and 1 is read by logistic regression, any other by ridge regression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from hldm.data.errors import DataError
from hldm.evaluation.resampling import Estimate, Sample, interval

Groups = Mapping[str, np.ndarray]

BINS = 8
SHUFFLES = 4


def pooled(latents: Mapping[str, Tensor], states: Tensor | None = None) -> dict[str, np.ndarray]:
    """Mean and standard deviation over time of every channel, ``(clips, channels, frames)`` to ``(clips, 2 channels)``.

    This forgets the order of the frames: a subspace that beats with the heart tells no rate through it, unless it
    writes the rate into its level.

    Parameters
    ----------
    states : Tensor (clips, frames), int64, optional
        Heart state of each frame, 1 to 4. With it come the means within S1, systole, S2 and diastole: a probe for S1
        must know where S1 is. A state that does not occur counts as the whole clip.
    """
    found = {}
    for name, z in latents.items():
        mean = z.mean(-1)
        rows = [mean, z.std(-1)]
        for state in range(1, 5) if states is not None else ():
            inside = (states == state)[:, None]
            frames = inside.sum(-1)
            rows.append(torch.where(frames > 0, (z * inside).sum(-1) / frames.clamp_min(1), mean))
        found[name] = torch.cat(rows, dim=1).numpy()
    return found


def repeating(latents: Mapping[str, Tensor], states: Tensor | None = None, *, lags: int = 24) -> dict[str, np.ndarray]:
    """`pooled`, and each channel's autocorrelation at 1 to `lags` frames: what a reader of temporal patterns could use.

    Returns
    -------
    dict of ndarray (clips, channels * (2 + lags)), or (clips, channels * (6 + lags)) with states
    """
    found = pooled(latents, states)
    for name, z in latents.items():
        x = np.asarray(z, np.float64)
        spectrum = np.fft.rfft(x - x.mean(-1, keepdims=True), 2 * x.shape[-1])
        raw = np.fft.irfft(np.abs(spectrum) ** 2)[..., : lags + 1]
        pattern = raw[..., 1:] / np.maximum(raw[..., :1], 1e-12)
        found[name] = np.concatenate([found[name], pattern.reshape(len(x), -1)], axis=1)
    return found


def read(z: np.ndarray, factor: np.ndarray, patients: Sequence) -> np.ndarray:
    """What a linear probe says about a factor of clips whose patients it has not seen.

    Parameters
    ----------
    z : ndarray (clips, d)
    factor : ndarray (clips,)
        Without gaps.
    patients : sequence (clips,)
        No patient stands on both sides of a fold.

    Returns
    -------
    ndarray (clips,)
        Out-of-fold predictions: probabilities of 1 for a factor of zeros and ones.

    Raises
    ------
    DataError
        For fewer than two patients.
    """
    if (people := len(np.unique(patients))) < 2:
        raise DataError("two patients or more", value=f"{len(z)} clips of {people} patient")
    folds = GroupKFold(min(5, people))
    if is_binary(factor):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        return cross_val_predict(model, z, factor, groups=patients, cv=folds, method="predict_proba")[:, 1]
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    return cross_val_predict(model, z, factor, groups=patients, cv=folds)


def is_binary(factor: np.ndarray) -> bool:
    """Whether a factor takes the values 0 and 1 and no other."""
    return bool(np.isin(factor, (0, 1)).all())


def explained(factor: np.ndarray, predicted: np.ndarray) -> float:
    """R^2, not below 0: the share of a factor's variance that predictions explain; for probabilities, Brier's skill."""
    spread = np.square(factor - factor.mean()).sum()
    return float(max(0.0, 1 - np.square(factor - predicted).sum() / spread)) if spread > 0 else 0.0


@dataclass(frozen=True)
class Readings:
    """What the probes said, so that any part of the clips can be scored without fitting again.

    Attributes
    ----------
    truth : dict of ndarray (clips,)
        By factor.
    predicted : dict of dict of ndarray (clips,)
        By factor, then by group.
    """

    truth: dict[str, np.ndarray]
    predicted: dict[str, dict[str, np.ndarray]]

    @classmethod
    def of(cls, groups: Groups, factors: Mapping[str, np.ndarray], patients: Sequence) -> Readings:
        """Read every factor from every group."""
        said = {f: {g: read(z, y, patients) for g, z in groups.items()} for f, y in factors.items()}
        return cls(dict(factors), said)

    def scores(self, rows: np.ndarray | slice = slice(None)) -> pd.DataFrame:
        """`explained` for factors as rows and groups as columns."""
        return pd.DataFrame(
            {f: {g: explained(self.truth[f][rows], p[rows]) for g, p in by.items()} for f, by in self.predicted.items()}
        ).T


def modularity(scores: pd.DataFrame, own: Mapping[str, str]) -> float:
    """Mean over factors of R^2 from the own group less the best R^2 from another one; 1 at best.

    Factors that correlate in the data lower what can be reached, at r = 0.6 to about 0.64: give `ideal` beside it.

    Parameters
    ----------
    scores : DataFrame
        As of `Readings.scores`.
    own : mapping of factor to the name of its group
    """
    return float(np.mean([scores.loc[f, g] - scores.loc[f].drop(g).max() for f, g in own.items()]))


def orthogonality(groups: Groups, patients: Sequence, seed: int = 0) -> float:
    """1 less the mean normalised information between columns of different groups; 1 is independent.

    Information is counted in 8 quantile bins, with the correction of Miller and Madow, and divided by the smaller
    entropy. Some hundreds of independent clips show 0.06 to 0.6 nats for nothing, and clips that come from fewer
    patients show more. So the same count is taken with the patients of one side exchanged (`strangers`), which leaves
    what a patient's clips have in common. The excess over it counts, averaged over the columns of two groups, and not
    below 0 for any two.

    Parameters
    ----------
    groups : mapping of name to ndarray (clips, d)
    patients : sequence (clips,)
    """
    rng = np.random.default_rng(seed)
    others = [strangers(patients, rng) for _ in range(SHUFFLES)]
    marks = {name: one_hot(z) for name, z in groups.items()}
    names = list(marks)
    shares = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            real = information(marks[a], marks[b])
            chance = np.mean([information(marks[a][rows], marks[b]) for rows in others], axis=0)
            smaller = np.minimum.outer(entropy(marks[a]), entropy(marks[b]))
            shares.append(max(0.0, float(((real - chance) / smaller).mean())))
    return 1 - float(np.mean(shares))


def strangers(patients: Sequence, rng: np.random.Generator) -> np.ndarray:
    """For each clip the index of a clip of another patient, the same other one for all clips of a patient."""
    names = np.unique(patients)
    clips = {name: np.flatnonzero(np.asarray(patients) == name) for name in names}
    order = rng.permutation(names)
    found = np.empty(len(patients), dtype=int)
    for one, other in zip(order, np.roll(order, 1), strict=True):
        found[clips[one]] = np.resize(clips[other], len(clips[one]))
    return found


def one_hot(z: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Quantile bins of each column, ``(clips, d)`` to zeros and ones ``(clips, d, bins)``; a tie shares a bin."""
    columns = [np.searchsorted(np.quantile(x, np.arange(1, bins) / bins), x) for x in np.asarray(z, np.float64).T]
    return np.eye(bins)[np.stack(columns, axis=1)]


def entropy(marks: np.ndarray) -> np.ndarray:
    """Nats of each column of `one_hot`, (d,), with the correction of Miller and Madow (1955)."""
    counts = marks.sum(0)
    return _plug_in(counts) + ((counts > 0).sum(-1) - 1) / (2 * len(marks))


def information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mutual information of each column of `a` with each of `b`, nats, corrected as `entropy` is.

    Parameters
    ----------
    a : ndarray (clips, p, bins)
        As of `one_hot`; another variable may have other bins.
    b : ndarray (clips, q, bins)

    Returns
    -------
    ndarray (p, q)
    """
    (n, p, _), (_, q, _) = a.shape, b.shape
    joint = (a.reshape(n, -1).T @ b.reshape(n, -1)).reshape(p, a.shape[2], q, b.shape[2])
    joint = joint.transpose(0, 2, 1, 3).reshape(p, q, -1)
    both = _plug_in(joint) + ((joint > 0).sum(-1) - 1) / (2 * n)
    return entropy(a)[:, None] + entropy(b)[None, :] - both


def _plug_in(counts: np.ndarray) -> np.ndarray:
    """Entropy of the frequencies in the last axis, nats."""
    share = counts / counts.sum(-1, keepdims=True)
    return -np.sum(share * np.log(np.where(share > 0, share, 1)), axis=-1)


def harmonic(orth: float, mod: float) -> float:
    """PDS of its two parts; 0 where `mod` is not positive."""
    return 2 * orth * mod / (orth + mod) if mod > 0 else 0.0


@dataclass(frozen=True)
class PDS:
    """The score and its parts, each with its patient-level interval."""

    score: Estimate
    orth: Estimate
    mod: Estimate


def pds(
    groups: Groups,
    factors: Mapping[str, np.ndarray],
    own: Mapping[str, str],
    patients: Sequence,
    *,
    readings: Readings | None = None,
    repeats: int = 100,
    seed: int = 0,
) -> PDS:
    """Physiological disentanglement score: the harmonic mean of `orthogonality` and `modularity`.

    Intervals resample patients. The probes are not fitted again: their out-of-fold predictions are scored on the
    patients drawn.

    Parameters
    ----------
    groups : mapping of name to ndarray (clips, d)
    factors : mapping of name to ndarray (clips,)
        Without gaps.
    own : mapping of factor to the name of its group
    patients : sequence (clips,)
    readings : Readings, optional
        Where they are there already.
    """
    readings = readings or Readings.of(groups, factors, patients)
    everything = Sample.of(np.arange(len(patients)), patients)

    def orth(sample: Sample) -> float:
        rows = sample.values.astype(int)
        return orthogonality({name: z[rows] for name, z in groups.items()}, sample.groups, seed)

    def mod(sample: Sample) -> float:
        return modularity(readings.scores(sample.values.astype(int)), own)

    def both(sample: Sample) -> float:
        return harmonic(orth(sample), mod(sample))

    return PDS(*(interval(part, everything, repeats=repeats, seed=seed) for part in (both, orth, mod)))


def ideal(factors: Mapping[str, np.ndarray], own: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The groups of a perfect representation: each holds its factors as they are, and nothing else.

    Its scores are the ceiling: they stay below 1 where the factors go together in the data.
    """
    return {g: np.stack([factors[f] for f in own if own[f] == g], axis=1) for g in dict.fromkeys(own.values())}
