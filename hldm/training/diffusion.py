"""Stages 2 and 3: structured diffusion in the latent of the VAE, and its clinical fine-tuning."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from hldm.conditioning import ConditionEncoder
from hldm.config import SUBSPACES, ConditionConfig, Profile, UNetConfig
from hldm.data.clips import ClipDataset
from hldm.data.time_warp import time_warped_clips
from hldm.engine.denoising import Denoised, train_denoiser
from hldm.engine.process import GaussianDiffusion
from hldm.engine.processes import team
from hldm.models.unet import StructuredUNet
from hldm.models.vae import MultiScaleVAE
from hldm.training.card import write_card
from hldm.training.corpus import ClipBatches, corpus_name, open_corpus
from hldm.training.curriculum import Curriculum
from hldm.training.history import write_history
from hldm.training.latents import encoded, rare_class_weights
from hldm.training.vae import some_of

LEARNING_RATES = {2: 5e-4, 3: 5e-5}  # by stage


def train_diffusion(
    profile: Profile,
    folder: str | os.PathLike,
    vae: MultiScaleVAE,
    *,
    stage: int = 2,
    config: UNetConfig = UNetConfig(),
    condition_config: ConditionConfig = ConditionConfig(),
    curriculum: Curriculum | None = Curriculum(),
    batch_size: int = 48,
    hop_seconds: float = 1.28,
    device: str | torch.device = "cpu",
    seed: int = 0,
    start_from: str | os.PathLike | None = None,
) -> tuple[StructuredUNet, ConditionEncoder, list[dict[str, float]]]:
    """Train U-Net and fusion together; write the averages of both into `folder`.

    The log is kept beside them, where `hldm.training.read_history` finds it.

    To the clips come some of the same hearts at other rates (`hldm.data.time_warp`): few patients have a rate near the
    ends of what may be asked for.

    Stage 2 draws clips as they come, and follows the curriculum (None: every subspace counts the same throughout). At
    the end of each phase the averages are kept in ``curriculum/rhythm``, ``sounds`` and ``details``; the fusion too,
    since this U-Net knows no other.

    Stage 3, the clinical fine-tuning, continues the averages of `start_from` at a tenth of the learning rate. It draws
    clips with and without a murmur, and each grade, equally often. The paper's "direct supervision of each epsilon_i"
    we read as: whatever the network predicts, the error is that of epsilon, of every subspace, with no weight of the
    noise level in between. Against min-SNR this asks more of the last, least noisy steps, where details are made.

    Parameters
    ----------
    stage : {2, 3}
    config, condition_config : optional
        Of a new U-Net and fusion; what continues `start_from` keeps its own.
    batch_size : int
        Clips an update in each process (see `hldm.engine.fit.fit`).
    hop_seconds : float
        Least distance between the starts of two clips of a recording.
    start_from : path, optional
        Folder with the weights to continue.

    Returns
    -------
    unet, condition : StructuredUNet, ConditionEncoder
        Exponential moving averages, in evaluation mode; also in ``unet.safetensors`` and ``condition.safetensors``.
    log : list of dict
    """
    processes = team()
    whole = batch_size * processes.num_processes
    corpus = open_corpus("train", profile.max_patients)
    clips = ClipDataset(corpus, vae.config.audio, hop_seconds=hop_seconds)
    warped = time_warped_clips(corpus, vae.config.audio, seed=seed)
    steps = ClipBatches(clips, whole).steps(profile.epochs[stage - 1], profile)
    config = replace(config, audio=vae.config.audio)
    unet, condition = _models(config, condition_config, folder, start_from, seed)
    data = encoded([*clips, *warped], vae, ConditionEncoder(condition.config, folder=folder), wordings=2)
    process = GaussianDiffusion(unet.config.diffusion)
    curriculum = curriculum if stage == 2 else None

    def weights_loss(seen: Denoised) -> tuple[Tensor, dict[str, float]]:
        """What w_i(c) learn from: the errors, and where the condition was left out."""
        batch = seen.batch
        loss = unet.subspace_weights.loss(
            seen.cond.vector.detach(), process.log_snr(batch.t), seen.errors.detach(), batch.dropped
        )
        return 0.1 * loss, {f"lambda_{name}": value for name, value in condition.lambdas.items()}

    def keep_phase(step: int, averages: nn.ModuleDict) -> None:
        for phase, end in curriculum.ends(steps).items() if curriculum else ():
            if step + 1 == end and processes.is_main_process:
                _save(Path(folder) / "curriculum" / phase, averages)

    averages, log = train_denoiser(
        unet, condition, data.to(device), steps, process, folder=Path(folder) / f"diffusion{stage}", groups=SUBSPACES,
        batch_size=batch_size, chances=rare_class_weights(data.records) if stage == 3 else None,
        level_weight=process.epsilon_weight if stage == 3 else None,
        group_weights=curriculum.weights if curriculum else None, added_loss=weights_loss, after_update=keep_phase,
        grown=start_from is not None, learning_rate=LEARNING_RATES[stage], seed=seed + stage,
        run={"unet": unet.config, "condition": condition.config, "curriculum": curriculum, "clips": len(clips)},
    )  # fmt: skip
    trained = averages["denoiser"], averages["conditioning"]
    if processes.is_main_process:
        write_history(folder, stage, log, start_from)
        scores = score_denoiser(*trained, vae, profile)
        training = {"stage": stage, "updates": steps, "batch": whole, "clips": len(clips),
                    "time-warped clips": len(warped), "learning rate": LEARNING_RATES[stage], "seed": seed}  # fmt: skip
        _write_cards(_save(folder, averages), scores, training)
    processes.wait_for_everyone()
    return *trained, log


def _models(
    config: UNetConfig, condition_config: ConditionConfig, folder: str | os.PathLike,
    start_from: str | os.PathLike | None, seed: int,
) -> tuple[StructuredUNet, ConditionEncoder]:  # fmt: skip
    """U-Net and fusion: new ones, or those of `start_from`."""
    if start_from is not None:
        return StructuredUNet.from_pretrained(start_from), ConditionEncoder.from_pretrained(start_from)
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator
        torch.manual_seed(seed)
        return StructuredUNet(config), ConditionEncoder(condition_config, folder=folder)


def _save(folder: str | os.PathLike, averages: nn.ModuleDict) -> dict[str, Path]:
    """Write both models, in half precision; returns where."""
    return {name: model.save(folder) for name, model in averages.items()}


def _write_cards(paths: dict[str, Path], scores: dict[str, float], training: dict[str, object]) -> None:
    names = {
        "denoiser": "Structured U-Net with Medical Attention (Eq. 4, 5).",
        "conditioning": "Fusion of text and graph (Eq. 1).",
    }
    for name, path in paths.items():
        write_card(
            path, what=names[name] + " Trained together with the other; the exponential moving average is kept.",
            corpus=corpus_name(), scores=scores, scored_on=f"{corpus_name()}, val part", training=training,
        )  # fmt: skip


@torch.no_grad()
def score_denoiser(
    unet: StructuredUNet, condition: ConditionEncoder, vae: MultiScaleVAE, profile: Profile, seed: int = 0
) -> dict[str, float]:
    """Errors on the val part, over noise levels drawn evenly, with the condition and without.

    Returns
    -------
    dict
        Mean squared error of the prediction for each subspace and case, and how many clips it was taken over.
    """
    clips = ClipDataset(open_corpus("val", profile.max_patients), vae.config.audio)
    data = encoded(some_of(clips, 256), vae, condition, seed=seed)
    process, generator = GaussianDiffusion(unet.config.diffusion), torch.Generator().manual_seed(seed)
    t = torch.randint(process.config.train_steps, (len(data),), generator=generator)
    noise = torch.randn(data.z.shape, generator=generator)
    noisy, target = process.q_sample(data.z, noise, t), process.target(data.z, noise, t)
    scores = {}
    for case, c in {"cond": condition(data.features[0]), "uncond": condition.null(len(data))}.items():
        prediction = unet(noisy, t, c._replace(position=data.position))
        errors = process.errors(prediction, target, len(SUBSPACES)).mean(0)
        scores |= {f"error of {name}, {case}": float(e) for name, e in zip(SUBSPACES, errors, strict=True)}
    return scores | {"clips": len(data)}
