"""What a recording loses on its way to a log-mel and back: sounds beside their originals, clip by clip.

The measure of every vocoder, and of a VAE with one behind it; ``hldm train vocoder`` writes the figures of the shipped
one into its model card.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.signal import butter, hilbert, sosfiltfilt
from torch import Tensor

from hldm.config import AudioConfig, Profile
from hldm.data.clips import annotated_stretches, clip_starts, normalise
from hldm.data.mel import LogMel
from hldm.data.records import ClinicalRecord, Recording
from hldm.evaluation.fidelity import frechet_distance, mel_spectral_distance, two_sample_auc
from hldm.evaluation.measurers import Judge
from hldm.evaluation.physiology import estimate_heart_rate, s1_s2_envelope_correlation, state_levels
from hldm.evaluation.resampling import Estimate, Sample, interval
from hldm.models.vocoder import Vocoder
from hldm.training.card import write_card
from hldm.training.corpus import corpus_name, unseen_corpus
from hldm.training.vocoder import SpectralDistance, VocoderTraining, train_vocoder

#: Log-mels (clips, mels, frames) to waveforms (clips, samples).
Method = Callable[[Tensor], Tensor]
#: Seconds by which an S1 or S2 may be displaced and still be looked for.
FARTHEST = 0.05


@dataclass(frozen=True)
class Original:
    """A clip that starts with S1, and the log-mel that the rest of its recording surrounds.

    Attributes
    ----------
    waveform : ndarray (samples,), float32
    log_mel : Tensor (mels, frames), dB
    cycles : ndarray (beats, 5)
        As of `Recording.cycles`, in seconds into the clip.
    record : ClinicalRecord
    patient_id : str
    """

    waveform: np.ndarray
    log_mel: Tensor
    cycles: np.ndarray
    record: ClinicalRecord
    patient_id: str


def originals(recordings: Iterable[Recording], audio: AudioConfig = AudioConfig()) -> list[Original]:
    """Clips of ``audio.clip_seconds`` that do not overlap, at the level of the training clips."""
    mel, found = LogMel(audio), []
    for recording in recordings:
        recording = recording.resample(audio.sampling_rate)
        waveform = normalise(recording.waveform, recording.annotated)
        log_mel = mel(torch.from_numpy(waveform))
        for stretch in annotated_stretches(recording):
            for index in clip_starts(stretch, audio.clip_seconds, audio.clip_seconds):
                frame = int(np.ceil(stretch[index, 0] * audio.frame_rate))
                clip = log_mel[:, frame : frame + audio.clip_frames]
                start = frame * audio.hop_length
                if clip.shape[-1] == audio.clip_frames:
                    cycles = stretch - start / audio.sampling_rate
                    inside = (cycles[:, 0] >= 0) & (cycles[:, 4] <= audio.clip_seconds)
                    found.append(
                        Original(
                            waveform[start : start + audio.clip_samples],
                            clip,
                            cycles[inside],
                            recording.record,
                            recording.patient_id,
                        )
                    )
    return [clip for clip in found if len(clip.cycles)]


def timing_errors(estimate: np.ndarray, reference: np.ndarray, sampling_rate: int, cycles: np.ndarray) -> np.ndarray:
    """By how much each S1 and S2 is displaced.

    It is the lag within `FARTHEST` at which the 20 to 150 Hz envelopes around an annotated sound correlate best.

    Parameters
    ----------
    estimate, reference : ndarray (samples,)
    cycles : ndarray (beats, 5)
        As of `Recording.cycles`, in seconds into the waveforms.

    Returns
    -------
    ndarray (sounds,)
        Milliseconds, to a sample; positive where the estimate is late. Sounds close to an end are left out.
    """
    band = butter(2, (20, 150), "bandpass", fs=sampling_rate, output="sos")
    smooth = butter(2, 50, fs=sampling_rate, output="sos")
    found, wanted = (sosfiltfilt(smooth, np.abs(hilbert(sosfiltfilt(band, x)))) for x in (estimate, reference))
    reach, errors = round(FARTHEST * sampling_rate), []
    for onset, end in np.concatenate([cycles[:, 0:2], cycles[:, 2:4]]) * sampling_rate:
        first, last = round(onset) - reach // 2, round(end) + reach // 2
        if first >= reach and last + reach <= len(reference):
            sound = wanted[first:last] - wanted[first:last].mean()
            places = np.lib.stride_tricks.sliding_window_view(found[first - reach : last + reach], len(sound))
            lag = np.argmax(places @ sound / places.std(1).clip(1e-12)) - reach  # Pearson, but for a constant
            errors.append(1e3 * lag / sampling_rate)
    return np.array(errors)


def _beside(estimate: np.ndarray, original: Original, audio: AudioConfig, mel: LogMel) -> dict[str, float]:
    """Every measure of one clip and its original."""
    rate, reference, cycles = audio.sampling_rate, original.waveform, original.cycles
    pair = torch.from_numpy(np.stack([estimate, reference]))
    inside = SpectralDistance(audio)(pair[:1], pair[1:])
    above = SpectralDistance(audio, (audio.fmax, rate / 2))(pair[:1], pair[1:])[1]
    systole = [state_levels(x, rate, cycles, band=(100.0, 400.0)).systole for x in (estimate, reference)]
    displaced = np.abs(timing_errors(estimate, reference, rate, cycles))
    return {
        "multi-resolution STFT distance": float(sum(inside)),
        "STFT log distance above the mel (nepers)": float(above),
        "mel spectral distance (dB)": float(mel_spectral_distance(*mel(pair))),
        "level error (dB)": abs(10 * np.log10(np.mean(estimate**2) / np.mean(reference**2))),
        "S1/S2 envelope correlation": s1_s2_envelope_correlation(estimate, reference, rate),
        "S1/S2 timing error (ms)": float(np.mean(displaced)) if len(displaced) else np.nan,
        "murmur-band error in systole (dB)": abs(systole[0] - systole[1]),
    }


def resynthesis_table(
    clips: Sequence[Original],
    methods: Mapping[str, Method],
    *,
    judge: Judge | None = None,
    audio: AudioConfig = AudioConfig(),
    splits: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure ways from log-mels back to sounds.

    Pair by pair, what `SpectralDistance`, `timing_errors` and `hldm.evaluation.physiology` say. Set by set, in the
    judge's embedding: patients are halved again and again, and the resynthesised clips of one half are held against
    the originals of the other. ``Frechet ratio`` is their distance over that of original clips on both sides, so
    that 1 is no loss; ``linear two-sample AUC`` stands beside that of the originals.

    Parameters
    ----------
    clips : sequence of Original
        Of two patients or more.
    methods : mapping of name to callable
        Log-mels ``(clips, mels, frames)`` to waveforms ``(clips, samples)``. Called with one clip at a time.

    Returns
    -------
    DataFrame
        Columns ``measure``, ``method``, ``value``, ``low``, ``high`` (95 %, by patient), ``clips``, ``patients``. The
        method ``original`` is there where a real sound has a value of its own.
    """
    judge, mel = judge or Judge.from_pretrained(), LogMel(audio)
    groups = np.array([clip.patient_id for clip in clips])
    sounds = {"original": [clip.waveform for clip in clips]}
    for name, method in methods.items():
        sounds[name] = [method(clip.log_mel[None])[0].numpy() for clip in clips]
    found: dict[tuple[str, str], Estimate] = {}
    rates = np.array([60 / np.median(clip.cycles[:, 4] - clip.cycles[:, 0]) for clip in clips])
    for name, waveforms in sounds.items():
        values = {}
        if name != "original":
            beside = [_beside(sound, clip, audio, mel) for sound, clip in zip(waveforms, clips, strict=True)]
            values = {measure: np.array([row[measure] for row in beside]) for measure in beside[0]}
        heard = np.array([estimate_heart_rate(sound, audio.sampling_rate) for sound in waveforms])
        values["heart rate error (bpm)"] = np.abs(heard - rates)
        for measure, column in values.items():
            known = np.isfinite(column)
            found[measure, name] = interval(_mean, Sample.of(column[known], groups[known]), seed=seed)
    found |= _set_measures({name: judge.embed(w) for name, w in sounds.items()}, groups, splits, seed)
    return pd.DataFrame(
        {"measure": measure, "method": name, "value": e.value, "low": e.low, "high": e.high,
         "clips": e.n, "patients": e.groups}
        for (measure, name), e in found.items()
    )  # fmt: skip


def _mean(sample: Sample) -> float:
    return float(np.mean(sample.values))


def _set_measures(
    embeddings: Mapping[str, np.ndarray], groups: np.ndarray, splits: int, seed: int
) -> dict[tuple[str, str], Estimate]:
    """Frechet ratio and two-sample AUC of each method, over the same halvings of the patients."""
    rng, rows = np.random.default_rng(seed), Sample.of(np.arange(len(groups)), groups)
    ratios, areas = ({name: [] for name in embeddings} for _ in range(2))
    for _ in range(splits):
        ours, theirs = (side.values.astype(int) for side in rows.halves(rng))
        n = min(len(ours), len(theirs))
        ours, theirs = rng.permutation(ours)[:n], rng.permutation(theirs)[:n]
        real = Sample.of(embeddings["original"][theirs], groups[theirs])
        floor = frechet_distance(embeddings["original"][ours], real.values)
        for name, embedding in embeddings.items():
            ratios[name].append(frechet_distance(embedding[ours], real.values) / floor)
            areas[name].append(two_sample_auc(Sample.of(embedding[ours], groups[ours]), real, seed=seed))
    found = {}
    for measure, values in (("Frechet ratio", ratios), ("linear two-sample AUC", areas)):
        for name, draws in values.items():
            low, high = np.quantile(draws, [0.025, 0.975])
            found[measure, name] = Estimate(
                float(np.mean(draws)), float(low), float(high), n, len(np.unique(groups)) // 2
            )
    return found


def make_vocoder(folder: str | os.PathLike, *, profile: Profile, seed: int = 0) -> pd.DataFrame:
    """Train the vocoder, measure it beside Griffin-Lim on unseen recordings, and write its weights and model card.

    An interrupted run resumes; a finished one is only measured again.

    Returns
    -------
    DataFrame
        As of `resynthesis_table`.
    """
    path = Path(folder) / "vocoder.safetensors"
    log = train_vocoder(profile, folder, seed=seed)[1]
    vocoder = Vocoder.from_pretrained(folder)
    recordings, scored_on = unseen_corpus(profile.max_patients)
    clips = originals(recordings, vocoder.audio)
    table = resynthesis_table(clips, {"Griffin-Lim": vocoder.mel.griffin_lim, "vocoder": vocoder.vocode})
    scores = {}
    for measure, rows in table.groupby("measure", sort=False):
        figures = {row.method: f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]" for row in rows.itertuples()}
        others = "; ".join(f"{name} {figure}" for name, figure in figures.items() if name != "vocoder")
        scores[measure] = f"{figures['vocoder']} ({others})"
    training = VocoderTraining()
    write_card(
        path, what="Vocoder: log-mel to waveform; a short Griffin-Lim, corrected by a convolutional network.",
        corpus=corpus_name(), scores=scores, scored_on=f"{len(clips)} clips of the {scored_on}",
        training={
            "command": f"hldm train vocoder --profile {profile.name} --epochs {profile.epochs[0]}",
            "weights": sum(p.numel() for p in vocoder.parameters()),
            "updates": log[-1]["step"], "batch": training.batch_size,
            "seconds of a crop": training.frames / vocoder.audio.frame_rate,
            "simulated recordings beside the corpus": training.simulated, "learning rate": training.learning_rate,
            "seed": seed,
        },
    )  # fmt: skip
    return table
