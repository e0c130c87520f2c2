"""How close sounds are to real ones: pair by pair where a reconstruction has its original, set by set otherwise.

Embeddings may come from anywhere; the project's come from the judge (`hldm.evaluation.measurers.Judge`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist, pdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hldm.evaluation.resampling import Sample


def _pair(estimate: ArrayLike, reference: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    estimate, reference = np.asarray(estimate, np.float64), np.asarray(reference, np.float64)
    if estimate.shape != reference.shape:
        raise ValueError(f"estimate has shape {estimate.shape}, expected the reference's {reference.shape}")
    return estimate, reference


def mel_spectral_distance(estimate: ArrayLike, reference: ArrayLike) -> np.ndarray:
    """MSD: the mean over frames of the root mean square difference over mels. Lower is better.

    Parameters
    ----------
    estimate, reference : array (..., mels, frames)
        Log-mel in dB, of sounds aligned in time. The value depends on the number of mels and on the floor.

    Returns
    -------
    ndarray (...)
        dB.
    """
    estimate, reference = _pair(estimate, reference)
    return np.sqrt(np.mean((estimate - reference) ** 2, axis=-2)).mean(axis=-1)


def spectral_convergence(estimate: ArrayLike, reference: ArrayLike) -> np.ndarray:
    """``||Y| - |X||_F / ||Y||_F`` with Y the reference; lower is better (Arik et al. 2019).

    Parameters
    ----------
    estimate, reference : array (..., bins, frames)
        Linear magnitudes of sounds aligned in time.
    """
    estimate, reference = _pair(np.abs(estimate), np.abs(reference))
    return np.linalg.norm(reference - estimate, axis=(-2, -1)) / np.linalg.norm(reference, axis=(-2, -1))


def spectral_correlation(estimate: ArrayLike, reference: ArrayLike) -> np.ndarray:
    """Pearson correlation of two log-mel spectrograms ``(..., mels, frames)``; higher is better.

    The paper's table wants its "spectral convergence" high, so it must mean a correlation: this is our reading.
    """
    estimate, reference = _pair(estimate, reference)
    a = estimate - estimate.mean(axis=(-2, -1), keepdims=True)
    b = reference - reference.mean(axis=(-2, -1), keepdims=True)
    return (a * b).sum((-2, -1)) / np.sqrt((a**2).sum((-2, -1)) * (b**2).sum((-2, -1)))


def signal_to_noise(estimate: ArrayLike, reference: ArrayLike) -> np.ndarray:
    """``10 log10(||x||^2 / ||x - estimate||^2)`` in dB, ``(..., samples) -> (...)``; infinite for equal sounds.

    Only for sounds with the phase of the original: after Griffin-Lim a shift of 4 ms alone costs all of it.
    """
    estimate, reference = _pair(estimate, reference)
    with np.errstate(divide="ignore"):
        return 10 * np.log10((reference**2).sum(-1) / ((reference - estimate) ** 2).sum(-1))


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Frechet distance of two Gaussians fitted to the rows of `x` and `y` (Heusel et al. 2017).

    ``||mu_x - mu_y||^2 + tr(S_x + S_y - 2 (S_x^1/2 S_y S_x^1/2)^1/2)``, through eigenvalues of symmetric
    matrices, which stay real. It is biased upwards by about ``tr(S) (d / 2N + 2 / N)``: compare at equal N.

    Parameters
    ----------
    x, y : array (rows, d)
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    cov_x, cov_y = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    values, vectors = np.linalg.eigh(cov_x)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_y @ root).clip(0)).sum()
    between = np.sum((x.mean(0) - y.mean(0)) ** 2)
    return float(max(0.0, between + np.trace(cov_x) + np.trace(cov_y) - 2 * cross))


def kernel_distance(x: ArrayLike, reference: ArrayLike) -> float:
    """100 x the unbiased squared maximum mean discrepancy under a Gaussian kernel (Gretton et al. 2012).

    The bandwidth is the median distance within the reference, as in the kernel audio distance (Chung et al.
    2025). Zero on average for equal distributions, so a single value may be negative; sound at small N.

    Parameters
    ----------
    x, reference : array (rows, d)
    """
    x, y = np.asarray(x, np.float64), np.asarray(reference, np.float64)
    bandwidth = np.median(pdist(y))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-cdist(a, b, "sqeuclidean") / (2 * bandwidth**2))

    def within(a: np.ndarray) -> float:  # the diagonal, a point with itself, does not count
        return (kernel(a, a).sum() - len(a)) / (len(a) * (len(a) - 1))

    return float(100 * (within(x) + within(y) - 2 * kernel(x, y).mean()))


@dataclass(frozen=True)
class PRDC:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020)."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(x: ArrayLike, real: ArrayLike, k: int = 3) -> PRDC:
    """Do generated points lie among real ones (precision, density), and reach all of them (recall, coverage)?

    Parameters
    ----------
    x, real : array (rows, d)
        Generated and real embeddings, of equal number for comparable values.
    k : int
        The ball around a point reaches to its k-th nearest neighbour, itself not counted.
    """
    x, real = np.asarray(x, np.float64), np.asarray(real, np.float64)

    def radii(points: np.ndarray) -> np.ndarray:
        return np.partition(cdist(points, points), k, axis=1)[:, k]

    distance = cdist(real, x)  # (real, generated)
    real_radii = radii(real)
    in_real_ball = distance < real_radii[:, None]
    return PRDC(
        precision=float(in_real_ball.any(0).mean()),
        recall=float((distance < radii(x)[None, :]).any(1).mean()),
        density=float(in_real_ball.sum(0).mean() / k),
        coverage=float((distance.min(1) < real_radii).mean()),
    )


def two_sample_auc(x: Sample, real: Sample, folds: int = 5, seed: int = 0) -> float:
    """Classifier two-sample test (Lopez-Paz and Oquab 2017): how well a linear classifier tells the sets apart.

    0.5 means not at all, 1 always. The mean over folds of the area under the curve; no patient stands on both
    sides of a fold. NaN where a side has but one patient. Folds are fewer where patients are.

    Parameters
    ----------
    x, real : Sample
        Values (rows, d).
    """
    values = np.concatenate([x.values, real.values])
    labels, parts = folds_by_patient(x, real, folds, seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    scores = []
    for train, held in parts:
        if len(set(labels[held])) == 2:
            model.fit(values[train], labels[train])
            scores.append(roc_auc_score(labels[held], model.decision_function(values[held])))
    return float(np.mean(scores)) if scores else float("nan")


def folds_by_patient(
    x: Sample, real: Sample, folds: int, seed: int
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Parts of two sets together, of which each is held out once; no patient stands on both sides.

    Returns
    -------
    labels : ndarray (rows,)
        0 for the rows of `x`, then 1 for those of `real`.
    parts : list of (ndarray, ndarray)
        Rows to learn from, and rows to score. Fewer where patients are; none where a side has but one.
    """
    labels = np.repeat([0, 1], [len(x), len(real)])
    # Group names of the two sides are kept apart, or row 3 of one would count as patient 3 of the other.
    groups = np.array([f"x {g}" for g in x.groups] + [f"real {g}" for g in real.groups])
    folds = min(folds, *(len(np.unique(sample.groups)) for sample in (x, real)))
    if folds < 2:
        return labels, []
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return labels, list(splitter.split(labels, labels, groups))
