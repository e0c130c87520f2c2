"""What a judge is worth on recordings that it was not trained on, as its model card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from hldm.data.records import Recording
from hldm.evaluation.consistency import balanced_accuracy
from hldm.evaluation.measurers import Judge
from hldm.evaluation.physiology import estimate_heart_rate
from hldm.evaluation.resampling import Sample, interval
from hldm.models.judge import ATTRIBUTES, IGNORE, MURMUR_ATTRIBUTES, judge_recordings, labels_of

CARD = """# Model card: judge

A convolutional network of {parameters:,} parameters that hears 5.12 s of log-mel and names what a cardiologist
wrote down: murmur, its attributes, the auscultation site; and, frame by frame, S1, systole, S2 and diastole. Its
{embedding}-dimensional embedding is what the project's Frechet and kernel distances, precision, recall and
two-sample tests are computed on. It measures; it is no diagnostic device.

- Weights: `judge.safetensors`, half precision, SHA-256 `{hash}`
- Code: `hldm/models/judge.py`, `hldm/training/judge.py`; made by `hldm train judge`
- Data: CirCor DigiScope v1.0.3 (ODC-By 1.0), {train} real recordings of {train_patients} patients of the part
  `train`; epoch chosen on `val`. No generated sound was ever used.
- Labels: a murmur counts where `Murmur locations` says that it is heard; its attributes only there. Recordings of
  patients with murmur Unknown have no murmur label.
- Training: {training}

## On `val`: {val} recordings of {val_patients} patients

Each recording is judged by the mean over its 5.12 s windows. Intervals: 95 %, resampled by patient. Since the epoch
was chosen on the same recordings, the figures are slightly kind.

| figure | value | 95 % interval | recordings | patients | chance |
| --- | --- | --- | --- | --- | --- |
{rows}

The heart rate of a sound is measured by `hldm.evaluation.physiology.estimate_heart_rate` (autocorrelation).
The network's own regression stands beside it above; both against the median annotated beat.

## Limits

Children and pregnant women of two screening campaigns in Brazil, one make of stethoscope. The attributes of murmurs
rest on {murmur_patients} patients of `val`: their intervals are wide. Among those patients nobody has: {unheard}.
Read a generator's score beside the score on real recordings, never alone. Grade III means III or louder.
"""


def score(name: str, values: np.ndarray, groups: np.ndarray, statistic, chance: str = "") -> str:
    """One line of the card."""
    found = interval(statistic, Sample.of(values, groups), repeats=400)
    numbers = f"{found.value:.3g} | {found.low:.3g} to {found.high:.3g}"
    return f"| {name} | {numbers} | {found.n} | {found.groups} | {chance} |"


def figures(judge: Judge, recordings: Sequence[Recording]) -> list[str]:
    """All lines of the card."""
    said, truth = judge_recordings(judge.model, recordings), [labels_of(r.record) for r in recordings]
    patients, rows = np.array([r.patient_id for r in recordings]), []
    for name in ATTRIBUTES:
        label = np.array([t[name] for t in truth])
        known = label != IGNORE
        pairs = np.stack([label, said[name].argmax(1), said[name][:, -1]], axis=1)[known]
        if name == "murmur":
            auc = lambda s: roc_auc_score(s.values[:, 0], s.values[:, 2])  # noqa: E731
            rows.append(score("murmur, area under the curve", pairs, patients[known], auc, "0.5"))
        accuracy = lambda s: balanced_accuracy(s.values[:, 0], s.values[:, 1])  # noqa: E731
        chance = f"{1 / len(np.unique(label[known])):.2g}"  # of one answer to everything
        rows.append(score(f"{name}, balanced accuracy", pairs, patients[known], accuracy, chance))
    rates = {
        "network": said["heart_rate"],
        "autocorrelation": np.array([estimate_heart_rate(r.waveform, r.sampling_rate) for r in recordings]),
    }
    annotated = np.array([r.heart_rate or np.nan for r in recordings])
    known = np.array([len(r.cycles) >= 3 for r in recordings])
    for by, rate in rates.items():
        error = np.abs(rate - annotated)[known]
        for metric, statistic in (
            ("mean error, bpm", lambda s: s.values.mean()),
            ("median error, bpm", lambda s: np.median(s.values)),
            ("within 5 bpm", lambda s: np.mean(s.values <= 5)),
        ):
            rows.append(score(f"heart rate by {by}: {metric}", error, patients[known], statistic))
    return rows


def judge_card(judge: Judge, train: Sequence[Recording], val: Sequence[Recording], training: str) -> str:
    """The model card of a judge that was trained on `train`, measured on `val`.

    Parameters
    ----------
    training : str
        How it was trained, in words.
    """
    graded = [r for r in val if labels_of(r.record)["grade"] != IGNORE]
    heard = {getattr(r.record.systolic, name) for r in graded for name in MURMUR_ATTRIBUTES}
    unheard = [value for name in MURMUR_ATTRIBUTES for value in ATTRIBUTES[name] if value not in heard]
    return CARD.format(
        parameters=sum(p.numel() for p in judge.model.parameters()),
        embedding=judge.model.config.embedding,
        hash=judge.hash,
        train=len(train),
        train_patients=len({r.patient_id for r in train}),
        val=len(val),
        val_patients=len({r.patient_id for r in val}),
        training=training,
        rows="\n".join(figures(judge, val)),
        murmur_patients=len({r.patient_id for r in graded}),
        unheard=", ".join(unheard) or "none",
    )
