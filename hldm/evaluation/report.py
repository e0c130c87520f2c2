"""The table of an evaluation: every figure with its interval, its real-against-real companion, N and its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from hldm.data.clips import annotated_stretches, clip_starts
from hldm.data.records import ClinicalRecord, Recording
from hldm.evaluation import fidelity
from hldm.evaluation.consistency import balanced_accuracy, is_plausible
from hldm.evaluation.measurers import Judge
from hldm.evaluation.physiology import estimate_heart_rate, spectral_centroid, state_levels
from hldm.evaluation.resampling import Estimate, Sample, floor, interval
from hldm.models.judge import ATTRIBUTES, attributes_of

#: Sounds on each side, below which a set distance says nothing.
FEWEST = 10


class Sound(Protocol):
    """What can be evaluated: a generated heart sound as well as a `Recording`."""

    waveform: np.ndarray
    sampling_rate: int
    record: ClinicalRecord


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    metric : str
        With its unit.
    better : {"lower", "higher"}
    generated, real : Estimate
        `real` is the same figure for real sounds: the floor of a distance, the ceiling of a score.
    measured_by : str
        The measurer and, where it has weights, the start of their SHA-256.
    data : str
        The real recordings it was computed on.
    """

    metric: str
    better: str
    generated: Estimate
    real: Estimate
    measured_by: str
    data: str


def table(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as a DataFrame, indexed by metric."""
    return pd.DataFrame(
        {
            "metric": row.metric,
            "better": row.better,
            "value": row.generated.value,
            "low": row.generated.low,
            "high": row.generated.high,
            "real": row.real.value,
            "real low": row.real.low,
            "real high": row.real.high,
            "N": row.generated.n,
            "N real": row.real.n,
            "patients": row.real.groups,
            "measured by": row.measured_by,
            "data": row.data,
        }
        for row in rows
    ).set_index("metric")


def clips_of(recording: Recording, seconds: float) -> list[Recording]:
    """Clips of annotated beats that begin with S1 and do not overlap, each with its own heart rate in its record."""
    clips = []
    for stretch in annotated_stretches(recording):
        for i in clip_starts(stretch, seconds, seconds):
            start = stretch[i, 0]
            first = round(start * recording.sampling_rate)
            inside = stretch[(stretch[:, 0] >= start) & (stretch[:, 4] <= start + seconds)]
            rate = 60 / np.median(inside[:, 4] - inside[:, 0]) if len(inside) else None
            clips.append(
                dataclasses.replace(
                    recording,
                    waveform=recording.waveform[first : first + round(seconds * recording.sampling_rate)],
                    segments=(),
                    record=recording.record.replace(heart_rate=rate),
                    name=f"{recording.name}@{start:.2f}",
                )
            )
    return clips


class _Measured:
    """Everything that is measured once for each sound."""

    def __init__(self, sounds: Sequence[Sound], judge: Judge):
        waveforms = [np.asarray(sound.waveform, np.float32) for sound in sounds]
        rate = judge.audio.sampling_rate
        self.records = [sound.record for sound in sounds]
        # A recording knows its patient; a generated sound stands alone.
        self.groups = [getattr(sound, "patient_id", "") or f"sound {i}" for i, sound in enumerate(sounds)]
        self.judgement = judge(waveforms)
        self.cycles = [judge.cycles(states) for states in self.judgement.state_probabilities]
        self.heart_rate = np.array([estimate_heart_rate(w, rate) for w in waveforms])
        self.centroid = np.array([spectral_centroid(w, rate) for w in waveforms])
        measured = zip(waveforms, self.heart_rate, self.cycles, strict=True)
        self.plausible = np.array([is_plausible(*row) for row in measured])
        beats = [self._beats(w, rate, c) for w, c in zip(waveforms, self.cycles, strict=True)]
        self.systole, self.diastole, self.s1_to_s2 = np.array(beats).reshape(-1, 3).T

    @staticmethod
    def _beats(waveform: np.ndarray, rate: int, cycles: np.ndarray) -> tuple[float, float, float]:
        """Median S1 to S2 and S2 to S1 in ms, and level of S1 over S2 in dB; NaN where no beat was found."""
        if not len(cycles):
            return np.nan, np.nan, np.nan
        onset = np.median(cycles, axis=0)
        return 1e3 * (onset[2] - onset[0]), 1e3 * (onset[4] - onset[2]), state_levels(waveform, rate, cycles).s1_to_s2

    def sample(self, values: np.ndarray) -> Sample:
        """Values with their patients, less the sounds that gave none."""
        known = np.isfinite(values.reshape(len(values), -1)).all(1)
        return Sample.of(values[known], np.array(self.groups)[known])

    def answers(self, attribute: str) -> Sample:
        """Rows (asked, heard) as class indices, of the sounds whose record says something."""
        options = ATTRIBUTES[attribute]
        asked = [attributes_of(record)[attribute] for record in self.records]
        known = [i for i, value in enumerate(asked) if value is not None]
        heard = self.judgement.probabilities[attribute].argmax(1)
        rows = np.array([(options.index(asked[i]), heard[i]) for i in known]).reshape(-1, 2)
        return Sample.of(rows, np.array(self.groups)[known])

    def rate_errors(self) -> Sample:
        """Absolute heart-rate errors in bpm, of the sounds whose record has a heart rate."""
        known = [i for i, record in enumerate(self.records) if record.heart_rate is not None]
        errors = [abs(self.heart_rate[i] - self.records[i].heart_rate) for i in known]
        return Sample.of(np.array(errors), np.array(self.groups)[known])


def evaluate(
    sounds: Sequence[Sound],
    reference: Iterable[Recording],
    *,
    judge: Judge | None = None,
    data: str = "CirCor val",
    repeats: int = 100,
    seed: int = 0,
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

    Returns
    -------
    DataFrame
        As of `table`. Set distances are at equal N on both sides, and so are their floors.

    Raises
    ------
    ValueError
        For fewer than 10 sounds or 20 real clips, or another sampling rate.
    """
    judge = judge or Judge.from_pretrained()
    rate = judge.audio.sampling_rate
    if other := {sound.sampling_rate for sound in sounds} - {rate}:
        raise ValueError(f"sounds at {sorted(other)} Hz, expected {rate} Hz: resample them")
    samples = min((len(sound.waveform) for sound in sounds), default=0)
    clips = [clip for recording in reference for clip in clips_of(recording, samples / rate)] if samples else []
    if len(sounds) < FEWEST or len(clips) < 2 * FEWEST:
        found = f"{len(sounds)} sounds and {len(clips)} real clips"
        raise ValueError(f"{found}, expected at least {FEWEST} and {2 * FEWEST}")
    made, real = _Measured([_cut(sound, samples) for sound in sounds], judge), _Measured(clips, judge)
    by_judge = judge.name
    row = partial(Row, data=f"{data}, {len(set(real.groups))} patients")
    rng = np.random.default_rng(seed)

    def distance(metric: str, better: str, statistic: Callable, measure: Callable, by: str) -> Row | None:
        """A comparison of two sets of equal size, with its floor; None where too few sounds could be measured."""
        ours, theirs = made.sample(measure(made)), real.sample(measure(real))
        n = min(len(ours), len(theirs) // 2)
        if n < FEWEST:
            return None
        companion = floor(statistic, theirs, n=n, seed=seed)
        pair = ours.at_most(companion.n, rng), theirs.at_most(companion.n, rng)
        return row(metric, better, interval(statistic, *pair, repeats=repeats, seed=seed), companion, by)

    def score(metric: str, better: str, statistic: Callable, measure: Callable, by: str) -> Row | None:
        """A figure of one set, with the same figure of the real one; None where no record says anything."""
        pair = measure(made), measure(real)
        if min(len(np.unique(side.groups)) for side in pair) < 2:
            return None
        return row(metric, better, *(interval(statistic, s, repeats=repeats, seed=seed) for s in pair), by)

    rows = [
        distance(name, better, statistic, lambda m: m.judgement.embedding, by_judge)
        for name, better, statistic in SET_METRICS
    ]
    rows += [
        distance(f"Wasserstein distance of {name}", "lower", _wasserstein, lambda m, k=key: getattr(m, k), by)
        for name, key, by in (
            ("heart rate (bpm)", "heart_rate", "autocorrelation"),
            ("spectral centroid (Hz)", "centroid", "spectrum"),
            ("S1 to S2 (ms)", "systole", by_judge),
            ("S2 to S1 (ms)", "diastole", by_judge),
            ("S1 over S2 (dB)", "s1_to_s2", by_judge),
        )
    ]
    rows += [
        score(f"{name}, balanced accuracy", "higher", _accuracy, lambda m, k=name: m.answers(k), by_judge)
        for name in ATTRIBUTES
    ]
    errors = _Measured.rate_errors
    rows += [
        score("heart rate within 5 bpm", "higher", lambda s: np.mean(s.values <= 5), errors, "autocorrelation"),
        score("heart rate error (bpm)", "lower", lambda s: np.mean(s.values), errors, "autocorrelation"),
        score("plausibility rate", "higher", lambda s: np.mean(s.values), lambda m: m.sample(m.plausible), by_judge),
    ]
    return table(row for row in rows if row is not None)


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
    ("precision (k=3)", "higher", _embedded(lambda x, y: fidelity.manifold(x, y).precision)),
    ("recall (k=3)", "higher", _embedded(lambda x, y: fidelity.manifold(x, y).recall)),
    ("density (k=3)", "higher", _embedded(lambda x, y: fidelity.manifold(x, y).density)),
    ("coverage (k=3)", "higher", _embedded(lambda x, y: fidelity.manifold(x, y).coverage)),
    ("linear two-sample AUC", "lower", fidelity.two_sample_auc),
)
