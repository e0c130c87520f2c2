"""``hldm evaluate``: generated sounds, latents and what-if edits, measured."""

from __future__ import annotations

import sys
from pathlib import Path

from hldm.cli import arguments
from hldm.cli.progress import working
from hldm.config import PROFILES
from hldm.data.errors import DataError
from hldm.paths import circor_folder, simulated_folder


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
    sub.add_argument(
        "--latent", action="store_true", help="measure the VAE's subspaces instead, on simulated hearts too"
    )
    sub.add_argument("--what-if", action="store_true", help="measure what-if edits instead; needs no corpus")
    sub.add_argument(
        "--seeds", type=arguments.several, help="hearts to edit with --what-if, at least 3 (default: as the profile)"
    )
    arguments.add_profile(sub)


def evaluate(options) -> None:
    """Print the table that was asked for."""
    if options.latent:
        print(_latent(options).to_string(float_format="{:.3f}".format))
    elif options.what_if:
        print("\n\n".join(table.to_string(float_format="{:.3f}".format) for table in _what_if(options)))
    else:
        print(_sounds(options).to_string())


def _sounds(options):
    from hldm.data import CircorCorpus

    folder = options.corpus or circor_folder()
    if folder is None:
        folder, split, data = simulated_folder(), None, "simulated corpus"  # the model has met none of its patients
        said = "no CORPUS and no HLDM_CIRCOR: measured against simulated recordings, which says nothing of real hearts"
        print("hldm:", said, file=sys.stderr)
    else:
        split, data = "val", f"{folder.name} val"
    with working(f"reading {folder}"):
        reference = list(CircorCorpus(folder, split=split))
    if not reference:
        raise DataError("recordings of validation patients", file=folder)
    wanted = PROFILES[options.profile].samples
    with working(f"making {wanted} sounds"):
        from hldm import Synthesizer

        records = [reference[i * len(reference) // wanted].record for i in range(wanted)]  # as various as the patients
        sounds = Synthesizer.from_pretrained().batch(
            records, seeds=range(wanted), num_inference_steps=PROFILES[options.profile].inference_steps
        )
    with working("measuring them"):
        from hldm.evaluation import evaluate as measure

        try:
            return measure(sounds, reference, data=data)
        except ValueError as error:
            raise DataError("a larger corpus", file=folder, value=str(error)) from error


def _latent(options):
    with working("measuring the VAE"):
        from hldm.data import CircorCorpus
        from hldm.evaluation.factors import real_clips, simulated_clips
        from hldm.evaluation.latent import evaluate_latent
        from hldm.models import MultiScaleVAE

        wanted = PROFILES[options.profile].samples
        known = [simulated_clips(max(30, wanted))]
        if folder := options.corpus or circor_folder():
            corpus = CircorCorpus(folder, split="val", max_patients=PROFILES[options.profile].max_patients)
            try:
                known.append(real_clips(corpus, f"{folder.name} val"))
            except ValueError as error:
                raise DataError("a larger corpus", file=folder, value=str(error)) from error
        return evaluate_latent(MultiScaleVAE.from_pretrained(), known, pairs=wanted)


def _what_if(options):
    profile = PROFILES[options.profile]
    seeds = range(options.seeds or max(6, profile.samples // 3))
    with working(f"editing {len(seeds)} hearts"):
        from hldm import Synthesizer
        from hldm.evaluation.what_if import evaluate_what_if

        return evaluate_what_if(Synthesizer.from_pretrained(), seeds, num_inference_steps=profile.inference_steps)
