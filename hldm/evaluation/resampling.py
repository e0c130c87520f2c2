"""Uncertainty and floors, patient by patient: clips of one patient are no independent witnesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from hldm.data.errors import DataError

Statistic = Callable[..., float]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes
    ----------
    value, low, high : float
    n : int
        Clips on each side.
    groups : int
        Patients on the side that has fewer.
    """

    value: float
    low: float
    high: float
    n: int
    groups: int

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Sample:
    """Rows of measurements and the patient each row is from.

    Attributes
    ----------
    values : ndarray (rows, ...)
    groups : ndarray (rows,)
        Patients. A generated sound is a patient of its own, which is what leaving it out makes it.
    """

    values: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, values: ArrayLike, groups: Sequence | None = None) -> Sample:
        """From anything array-like; without `groups` every row stands alone.

        Raises
        ------
        ValueError
            Where rows and groups differ in number.
        """
        values = np.asarray(values, dtype=np.float64)
        groups = np.arange(len(values)) if groups is None else np.asarray(groups)
        if len(groups) != len(values):
            raise ValueError(f"{len(groups)} groups for {len(values)} rows, expected one each")
        return cls(values, groups)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> Sample:
        return Sample(self.values[rows], self.groups[rows])

    def halves(self, rng: np.random.Generator) -> tuple[Sample, Sample]:
        """Two parts without a common patient, about equal in rows.

        Raises
        ------
        ValueError
            For rows of one patient only.
        """
        names, patient, counts = np.unique(self.groups, return_inverse=True, return_counts=True)
        if len(names) < 2:
            raise DataError("two patients or more", value=f"{len(self)} rows of {len(names)} patient")
        order = rng.permutation(len(names))
        size = max(1, int(np.sum(np.cumsum(counts[order]) <= len(self) / 2)))
        inside = np.isin(patient, order[:size])
        return self.take(np.flatnonzero(inside)), self.take(np.flatnonzero(~inside))

    def at_most(self, n: int, rng: np.random.Generator) -> Sample:
        """`n` random rows, or all of them where there are fewer."""
        return self if len(self) <= n else self.take(np.sort(rng.permutation(len(self))[:n]))


def seeds_mean(values: np.ndarray, repeats: int = 100) -> Estimate:
    """The mean over seeds: by resampling for quantities, by Wilson's formula for yes and no.

    Wilson's interval has a width even where all seeds agree.
    """
    if values.dtype != bool:
        return interval(lambda sample: sample.values.mean(), Sample.of(values), repeats=repeats)
    n = len(values)
    low, high = binomtest(int(values.sum()), n).proportion_ci(method="wilson")
    return Estimate(float(values.mean()), float(low), float(high), n, n)


def interval(statistic: Statistic, *samples: Sample, repeats: int = 100, seed: int = 0) -> Estimate:
    """A statistic of one or more samples with its patient-level 95 % interval.

    Patients are resampled by random halves without replacement, each side on its own. A half has the variance
    of a bootstrap draw (McCarthy 1969; Shao and Wu 1989) without its repeated rows, which look like nearest
    neighbours and like identical pairs to the set distances of `hldm.evaluation.fidelity`. What a half-sized
    set adds in bias is taken out: the spread is laid around the value on all rows.

    Parameters
    ----------
    statistic : callable
        Takes the samples, returns a float.
    """
    rng = np.random.default_rng(seed)
    value = float(statistic(*samples))
    draws = [statistic(*(sample.halves(rng)[0] for sample in samples)) for _ in range(repeats)]
    low, middle, high = np.nanquantile(draws, [0.025, 0.5, 0.975])
    return Estimate(
        value,
        value + float(low - middle),
        value + float(high - middle),
        min(len(sample) for sample in samples),
        min(len(np.unique(sample.groups)) for sample in samples),
    )


def real_vs_real(
    statistic: Statistic, real: Sample, *, n: int | None = None, repeats: int = 20, seed: int = 0
) -> Estimate:
    """The same statistic of real against real: what no generator can be expected to beat.

    Parameters
    ----------
    real : Sample
        Split again and again into halves without a common patient.
    n : int, optional
        Rows of each half, at most those of the smallest. Set distances depend on it: compare at equal `n`.

    Returns
    -------
    Estimate
        The mean over splits, and the range that holds 95 % of them.
    """
    rng = np.random.default_rng(seed)
    splits = [real.halves(rng) for _ in range(repeats)]
    smallest = min(len(side) for split in splits for side in split)
    n = smallest if n is None else min(n, smallest)
    splits = [tuple(side.at_most(n, rng) for side in split) for split in splits]
    draws = [statistic(*split) for split in splits]
    patients = min(len(np.unique(side.groups)) for split in splits for side in split)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(float(np.mean(draws)), float(low), float(high), n, patients)
