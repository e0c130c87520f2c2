"""What independent measurers hear in sounds: measured once, for every table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import Tensor

from hldm.evaluation.consistency import is_plausible
from hldm.evaluation.factors import OWN
from hldm.evaluation.measurers import Judge, Judgement
from hldm.evaluation.physiology import (
    Levels,
    estimate_heart_rate,
    murmur_band_level,
    spectral_centroid,
    state_levels,
)
from hldm.evaluation.signal_statistics import signal_statistics


class Vocode(Protocol):
    """Log-mels ``(sounds, mels, frames)`` in dB to waveforms ``(sounds, samples)``, as `LogMel.griffin_lim` does."""

    def __call__(self, log_mel: Tensor, *, seed: int) -> Tensor: ...


@dataclass(frozen=True)
class Heard:
    """Sounds, the judge's word on them, and everything else that is measured, each when it is first asked for.

    Attributes
    ----------
    waveforms : ndarray (sounds, samples)
    judgement : Judgement
    cycles : sequence of ndarray (beats, 5)
        Where the beats of each sound ought to be, or where the judge found them; seconds.
    sampling_rate : int
        Hz.
    """

    waveforms: np.ndarray
    judgement: Judgement
    cycles: Sequence[np.ndarray]
    sampling_rate: int

    def __len__(self) -> int:
        return len(self.waveforms)

    @cached_property
    def heart_rate(self) -> np.ndarray:
        """Beats per minute by autocorrelation, (sounds,)."""
        return np.array([estimate_heart_rate(waveform, self.sampling_rate) for waveform in self.waveforms])

    @cached_property
    def levels(self) -> list[Levels]:
        """Of the heart states; NaN where there is no beat."""
        return [
            state_levels(waveform, self.sampling_rate, beats) if len(beats) else Levels(*[np.nan] * 4)
            for waveform, beats in zip(self.waveforms, self.cycles, strict=True)
        ]

    @property
    def s1_to_s2(self) -> np.ndarray:
        """Level of S1 over S2, dB, (sounds,)."""
        return np.array([level.s1_to_s2 for level in self.levels])

    @property
    def intervals(self) -> np.ndarray:
        """Median S1 to S2 and S2 to S1 of each sound, ms, (sounds, 2); NaN where there is no beat."""
        onsets = [np.median(beats, axis=0) if len(beats) else np.full(5, np.nan) for beats in self.cycles]
        return 1e3 * np.array([(onset[2] - onset[0], onset[4] - onset[2]) for onset in onsets]).reshape(-1, 2)

    @cached_property
    def centroid(self) -> np.ndarray:
        """Of the spectrum, Hz, (sounds,)."""
        return np.array([spectral_centroid(waveform, self.sampling_rate) for waveform in self.waveforms])

    @cached_property
    def statistics(self) -> np.ndarray:
        """`signal_statistics` of each sound, (sounds, 10)."""
        return np.array([signal_statistics(waveform, self.sampling_rate) for waveform in self.waveforms])

    @cached_property
    def plausible(self) -> np.ndarray:
        """`is_plausible` of each sound, (sounds,)."""
        return np.array([is_plausible(*row) for row in zip(self.waveforms, self.heart_rate, self.cycles, strict=True)])

    @cached_property
    def murmur_level(self) -> np.ndarray:
        """Systole over diastole, 100 to 400 Hz, dB: a second opinion on systolic murmurs that no network gives."""
        pairs = zip(self.waveforms, self.cycles, strict=True)
        return np.array([murmur_band_level(waveform, self.sampling_rate, beats) for waveform, beats in pairs])

    @cached_property
    def factors(self) -> dict[str, np.ndarray]:
        """Those of `hldm.evaluation.factors.OWN`, (sounds,) each, but the murmur as the judge's log odds."""
        present = self.judgement.probabilities["murmur"][:, 1].astype(np.float64).clip(1e-6, 1 - 1e-6)
        diastole = np.array([level.diastole for level in self.levels])
        columns = np.log(self.heart_rate), self.s1_to_s2, np.log(present / (1 - present)), diastole
        return dict(zip(OWN, columns, strict=True))

    @property
    def has_murmur(self) -> np.ndarray:
        """The judge's verdict, (sounds,)."""
        return self.factors["murmur"] > 0

    @property
    def embedding(self) -> np.ndarray:
        """The judge's, for the set distances, (sounds, d)."""
        return self.judgement.embedding


def listen(waveforms: Sequence[np.ndarray], cycles: Sequence[np.ndarray] | None, judge: Judge) -> Heard:
    """Let the judge hear sounds at its own rate.

    Parameters
    ----------
    waveforms : sequence of ndarray (samples,)
        All of one length.
    cycles : sequence of ndarray (beats, 5) or None
        Where the beats of each sound ought to be, in seconds, as of `hldm.data.Recording.cycles`. None: where the
        judge finds them.
    """
    waveforms = np.asarray(waveforms, np.float32)
    judgement = judge(list(waveforms))
    if cycles is None:
        cycles = [judge.cycles(states) for states in judgement.state_probabilities]
    return Heard(waveforms, judgement, cycles, judge.audio.sampling_rate)


def area_under_curve(label: np.ndarray, score: np.ndarray) -> float:
    """NaN where all labels agree."""
    return float(roc_auc_score(label, score)) if len(np.unique(label)) == 2 else np.nan
