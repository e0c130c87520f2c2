"""What each part of the denoiser is worth: ``python benchmarks/denoisers.py --steps 4000``.

Every denoiser is trained for equally many updates on the same batches, its switches apart, and is judged on the val
part of the corpus in use, at fixed noise levels with the same noise: see `hldm.evaluation.denoising` for why networks
that predict different things compare. Runs are kept and resumed; a denoiser that has its table is not trained again.
All tables together are written as ``denoisers.csv``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd

from hldm.conditioning import ConditionEncoder
from hldm.config import PROFILES, Profile
from hldm.data.clips import ClipDataset
from hldm.engine.processes import team
from hldm.evaluation.denoising import denoising_table
from hldm.experiments import DEFAULT, DENOISERS
from hldm.models import MultiScaleVAE
from hldm.training.corpus import corpus_name, open_corpus
from hldm.training.diffusion import train_diffusion
from hldm.training.latents import EncodedClips, encoded
from hldm.training.vae import some_of

#: The rows: the denoiser as it is, and every experiment of it.
RECIPES = {"default": DEFAULT, **DENOISERS}


def unseen(vae: MultiScaleVAE, profile: Profile, most: int = 1000) -> EncodedClips:
    """Up to `most` clips of the val part, spread over its recordings; each told as the shipped encoders tell it."""
    clips = ClipDataset(open_corpus("val", profile.max_patients))
    return encoded(some_of(clips, most), vae, ConditionEncoder())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000, help="updates of every denoiser (default: 4000)")
    parser.add_argument("--runs", type=Path, default=Path("runs/denoisers"))
    parser.add_argument("--profile", choices=list(PROFILES), default="gpu", help="how many patients (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("denoisers", nargs="*", help=f"default: all of {', '.join(RECIPES)}")
    options = parser.parse_args()
    if unknown := set(options.denoisers) - set(RECIPES):
        parser.error(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(RECIPES)}")
    # As many epochs as updates are always enough; `max_steps` ends them.
    profile = replace(PROFILES[options.profile], max_steps=options.steps, epochs=(options.steps,) * 3)
    vae = MultiScaleVAE.from_pretrained()
    known = unseen(vae, profile)
    for name in options.denoisers or RECIPES:
        folder, recipe = options.runs / f"{name}_{options.steps}", RECIPES[name]
        if not (folder / "table.csv").is_file():
            unet, condition, _ = train_diffusion(
                profile, folder, vae, config=recipe.unet, condition_config=recipe.condition,
                curriculum=recipe.curriculum, device=team().device, seed=options.seed,
            )  # fmt: skip
            table = denoising_table(unet, condition, known, f"{corpus_name()}, val part", seed=options.seed)
            table.assign(denoiser=recipe.title, updates=options.steps).to_csv(folder / "table.csv", index=False)
    everything = pd.concat([pd.read_csv(path) for path in sorted(options.runs.glob("*/table.csv"))])
    everything.to_csv(options.runs / "denoisers.csv", index=False, float_format="%.4g")
    print(everything.pivot_table("value", ["data", "metric"], "denoiser", sort=False).round(3).to_string())


if __name__ == "__main__":
    main()
