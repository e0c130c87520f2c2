"""The table of an evaluation: every figure with its interval, its real-against-real companion, N and its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from hldm.data.clips import clips_of
from hldm.data.errors import DataError
from hldm.data.records import ClinicalRecord, Recording
from hldm.evaluation import fidelity
from hldm.evaluation.cnn_two_sample import cnn_two_sample
from hldm.evaluation.consistency import balanced_accuracy
from hldm.evaluation.listening import Heard, listen
from hldm.evaluation.measurers import Judge
from hldm.evaluation.resampling import Estimate, Sample, interval, real_vs_real
from hldm.evaluation.result import Row, table
from hldm.evaluation.signal_statistics import STATISTICS, ratio_of_spreads, shift_of_mean
from hldm.models.judge import ATTRIBUTES, IGNORE, labels_of

#: Sounds on each side, below which a set distance says nothing.
FEWEST = 10


class Sound(Protocol):
    """What can be evaluated: a generated heart sound as well as a `Recording`."""

    waveform: np.ndarray
    sampling_rate: int
    record: ClinicalRecord


@dataclass(frozen=True)
class _Side:
    """One side of the comparison: what was heard, whose records asked for it, and of which patients it is."""

    heard: Heard
    records: list[ClinicalRecord]
    patients: np.ndarray

    @classmethod
    def of(cls, sounds: Sequence[Sound], judge: Judge) -> _Side:
        # A recording knows its patient; a generated sound stands alone.
        patients = [getattr(sound, "patient_id", "") or f"sound {i}" for i, sound in enumerate(sounds)]
        heard = listen([sound.waveform for sound in sounds], None, judge)
        return cls(heard, [sound.record for sound in sounds], np.array(patients))

    def sample(self, values: np.ndarray) -> Sample:
        """Values with their patients, less the sounds that gave none."""
        known = np.isfinite(values.reshape(len(values), -1)).all(1)
        return Sample.of(values[known], self.patients[known])

    def answers(self, attribute: str) -> Sample:
        """Rows (asked, heard) as class indices, of the sounds whose record says something."""
        asked = np.array([labels_of(record)[attribute] for record in self.records])
        heard, known = self.heard.judgement.probabilities[attribute].argmax(1), asked != IGNORE
        return Sample.of(np.stack([asked, heard], axis=1)[known], self.patients[known])

    def rate_errors(self) -> Sample:
        """Absolute heart-rate errors in bpm, of the sounds whose record has a heart rate."""
        asked = np.array([np.nan if record.heart_rate is None else record.heart_rate for record in self.records])
        return self.sample(np.abs(self.heard.heart_rate - asked))


def evaluate(
    sounds: Sequence[Sound],
    reference: Iterable[Recording],
    *,
    judge: Judge | None = None,
    data: str = "CirCor val",
    repeats: int = 100,
    seed: int = 0,
    cnn: bool = False,
) -> pd.DataFrame:
    """Fidelity and consistency of sounds against real recordings.

    Parameters
    ----------
    sounds : sequence of Sound
        Generated ones, at the judge's sampling rate. All are cut to the length of the shortest.
    reference : iterable of Recording
        Annotated real recordings of patients that no model was trained on.
    judge : Judge, optional
        Default: the shipped one.
    data : str
        Name of the reference, for the table.
    repeats : int
        Resamplings of each interval.
    cnn : bool
        Whether to train networks that tell the sets apart, too (`hldm.evaluation.cnn_two_sample`); takes minutes.

    Returns
    -------
    DataFrame
        As of `hldm.evaluation.result.table`. Set distances are at equal N on both sides, and so is real against real.

    Raises
    ------
    DataError
        For fewer than 10 sounds or 20 real clips, or another sampling rate.
    """
    judge = judge or Judge.from_pretrained()
    rate = judge.audio.sampling_rate
    if other := {sound.sampling_rate for sound in sounds} - {rate}:
        raise DataError(f"{rate} Hz: resample the sounds", field="sampling_rate", value=sorted(other))
    samples = min((len(sound.waveform) for sound in sounds), default=0)
    clips = [clip for recording in reference for clip in clips_of(recording, samples / rate)] if samples else []
    if len(sounds) < FEWEST or len(clips) < 2 * FEWEST:
        raise DataError(
            f"at least {FEWEST} sounds and {2 * FEWEST} real clips of {samples / rate:.2f} s", field=data,
            value=f"{len(sounds)} sounds and {len(clips)} real clips",
        )  # fmt: skip
    made, real = _Side.of([_cut(sound, samples) for sound in sounds], judge), _Side.of(clips, judge)
    by_judge, data = judge.name, f"{data}, {len(set(real.patients))} patients"
    rng = np.random.default_rng(seed)

    def distance(metric: str, better: str, statistic: Callable, measure: Callable, by: str) -> Row | None:
        """A comparison of two sets of equal size, with its floor; None where too few sounds could be measured."""
        ours, theirs = (side.sample(measure(side.heard)) for side in (made, real))
        if min(len(ours), len(theirs) // 2) < FEWEST:
            return None
        value, companion = against_real(statistic, ours, theirs, rng=rng, repeats=repeats, seed=seed)
        return Row(metric, value, better, real=companion, measured_by=by, data=data)

    def score(metric: str, better: str, statistic: Callable, measure: Callable, by: str) -> Row | None:
        """A figure of one set, with the same figure of the real one; None where no record says anything."""
        pair = measure(made), measure(real)
        if min(len(np.unique(side.groups)) for side in pair) < 2:
            return None
        value, companion = (interval(statistic, s, repeats=repeats, seed=seed) for s in pair)
        return Row(metric, value, better, real=companion, measured_by=by, data=data)

    rows = [
        distance(name, better, statistic, lambda heard: heard.embedding, by_judge)
        for name, better, statistic in SET_METRICS
    ]
    rows += [
        distance(f"Wasserstein distance of {name}", "lower", _wasserstein, measure, by)
        for name, measure, by in (
            ("heart rate (bpm)", lambda heard: heard.heart_rate, "autocorrelation"),
            ("spectral centroid (Hz)", lambda heard: heard.centroid, "spectrum"),
            ("S1 to S2 (ms)", lambda heard: heard.intervals[:, 0], by_judge),
            ("S2 to S1 (ms)", lambda heard: heard.intervals[:, 1], by_judge),
            ("S1 over S2 (dB)", lambda heard: heard.s1_to_s2, by_judge),
        )
    ]
    rows += [
        score(f"{name}, balanced accuracy", "higher", _accuracy, lambda side, k=name: side.answers(k), by_judge)
        for name in ATTRIBUTES
    ]
    errors, plausible = _Side.rate_errors, lambda side: side.sample(side.heard.plausible)
    rows += [
        score("heart rate within 5 bpm", "higher", lambda s: np.mean(s.values <= 5), errors, "autocorrelation"),
        score("heart rate error (bpm)", "lower", lambda s: np.mean(s.values), errors, "autocorrelation"),
        score("plausibility rate", "higher", lambda s: np.mean(s.values), plausible, by_judge),
    ]
    for i, name in enumerate(STATISTICS):
        for what, statistic in (("shift (sd)", shift_of_mean), ("spread (ratio)", ratio_of_spreads)):
            rows.append(distance(f"{name}: {what}", "", statistic, lambda heard, i=i: heard.statistics[:, i], "signal"))
    if cnn:
        waveforms = [Sample.of(side.heard.waveforms, side.patients) for side in (made, real)]
        rows.append(cnn_two_sample(*waveforms, repeats=repeats, seed=seed, data=data))
    return table(row for row in rows if row is not None)


def against_real(
    statistic: Callable[[Sample, Sample], float],
    x: Sample,
    real: Sample,
    *,
    rng: np.random.Generator,
    repeats: int = 100,
    seed: int = 0,
) -> tuple[Estimate, Estimate]:
    """A statistic of two sets, and of real against real; all four sets are of one size, which both depend on."""
    companion = real_vs_real(statistic, real, n=len(x), seed=seed)
    pair = x.at_most(companion.n, rng), real.at_most(companion.n, rng)
    return interval(statistic, *pair, repeats=repeats, seed=seed), companion


def _cut(sound: Sound, samples: int) -> Recording:
    """The first samples of a sound, as a recording; a patient is kept where there is one."""
    return Recording(
        np.asarray(sound.waveform[:samples]),
        sound.sampling_rate,
        record=sound.record,
        patient_id=getattr(sound, "patient_id", ""),
    )


def _embedded(statistic: Callable) -> Callable[[Sample, Sample], float]:
    """A statistic of two sets of embeddings; NaN where a half of the patients leaves too few for neighbours."""
    return lambda x, real: statistic(x.values, real.values) if min(len(x), len(real)) > 4 else np.nan


def _wasserstein(x: Sample, real: Sample) -> float:
    return wasserstein_distance(x.values, real.values)


def _accuracy(answers: Sample) -> float:
    return balanced_accuracy(*answers.values.T)


#: Name, which way is better, and statistic of two samples of embeddings.
SET_METRICS = (
    ("Frechet distance", "lower", _embedded(fidelity.frechet_distance)),
    ("kernel distance x 100", "lower", _embedded(fidelity.kernel_distance)),
    ("precision (k=3)", "higher", _embedded(lambda x, y: fidelity.prdc(x, y).precision)),
    ("recall (k=3)", "higher", _embedded(lambda x, y: fidelity.prdc(x, y).recall)),
    ("density (k=3)", "higher", _embedded(lambda x, y: fidelity.prdc(x, y).density)),
    ("coverage (k=3)", "higher", _embedded(lambda x, y: fidelity.prdc(x, y).coverage)),
    ("linear two-sample AUC", "lower", fidelity.two_sample_auc),
)
