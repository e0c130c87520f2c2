"""What a recording loses on its way to a log-mel and back: sounds beside their originals.

The measure of every vocoder, and of a VAE with one behind it; the figures of the shipped one stand in its model card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from scipy.signal import butter, hilbert, sosfiltfilt
from torch import Tensor

from hldm.data.spectrogram import LogMel
from hldm.evaluation.factors import KnownClips
from hldm.evaluation.fidelity import frechet_distance, mel_spectral_distance, two_sample_auc
from hldm.evaluation.listening import Heard, area_under_curve, listen
from hldm.evaluation.measurers import Judge
from hldm.evaluation.physiology import s1_s2_envelope_correlation, state_levels
from hldm.evaluation.resampling import Estimate, Sample, interval
from hldm.evaluation.result import Row, table
from hldm.models.spectral_distance import SpectralDistance
from hldm.models.vae import MultiScaleVAE

#: Log-mels (clips, mels, frames) to waveforms (clips, samples).
Method = Callable[[Tensor], Tensor]
#: Seconds by which an S1 or S2 may be displaced and still be looked for.
FARTHEST = 0.05


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


def _beside(estimate: np.ndarray, reference: np.ndarray, cycles: np.ndarray, mel: LogMel) -> dict[str, float]:
    """Every measure of one clip and its original."""
    audio = mel.config
    rate, pair = audio.sampling_rate, torch.from_numpy(np.stack([estimate, reference]))
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


def resynthesise(
    known: KnownClips,
    methods: Mapping[str, Method],
    *,
    judge: Judge | None = None,
    splits: int = 20,
    seed: int = 0,
    batch_size: int = 16,
) -> dict[tuple[str, str], Estimate]:
    """Measure ways from log-mels back to sounds.

    Clip by clip, what `SpectralDistance`, `timing_errors` and `hldm.evaluation.physiology` say, and the heart rate: its
    error is against the annotation, its shift against what the same measurer hears in the original. Over all clips,
    how well the judge tells those with a murmur, and the points of area under its curve that the original had more. Set
    by set, in the judge's embedding: patients are halved again and again, and the resynthesised clips of one half are
    held against the originals of the other. ``Frechet ratio`` is their distance over that of original clips on both
    sides, so that 1 is no loss; ``linear two-sample AUC`` stands beside that of the originals.

    Parameters
    ----------
    known : KnownClips
        Of two patients or more.
    methods : mapping of name to callable
        Log-mels ``(clips, mels, frames)`` to waveforms ``(clips, samples)``; see `by_way_of`.
    judge : Judge, optional
        Default: the shipped one.
    batch_size : int
        Clips that a method is called with.

    Returns
    -------
    dict of Estimate
        By measure and method, with 95 % intervals by patient. The method ``original`` is there where a real sound has
        a value of its own.
    """
    judge = judge or Judge.from_pretrained()
    sounds = {"original": known.waveforms}
    for name, method in methods.items():
        sounds[name] = np.concatenate([method(chunk).numpy() for chunk in known.log_mels.split(batch_size)])
    heard = {name: listen(waveforms, known.cycles, judge) for name, waveforms in sounds.items()}
    truth = np.exp(known.factors["heart rate"])
    found: dict[tuple[str, str], Estimate] = {}
    for name, waveforms in sounds.items():
        rate = heard[name].heart_rate
        values = {"heart rate error (bpm)": np.abs(rate - truth)}
        if name != "original":
            triples = zip(waveforms, known.waveforms, known.cycles, strict=True)
            beside = [_beside(*triple, known.mel) for triple in triples]
            values |= {"heart rate shift (bpm)": np.abs(rate - heard["original"].heart_rate)}
            values |= {measure: np.array([row[measure] for row in beside]) for measure in beside[0]}
        for measure, column in values.items():
            there = np.isfinite(column)
            found[measure, name] = interval(_mean, Sample.of(column[there], known.patients[there]), seed=seed)
        found |= {(measure, name): value for measure, value in _verdicts(known, heard, name, seed).items()}
    embeddings = {name: h.embedding for name, h in heard.items()}
    return found | _set_measures(embeddings, known.patients, splits, seed)


def resynthesis_table(known: KnownClips, methods: Mapping[str, Method], **options) -> pd.DataFrame:
    """`resynthesise` as a table with the columns ``method`` and those of `hldm.evaluation.result.table`."""
    found = resynthesise(known, methods, **options)
    return table((Row(measure, value, of={"method": name}) for (measure, name), value in found.items()), index=())


def by_way_of(vae: MultiScaleVAE, method: Method, noise_texture: Tensor | None = None) -> Method:
    """The same method on what the VAE makes of the log-mels, at the mean of its posterior.

    `noise_texture` is as of `MultiScaleVAE.decode`; the log-mels of `hldm.Synthesizer` have it.
    """

    @torch.inference_mode()
    def there_and_back(log_mel: Tensor) -> Tensor:
        return method(vae.decode(vae.encode(log_mel).mean, noise_texture))

    return there_and_back


def _mean(sample: Sample) -> float:
    return float(np.mean(sample.values))


def _verdicts(known: KnownClips, heard: Mapping[str, Heard], name: str, seed: int) -> dict[str, Estimate]:
    """The judge's murmur, and what was lost of it, on the same patients."""
    columns = [known.factors["murmur"], heard["original"].factors["murmur"], heard[name].factors["murmur"]]
    sample = Sample.of(np.stack(columns, axis=1), known.patients)

    def area(sample: Sample, column: int = 2) -> float:
        return area_under_curve(sample.values[:, 0], sample.values[:, column])

    found = {"murmur AUC": interval(area, sample, seed=seed)}
    if name != "original":
        found["murmur AUC lost (points)"] = interval(lambda s: 100 * (area(s, 1) - area(s)), sample, seed=seed)
    return found


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
