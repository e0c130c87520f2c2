"""Train the judge on real recordings; see `hldm.models.judge`."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import recall_score, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from hldm.config import AudioConfig
from hldm.data.clips import annotated_span, crop
from hldm.data.records import Recording, State
from hldm.data.spectrogram import LogMel
from hldm.engine.fit import fit
from hldm.models.judge import (
    ATTRIBUTES,
    IGNORE,
    JudgeConfig,
    JudgeNet,
    Verdict,
    judge_recordings,
    labels_of,
    level,
)  # fmt: skip


@dataclass(frozen=True)
class JudgeTraining:
    """How a judge is trained; the defaults take some minutes on two cores."""

    epochs: int = 10
    crops: int = 3  # of each recording in an epoch
    batch_size: int = 48
    learning_rate: float = 3e-3
    smoothing: float = 0.05  # of the labels, which are a listener's opinion
    gain_db: float = 6.0
    noise_db: tuple[float, float] = (-50.0, -25.0)  # relative to the clip
    seed: int = 0


def state_targets(recording: Recording, start: int, step: int, frames: int) -> np.ndarray:
    """State of each judged frame of a clip, `step` samples apart, ``(frames,)``; `IGNORE` where not annotated."""
    times = (start + step * np.arange(frames)) / recording.sampling_rate
    targets = np.full(len(times), IGNORE)
    for segment in recording.segments:
        if segment.state != State.UNANNOTATED:
            targets[(times >= segment.start) & (times < segment.end)] = segment.state - 1
    return targets


def verdict_loss(verdict: Verdict, labels: dict[str, Tensor], rates: Tensor, states: Tensor, weights, smoothing):
    """Cross-entropy of states and attributes, as far as they are known, and the error of the log heart rate."""
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


def class_weights(labels: Sequence[dict[str, int]]) -> dict[str, Tensor]:
    """Weights that let each value of an attribute count alike, with a mild cap for rare ones."""
    weights = {}
    for name, options in ATTRIBUTES.items():
        found = [row[name] for row in labels if row[name] != IGNORE]
        counts = np.bincount(found, minlength=len(options)).astype(float)
        weights[name] = torch.tensor(counts.sum() / (len(options) * np.maximum(counts, 10)), dtype=torch.float32)
    return weights


def score_judge(model: JudgeNet, recordings: Sequence[Recording]) -> dict[str, float]:
    """Murmur AUC, balanced accuracy of each attribute, and the heart-rate error in bpm, per recording."""
    said, rows = judge_recordings(model, recordings), [labels_of(r.record) for r in recordings]
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


class _Kept(nn.Module):
    """The judge in training, and the best one so far, so that a checkpoint holds both."""

    def __init__(self, config: JudgeConfig):
        super().__init__()
        self.now = JudgeNet(config)
        self.best = copy.deepcopy(self.now).requires_grad_(False)
        self.register_buffer("merit", torch.tensor(-1.0))

    def keep(self, scores: dict[str, float]) -> None:
        """Keep the judge as it is now where it is the best so far."""
        merit = scores.get("murmur_auc", 0) + np.mean([scores.get(name, 0) for name in ATTRIBUTES])
        if merit > self.merit:
            self.merit.fill_(merit)
            self.best.load_state_dict(self.now.state_dict())


def train_judge(
    train: Sequence[Recording],
    val: Sequence[Recording],
    folder: str | os.PathLike,
    *,
    config: JudgeConfig = JudgeConfig(),  # noqa: B008 (frozen)
    training: JudgeTraining = JudgeTraining(),
) -> tuple[JudgeNet, list[dict[str, float]]]:
    """Train on `train`, keep the epoch that does best on `val`, and write ``judge.safetensors`` into `folder`.

    Parameters
    ----------
    train, val : sequence of Recording
        Real recordings of different persons, at the front end's sampling rate. Never generated ones: the judge must
        not learn what it is to measure.

    Returns
    -------
    model : JudgeNet
        In evaluation mode.
    log : list of dict
        The loss of each epoch.
    """
    audio, mel, rows = config.audio, LogMel(config.audio), [labels_of(r.record) for r in train]
    weights, epoch = class_weights(rows), -(-len(train) * training.crops // training.batch_size)
    with torch.random.fork_rng(devices=[]):  # initial weights and dropout draw from the global generator
        torch.manual_seed(training.seed)
        kept = _Kept(config)

        def step_loss(step: int, generator: torch.Generator):
            torch.manual_seed(generator.initial_seed())  # dropout
            rng = np.random.default_rng(generator.initial_seed())
            chosen = rng.integers(len(train), size=training.batch_size)
            batch = [_draw(train[i], rng, training, audio) for i in chosen]
            clips, states = (torch.from_numpy(np.stack(part)) for part in zip(*batch, strict=True))
            labels = {name: torch.tensor([rows[i][name] for i in chosen]) for name in ATTRIBUTES}
            rates = torch.tensor([np.log(train[i].heart_rate or np.nan) for i in chosen], dtype=torch.float32)
            return verdict_loss(kept.now.train()(mel(clips)), labels, rates, states, weights, training.smoothing), {}

        def after_step(step: int) -> None:
            if (step + 1) % epoch == 0:
                kept.keep(score_judge(kept.now, val))

        log = fit(
            kept, step_loss, epoch * training.epochs, folder=Path(folder) / "judge", seed=training.seed,
            learning_rate=training.learning_rate, log_every=epoch, after_step=after_step,
            run={"config": config, "training": training, "recordings": len(train)},
        )  # fmt: skip
    kept.best.eval().save(folder)
    return kept.best, log


def _draw(recording: Recording, rng: np.random.Generator, training: JudgeTraining, audio: AudioConfig):
    """One augmented clip and its states: another moment, another gain, a little noise."""
    first, last = annotated_span(recording, audio.clip_samples)
    start = int(rng.integers(first, last + 1))
    clip = level(torch.from_numpy(crop(recording, start, audio.clip_samples))).numpy()
    noise = 0.05 * 10 ** (rng.uniform(*training.noise_db) / 20)
    clip = clip + noise * rng.standard_normal(len(clip), dtype=np.float32)
    gain = 10 ** (rng.uniform(-training.gain_db, training.gain_db) / 20)
    targets = state_targets(recording, start, 2 * audio.hop_length, audio.clip_frames // 2)
    return (gain * clip).astype(np.float32), targets
