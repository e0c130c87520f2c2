"""Stages 2 and 3: structured diffusion in the latent of the VAE, and its clinical fine-tuning."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hldm.conditioning import ConditionEncoder
from hldm.config import SUBSPACES, ConditionConfig, Profile, UNetConfig
from hldm.data.clips import ClipDataset
from hldm.data.time_warp import time_warped_clips
from hldm.engine.fit import fit
from hldm.engine.process import GaussianDiffusion
from hldm.engine.processes import team
from hldm.models.unet import StructuredUNet
from hldm.models.vae import MultiScaleVAE
from hldm.training.card import write_card
from hldm.training.corpus import ClipBatches, corpus_name, open_corpus
from hldm.training.curriculum import Curriculum
from hldm.training.history import write_history
from hldm.training.latents import draw, encoded, rare_class_weights
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
    learning_rate: float | None = None,
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
    rare = time_warped_clips(corpus, vae.config.audio, seed=seed)
    steps = ClipBatches(clips, whole).steps(profile.epochs[stage - 1], profile)
    config = replace(config, audio=vae.config.audio)
    now = _models(config, condition_config, folder, start_from, seed).train().to(device)
    unet, condition = now["unet"], now["condition"]
    data = encoded([*clips, *rare], vae, ConditionEncoder(condition.config, folder=folder), wordings=2).to(device)
    chances = rare_class_weights(data.records) if stage == 3 else torch.ones(len(data))
    process = GaussianDiffusion(unet.config.diffusion)
    ema = moving_average(now, process.config.ema_decay, grown=start_from is not None)
    curriculum = curriculum if stage == 2 else None

    def step_loss(step: int, generator: torch.Generator):
        batch = draw(data, chances, batch_size, step, process, generator)
        told = condition(batch.features)
        c = condition.drop(told, batch.dropped)
        noisy = process.q_sample(batch.z, batch.noise, batch.t)
        prediction = unet(noisy, batch.t, c.vector, c.tokens, batch.positions)
        errors = process.errors(prediction, process.target(batch.z, batch.noise, batch.t))
        worth = unet.subspace_weights.loss(
            told.vector.detach(), process.log_snr(batch.t), errors.detach(), batch.dropped
        )
        weights = epsilon_share(process, batch.t) if stage == 3 else process.loss_weight(batch.t)
        turns = errors.new_tensor(curriculum.weights(step / steps) if curriculum else [1.0] * len(SUBSPACES))
        loss = (weights[:, None] * turns * errors).mean()
        by_group = dict(zip(SUBSPACES, errors.detach().mean(0).tolist(), strict=True))
        lambdas = {f"lambda_{name}": value for name, value in condition.lambdas.items()}
        return loss + 0.1 * worth, {"denoising": float(loss.detach()), **by_group, **lambdas}

    def after_step(step: int) -> None:
        ema.update_parameters(now)
        for phase, end in curriculum.ends(steps).items() if curriculum else ():
            if step + 1 == end and processes.is_main_process:
                _save(Path(folder) / "curriculum" / phase, ema.module)

    rate = learning_rate or LEARNING_RATES[stage]
    log = fit(
        nn.ModuleDict({"now": now, "ema": ema}), step_loss, steps,
        folder=Path(folder) / f"diffusion{stage}", learning_rate=rate, seed=seed + stage, after_step=after_step,
        shared=True,
        run={"unet": unet.config, "condition": condition.config, "curriculum": curriculum, "clips": len(clips)},
    )  # fmt: skip
    averages = ema.module.eval().cpu()
    if processes.is_main_process:
        write_history(folder, stage, log, start_from)
        scores = score_denoiser(averages["unet"], averages["condition"], vae, profile)
        training = {"stage": stage, "updates": steps, "batch": whole, "clips": len(clips), "retimed clips": len(rare),
                    "learning rate": rate,
                    "seed": seed}  # fmt: skip
        _save_with_cards(folder, averages, scores, training)
    processes.wait_for_everyone()
    return averages["unet"], averages["condition"], log


def epsilon_share(process: GaussianDiffusion, step: Tensor) -> Tensor:
    """What a squared error of the network's target has to be multiplied with to be that of epsilon, ``(batch,)``.

    For v it is alpha_bar: z_t is given, so eps - eps_hat = sqrt(alpha_bar) (v - v_hat).
    """
    log_snr = process.log_snr(step)
    return torch.ones_like(log_snr) if process.config.prediction == "epsilon" else log_snr.sigmoid()


def _models(
    config: UNetConfig, condition_config: ConditionConfig, folder: str | os.PathLike,
    start_from: str | os.PathLike | None, seed: int,
) -> nn.ModuleDict:  # fmt: skip
    """U-Net and fusion: new ones, or those of `start_from`."""
    if start_from is not None:
        unet, condition = StructuredUNet.from_pretrained(start_from), ConditionEncoder.from_pretrained(start_from)
    else:
        with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator
            torch.manual_seed(seed)
            unet, condition = StructuredUNet(config), ConditionEncoder(condition_config, folder=folder)
    return nn.ModuleDict({"unet": unet, "condition": condition})


def moving_average(models: nn.ModuleDict, decay: float, *, grown: bool) -> AveragedModel:
    """Exponential moving average of weights.

    Its memory grows with its age, so that short runs have one too. The average of models that were averages before
    is `grown`: it keeps its full memory, and moves away from their weights slowly.
    """

    @torch.no_grad()
    def update(averaged, current, count):
        torch._foreach_lerp_(averaged, list(current), 1 - min(decay, (1 + float(count)) / (10 + float(count))))

    ema = AveragedModel(models, multi_avg_fn=update).requires_grad_(False)
    if grown:
        ema.n_averaged.fill_(round((10 * decay - 1) / (1 - decay)))  # the age at which the memory is full
    return ema


def _save(folder: str | os.PathLike, models: nn.ModuleDict) -> dict[str, Path]:
    """Write every model as ``NAME.safetensors``, in half precision; returns where."""
    return {name: model.save(folder) for name, model in models.items()}


def _save_with_cards(
    folder: str | os.PathLike, models: nn.ModuleDict, scores: dict[str, float], training: dict[str, object]
) -> None:
    names = {
        "unet": "Structured U-Net with Medical Attention (Eq. 4, 5).",
        "condition": "Fusion of text and graph (Eq. 1).",
    }
    for name, path in _save(folder, models).items():
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
    for case, c in {"told": condition(data.features[0]), "not told": condition.null(len(data))}.items():
        errors = process.errors(unet(noisy, t, c.vector, c.tokens, data.positions), target).mean(0)
        scores |= {f"error of {name}, {case}": float(e) for name, e in zip(SUBSPACES, errors, strict=True)}
    return scores | {"clips": len(data)}
