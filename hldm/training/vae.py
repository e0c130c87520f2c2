"""Stage 1: the multi-scale VAE (Eq. 2, 3)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from hldm.config import Profile, VAEConfig
from hldm.data.clips import Clip, ClipDataset
from hldm.engine.fit import fit
from hldm.models.attribute_predictor import AttributePredictor
from hldm.models.latent_probes import FACTORS
from hldm.models.subspaces import split_subspaces
from hldm.models.vae import MultiScaleVAE, correlation_penalty, power_sum
from hldm.pretrained import same_front_end
from hldm.training.card import write_card
from hldm.training.corpus import corpus_name, open_corpus
from hldm.training.disentangle import Disentanglement
from hldm.training.mixture import Mixture


def train_vae(
    profile: Profile,
    folder: str | os.PathLike,
    *,
    config: VAEConfig = VAEConfig(),
    batch_size: int = 32,
    hop_seconds: float = 1.28,
    learning_rate: float = 1e-3,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> tuple[MultiScaleVAE, list[dict[str, float]], dict[str, float]]:
    """Train, then write ``vae.safetensors`` into `folder`.

    The loss is L1 + beta KL + delta L_disentangle, beta rising linearly from 0 over ``config.anneal_steps``; the terms
    of L_disentangle stand in `hldm.training.disentangle`. Half of each batch comes from the corpus, the other half from
    simulated pairs of hearts, unless ``config.simulated_pairs`` is 0.

    Returns
    -------
    model : MultiScaleVAE
        In evaluation mode.
    log : list of dict
        Training figures.
    scores : dict
        `score_vae` on the val part.
    """
    clips = ClipDataset(open_corpus("train", profile.max_patients), config.audio, hop_seconds=hop_seconds)
    mixture = Mixture(clips, batch_size, min(config.simulated_pairs, profile.max_patients or config.simulated_pairs))
    predictor = AttributePredictor.from_pretrained(folder).to(device) if config.measured_weight else None
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator
        torch.manual_seed(seed)
        vae = MultiScaleVAE(config).to(device)
    if predictor:
        same_front_end(vae=config.audio, attribute_predictor=predictor.config.audio)
    disentanglement = Disentanglement(config, predictor).to(device)

    def step_loss(step: int, generator: torch.Generator):
        batch = mixture.draw(generator).to(device)
        posterior = vae.encode(batch.log_mel)
        z = posterior.sample(generator)
        components = vae.components(z) if config.superposition else {}
        decoded = power_sum(*components.values()) if components else vae.decode(z)
        error = (decoded - batch.log_mel).abs().mean((1, 2))
        kl = posterior.kl()
        beta = config.beta * min(1.0, step / config.anneal_steps)
        loss = error.mean() / config.scale_db + beta * kl
        figures = {"l1_db": error[: batch.real].mean(), "kl": kl}
        if config.delta:
            apart, terms = disentanglement(vae, batch, posterior, z, components, step, generator)
            loss = loss + config.delta * apart
            figures |= terms
        return loss, {name: float(value.detach()) for name, value in figures.items()}

    steps = mixture.corpus.steps(profile.epochs[0], profile)
    both = nn.ModuleDict({"vae": vae, "disentanglement": disentanglement})  # memory of the latter is kept, too
    log = fit(
        both, step_loss, steps, folder=Path(folder) / "vae", learning_rate=learning_rate, seed=seed,
        run={"config": config, "clips": len(clips)},
    )  # fmt: skip
    vae.eval().cpu()
    set_latent_statistics(vae, clips)
    scores = score_vae(vae, ClipDataset(open_corpus("val", profile.max_patients), config.audio))
    write_card(
        vae.save(folder), what="Multi-scale VAE (Eq. 2, 3): log-mel to a latent of four named subspaces, and back.",
        corpus=corpus_name(), scores=scores, scored_on=f"{corpus_name()}, val part",
        training={"updates": steps, "batch": batch_size, "clips": len(clips),
                  "simulated pairs": len(mixture.pairs or ()), "learning rate": learning_rate, "seed": seed},
    )  # fmt: skip
    return vae, log, scores


@torch.no_grad()
def encode_clips(vae: MultiScaleVAE, clips: Sequence[Clip], batch_size: int = 64) -> torch.Tensor:
    """Posterior means, ``(clips, latent channels, latent frames)``."""
    chunks = torch.arange(len(clips)).split(batch_size)
    return torch.cat([vae.encode(torch.stack([clips[int(i)].log_mel for i in chunk])).mean for chunk in chunks])


def some_of(clips: Sequence[Clip], most: int) -> list[Clip]:
    """At most so many clips, evenly spread."""
    return [clips[i] for i in range(0, len(clips), -(-len(clips) // most))]


def set_latent_statistics(vae: MultiScaleVAE, clips: ClipDataset, most: int = 1000) -> None:
    """Store mean and standard deviation of every latent channel in the VAE, from up to `most` clips."""
    z = encode_clips(vae, some_of(clips, most))
    vae.latent_mean.copy_(z.mean((0, 2))[:, None])
    vae.latent_std.copy_(z.std((0, 2))[:, None].clamp_min(1e-3))


@torch.no_grad()
def score_vae(vae: MultiScaleVAE, clips: ClipDataset) -> dict[str, float]:
    """Reconstruction and what the probes get out of each subspace.

    Returns
    -------
    dict
        ``l1_db``: mean absolute error of the log-mel; ``heart_rate_mae``: bpm, from rhythm; ``state_accuracy``: from
        sounds; ``murmur_auc``: from murmur, by clip; ``correlation``: between subspaces; ``clips``: how many.
    """
    batch = Mixture(clips, len(clips), 0).batch(range(len(clips)), ())
    z = encode_clips(vae, clips)
    said = {name: vae.probes.read(z, name) for name in FACTORS}
    truth = dict(zip(FACTORS, batch.factors.T, strict=True))
    mean, scale = FACTORS["heart_rate"].mean, FACTORS["heart_rate"].scale
    rate, expected = (60 * (x["heart_rate"] * scale + mean).exp() for x in (said, truth))
    states = vae.probes.states(split_subspaces(z)["sounds"]).argmax(1) + 1
    known = ~truth["murmur"].isnan()
    both = len(set(truth["murmur"][known].tolist())) == 2
    murmur_auc = roc_auc_score(truth["murmur"][known], said["murmur"][known]) if both else float("nan")
    return {
        "l1_db": float((vae.decode(z) - batch.log_mel).abs().mean()),
        "heart_rate_mae": float((rate - expected).abs().mean()),
        "state_accuracy": float((states == batch.states[:, :: vae.config.downsampling]).float().mean()),
        "murmur_auc": float(murmur_auc),
        "correlation": float(correlation_penalty(z)),
        "clips": len(clips),
    }
