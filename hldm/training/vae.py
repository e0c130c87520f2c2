"""Stage 1: the multi-scale VAE (Eq. 2, 3)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score

from hldm.config import Profile, VAEConfig
from hldm.data.clips import ClipDataset
from hldm.models.vae import MultiScaleVAE, correlation_penalty, split_subspaces
from hldm.training.card import write_card
from hldm.training.corpus import ClipBatches, corpus_name, open_corpus
from hldm.training.loop import fit
from hldm.weights import save_weights


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

    The loss is L1 + beta KL + delta L_disentangle, beta rising linearly from 0 over ``config.anneal_steps``;
    L_disentangle is the correlation penalty between subspaces plus the errors of the auxiliary readers.

    Returns
    -------
    model : MultiScaleVAE
        In evaluation mode.
    log : list of dict
        Training figures.
    scores : dict
        `score_vae` on the val part.
    """
    clips = ClipDataset(open_corpus("train", profile.max_patients), hop_seconds=hop_seconds)
    batches = ClipBatches(clips, batch_size)
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator
        torch.manual_seed(seed)
        vae = MultiScaleVAE(config).to(device)

    def step_loss(step: int, generator: torch.Generator):
        batch = batches.batch(batches.draw(generator)).to(device)
        posterior = vae.encode(batch.log_mel)
        z = posterior.sample(generator)
        l1 = (vae.decode(z) - batch.log_mel).abs().mean() / config.scale_db
        kl = posterior.kl()
        states = batch.states[:, :: config.downsampling]
        positions = batch.beat_position[:, :: config.downsampling]
        reading = vae.readers.loss(z, positions, states, batch.heart_rate, batch.murmur)
        penalty = correlation_penalty(posterior.mean)
        beta = config.beta * min(1.0, step / config.anneal_steps)
        loss = l1 + beta * kl + config.delta * (reading + config.correlation_weight * penalty)
        figures = {"l1_db": l1 * config.scale_db, "kl": kl, "reading": reading, "correlation": penalty}
        return loss, {name: float(value.detach()) for name, value in figures.items()}

    steps = batches.steps(profile.epochs[0], profile)
    log = fit(vae, step_loss, steps, folder=Path(folder) / "vae", learning_rate=learning_rate, seed=seed)
    vae.eval().cpu()
    set_latent_statistics(vae, clips)
    scores = score_vae(vae, ClipDataset(open_corpus("val", profile.max_patients)))
    path = Path(folder) / "vae.safetensors"
    save_weights(path, vae.state_dict(), config)
    write_card(
        path, what="Multi-scale VAE (Eq. 2, 3): log-mel to a latent of four named subspaces, and back.",
        corpus=corpus_name(), scores=scores, scored_on=f"{corpus_name()}, val part",
        training={"updates": steps, "batch": batch_size, "clips": len(clips), "learning rate": learning_rate,
                  "seed": seed},
    )  # fmt: skip
    return vae, log, scores


@torch.no_grad()
def encode_clips(
    vae: MultiScaleVAE, clips: ClipDataset, indices: Sequence[int] | None = None, batch_size: int = 64
) -> torch.Tensor:
    """Posterior means of the clips at `indices` (default: all), ``(clips, latent channels, latent frames)``."""
    chunks = torch.as_tensor(range(len(clips)) if indices is None else indices).split(batch_size)
    return torch.cat([vae.encode(clips.log_mels(chunk.tolist())).mean for chunk in chunks])


def set_latent_statistics(vae: MultiScaleVAE, clips: ClipDataset, most: int = 1000) -> None:
    """Store mean and standard deviation of every latent channel in the VAE, from up to `most` clips."""
    z = encode_clips(vae, clips, range(0, len(clips), -(-len(clips) // most)))
    vae.latent_mean.copy_(z.mean((0, 2))[:, None])
    vae.latent_std.copy_(z.std((0, 2))[:, None].clamp_min(1e-3))


@torch.no_grad()
def score_vae(vae: MultiScaleVAE, clips: ClipDataset) -> dict[str, float]:
    """Reconstruction and what the readers get out of each subspace.

    Returns
    -------
    dict
        ``l1_db``: mean absolute error of the log-mel; ``heart_rate_mae``: bpm, from rhythm; ``state_accuracy``: from
        sounds; ``murmur_auc``: from murmur, by clip; ``correlation``: between subspaces; ``clips``: how many.
    """
    readers = vae.readers
    batch = ClipBatches(clips, len(clips)).batch(list(range(len(clips))))
    z = encode_clips(vae, clips)
    part = split_subspaces(z)
    rate = 60 * readers.heart_rate(readers.pool(part["rhythm"]))[:, 0].exp()
    states = readers.states(part["sounds"]).argmax(1) + 1
    murmur = readers.murmur(readers.pool(part["murmur"]))[:, 0]
    known = ~batch.murmur.isnan()
    both = len(set(batch.murmur[known].tolist())) == 2
    return {
        "l1_db": float((vae.decode(z) - batch.log_mel).abs().mean()),
        "heart_rate_mae": float((rate - batch.heart_rate).abs().mean()),
        "state_accuracy": float((states == batch.states[:, :: vae.config.downsampling]).float().mean()),
        "murmur_auc": float(roc_auc_score(batch.murmur[known], murmur[known])) if both else float("nan"),
        "correlation": float(correlation_penalty(z)),
        "clips": len(clips),
    }
