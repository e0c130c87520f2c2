"""Train the judge on real recordings; see `hldm.models.judge`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import recall_score, roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from hldm.config import AudioConfig
from hldm.data.clips import annotated_span, crop, windows
from hldm.data.records import ClinicalRecord, Recording, State
from hldm.data.spectrogram import LogMel
from hldm.models.judge import ATTRIBUTES, MURMUR_ATTRIBUTES, JudgeConfig, JudgeNet, Verdict, level

IGNORE = -100  # a label that is not known


@dataclass(frozen=True)
class JudgeTraining:
    """How a judge is trained; the defaults take some minutes on two cores."""

    epochs: int = 10
    crops: int = 3  # of each recording in an epoch
    batch_size: int = 48
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    smoothing: float = 0.05  # of the labels, which are a listener's opinion
    gain_db: float = 6.0
    noise_db: tuple[float, float] = (-50.0, -25.0)  # relative to the clip
    seed: int = 0


def attributes_of(record: ClinicalRecord) -> dict[str, str | None]:
    """What a record says about each of `ATTRIBUTES`; None where it says nothing.

    A murmur counts where it is heard (`ClinicalRecord.murmur_here`), its attributes only with it.
    """
    here = record.murmur_here
    said = dict.fromkeys(ATTRIBUTES) | {"location": record.location}
    if here is not None:
        said["murmur"] = "Present" if here else "Absent"
    if here and record.systolic:
        said |= {name: getattr(record.systolic, name) for name in MURMUR_ATTRIBUTES}
    return {name: value if value in ATTRIBUTES[name] else None for name, value in said.items()}


def labels_of(record: ClinicalRecord) -> dict[str, int]:
    """`attributes_of` a record as class indices; `IGNORE` where unknown."""
    said = attributes_of(record)
    return {n: IGNORE if v is None else ATTRIBUTES[n].index(v) for n, v in said.items()}


def _state_targets(recording: Recording, start: int, audio: AudioConfig) -> np.ndarray:
    """State of each judged frame of a clip, ``(clip_frames / 2,)``; `IGNORE` where not annotated."""
    step = 2 * audio.hop_length
    times = (start + step * np.arange(audio.clip_frames // 2)) / audio.sampling_rate
    targets = np.full(len(times), IGNORE)
    for segment in recording.segments:
        if segment.state != State.UNANNOTATED:
            targets[(times >= segment.start) & (times < segment.end)] = segment.state - 1
    return targets


def _loss(verdict: Verdict, labels: dict[str, Tensor], rates: Tensor, states: Tensor, weights, smoothing):
    known = ~rates.isnan()
    total = F.cross_entropy(verdict.states, states, ignore_index=IGNORE)
    total = total + 4 * F.smooth_l1_loss(verdict.log_rate[known], rates[known], beta=0.05)
    for name, logits in verdict.logits.items():
        if (labels[name] != IGNORE).any():
            share = 1.0 if name == "murmur" else 0.3
            total = total + share * F.cross_entropy(
                logits, labels[name], weights[name], ignore_index=IGNORE, label_smoothing=smoothing
            )
    return total


def _class_weights(labels: Sequence[dict[str, int]]) -> dict[str, Tensor]:
    """Weights that let each value of an attribute count alike, with a mild cap for rare ones."""
    weights = {}
    for name, options in ATTRIBUTES.items():
        found = [row[name] for row in labels if row[name] != IGNORE]
        counts = np.bincount(found, minlength=len(options)).astype(float)
        weights[name] = torch.tensor(counts.sum() / (len(options) * np.maximum(counts, 10)), dtype=torch.float32)
    return weights


@torch.inference_mode()
def judge_recordings(model: JudgeNet, recordings: Sequence[Recording], audio: AudioConfig) -> dict[str, np.ndarray]:
    """Probabilities per recording, averaged over its windows, and the median heart rate.

    Returns
    -------
    dict
        For each of `ATTRIBUTES` an array (recordings, values); under ``"heart_rate"`` (recordings,) bpm.
    """
    model.eval()
    mel, found = LogMel(audio), {name: [] for name in (*ATTRIBUTES, "heart_rate")}
    for recording in recordings:
        clips = torch.from_numpy(np.stack(windows(recording, audio.clip_samples)))
        verdict = model(mel(level(clips)))
        for name, logits in verdict.logits.items():
            found[name].append(logits.softmax(-1).mean(0).numpy())
        found["heart_rate"].append(float(verdict.log_rate.exp().median()))
    return {name: np.array(values) for name, values in found.items()}


def score_judge(model: JudgeNet, recordings: Sequence[Recording], audio: AudioConfig) -> dict[str, float]:
    """Murmur AUC, balanced accuracy of each attribute, and the heart-rate error in bpm, per recording."""
    said, rows = judge_recordings(model, recordings, audio), [labels_of(r.record) for r in recordings]
    scores = {}
    for name in ATTRIBUTES:
        truth = np.array([row[name] for row in rows])
        known = truth != IGNORE
        if len(set(truth[known])) > 1:
            heard = said[name][known].argmax(1)
            scores[name] = recall_score(truth[known], heard, labels=np.unique(truth[known]), average="macro")
            if name == "murmur":
                scores["murmur_auc"] = roc_auc_score(truth[known], said[name][known][:, 1])
    rates = np.array([r.heart_rate or np.nan for r in recordings])
    scores["heart_rate_mae"] = float(np.nanmean(np.abs(rates - said["heart_rate"])))
    return {name: float(value) for name, value in scores.items()}


def train_judge(
    train: Sequence[Recording],
    val: Sequence[Recording],
    *,
    config: JudgeConfig = JudgeConfig(),  # noqa: B008 (frozen)
    training: JudgeTraining = JudgeTraining(),
    audio: AudioConfig = AudioConfig(),
    report=print,
) -> tuple[JudgeNet, list[dict[str, float]]]:
    """Train on `train`, keep the epoch that does best on `val`.

    Parameters
    ----------
    train, val : sequence of Recording
        Real recordings of different persons, at ``audio.sampling_rate``. Never generated ones: the judge must
        not learn what it is to measure.
    report : callable
        Takes one line of text after each epoch.

    Returns
    -------
    model : JudgeNet
        In evaluation mode.
    history : list of dict
        Scores on `val` after each epoch, with the training loss.
    """
    with torch.random.fork_rng(devices=[]):  # initial weights and dropout draw from the global generator
        torch.manual_seed(training.seed)
        return _train(train, val, config, training, audio, report)


def _train(train, val, config, training, audio, report):
    rng = np.random.default_rng(training.seed)
    model, mel = JudgeNet(config), LogMel(audio)
    rows = [labels_of(r.record) for r in train]
    weights = _class_weights(rows)
    order = np.repeat(np.arange(len(train)), training.crops)
    steps = -(-len(order) // training.batch_size)
    optimiser = torch.optim.AdamW(model.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, training.learning_rate, total_steps=steps * training.epochs
    )
    best, history = None, []
    for epoch in range(training.epochs):
        model.train()
        losses = []
        for chosen in np.array_split(rng.permutation(order), steps):
            batch = [_draw(train[i], rng, training, audio) for i in chosen]
            clips = torch.from_numpy(np.stack([clip for clip, _ in batch]))
            states = torch.from_numpy(np.stack([state for _, state in batch]))
            labels = {name: torch.tensor([rows[i][name] for i in chosen]) for name in ATTRIBUTES}
            rates = torch.tensor([np.log(train[i].heart_rate or np.nan) for i in chosen], dtype=torch.float32)
            loss = _loss(model(mel(clips)), labels, rates, states, weights, training.smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        scores = score_judge(model, val, audio) | {"loss": float(np.mean(losses))}
        history.append(scores)
        report(f"epoch {epoch + 1}: " + ", ".join(f"{k} {v:.3f}" for k, v in scores.items()))
        merit = scores.get("murmur_auc", 0) + np.mean([scores.get(name, 0) for name in ATTRIBUTES])
        if best is None or merit > best[0]:
            best = merit, copy.deepcopy(model.state_dict())
    model.load_state_dict(best[1])
    return model.eval(), history


def _draw(recording: Recording, rng: np.random.Generator, training: JudgeTraining, audio: AudioConfig):
    """One augmented clip and its states: another moment, another gain, a little noise."""
    first, last = annotated_span(recording, audio.clip_samples)
    start = int(rng.integers(first, last + 1))
    clip = level(torch.from_numpy(crop(recording, start, audio.clip_samples))).numpy()
    noise = 0.05 * 10 ** (rng.uniform(*training.noise_db) / 20)
    clip = clip + noise * rng.standard_normal(len(clip), dtype=np.float32)
    gain = 10 ** (rng.uniform(-training.gain_db, training.gain_db) / 20)
    return (gain * clip).astype(np.float32), _state_targets(recording, start, audio)
