"""Does the sound hold what the record asked for? Answered by measurers that were never shown a generated sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import recall_score

from hldm.evaluation.physiology import FASTEST, SLOWEST


def balanced_accuracy(asked: Sequence[str], heard: Sequence[str]) -> float:
    """Mean over the values asked for of how often they were heard; 1 / values is chance. NaN for nothing asked."""
    if not len(asked):
        return float("nan")
    # scikit-learn's own balanced accuracy warns of values that are heard and never asked for.
    return float(recall_score(asked, heard, labels=np.unique(asked), average="macro"))


def is_plausible(waveform: np.ndarray, heart_rate: float, cycles: np.ndarray) -> bool:
    """A first sanity check of one sound, no clinical validity: only experts can judge that.

    Heart rate within the estimator's range, at least two beats found, S1 to S2 taking 20 to 65 % of the median
    beat, beats that vary by less than 30 %, samples finite and not clipped (fewer than 0.1 % at full scale).
    """
    waveform = np.asarray(waveform)
    if not np.isfinite(waveform).all() or np.mean(np.abs(waveform) >= 0.999) > 1e-3 or len(cycles) < 2:
        return False
    beats = cycles[:, 4] - cycles[:, 0]
    systole = np.median(cycles[:, 2] - cycles[:, 0]) / np.median(beats)
    spread = np.median(np.abs(beats - np.median(beats))) / np.median(beats)
    # At the ends of its range the estimator has found no rate, only the edge.
    return bool(SLOWEST < heart_rate < FASTEST and 0.2 <= systole <= 0.65 and spread < 0.3)
