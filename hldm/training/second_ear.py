"""Train the second ear on real recordings; see `hldm.models.second_ear`.

The budget is fixed: the last update is kept, whatever it scores, for an ear that was chosen on `val` would flatter
what is measured there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hldm.data.clips import annotated_span, crop
from hldm.data.records import Recording
from hldm.engine.fit import fit
from hldm.models.judge import ATTRIBUTES, labels_of
from hldm.models.second_ear import SecondEar, SecondEarConfig
from hldm.training.judge import class_weights, state_targets, verdict_loss


@dataclass(frozen=True)
class SecondEarTraining:
    """How a second ear is trained; the defaults take some minutes on two cores."""

    epochs: int = 4
    crops: int = 3  # of each recording in an epoch
    batch_size: int = 16
    learning_rate: float = 2e-3
    smoothing: float = 0.05  # of the labels, which are a listener's opinion
    gain_db: float = 1.0  # little: the level is what it is to hear
    seed: int = 1000  # not the judge's

    def updates(self, recordings: int) -> int:
        """Of a training on so many recordings."""
        return self.epochs * -(-recordings * self.crops // self.batch_size)


def train_second_ear(
    train: Sequence[Recording],
    folder: str | os.PathLike,
    *,
    config: SecondEarConfig = SecondEarConfig(),
    training: SecondEarTraining = SecondEarTraining(),
) -> tuple[SecondEar, list[dict[str, float]]]:
    """Train on `train`, resuming where a run was interrupted, and write ``second_ear.safetensors`` into `folder`.

    Parameters
    ----------
    train : sequence of Recording
        Real recordings at the ear's sampling rate. Never generated ones.

    Returns
    -------
    model : SecondEar
        In evaluation mode.
    log : list of dict
        As of `hldm.engine.fit.fit`.
    """
    rows = [labels_of(r.record) for r in train]
    weights, samples = class_weights(rows), round(config.clip_seconds * config.sampling_rate)
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator
        torch.manual_seed(training.seed)
        model = SecondEar(config).train()

    def step_loss(step: int, generator: torch.Generator):
        rng = np.random.default_rng(generator.initial_seed())
        chosen = rng.integers(len(train), size=training.batch_size)
        clips, states = [], []
        for i in chosen:
            first, last = annotated_span(train[i], samples)
            start = int(rng.integers(first, last + 1))
            gain = 10 ** (rng.uniform(-training.gain_db, training.gain_db) / 20)
            clips.append(np.float32(gain) * crop(train[i], start, samples))
            states.append(state_targets(train[i], start, config.step, samples // config.step))
        labels = {name: torch.tensor([rows[i][name] for i in chosen]) for name in ATTRIBUTES}
        rates = torch.tensor([np.log(train[i].heart_rate or np.nan) for i in chosen], dtype=torch.float32)
        verdict = model(torch.from_numpy(np.stack(clips)))
        targets = torch.from_numpy(np.stack(states))
        return verdict_loss(verdict, labels, rates, targets, weights, training.smoothing), {}

    log = fit(
        model, step_loss, training.updates(len(train)), folder=Path(folder) / "second_ear", seed=training.seed,
        learning_rate=training.learning_rate,
        run={"config": config, "training": training, "recordings": len(train)},
    )  # fmt: skip
    model.eval().save(folder)
    return model, log
