"""What independent measurers hear in sounds that went through a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import Tensor

from hldm.evaluation.factors import OWN
from hldm.evaluation.measurers import Judge
from hldm.evaluation.physiology import estimate_heart_rate, murmur_band_level, state_levels


class Vocode(Protocol):
    """Log-mels ``(sounds, mels, frames)`` in dB to waveforms ``(sounds, samples)``, as `LogMel.griffin_lim` does."""

    def __call__(self, log_mel: Tensor, *, seed: int) -> Tensor: ...


@dataclass(frozen=True)
class Heard:
    """What independent measurers hear in some sounds.

    Attributes
    ----------
    waveforms : ndarray (sounds, samples)
    factors : dict of ndarray (sounds,)
        The factors of `hldm.evaluation.factors.OWN`, but the murmur as the judge's log odds.
    murmur_level : ndarray (sounds,)
        Systole over diastole, 100 to 400 Hz, dB: a second opinion on systolic murmurs that no network gives.
    embedding : ndarray (sounds, d)
        The judge's, for the set distances.
    """

    waveforms: np.ndarray
    factors: dict[str, np.ndarray]
    murmur_level: np.ndarray
    embedding: np.ndarray

    @property
    def has_murmur(self) -> np.ndarray:
        """The judge's verdict, (sounds,)."""
        return self.factors["murmur"] > 0

    @property
    def heart_rate(self) -> np.ndarray:
        """Beats per minute, (sounds,)."""
        return np.exp(self.factors["heart rate"])


def listen(waveforms: np.ndarray, cycles: Sequence[np.ndarray], judge: Judge) -> Heard:
    """Measure sounds at the judge's rate: heart rate by autocorrelation, murmur by the judge, levels along the beats.

    Parameters
    ----------
    waveforms : ndarray (sounds, samples)
    cycles : sequence of ndarray (beats, 5)
        Where the beats of each sound ought to be, in seconds, as of `hldm.data.Recording.cycles`.
    """
    waveforms = np.asarray(waveforms, np.float32)
    rate = judge.audio.sampling_rate
    judgement = judge(list(waveforms))
    present = judgement.probabilities["murmur"][:, 1].astype(np.float64).clip(1e-6, 1 - 1e-6)
    pairs = list(zip(waveforms, cycles, strict=True))
    levels = [state_levels(waveform, rate, beats) for waveform, beats in pairs]
    columns = (
        np.log([estimate_heart_rate(waveform, rate) for waveform in waveforms]),
        np.array([level.s1_to_s2 for level in levels]),
        np.log(present / (1 - present)),
        np.array([level.diastole for level in levels]),
    )
    murmur_level = np.array([murmur_band_level(waveform, rate, beats) for waveform, beats in pairs])
    return Heard(waveforms, dict(zip(OWN, columns, strict=True)), murmur_level, judgement.embedding)


def area_under_curve(label: np.ndarray, score: np.ndarray) -> float:
    """NaN where all labels agree."""
    return float(roc_auc_score(label, score)) if len(np.unique(label)) == 2 else np.nan
