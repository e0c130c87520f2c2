"""What each part of the denoiser is worth: ``python benchmarks/denoisers.py --steps 4000``.

Every denoiser is trained for equally many updates on the same batches, its switches apart, and is judged on the val
part of the corpus in use, at fixed noise levels with the same noise: see `hldm.evaluation.denoising` for why networks
that predict different things compare. Runs are kept and resumed; a denoiser that has its table is not trained again.
All tables together are written as ``denoisers.csv``.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from hldm.conditioning import ConditionEncoder
from hldm.config import PROFILES, DiffusionConfig, Profile, UNetConfig
from hldm.data.clips import ClipDataset
from hldm.engine.processes import team
from hldm.evaluation.denoising import denoising_table
from hldm.models import MultiScaleVAE
from hldm.training.corpus import corpus_name, open_corpus
from hldm.training.diffusion import train_diffusion
from hldm.training.latents import EncodedClips, encoded
from hldm.training.vae import some_of

#: What `train_diffusion` is told, by the name of a row. The letters are those of the paper's Table III.
DENOISERS: dict[str, dict] = {
    "default": {},
    "(a) plain self-attention": {"config": UNetConfig(medical_attention=False)},
    "(d) one head": {"config": UNetConfig(structured=False)},
    "epsilon, as in the paper": {
        "config": UNetConfig(diffusion=DiffusionConfig(prediction="epsilon", min_snr_gamma=None))
    },
    "epsilon with min-SNR": {"config": UNetConfig(diffusion=DiffusionConfig(prediction="epsilon"))},
    "no curriculum": {"curriculum": None},
}


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
    parser.add_argument("denoisers", nargs="*", help=f"default: all of {', '.join(DENOISERS)}")
    options = parser.parse_args()
    if unknown := set(options.denoisers) - set(DENOISERS):
        parser.error(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(DENOISERS)}")
    # As many epochs as updates are always enough; `max_steps` ends them.
    profile = replace(PROFILES[options.profile], max_steps=options.steps, epochs=(options.steps,) * 3)
    vae = MultiScaleVAE.from_pretrained()
    known = unseen(vae, profile)
    for name in options.denoisers or DENOISERS:
        folder = options.runs / re.sub(r"\W+", "_", f"{name} {options.steps}").strip("_")
        if not (folder / "table.csv").is_file():
            settings = DENOISERS[name] | {"device": team().device, "seed": options.seed}
            unet, condition, _ = train_diffusion(profile, folder, vae, **settings)
            table = denoising_table(unet, condition, known, f"{corpus_name()}, val part", seed=options.seed)
            table.assign(denoiser=name, updates=options.steps).to_csv(folder / "table.csv", index=False)
    everything = pd.concat([pd.read_csv(path) for path in sorted(options.runs.glob("*/table.csv"))])
    everything.to_csv(options.runs / "denoisers.csv", index=False, float_format="%.4g")
    print(everything.pivot_table("value", ["data", "metric"], "denoiser", sort=False).round(3).to_string())


if __name__ == "__main__":
    main()
