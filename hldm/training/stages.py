"""`train`: one resumable command a stage, the same for the shell and for a notebook."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from functools import partial
from pathlib import Path

from hldm.config import PROFILES, STAGES, Profile
from hldm.engine.processes import team
from hldm.paths import cache_folder, weights_folder
from hldm.training.recipe import Recipe


def train(
    stage: str,
    *,
    profile: str | Profile = "laptop",
    epochs: int | None = None,
    runs: str | os.PathLike = "runs",
    device: str | None = None,
    seed: int = 0,
    recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
) -> list[dict[str, float]]:
    """Run or resume one stage; weights go to `runs`, which `HLDM_WEIGHTS` may then name.

    What a stage builds on is taken from `runs` where an earlier stage left it, else from the shipped weights.
    ``accelerate launch -m hldm.cli train diffusion`` shares the work of a denoiser's stages between the GPUs of a
    machine, each with a batch of its own; ``torchrun --nproc_per_node 2 -m hldm.cli train diffusion`` between two
    processes where there is none.

    Parameters
    ----------
    stage : {"encoders", "attribute_predictor", "vae", "diffusion", "finetune"}
    profile : str or Profile
    epochs : int, optional
        Instead of the profile's, in the paper's three stages; the others have their own number of updates.
    device : str, optional
        Default: the GPU where there is one.
    recipe : Recipe, optional
        Configurations of the paper's three stages: one of `hldm.experiments`.

    Returns
    -------
    list of dict
        The training log; of the encoders and the attribute predictor, what they reached.
    """
    if stage not in STAGES:
        raise ValueError(f"stage is {stage!r}, expected one of {', '.join(STAGES)}")
    profile = chosen_profile(profile, epochs)
    return _STAGES[stage](profile, Path(runs), device or str(team().device), seed, recipe)


def chosen_profile(profile: str | Profile, epochs: int | None = None) -> Profile:
    """A profile by its name, with so many epochs in every stage where `epochs` says so."""
    profile = PROFILES[profile] if isinstance(profile, str) else profile
    return profile if epochs is None else dataclasses.replace(profile, epochs=(epochs,) * len(profile.epochs))


def run_folder(profile: Profile) -> Path:
    """Where a chapter trains.

    At `gpu` it is ``runs`` in the cache folder: a run that was cut off resumes, and the next chapter builds on it.
    The short runs of the other profiles get a folder of their own, so that they always run.
    """
    if profile.name == "gpu":
        return cache_folder() / "runs"
    return Path(tempfile.mkdtemp(prefix="hldm-"))


def built(runs: Path, name: str) -> Path:
    """The folder that holds the weights `name`: that of this run, or the shipped one."""
    return runs if (runs / name).is_file() else weights_folder()


def _encoders(profile: Profile, runs: Path, device: str, seed: int, recipe: Recipe) -> list[dict[str, float]]:
    from hldm.training.encoders import train_encoders

    report = train_encoders(profile, runs, seed)
    probes = {name: report[name] for name in ("text_probe", "graph_probe")}
    return [{name: sum(scores.values()) / len(scores) for name, scores in probes.items()}]


def _attribute_predictor(
    profile: Profile, runs: Path, device: str, seed: int, recipe: Recipe
) -> list[dict[str, float]]:
    from hldm.training.attribute_predictor import train_attribute_predictor

    return [train_attribute_predictor(profile, runs, device=device, seed=seed)[1]]


def _vae(profile: Profile, runs: Path, device: str, seed: int, recipe: Recipe) -> list[dict[str, float]]:
    from hldm.training.vae import train_vae

    return train_vae(profile, runs, config=recipe.vae, device=device, seed=seed)[1]


def _denoiser(
    profile: Profile, runs: Path, device: str, seed: int, recipe: Recipe, *, stage: int
) -> list[dict[str, float]]:
    from hldm.models import MultiScaleVAE
    from hldm.training.diffusion import train_diffusion

    vae = MultiScaleVAE.from_pretrained(built(runs, "vae.safetensors"))
    start = built(runs, "unet.safetensors") if stage == 3 else None
    return train_diffusion(
        profile, runs, vae, stage=stage, config=recipe.unet, condition_config=recipe.condition,
        curriculum=recipe.curriculum, start_from=start, device=device, seed=seed,
    )[-1]  # fmt: skip


_TRAINERS = (_encoders, _attribute_predictor, _vae, partial(_denoiser, stage=2), partial(_denoiser, stage=3))
_STAGES = dict(zip(STAGES, _TRAINERS, strict=True))
