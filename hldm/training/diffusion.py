"""Stages 2 and 3: structured diffusion in the latent of the VAE, and its clinical fine-tuning."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hldm.conditioning import ConditionEncoder
from hldm.config import SUBSPACES, ConditionConfig, DiffusionConfig, Profile, UNetConfig
from hldm.data.clips import ClipDataset
from hldm.models.diffusion import GaussianDiffusion
from hldm.models.unet import StructuredUNet
from hldm.models.vae import MultiScaleVAE
from hldm.training.beat import murmur_level
from hldm.training.card import write_card
from hldm.training.corpus import ClipBatches, corpus_name, murmur_label, open_corpus
from hldm.training.curriculum import Curriculum
from hldm.training.history import write_history
from hldm.training.loop import fit
from hldm.training.vae import encode_clips
from hldm.weights import save_weights


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

    Stage 2 draws clips as they come, and follows the curriculum (None: every subspace counts the same throughout). At
    the end of its first two phases the averages are kept in ``curriculum/rhythm`` and ``curriculum/sounds``; the fusion
    too, since this U-Net knows no other. Stage 3, the clinical fine-tuning, continues `start_from` at a tenth of the
    learning rate and draws clips with and without a murmur, and each grade, equally often.

    Returns
    -------
    unet, condition : StructuredUNet, ConditionEncoder
        Exponential moving averages, in evaluation mode; also in ``unet.safetensors`` and ``condition.safetensors``.
    log : list of dict
    """
    clips = ClipDataset(open_corpus("train", profile.max_patients), hop_seconds=hop_seconds)
    batches = ClipBatches(clips, batch_size)
    latents = vae.standardise(encode_clips(vae, clips)).to(device)
    records = [clips[i].record for i in range(len(clips))]
    positions = torch.stack([clips[i].beat_position for i in range(len(clips))])[:, :: vae.config.downsampling]
    positions = positions.to(device)
    teller, levels = ConditionEncoder(condition_config, folder=folder), murmur_levels(clips, range(len(clips)))
    wordings = [teller.features(records, k * len(records), levels) for k in range(2)]
    chances = rare_class_weights(records) if stage == 3 else torch.ones(len(records))

    if start_from is None:
        with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator
            torch.manual_seed(seed)
            unet, condition = StructuredUNet(config), ConditionEncoder(condition_config, folder=folder)
    else:
        unet, condition = StructuredUNet.from_pretrained(start_from), ConditionEncoder.from_pretrained(start_from)
    process = GaussianDiffusion(unet.config.diffusion)
    steps = batches.steps(profile.epochs[stage - 1], profile)
    curriculum = curriculum if stage == 2 else None
    now = nn.ModuleDict({"unet": unet, "condition": condition}).train().to(device)
    ema = AveragedModel(now, multi_avg_fn=_ema(process.config)).requires_grad_(False)

    def step_loss(step: int, generator: torch.Generator):
        chosen = torch.multinomial(chances, batch_size, replacement=True, generator=generator)
        wording = wordings[step % len(wordings)]
        z = latents[chosen]
        t = torch.randint(process.config.train_steps, (batch_size,), generator=generator).to(device)
        noise = torch.randn(z.shape, generator=generator).to(device)
        drop = (torch.rand(batch_size, generator=generator) < process.config.condition_dropout).to(device)
        features = {name: value[chosen].to(device) for name, value in wording.items()}
        told = condition(features)
        c = condition.drop(told, drop)
        prediction = unet(process.q_sample(z, noise, t), t, c.vector, c.tokens, positions[chosen])
        errors = process.errors(prediction, process.target(z, noise, t))
        worth = unet.subspace_weights.loss(told.vector.detach(), process.log_snr(t), errors.detach(), drop)
        turns = errors.new_tensor(curriculum.weights(step / steps) if curriculum else [1.0] * len(SUBSPACES))
        loss = (process.loss_weight(t)[:, None] * turns * errors).mean()
        by_group = dict(zip(SUBSPACES, errors.detach().mean(0).tolist(), strict=True))
        lambdas = {f"lambda_{name}": value for name, value in condition.lambdas.items()}
        return loss + 0.1 * worth, {"denoising": float(loss.detach()), **by_group, **lambdas}

    def after_step(step: int) -> None:
        ema.update_parameters(now)
        for phase, end in curriculum.ends(steps).items() if curriculum else ():
            if step + 1 == end:
                _save_weights(Path(folder) / "curriculum" / phase, ema.module)

    rate = learning_rate or (5e-4 if stage == 2 else 5e-5)
    log = fit(
        nn.ModuleDict({"now": now, "ema": ema}), step_loss, steps,
        folder=Path(folder) / f"diffusion{stage}", learning_rate=rate, seed=seed + stage,
        after_step=after_step,
    )  # fmt: skip
    ema.module.eval().cpu()
    unet, condition = ema.module["unet"], ema.module["condition"]
    names = {
        "unet": "Structured U-Net with Medical Attention (Eq. 4, 5).",
        "condition": "Fusion of text and graph (Eq. 1).",
    }
    write_history(folder, stage, log, start_from)
    scores = score_denoiser(unet, condition, vae, profile)
    for name, path in _save_weights(folder, ema.module).items():
        write_card(
            path, what=names[name] + " Trained together with the other; the exponential moving average is kept.",
            corpus=corpus_name(), scores=scores, scored_on=f"{corpus_name()}, val part",
            training={"stage": stage, "updates": steps, "batch": batch_size, "clips": len(clips), "learning rate": rate,
                      "seed": seed},
        )  # fmt: skip
    return unet, condition, log


def _save_weights(folder: str | os.PathLike, models: nn.ModuleDict) -> dict[str, Path]:
    """Write every model as ``NAME.safetensors``, in half precision; returns where."""
    paths = {name: Path(folder) / f"{name}.safetensors" for name in models}
    for name, path in paths.items():
        save_weights(path, models[name].state_dict(), models[name].config)
    return paths


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
    clips = ClipDataset(open_corpus("val", profile.max_patients))
    chosen = range(0, len(clips), -(-len(clips) // 256))
    records = [clips[i].record for i in chosen]
    positions = torch.stack([clips[i].beat_position for i in chosen])[:, :: vae.config.downsampling]
    z = vae.standardise(encode_clips(vae, clips, chosen))
    process, generator = GaussianDiffusion(unet.config.diffusion), torch.Generator().manual_seed(seed)
    t = torch.randint(process.config.train_steps, (len(z),), generator=generator)
    noise = torch.randn(z.shape, generator=generator)
    noisy, target = process.q_sample(z, noise, t), process.target(z, noise, t)
    scores = {}
    for case, c in {
        "told": condition(condition.features(records, seed, murmur_levels(clips, chosen))),
        "not told": condition.null(len(z)),
    }.items():  # fmt: skip
        errors = process.errors(unet(noisy, t, c.vector, c.tokens, positions), target).mean(0)
        scores |= {f"error of {name}, {case}": float(e) for name, e in zip(SUBSPACES, errors, strict=True)}
    return scores | {"clips": len(z)}


def murmur_levels(clips: ClipDataset, indices: Sequence[int]) -> list[float]:
    """Measured level of the systolic murmur of every clip, dB; NaN where none is said to be heard."""
    levels = []
    for clip in (clips[i] for i in indices):
        heard = clip.record.systolic is not None and clip.record.murmur_here
        levels.append(float(murmur_level(clip.log_mel[None], clip.states[None])) if heard else float("nan"))
    return levels


def rare_class_weights(records) -> Tensor:
    """Chance of every clip: murmur heard and not heard alike, and grades alike among those heard."""
    labels = []
    for record in records:
        grade = record.systolic.grade if record.murmur_here and record.systolic else None
        labels.append((murmur_label(record), grade))
    counts = {label: labels.count(label) for label in set(labels)}
    heard = sum(1 for label in counts if label[0] == 1)
    return torch.tensor([(1 / max(heard, 1) if label[0] == 1 else 1.0) / counts[label] for label in labels])


def _ema(config: DiffusionConfig):
    """Exponential moving average whose memory grows with its age, so that short runs have one too."""

    @torch.no_grad()
    def update(averaged, current, count):
        decay = min(config.ema_decay, (1 + float(count)) / (10 + float(count)))
        torch._foreach_lerp_(averaged, list(current), 1 - decay)

    return update
