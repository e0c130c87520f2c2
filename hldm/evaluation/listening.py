"""What independent measurers hear in sounds that went through a model; and what a recording loses on that way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from hldm.evaluation.factors import OWN, KnownClips
from hldm.evaluation.measurers import Judge
from hldm.evaluation.physiology import estimate_heart_rate, murmur_band_level, state_levels
from hldm.evaluation.resampling import Estimate, Sample, interval
from hldm.models import MultiScaleVAE


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
    """

    waveforms: np.ndarray
    factors: dict[str, np.ndarray]
    murmur_level: np.ndarray

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
    present = judge(list(waveforms)).probabilities["murmur"][:, 1].astype(np.float64).clip(1e-6, 1 - 1e-6)
    pairs = list(zip(waveforms, cycles, strict=True))
    levels = [state_levels(waveform, rate, beats) for waveform, beats in pairs]
    columns = (
        np.log([estimate_heart_rate(waveform, rate) for waveform in waveforms]),
        np.array([level.s1_to_s2 for level in levels]),
        np.log(present / (1 - present)),
        np.array([level.diastole for level in levels]),
    )
    murmur_level = np.array([murmur_band_level(waveform, rate, beats) for waveform, beats in pairs])
    return Heard(waveforms, dict(zip(OWN, columns, strict=True)), murmur_level)


@dataclass(frozen=True)
class Resynthesis:
    """The same clips as recorded, after the vocoder alone, and after VAE and vocoder.

    Attributes
    ----------
    known : KnownClips
    original, vocoded, returned : Heard
    """

    known: KnownClips
    original: Heard
    vocoded: Heard
    returned: Heard

    def rate_error(self, heard: Heard) -> Estimate:
        """Mean absolute error of the heart rate against the annotation, bpm."""
        truth = np.exp(self.known.factors["heart rate"])
        return self._mean(np.abs(heard.heart_rate - truth))

    def rate_shift(self, heard: Heard) -> Estimate:
        """Mean absolute difference from the rate that the same measurer hears in the original, bpm."""
        return self._mean(np.abs(heard.heart_rate - self.original.heart_rate))

    def murmur_auc(self, heard: Heard) -> Estimate:
        """Area under the curve of the judge's murmur, clip by clip."""
        return interval(lambda s: area_under_curve(*s.values.T), self._verdicts(heard))

    def auc_loss(self, heard: Heard) -> Estimate:
        """Points of that area that the original had more, on the same patients."""

        def loss(sample: Sample) -> float:
            label, before, after = sample.values.T
            return 100 * (area_under_curve(label, before) - area_under_curve(label, after))

        return interval(loss, self._verdicts(self.original, heard))

    def _mean(self, values: np.ndarray) -> Estimate:
        return interval(lambda s: s.values.mean(), Sample.of(values, self.known.patients))

    def _verdicts(self, *heard: Heard) -> Sample:
        columns = [self.known.factors["murmur"], *(h.factors["murmur"] for h in heard)]
        return Sample.of(np.stack(columns, axis=1), self.known.patients)


def area_under_curve(label: np.ndarray, score: np.ndarray) -> float:
    """NaN where all labels agree."""
    return float(roc_auc_score(label, score)) if len(np.unique(label)) == 2 else np.nan


@torch.inference_mode()
def resynthesise(vae: MultiScaleVAE, known: KnownClips, judge: Judge, vocode: Vocode, seed: int = 0) -> Resynthesis:
    """Encode, decode and vocode every clip, and listen."""
    decoded = vae.decode(vae.encode(known.log_mels).mean)
    sounds = (vocode(log_mels, seed=seed).numpy() for log_mels in (known.log_mels, decoded))
    heard = [listen(sound, known.cycles, judge) for sound in (known.waveforms, *sounds)]
    return Resynthesis(known, *heard)
