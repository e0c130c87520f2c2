"""Training a denoiser, whichever it is: latents, a conditioning module, and the losses of a paper are plugged in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hldm.engine.condition import Condition, Conditioning
from hldm.engine.fit import fit, moving_average
from hldm.engine.latents import DenoisingBatch, Latents, draw
from hldm.engine.process import GaussianDiffusion


class Denoised(NamedTuple):
    """One step of training, for the losses that a system adds to the plain one.

    Attributes
    ----------
    batch : DenoisingBatch
    cond : Condition
        Before any of it was dropped.
    noisy, prediction : Tensor (batch, latent channels, latent frames)
        z_t, and what the denoiser said of it.
    errors : Tensor (batch, groups)
        Mean squared errors of the prediction.
    """

    batch: DenoisingBatch
    cond: Condition
    noisy: Tensor
    prediction: Tensor
    errors: Tensor


def train_denoiser(
    denoiser: nn.Module,
    conditioning: Conditioning,
    data: Latents,
    steps: int,
    process: GaussianDiffusion,
    *,
    folder: str | os.PathLike,
    groups: Sequence[str] = ("all",),
    batch_size: int = 48,
    chances: Tensor | None = None,
    level_weight: Callable[[Tensor], Tensor] | None = None,
    group_weights: Callable[[float], Sequence[float]] | None = None,
    added_loss: Callable[[Denoised], tuple[Tensor, dict[str, float]]] | None = None,
    after_update: Callable[[int, nn.ModuleDict], None] | None = None,
    grown: bool = False,
    learning_rate: float = 5e-4,
    seed: int = 0,
    run: Mapping[str, object] | None = None,
) -> tuple[nn.ModuleDict, list[dict[str, float]]]:
    """Train a denoiser and its conditioning module together; an interrupted run resumes (see `fit`).

    The loss is the mean over batch and groups of level weight times group weight times squared error, and whatever
    `added_loss` adds.

    Parameters
    ----------
    denoiser : nn.Module
        ``(z_t, t, condition) -> prediction`` of the shape of z_t.
    conditioning : Conditioning
        ``(features) -> condition``. Its null condition takes the place of a share `condition_dropout` of them.
    data : Latents
        The modules are moved to the device of its latents.
    groups : sequence of str
        Names of the groups of channels, equally wide, whose errors are weighted and logged by themselves.
    batch_size : int
        Items an update in each process.
    chances : Tensor (items,), optional
        How often each item is drawn, up to a factor; default: all alike.
    level_weight : callable, optional
        ``(t) -> (batch,)``: how much each noise level counts; default: `GaussianDiffusion.loss_weight`.
    group_weights : callable, optional
        A curriculum: from the share of the updates that are done to the weight of each group; default: ones.
    added_loss : callable, optional
        ``(Denoised) -> (loss, what to log)``.
    after_update : callable, optional
        ``(step, averages)``, called after every update.
    grown : bool
        As of `moving_average`.
    run : mapping, optional
        As of `fit`.

    Returns
    -------
    averages : nn.ModuleDict
        Exponential moving averages of ``"denoiser"`` and ``"conditioning"``, in evaluation mode, on the CPU.
    log : list of dict
    """
    chances = torch.ones(len(data)) if chances is None else chances
    level_weight = level_weight or process.loss_weight
    now = nn.ModuleDict({"denoiser": denoiser, "conditioning": conditioning}).train().to(data.z.device)
    ema = moving_average(now, process.config.ema_decay, grown=grown)

    def step_loss(step: int, generator: torch.Generator):
        batch = draw(data, chances, batch_size, step, process, generator)
        cond = conditioning(batch.features)._replace(position=batch.position)
        noisy = process.q_sample(batch.z, batch.noise, batch.t)
        prediction = denoiser(noisy, batch.t, conditioning.drop(cond, batch.dropped))
        errors = process.errors(prediction, process.target(batch.z, batch.noise, batch.t), len(groups))
        turns = errors.new_tensor(group_weights(step / steps) if group_weights else [1.0] * len(groups))
        loss = (level_weight(batch.t)[:, None] * turns * errors).mean()
        figures = {"denoising": float(loss.detach())}
        figures |= dict(zip(groups, errors.detach().mean(0).tolist(), strict=True))
        if added_loss is not None:
            more, logged = added_loss(Denoised(batch, cond, noisy, prediction, errors))
            loss, figures = loss + more, figures | logged
        return loss, figures

    def after_step(step: int) -> None:
        ema.update_parameters(now)
        if after_update is not None:
            after_update(step, ema.module)

    log = fit(
        nn.ModuleDict({"now": now, "ema": ema}), step_loss, steps, folder=folder, learning_rate=learning_rate,
        seed=seed, after_step=after_step, shared=True, run=run,
    )  # fmt: skip
    return ema.module.eval().cpu(), log
