"""The final report's own ear: what a network that chose nothing hears in generated sounds, and a log of every reading.

An ear that is asked often becomes one that chooses: whoever tries something, looks, and tries again, tunes to it. So
nothing of training and no sweep asks it, and every reading is appended to ``second_ear_readings.csv`` beside its
weights, whatever it says.
"""

from __future__ import annotations

import csv
import io
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from hldm import __version__
from hldm.data.clips import clips_of, windows
from hldm.data.errors import DataError
from hldm.data.records import Recording
from hldm.evaluation.fidelity import two_sample_auc
from hldm.evaluation.reference import records_of, unseen_corpus
from hldm.evaluation.report import FEWEST, SET_METRICS, Sound, against_real
from hldm.evaluation.resampling import Estimate, Sample, interval, real_vs_real
from hldm.evaluation.result import Row, table
from hldm.models.judge import IGNORE, Verdict, labels_of
from hldm.models.second_ear import SecondEar
from hldm.paths import circor_folder, replacing, shared_weights
from hldm.synthesis import Synthesizer

READINGS = "second_ear_readings.csv"
#: Of one reading: as many for every model, since a Frechet distance depends on it.
SOUNDS = 128

_frechet = next(statistic for name, _, statistic in SET_METRICS if name == "Frechet distance")


def take_reading(
    synth: Synthesizer,
    folder: str | os.PathLike | None = None,
    *,
    ear: SecondEar | None = None,
    log: str | os.PathLike | None = None,
    sounds: int = SOUNDS,
    seed: int = 0,
) -> pd.DataFrame:
    """Generate sounds from the records of `val` patients, hear them, and log what was heard.

    Parameters
    ----------
    folder : path, optional
        A corpus in CirCor's layout; default: the one that ``HLDM_CIRCOR`` names.
    ear : SecondEar, optional
        Default: the shipped one.
    log : path, optional
        A CSV file, made where there is none; default: `READINGS` beside the ear's weights.

    Raises
    ------
    DataError
        Without real recordings, or with too few.
    """
    if folder is None and circor_folder() is None:
        raise DataError("real recordings, as CORPUS or in HLDM_CIRCOR: no reading is wasted on simulated ones")
    ear = ear or SecondEar.from_pretrained()
    log = Path(log or shared_weights("second_ear.safetensors").with_name(READINGS))
    corpus, data = unseen_corpus(folder=folder)
    reference = list(corpus)
    made = synth.batch(records_of(reference, sounds), seeds=range(seed, seed + sounds))
    rows = hear_sounds(made, reference, ear, data=data, seed=seed)
    parts = {"vae": synth.vae, "unet": synth.unet, "condition": synth.condition, "vocoder": synth.vocoder}
    weights = ", ".join(f"{name} {part.hash[:8]}" for name, part in parts.items() if part is not None)
    log_reading(log, rows, weights=weights, seed=seed)
    return table(rows)


def hear_sounds(
    sounds: Sequence[Sound],
    reference: Iterable[Recording],
    ear: SecondEar,
    *,
    data: str,
    repeats: int = 100,
    seed: int = 0,
) -> list[Row]:
    """Frechet distance, its ratio to that of real against real, and the linear two-sample AUC, by the second ear.

    Parameters
    ----------
    sounds : sequence of Sound
        Generated ones, as long as the clips that the ear was trained on, or longer: they are cut.
    reference : iterable of Recording
        Annotated real recordings of patients that no model was trained on; at least twice as many clips as sounds are
        compared at full number.

    Raises
    ------
    DataError
        For sounds of another rate or too short, and for fewer than 10 sounds or 20 real clips.
    """
    rate, seconds = ear.config.sampling_rate, ear.config.clip_seconds
    samples, real = round(rate * seconds), [clip for recording in reference for clip in clips_of(recording, seconds)]
    if wrong := {s.sampling_rate for s in [*sounds, *real]} - {rate}:
        raise DataError(f"{rate} Hz", field="sampling_rate", value=sorted(wrong))
    if min(len(sounds), len(real) // 2) < FEWEST or min(len(s.waveform) for s in sounds) < samples:
        expected = f"at least {FEWEST} sounds and {2 * FEWEST} real clips, of {seconds:g} s or more"
        raise DataError(expected, field=data, value=f"{len(sounds)} sounds and {len(real)} real clips")
    ours = Sample.of(embeddings(ear, [sound.waveform[:samples] for sound in sounds]))
    theirs = Sample.of(embeddings(ear, [clip.waveform for clip in real]), [clip.patient_id for clip in real])
    by, data = f"second ear {ear.hash[:8]}".strip(), f"{data}, {len(set(theirs.groups))} patients"
    rng, rows = np.random.default_rng(seed), []
    for name, statistic in (("Frechet distance", _frechet), ("linear two-sample AUC", two_sample_auc)):
        value, companion = against_real(statistic, ours, theirs, rng=rng, repeats=repeats, seed=seed)
        rows.append(Row(name, value, "lower", real=companion, measured_by=by, data=data))
    ratio, of_real = (_over(estimate, rows[0].real.value) for estimate in (rows[0].value, rows[0].real))
    rows.insert(1, replace(rows[0], metric="Frechet distance over real against real", value=ratio, real=of_real))
    return rows


def _over(estimate: Estimate, floor: float) -> Estimate:
    return replace(estimate, **{name: getattr(estimate, name) / floor for name in ("value", "low", "high")})


def log_reading(path: str | os.PathLike, rows: Sequence[Row], *, weights: str, seed: int) -> None:
    """Append one reading, a line a figure, to a CSV file: nothing that stands there is changed.

    Parameters
    ----------
    rows : sequence of Row
        As of `hear_sounds`.
    weights : str
        What was heard: the networks and the start of their SHA-256.
    """
    path = Path(path)
    names = ("value", "low", "high", "real", "real low", "real high", "N", "patients", "measured by", "data")
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    if not path.exists():
        writer.writerow(("commit", "weights", "seed", "metric", *names))
    for row in rows:
        cells = row.cells()
        figures = [f"{v:.4f}" if isinstance(v, float) else v for v in (cells[name] for name in names)]
        writer.writerow((_commit(), weights, seed, row.metric, *figures))
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    with replacing(path) as partial:
        partial.write_text(before + lines.getvalue(), encoding="utf-8")


def _commit() -> str:
    """The commit of the code in use, with a plus where files differ from it; outside of a checkout the version."""
    root = Path(__file__).parents[2]
    try:
        git = [
            subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (
                ("rev-parse", "--short=12", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no", "hldm"),
            )
        ]
    except (OSError, subprocess.CalledProcessError):
        return f"hldm {__version__}"
    return git[0] + "+" * bool(git[1])


def embeddings(ear: SecondEar, waveforms: Sequence[np.ndarray]) -> np.ndarray:
    """What the set distances are computed on, (sounds, d), of waveforms of one length."""
    batches = (waveforms[i : i + 32] for i in range(0, len(waveforms), 32))
    return np.concatenate([_hear(ear, batch).embedding.numpy() for batch in batches])


@torch.inference_mode()
def _hear(ear: SecondEar, waveforms: Sequence[np.ndarray]) -> Verdict:
    return ear.eval()(torch.from_numpy(np.stack(waveforms).astype(np.float32)))


def score_second_ear(ear: SecondEar, recordings: Sequence[Recording]) -> dict[str, str]:
    """What an ear is worth on recordings that it was not trained on, as lines of a model card.

    The area under the curve for murmurs, the heart-rate error, and the floors of its embedding: real against real,
    `SOUNDS` clips a side or half of them all.
    """
    samples, rows, rates = round(ear.config.clip_seconds * ear.config.sampling_rate), [], []
    for recording in recordings:
        verdict = _hear(ear, windows(recording, samples))
        label = labels_of(recording.record)["murmur"]
        rows.append((label, float(verdict.logits["murmur"].softmax(1)[:, 1].mean())))
        rates.append(abs(float(verdict.log_rate.exp().median()) - (recording.heart_rate or np.nan)))
    rows, rates, patients = np.array(rows), np.array(rates), np.array([r.patient_id for r in recordings])
    known, timed = rows[:, 0] != IGNORE, np.isfinite(rates)
    clips = [clip for recording in recordings for clip in clips_of(recording, ear.config.clip_seconds)]
    real = Sample.of(embeddings(ear, [clip.waveform for clip in clips]), [clip.patient_id for clip in clips])
    auc = interval(lambda s: roc_auc_score(*s.values.T), Sample.of(rows[known], patients[known]), repeats=400)
    error = interval(lambda s: np.mean(s.values), Sample.of(rates[timed], patients[timed]), repeats=400)
    scores = {"murmur, area under the curve, by recording": auc, "heart rate, mean error, bpm": error}
    for name, statistic in (("Frechet distance", _frechet), ("linear two-sample AUC", two_sample_auc)):
        floor = real_vs_real(statistic, real, n=SOUNDS)
        scores[f"{name}, real against real, {floor.n} clips a side"] = floor
    return {name: str(estimate) for name, estimate in scores.items()}
