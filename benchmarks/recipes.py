"""What each term of L_disentangle is worth: ``python benchmarks/recipes.py --steps 600``.

Every recipe trains the same VAE for equally many updates on the same batches, and is judged on hearts that none has
seen: simulated ones, and the val part of CirCor where ``HLDM_CIRCOR`` is set. Runs are kept and resumed; a recipe that
has its table is not run again. All tables together are written as ``vae_recipes.csv``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd

from hldm.config import PROFILES
from hldm.data import CircorCorpus
from hldm.evaluation.factors import real_clips, simulated_clips
from hldm.evaluation.latent import evaluate_latent
from hldm.experiments import DEFAULT, VAES
from hldm.paths import circor_folder
from hldm.training.vae import train_vae

#: The rows: all terms, and every experiment of the VAE.
RECIPES = {"all": DEFAULT, **VAES}


def unseen(simulated: int = 400) -> list:
    """Clips that no recipe was trained on."""
    known = [simulated_clips(simulated, seed=1)]
    if circor_folder():
        known.append(real_clips(CircorCorpus(circor_folder(), split="val"), "CirCor, val part"))
    return known


def title(name: str) -> str:
    """How the table calls a recipe."""
    return name if name == "all" else RECIPES[name].title


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600, help="updates of every recipe")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of the swap test")
    parser.add_argument("--runs", type=Path, default=Path("runs/recipes"))
    parser.add_argument("recipes", nargs="*", help=f"default: all of {', '.join(RECIPES)}")
    options = parser.parse_args()
    if unknown := set(options.recipes) - set(RECIPES):
        parser.error(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(RECIPES)}")
    profile = replace(PROFILES["gpu"], max_steps=options.steps)
    known = unseen()
    for name in options.recipes or RECIPES:
        folder = options.runs / f"{name}_{options.steps}"
        table = folder / "table.csv"
        if not table.is_file():
            vae, _, _ = train_vae(profile, folder, config=RECIPES[name].vae)
            found = evaluate_latent(vae, known, pairs=options.pairs).assign(recipe=title(name), updates=options.steps)
            found.to_csv(table)
    everything = pd.concat(pd.read_csv(path) for path in options.runs.glob("*/table.csv"))
    everything["recipe"] = pd.Categorical(everything["recipe"], [title(name) for name in RECIPES])
    everything = everything.sort_values(["updates", "recipe"], kind="stable")
    everything.to_csv(options.runs / "vae_recipes.csv", index=False, float_format="%.4g")
    print(
        everything.pivot_table("value", ["data", "metric"], ["updates", "recipe"], sort=False, observed=True)
        .round(3)
        .to_string()
    )


if __name__ == "__main__":
    main()
