"""Does the sound hold what the record asked for? Answered by measurers that were never shown a generated sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import recall_score

from hldm.data.records import ClinicalRecord
from hldm.evaluation.measurers import Judgement
from hldm.evaluation.physiology import FASTEST, SLOWEST
from hldm.training.judge import attributes_of


def balanced_accuracy(asked: Sequence[str], heard: Sequence[str]) -> float:
    """Mean over the values asked for of how often they were heard; 1 / values is chance. NaN for nothing asked."""
    if not len(asked):
        return float("nan")
    # scikit-learn's own balanced accuracy warns of values that are heard and never asked for.
    return float(recall_score(asked, heard, labels=np.unique(asked), average="macro"))


def condition_fidelity(records: Sequence[ClinicalRecord], judgement: Judgement, attribute: str) -> float:
    """CF of one attribute: balanced accuracy of the judge against the records, over those that say something.

    On generated sounds it measures generator and judge together: read it beside the same figure for real `val`
    recordings, or divided by that.
    """
    asked = [attributes_of(record)[attribute] for record in records]
    known = [i for i, value in enumerate(asked) if value is not None]
    return balanced_accuracy([asked[i] for i in known], judgement.said(attribute)[known])


def heart_rate_within(asked: Sequence[float], heard: Sequence[float], tolerance: float = 5.0) -> float:
    """Share of sounds whose heart rate is as asked, to `tolerance` bpm; pairs with a NaN do not count."""
    error = np.abs(np.asarray(asked, float) - np.asarray(heard, float))
    return float(np.mean(error[~np.isnan(error)] <= tolerance))


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


def plausibility_rate(
    waveforms: Sequence[np.ndarray], heart_rates: Sequence[float], cycles: Sequence[np.ndarray]
) -> float:
    """Share of sounds that are plausible (`is_plausible`)."""
    return float(np.mean([is_plausible(*row) for row in zip(waveforms, heart_rates, cycles, strict=True)]))
