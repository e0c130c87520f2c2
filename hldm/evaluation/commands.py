"""What ``hldm evaluate`` measures: a model, its latent or its edits, on recordings that nobody trained on."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd

from hldm.config import Profile
from hldm.data.errors import DataError
from hldm.evaluation.factors import real_clips, simulated_clips
from hldm.evaluation.latent import evaluate_latent
from hldm.evaluation.reference import records_of, unseen_corpus
from hldm.evaluation.report import evaluate
from hldm.evaluation.what_if import evaluate_what_if
from hldm.models.vae import MultiScaleVAE
from hldm.paths import circor_folder
from hldm.synthesis import Synthesizer

#: Hearts of which each way to the next grade needs one: "another seed" borrows the next ones.
FEWEST_SEEDS = 3


def measure_sounds(
    synth: Synthesizer, profile: Profile, folder: str | os.PathLike | None = None, *, cnn: bool = False
) -> pd.DataFrame:
    """Generated sounds against recordings: as many as the profile says, asked for by the recordings' own records.

    Parameters
    ----------
    folder : path, optional
        A corpus in CirCor's layout; default: as of `unseen_corpus`, which falls back to simulated recordings.
    cnn : bool
        As of `hldm.evaluation.evaluate`.

    Raises
    ------
    DataError
        For a corpus with too few validation patients.
    """
    corpus, data = unseen_corpus(folder=folder)
    reference, wanted = list(corpus), profile.samples
    if not reference:
        raise DataError("recordings of validation patients", file=corpus.root)
    sounds = synth.batch(
        records_of(reference, wanted), seeds=range(wanted), num_inference_steps=profile.inference_steps
    )
    return evaluate(sounds, reference, data=data, cnn=cnn)


def measure_latent(vae: MultiScaleVAE, profile: Profile, folder: str | os.PathLike | None = None) -> pd.DataFrame:
    """The subspaces of a VAE: on simulated hearts, whose factors are known, and on a corpus where there is one."""
    known = [simulated_clips(max(30, profile.samples), audio=vae.config.audio)]
    if folder or circor_folder():
        corpus, data = unseen_corpus(profile.max_patients, folder)
        known.append(real_clips(corpus, data, vae.config.audio))
    return evaluate_latent(vae, known, pairs=profile.samples)


def measure_edits(synth: Synthesizer, profile: Profile, seeds: int | None = None) -> Sequence[pd.DataFrame]:
    """What-if edits: the grade sweep and the controllability of every edit, over some hearts.

    Raises
    ------
    DataError
        For fewer than `FEWEST_SEEDS`.
    """
    seeds = max(6, profile.samples // 3) if seeds is None else seeds
    if seeds < FEWEST_SEEDS:
        raise DataError(f"{FEWEST_SEEDS} or more", field="seeds", value=seeds)
    return evaluate_what_if(synth, range(seeds), num_inference_steps=profile.inference_steps)
