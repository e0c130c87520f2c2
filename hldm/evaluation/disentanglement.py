"""What others measure of a disentangled latent: MIG, SAP, DCI and total correlation.

All but the last compare *units* of the code with factors. By default a unit is a column, as the papers have it. Our
subspaces spread a factor over several channels, which leaves no gap between the best two columns: then `units` names
the group of each column, and a group counts by its best column (MIG, SAP) or by the sum of its columns (DCI).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import psi
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from hldm.evaluation.interpretability import BINS, entropy, information, is_binary, one_hot


def mutual_information_gap(
    codes: np.ndarray, factors: Mapping[str, np.ndarray], units: Sequence | None = None
) -> dict[str, float]:
    """MIG (Chen et al. 2018): by how much the best unit knows more of a factor than the next, over its entropy.

    Parameters
    ----------
    codes : ndarray (clips, d)
        Counted in 8 quantile bins.
    factors : mapping of name to ndarray (clips,)
        Binned likewise, but for factors of zeros and ones.
    units : sequence (d,), optional

    Returns
    -------
    dict of float
        By factor, 0 to 1; the papers report the mean.
    """
    marks = one_hot(codes)
    gaps = {}
    for name, y in factors.items():
        target = np.eye(2)[y.astype(int)][:, None] if is_binary(y) else one_hot(y[:, None], BINS)
        shared = information(marks, target)[:, 0] / entropy(target)[0]
        gaps[name] = _gap(_by_unit(shared.clip(0), units, np.max))
    return gaps


def separated_attribute_predictability(
    codes: np.ndarray, factors: Mapping[str, np.ndarray], units: Sequence | None = None
) -> dict[str, float]:
    """SAP (Kumar et al. 2018): by how much the best unit predicts a factor better than the next.

    The score of a column is the R^2 of a line through it, for a factor of zeros and ones as well.

    Returns
    -------
    dict of float
        By factor, 0 to 1.
    """
    z = (codes - codes.mean(0)) / np.maximum(codes.std(0), 1e-12)
    gaps = {}
    for name, y in factors.items():
        square = np.square(z.T @ ((y - y.mean()) / max(y.std(), 1e-12)) / len(y))
        gaps[name] = _gap(_by_unit(square, units, np.max))
    return gaps


class DCI(NamedTuple):
    """Disentanglement, completeness and informativeness (Eastwood and Williams 2018), 0 to 1 each."""

    disentanglement: float
    completeness: float
    informativeness: float


def dci(
    codes: np.ndarray,
    factors: Mapping[str, np.ndarray],
    patients: Sequence,
    units: Sequence | None = None,
    *,
    trees: int = 50,
    seed: int = 0,
) -> DCI:
    """How one-to-one the importances of units for factors are, in the eyes of a forest of extremely random trees.

    Informativeness is the mean over factors of the cross-validated R^2 of those forests, by patient and not below 0;
    the paper gives an error, which depends on the units of the factor.
    """
    importances, scores = [], []
    for y in factors.values():
        kind, target = (ExtraTreesClassifier, y.astype(int)) if is_binary(y) else (ExtraTreesRegressor, y)
        forest = kind(trees, min_samples_leaf=3, max_features=1.0, random_state=seed)
        folds = GroupKFold(min(5, len(np.unique(patients))))
        method = "predict_proba" if is_binary(y) else "predict"
        said = cross_val_predict(forest, codes, target, groups=patients, cv=folds, method=method)
        scores.append(max(0.0, r2_score(y, said[:, 1] if is_binary(y) else said)))
        importances.append(_by_unit(forest.fit(codes, target).feature_importances_, units, np.sum))
    return DCI(*concentration(np.stack(importances, axis=1)), float(np.mean(scores)))


def concentration(importance: np.ndarray) -> tuple[float, float]:
    """Disentanglement and completeness of importances ``(units, factors)``, not negative.

    A unit that matters for one factor only has disentanglement 1; units count by their share of all importance. A
    factor for which one unit only matters has completeness 1.
    """
    weight = importance.sum(1) / importance.sum()
    return float(np.sum(weight * _pointed(importance))), float(np.mean(_pointed(importance.T)))


def _pointed(rows: np.ndarray) -> np.ndarray:
    """1 less the entropy of each row over its maximum; 0 for a row of zeros."""
    share = rows / np.maximum(rows.sum(1, keepdims=True), 1e-12)
    nats = -np.sum(share * np.log(np.where(share > 0, share, 1)), axis=1)
    return np.where(rows.sum(1) > 0, 1 - nats / np.log(rows.shape[1]), 0.0)


def _by_unit(values: np.ndarray, units: Sequence | None, join: Callable) -> np.ndarray:
    """Values of columns, (d,), as values of units."""
    if units is None:
        return values
    units = np.asarray(units)
    return np.array([join(values[units == name]) for name in dict.fromkeys(units.tolist())])


def _gap(values: np.ndarray) -> float:
    """The largest less the second."""
    second, first = np.sort(values)[-2:]
    return float(first - second)


def total_correlation(groups: Mapping[str, np.ndarray]) -> float:
    """Information that groups share, nats, as if they were jointly Gaussian: ``(sum log|S_g| - log|S|) / 2``.

    With two groups it is their mutual information; with groups of one column each, Watanabe's (1960) total
    correlation. The bias of sample covariances is known exactly for independent Gaussian rows (digamma functions of a
    Wishart determinant; about ``d_a d_b / 2N`` for two groups) and taken out. Clips of one patient are no independent
    rows: compare with the same figure after shuffling patients.

    Parameters
    ----------
    groups : mapping of name to ndarray (clips, d)

    Raises
    ------
    ValueError
        For no more clips than columns.
    """
    sizes = [z.shape[1] for z in groups.values()]
    codes = np.concatenate(list(groups.values()), axis=1)
    n, d = codes.shape
    if n <= d + 1:
        raise ValueError(f"{n} clips for {d} columns, expected at least {d + 2}")

    def log_determinant(rows: np.ndarray) -> float:
        size = rows.shape[1]
        covariance = np.atleast_2d(np.cov(rows, rowvar=False))
        bias = psi((n - 1 - np.arange(size)) / 2).sum() + size * np.log(2 / (n - 1))
        return float(np.linalg.slogdet(covariance)[1] - bias)

    parts = np.split(codes, np.cumsum(sizes)[:-1], axis=1)
    return (sum(map(log_determinant, parts)) - log_determinant(codes)) / 2
