"""Judge, second ear and vocoder: trained, measured on what they were not trained on, and described in a model card.

Training measures nothing and evaluation trains nothing that is shipped; here, above both, they meet.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pandas as pd

from hldm.config import Profile
from hldm.data.circor.corpus import CircorCorpus
from hldm.data.errors import DataError
from hldm.data.records import Recording
from hldm.evaluation.factors import real_clips
from hldm.evaluation.judge_card import judge_card
from hldm.evaluation.measurers import Judge
from hldm.evaluation.reference import unseen_corpus
from hldm.evaluation.resynthesis import by_way_of, resynthesis_table
from hldm.evaluation.second_ear import score_second_ear
from hldm.models.second_ear import SecondEar
from hldm.models.vae import MultiScaleVAE
from hldm.models.vocoder import Vocoder
from hldm.paths import circor_folder, replacing, shared_weights
from hldm.training.card import write_card
from hldm.training.corpus import corpus_name
from hldm.training.judge import JudgeTraining, train_judge
from hldm.training.second_ear import SecondEarTraining, train_second_ear
from hldm.training.vocoder import VocoderTraining, train_vocoder


def make_judge(folder: str | os.PathLike, *, training: JudgeTraining = JudgeTraining()) -> Judge:
    """Train the judge, or resume its training; measure it, and write ``judge.safetensors`` and its model card.

    Raises
    ------
    DataError
        Without real recordings: a judge trained on simulated ones would measure the wrong thing.
    """
    train, val = _real_recordings("judge")
    train_judge(train, val, folder, training=training)
    judge = Judge.from_pretrained(folder)
    updates = training.epochs * -(-len(train) * training.crops // training.batch_size)
    told = (
        f"{updates:,} updates of {training.batch_size} clips, seed {training.seed}, AdamW, cosine rate;\n"
        f"  other moments, gains of +-{training.gain_db:g} dB and faint noise as augmentation."
    )
    with replacing(Path(folder) / "judge.md") as partial:
        partial.write_text(judge_card(judge, train, val, told), encoding="utf-8")
    return judge


def _real_recordings(name: str) -> tuple[list[Recording], list[Recording]]:
    """Those of `train` and of `val`."""
    root = circor_folder()
    if root is None:
        raise DataError(f"HLDM_CIRCOR to name the CirCor recordings: the {name} learns from real ones only")
    return list(CircorCorpus(root, "train")), list(CircorCorpus(root, "val"))


def make_second_ear(folder: str | os.PathLike, *, training: SecondEarTraining = SecondEarTraining()) -> SecondEar:
    """Train the second ear, or resume its training; write ``second_ear.safetensors`` and its model card.

    `val` is for the card alone: nothing is chosen on it.

    Raises
    ------
    DataError
        Without real recordings.
    """
    train, val = _real_recordings("second ear")
    log = train_second_ear(train, folder, training=training)[1]
    ear = SecondEar.from_pretrained(folder)
    write_card(
        Path(folder) / "second_ear.safetensors",
        what="Second ear: a network on the waveform, full band and level kept, for the final report alone. It chose "
        "nothing, and every reading of it is in `second_ear_readings.csv`. It is no diagnostic device.",
        corpus=corpus_name(), scores=score_second_ear(ear, val),
        scored_on=f"{len(val)} recordings of {len({r.patient_id for r in val})} patients of the part `val`",
        training={
            "command": f"hldm train second_ear --epochs {training.epochs}",
            "weights": sum(p.numel() for p in ear.parameters()),
            "recordings": f"{len(train)} of {len({r.patient_id for r in train})} patients",
            "updates": f"{log[-1]['step']}, a fixed budget: the last one is kept", "batch": training.batch_size,
            "seconds of a clip": ear.config.clip_seconds, "gain jitter, dB": training.gain_db,
            "learning rate": training.learning_rate, "seed": training.seed,
        },
    )  # fmt: skip
    return ear


def make_vocoder(folder: str | os.PathLike, *, profile: Profile, seed: int = 0) -> pd.DataFrame:
    """Train the vocoder, measure it beside Griffin-Lim on unseen recordings, and write its weights and model card.

    Both do as many rounds, and both are measured on real log-mels and on those that the VAE of `folder`, or the shipped
    one, makes of them. An interrupted run resumes; a finished one is only measured again.

    Returns
    -------
    DataFrame
        As of `resynthesis_table`.
    """
    path = Path(folder) / "vocoder.safetensors"
    log = train_vocoder(profile, folder, seed=seed)[1]
    vocoder = Vocoder.from_pretrained(folder)
    vae = MultiScaleVAE.from_pretrained(shared_weights("vae.safetensors", folder).parent)
    rounds = vocoder.config.settling + vocoder.config.polishing
    recordings, scored_on = unseen_corpus(profile.max_patients)
    known = real_clips(recordings, scored_on, vocoder.audio)
    methods = {"Griffin-Lim": partial(vocoder.mel.griffin_lim, iterations=rounds), "vocoder": vocoder.vocode}
    texture = vocoder.mel.noise_texture(vocoder.audio.clip_frames, seed=0)
    decoded = {f"{name} after the VAE": by_way_of(vae, method, texture) for name, method in methods.items()}
    table = resynthesis_table(known, methods | decoded)
    training = VocoderTraining()
    write_card(
        path, what="Vocoder: log-mel to waveform; a short Griffin-Lim, corrected by a convolutional network.",
        corpus=corpus_name(), scores=_scores(table), scored_on=f"{len(known)} clips of the {scored_on}",
        training={
            "command": f"hldm train vocoder --profile {profile.name} --epochs {profile.epochs[0]}",
            "weights": sum(p.numel() for p in vocoder.parameters()),
            "cap on updates": profile.max_steps or "none", "updates": log[-1]["step"], "batch": training.batch_size,
            "seconds of a crop": training.frames / vocoder.audio.frame_rate,
            "rounds of Griffin-Lim before the network, and after": f"{training.settling}, {vocoder.config.polishing}",
            "the same in use": f"{vocoder.config.settling}, {vocoder.config.polishing}",
            "rounds of Griffin-Lim alone": rounds,
            "share of log-mels roughened": training.rough_share,
            "simulated recordings beside the corpus": training.simulated, "learning rate": training.learning_rate,
            "seed": seed,
        },
    )  # fmt: skip
    return table


def _scores(table: pd.DataFrame) -> dict[str, str]:
    """Lines of the model card: the vocoder's figures, Griffin-Lim's beside them, on real and on decoded log-mels."""
    scores = {}
    for way, title in (("", ""), (" after the VAE", "after the VAE: ")):
        for measure, rows in table.groupby("metric", sort=False):
            figures = {row.method: f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]" for row in rows.itertuples()}
            others = {"Griffin-Lim": f"Griffin-Lim{way}", "original": "original"}
            beside = "; ".join(f"{name} {figures[key]}" for name, key in others.items() if key in figures)
            scores[title + measure] = f"{figures[f'vocoder{way}']} ({beside})"
    return scores
