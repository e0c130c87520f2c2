"""The table of a latent: how far apart its subspaces are, what each holds, and what a swap does to the sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hldm.config import SUBSPACES
from hldm.evaluation import disentanglement
from hldm.evaluation.factors import OWN, KnownClips
from hldm.evaluation.interpretability import (
    Readings,
    harmonic,
    ideal,
    modularity,
    orthogonality,
    pds,
    pooled,
    read,
    repeating,
    strangers,
)
from hldm.evaluation.listening import Vocode, area_under_curve
from hldm.evaluation.measurers import Judge
from hldm.evaluation.resampling import Estimate, Sample, interval
from hldm.evaluation.result import Row, table
from hldm.evaluation.resynthesis import by_way_of, resynthesise
from hldm.evaluation.swaps import swap_test
from hldm.models import MultiScaleVAE, split_subspaces
from hldm.pretrained import same_front_end

PROBES = "linear probes of mean and spread over time, by patient"
RHYTHM = "autocorrelation of the envelope"
PATTERNS = "the same with autocorrelations and means by heart state"


def evaluate_latent(
    vae: MultiScaleVAE,
    known: Sequence[KnownClips],
    *,
    judge: Judge | None = None,
    vocode: Vocode | None = None,
    pairs: int = 200,
    sounds: int = 240,
    repeats: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Everything that chapter 4 and the model card say of a VAE, on each of some sets of clips.

    Parameters
    ----------
    vae : MultiScaleVAE
    known : sequence of KnownClips
        As of `hldm.evaluation.factors.real_clips` and `simulated_clips`, of hearts that it was not trained on.
    judge : Judge, optional
        Default: the shipped one.
    vocode : callable, optional
        Default: Griffin-Lim. Decoded log-mels have their noise texture, as in `hldm.Synthesizer`.
    pairs : int
        Of the swap test, at most.
    sounds : int
        Clips that are vocoded for the resynthesis, at most: one of every patient before a second one of any. What
        needs no sound is measured on all clips.
    repeats : int
        Resamplings of each interval.

    Returns
    -------
    DataFrame
        Indexed by data and metric: `value` with its patient-level interval, `floor`, `ceiling`, clips `N`, `patients`
        and `measured by`.
    """
    judge = judge or Judge.from_pretrained()
    fronts = {f"clips of {clips.name}": clips.mel.config for clips in known}
    same_front_end(vae=vae.config.audio, judge=judge.audio, **fronts)
    vocode = vocode or known[0].mel.griffin_lim
    rows = []
    for clips in known:
        for part in (
            _subspaces(vae, clips, repeats, seed),
            _swaps(vae, clips, judge, vocode, pairs, seed),
            _resynthesis(vae, clips.few(sounds, seed), judge, vocode, seed),
        ):
            rows += [replace(row, data=clips.name) for row in part]
    return table(rows, ("data", "metric"))


def _row(
    metric: str,
    better: str,
    value: Estimate,
    floor: float | Estimate = np.nan,
    ceiling: float | Estimate = np.nan,
    by: str = PROBES,
) -> Row:
    """A figure of a latent, between what no skill would score and the best that could be reached."""
    return Row(metric, value, better, floor=floor, ceiling=ceiling, measured_by=by)


def rotated(z: Tensor, seed: int = 0) -> Tensor:
    """The same latent ``(clips, channels, frames)`` with its standardised channels mixed by a random rotation.

    It holds what it held, and its names mean nothing: the floor of every score that asks whether they do.
    """
    channels = z.shape[1]
    mixing, _ = torch.linalg.qr(torch.randn(channels, channels, generator=torch.Generator().manual_seed(seed)))
    standard = (z - z.mean((0, 2), keepdim=True)) / z.std((0, 2), keepdim=True).clamp_min(1e-6)
    return torch.einsum("ij,njt->nit", mixing, standard)


def _subspaces(vae: MultiScaleVAE, known: KnownClips, repeats: int, seed: int) -> Iterator[Row]:
    """What the latent itself tells."""
    patients, factors = known.patients, known.factors
    with torch.inference_mode():
        z = vae.encode(known.log_mels).mean
        error = (vae.decode(z) - known.log_mels).abs().mean((1, 2)).numpy()
    average = known.log_mels.mean((0, 2), keepdim=True)

    def mean(values: np.ndarray) -> Estimate:
        return interval(lambda s: s.values.mean(), Sample.of(values, patients), repeats=repeats, seed=seed)

    guess = float((known.log_mels - average).abs().mean())
    yield _row("reconstruction error (dB)", "lower", mean(error), guess, 0.0, "mean absolute error of the log-mel")

    groups, mixed, best = pooled(split_subspaces(z)), pooled(split_subspaces(rotated(z, seed))), ideal(factors, OWN)
    readings = Readings.of(groups, factors, patients)
    found = pds(groups, factors, OWN, patients, readings=readings, repeats=repeats, seed=seed)
    floor, ceiling = (_parts(g, known, seed) for g in (mixed, best))
    for name, value in (("PDS", found.score), ("PDS: orth", found.orth), ("PDS: mod", found.mod)):
        yield _row(name, "higher", value, floor[name], ceiling[name])
    patterns = repeating(split_subspaces(z), known.states[:, :: vae.config.downsampling])
    strong = Readings.of(patterns, factors, patients)
    everything = Sample.of(np.arange(len(patients)), patients)
    value = interval(lambda s: modularity(strong.scores(s.values.astype(int)), OWN), everything, repeats=repeats)
    yield _row("PDS: mod for a stronger probe", "higher", value, np.nan, ceiling["PDS: mod"], PATTERNS)
    yield from _probes(known, groups, readings, strong, repeats, seed)
    yield from _others(known, groups, best, seed)


def _parts(groups: dict[str, np.ndarray], known: KnownClips, seed: int) -> dict[str, float]:
    """PDS and its parts, without intervals."""
    scores = Readings.of(groups, known.factors, known.patients).scores()
    orth, mod = orthogonality(groups, known.patients, seed), modularity(scores, OWN)
    return {"PDS": harmonic(orth, mod), "PDS: orth": orth, "PDS: mod": mod}


def _probes(known: KnownClips, groups, readings: Readings, strong: Readings, repeats: int, seed: int) -> Iterator[Row]:
    """The murmur from its own subspace and from the others; the heart rate from each."""
    patients, murmur, rate = known.patients, known.factors["murmur"], known.factors["heart rate"]
    together = {
        "the other three": np.concatenate([z for name, z in groups.items() if name != "murmur"], axis=1),
        "all four": np.concatenate(list(groups.values()), axis=1),
    }
    said = {"murmur": readings.predicted["murmur"]["murmur"]}
    said |= {name: read(z, murmur, patients) for name, z in together.items()}

    def estimate(statistic, *columns: np.ndarray) -> Estimate:
        return interval(statistic, Sample.of(np.stack(columns, axis=1), patients), repeats=repeats, seed=seed)

    auc = {name: estimate(lambda s: area_under_curve(*s.values.T), murmur, score) for name, score in said.items()}
    yield _row("murmur from murmur (AUC)", "higher", auc["murmur"], 0.5, auc["all four"])
    # Rate, sounds and noise themselves tell of a murmur where factors go together: nobody can ask for less.
    others = np.stack([values for name, values in known.factors.items() if name != "murmur"], axis=1)
    best = area_under_curve(murmur, read(others, murmur, patients))
    yield _row("murmur from the other three (AUC)", "lower", auc["the other three"], auc["all four"], best)

    def mae(predicted: np.ndarray) -> Estimate:
        error = np.abs(np.exp(predicted) - np.exp(rate))
        return estimate(lambda s: s.values.mean(), error)

    guess, whole = mae(np.full_like(rate, np.median(rate))), mae(read(together["all four"], rate, patients))
    for kind, source, by in (("", readings, PROBES), (", stronger probe", strong, PATTERNS)):
        for name in SUBSPACES:
            own = name == "rhythm"
            best = whole if source is readings else np.nan
            limits = (guess, best) if own else (best, guess)
            value = mae(source.predicted["heart rate"][name])
            yield _row(f"heart rate from {name}{kind} (bpm)", "lower" if own else "higher", value, *limits, by)


def _others(known: KnownClips, groups, best, seed: int) -> Iterator[Row]:
    """The field's own measures, with the subspace as unit; total correlation against patients exchanged."""

    def plain(value: float) -> Estimate:
        return Estimate(value, np.nan, np.nan, len(known), len(np.unique(known.patients)))

    def measured(parts: dict[str, np.ndarray]) -> dict[str, float]:
        codes, units = np.concatenate(list(parts.values()), axis=1), _units(parts)
        dci = disentanglement.dci(codes, known.factors, known.patients, units, seed=seed)
        gaps = {
            "MIG": disentanglement.mutual_information_gap(codes, known.factors, units),
            "SAP": disentanglement.separated_attribute_predictability(codes, known.factors, units),
        }
        return {name: float(np.mean(list(gap.values()))) for name, gap in gaps.items()} | {
            f"DCI: {name}": value for name, value in dci._asdict().items()
        }

    values, ceilings = measured(groups), measured(best)
    for name, value in values.items():
        by = "forests of extremely random trees" if name.startswith("DCI") else "best column of each subspace"
        yield _row(name, "higher", plain(value), 0.0, ceilings[name], by)
    if len(known) > 2 * len(_units(groups)):
        rng = np.random.default_rng(seed)
        apart = {name: z[strangers(known.patients, rng)] for name, z in groups.items()}
        shared, idle = (disentanglement.total_correlation(part) for part in (groups, apart))
        yield _row("total correlation (nats)", "lower", plain(shared), np.nan, idle, "Gaussian closed form")


def _units(groups: dict[str, np.ndarray]) -> list[str]:
    """The subspace of every column."""
    return [name for name, z in groups.items() for _ in range(z.shape[1])]


def _swaps(vae: MultiScaleVAE, known: KnownClips, judge: Judge, vocode: Vocode, pairs: int, seed: int) -> Iterator[Row]:
    """What independent measurers hear after a swap."""
    by, rhythm = judge.name, RHYTHM
    test = swap_test(vae, known, judge, vocode, most=pairs, seed=seed)
    after = test.after["murmur"]
    lines = (
        ("heart rate change (%)", "lower", test.rate_change, test.giver, test.again, rhythm),
        ("heart rate kept (1 % or 1 bpm)", "higher", test.rate_kept, test.giver, test.again, rhythm),
        ("S1/S2 envelope correlation", "higher", test.envelope_correlation, test.giver, test.again, "20 to 80 Hz"),
        ("level is nearer to the donor's", "higher", test.nearer, test.before, test.giver, "100 to 400 Hz"),
        ("verdict is the donor's", "higher", test.follows, test.before, test.giver, by),
        ("verdict follows, in pairs heard rightly", "higher", test.follows_where_heard, test.before, 1.0, by),
    )
    for name, better, figure, floor, ceiling, measurer in lines:
        limits = figure(floor), ceiling if isinstance(ceiling, float) else figure(ceiling)
        yield _row(f"murmur swapped: {name}", better, figure(after), *limits, measurer)
    for subspace in SUBSPACES:
        measurer = rhythm if subspace == "rhythm" else by
        yield _row(f"{subspace} swapped: hit (R^2)", "higher", test.hit(subspace), 0.0, 1.0, measurer)
        yield _row(f"{subspace} swapped: leak (sd)", "lower", test.leak(subspace), np.nan, 0.0, f"{by}, {rhythm}")


def _resynthesis(vae: MultiScaleVAE, known: KnownClips, judge: Judge, vocode: Vocode, seed: int) -> Iterator[Row]:
    """What is left after the way there and back; at best, what the vocoder alone leaves, or what was there."""
    alone, by = partial(vocode, seed=seed), judge.name
    both = by_way_of(vae, alone, known.mel.noise_texture(known.log_mels.shape[-1], seed))
    found = resynthesise(known, {"alone": alone, "both": both}, judge=judge, seed=seed)
    for measure, better, floor, best, measurer in (
        ("heart rate error (bpm)", "lower", np.nan, "original", RHYTHM),
        ("heart rate shift (bpm)", "lower", np.nan, "alone", RHYTHM),
        ("murmur AUC lost (points)", "lower", np.nan, "alone", by),
        ("murmur AUC", "higher", 0.5, "original", by),
        ("Frechet ratio", "lower", np.nan, "alone", by),
        ("linear two-sample AUC", "lower", np.nan, "alone", by),
    ):
        yield _row(f"resynthesis: {measure}", better, found[measure, "both"], floor, found[measure, best], measurer)
