"""``hldm evaluate``: generated sounds, latents and what-if edits, measured."""

from __future__ import annotations

import sys
from pathlib import Path

from hldm.cli import arguments
from hldm.cli.progress import working
from hldm.config import PROFILES
from hldm.data.errors import DataError
from hldm.paths import circor_folder


def add_to(command) -> None:
    """Add the command to the parser."""
    sub = command("evaluate", evaluate, "measure generated sounds against the recordings of validation patients")
    sub.add_argument(
        "corpus",
        type=Path,
        nargs="?",
        help="its part val has at least 20 annotated clips of 5.12 s; default: $HLDM_CIRCOR, or the simulated corpus "
        "that comes with hldm, which says nothing about real hearts",
    )
    sub.add_argument("--experiment", metavar="NAME", help="weights that hldm train --experiment NAME made")
    sub.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the experiments (default: runs)")
    sub.add_argument(
        "--cnn",
        action="store_true",
        help="train small networks that tell generated sounds from real ones, too: minutes",
    )
    sub.add_argument(
        "--latent", action="store_true", help="measure the VAE's subspaces instead, on simulated hearts too"
    )
    sub.add_argument("--what-if", action="store_true", help="measure what-if edits instead; needs no corpus")
    sub.add_argument(
        "--second-ear", action="store_true",
        help="for a final report only: what a network that chose nothing hears; every reading is logged beside it",
    )  # fmt: skip
    sub.add_argument(
        "--seeds", type=arguments.several, help="hearts to edit with --what-if, at least 3 (default: as the profile)"
    )
    arguments.add_profile(sub)


def evaluate(options) -> None:
    """Print the table that was asked for."""
    what = "the VAE" if options.latent else "edits" if options.what_if else "generated sounds"
    if not (options.latent or options.what_if or options.second_ear or options.corpus or circor_folder()):
        said = "no CORPUS and no HLDM_CIRCOR: measured against simulated recordings, which says nothing of real hearts"
        print("hldm:", said, file=sys.stderr)
    with working(f"measuring {what}"):
        tables = _tables(options)
    print("\n\n".join(table.to_string(float_format="{:.3f}".format, na_rep="") for table in tables))


def _tables(options) -> list:
    from hldm import Synthesizer
    from hldm.evaluation import commands
    from hldm.experiments import load
    from hldm.models import MultiScaleVAE

    if options.second_ear:
        if options.experiment:
            raise DataError("no --experiment: what compares ablations chooses", field="--second-ear")
        from hldm.evaluation.second_ear import take_reading

        return [take_reading(Synthesizer.from_pretrained(), options.corpus)]
    profile = PROFILES[options.profile]
    if options.latent and not options.experiment:
        return [commands.measure_latent(MultiScaleVAE.from_pretrained(), profile, options.corpus)]
    model = load(options.experiment, options.runs) if options.experiment else Synthesizer.from_pretrained()
    if options.latent:
        return [commands.measure_latent(model.vae, profile, options.corpus)]
    if options.what_if:
        return commands.measure_edits(model, profile, options.seeds)
    return [commands.measure_sounds(model, profile, options.corpus, cnn=options.cnn)]
