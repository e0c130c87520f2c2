"""Train the attribute predictor before the VAE: on simulated hearts and on real `train` recordings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.metrics import recall_score, roc_auc_score
from torch import Tensor

from hldm.config import Profile, VAEConfig
from hldm.data.clips import ClipDataset
from hldm.data.records import ClinicalRecord
from hldm.engine.fit import fit
from hldm.models.attribute_predictor import AttributePredictor, AttributePredictorConfig, Measurement
from hldm.models.judge import IGNORE, MURMUR_ATTRIBUTES, labels_of
from hldm.models.latent_probes import FACTORS, factor_error
from hldm.training.card import write_card
from hldm.training.corpus import corpus_name, open_corpus
from hldm.training.mixture import Mixture, MixtureBatch

RANDOM_GAIN = 3.0  # dB, standard deviation
BLURRED = 0.5  # share of batches that are smoothed: decoders smooth, and must not fool the attribute predictor by that


def attribute_labels(records: Sequence[ClinicalRecord]) -> dict[str, Tensor]:
    """Class indices of the murmur attributes, (records,); `IGNORE` where unknown or no murmur is heard."""
    rows = [labels_of(record) for record in records]
    return {name: torch.tensor([row[name] for row in rows]) for name in MURMUR_ATTRIBUTES}


def train_attribute_predictor(
    profile: Profile,
    folder: str | os.PathLike,
    *,
    config: AttributePredictorConfig = AttributePredictorConfig(),  # noqa: B008 (frozen)
    vae_config: VAEConfig = VAEConfig(),
    steps: int = 2500,
    batch_size: int = 48,
    learning_rate: float = 2e-3,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> tuple[AttributePredictor, dict[str, float]]:
    """Train, then write ``attribute_predictor.safetensors`` into `folder`.

    Returns
    -------
    predictor : AttributePredictor
        Frozen.
    scores : dict
        `score_attribute_predictor` on the val part.
    """
    clips = ClipDataset(open_corpus("train", profile.max_patients), config.audio, hop_seconds=1.28)
    mixture = Mixture(
        clips, batch_size, min(vae_config.simulated_pairs, profile.max_patients or vae_config.simulated_pairs)
    )
    with torch.random.fork_rng(devices=[]):  # initial weights and dropout draw from the global generator
        torch.manual_seed(seed)
        predictor = AttributePredictor(config).to(device)

        def step_loss(step: int, generator: torch.Generator):
            torch.manual_seed(seed * 1_000_003 + step)  # dropout
            batch = mixture.draw(generator)
            gain = RANDOM_GAIN * torch.randn(len(batch.states), 1, 1, generator=generator)
            log_mel, factors = batch.log_mel + gain, batch.factors.clone()
            for i, (name, factor) in enumerate(FACTORS.items()):
                if name in ("floor", "level"):
                    factors[:, i] += gain[:, 0, 0] / factor.scale
            if torch.rand((), generator=generator) < BLURRED:
                log_mel = F.avg_pool2d(log_mel[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
            return attribute_loss(predictor(log_mel.to(device)), batch.to(device), factors.to(device)), {}

        steps = steps if profile.max_steps is None else min(steps, profile.max_steps)
        fit(
            predictor,
            step_loss,
            steps,
            folder=Path(folder) / "attribute_predictor",
            learning_rate=learning_rate,
            seed=seed,
            run={"config": config, "clips": len(clips)},
        )
    predictor.eval().requires_grad_(False).cpu()
    scores = score_attribute_predictor(predictor, ClipDataset(open_corpus("val", profile.max_patients), config.audio))
    write_card(
        predictor.save(folder),
        what="Attribute predictor: log-mel to heart rate, states, murmur and noise; it teaches the VAE.",
        corpus=corpus_name(), scores=scores, scored_on=f"{corpus_name()}, val part",
        training={"updates": steps, "batch": batch_size, "real clips": len(clips),
                  "simulated pairs": vae_config.simulated_pairs, "learning rate": learning_rate, "seed": seed},
    )  # fmt: skip
    return predictor, scores


def attribute_loss(said: Measurement, batch: MixtureBatch, factors: Tensor) -> Tensor:
    """Sum of the errors over states, factors and attributes; what is not known is not scored."""
    total = F.cross_entropy(said.states, batch.states[:, ::2] - 1)
    for i, name in enumerate(FACTORS):
        total = total + factor_error(name, said.factors[:, i], factors[:, i])
    for name, truth in attribute_labels(batch.records).items():
        if (truth != IGNORE).any():
            truth = truth.to(factors.device)
            total = total + 0.3 * F.cross_entropy(said.attributes[name], truth, ignore_index=IGNORE)
    return total


@torch.no_grad()
def score_attribute_predictor(predictor: AttributePredictor, clips: ClipDataset) -> dict[str, float]:
    """Murmur AUC, balanced accuracy of attributes and states, and mean absolute errors, by clip."""
    batch = Mixture(clips, len(clips), 0).batch(range(len(clips)), ())
    said = predictor(batch.log_mel)
    scores = {"state_accuracy": float((said.states.argmax(1) + 1 == batch.states[:, ::2]).float().mean())}
    for i, name in enumerate(FACTORS):
        truth, known = batch.factors[:, i], ~batch.factors[:, i].isnan()
        if name != "murmur":
            scores[f"{name}_r2"] = float(
                1 - (said.factors[known, i] - truth[known]).square().mean() / truth[known].var()
            )
        elif len(set(truth[known].tolist())) == 2:
            scores["murmur_auc"] = float(roc_auc_score(truth[known], said.factors[known, i]))
    for name, truth in attribute_labels(batch.records).items():
        known = truth != IGNORE
        if known.any():
            heard, values = said.attributes[name][known].argmax(1), truth[known].unique()
            scores[name] = float(recall_score(truth[known], heard, labels=values, average="macro"))
    return scores
