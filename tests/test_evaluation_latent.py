"""Interpretability metrics against scikit-learn, closed forms and hand computation; the swap test on made-up models."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from hldm import cli
from hldm.config import SUBSPACES
from hldm.data.spectrogram import LogMel
from hldm.evaluation import Judge, Sample, interval
from hldm.evaluation import disentanglement as d
from hldm.evaluation import interpretability as i
from hldm.evaluation.factors import OWN, real_clips, simulated_clips
from hldm.evaluation.latent import evaluate_latent, rotated
from hldm.evaluation.listening import listen
from hldm.evaluation.resynthesis import by_way_of, resynthesise
from hldm.evaluation.swaps import draw_pairs, swap_test
from hldm.models import MultiScaleVAE, split_subspaces

N = 600
PATIENTS = np.repeat(np.arange(N // 4), 4)


@pytest.fixture(scope="module")
def normal():
    return np.random.default_rng(0).normal(size=(N, 12))


@pytest.fixture(scope="module")
def hearts():
    return simulated_clips(24, seed=3)


@pytest.fixture(scope="module")
def judge():
    return Judge.from_pretrained()


def latent(normal, *columns):
    """A group of three columns that starts with those given."""
    return np.column_stack([*columns, *normal[:, -3:].T])[:, :3] + 0.0


# Information


def test_information_and_entropy_against_scikit_learn_and_scipy(normal):
    a, b = normal[:, :2], normal[:, :2] + normal[:, 2:4]
    marks = i.one_hot(a), i.one_hot(b)
    bins = [[np.digitize(x, np.quantile(x, np.arange(1, 8) / 8)) for x in side.T] for side in (a, b)]
    for p in range(2):
        counts = np.bincount(bins[0][p])
        assert i.entropy(marks[0])[p] == pytest.approx(entropy(counts) + 7 / (2 * N))
        for q in range(2):
            cells = len({*zip(bins[0][p], bins[1][q], strict=True)})
            miller_madow = (7 + 7 - (cells - 1)) / (2 * N)
            expected = mutual_info_score(bins[0][p], bins[1][q]) + miller_madow
            assert i.information(*marks)[p, q] == pytest.approx(expected)


def test_information_of_correlated_gaussians_is_nearly_that_of_theory():
    rng = np.random.default_rng(1)
    x, other = rng.normal(size=(2, 20_000))
    y = 0.8 * x + 0.6 * other
    found = i.information(i.one_hot(x[:, None]), i.one_hot(y[:, None]))[0, 0]
    assert found == pytest.approx(-0.5 * np.log(1 - 0.8**2), rel=0.15)  # 8 bins lose a little
    assert found < -0.5 * np.log(1 - 0.8**2)


@given(st.integers(0, 999))
@settings(max_examples=20)
def test_information_is_symmetric_and_blind_to_monotone_maps(seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 80, 2))
    there, back = i.information(i.one_hot(x), i.one_hot(y)), i.information(i.one_hot(y), i.one_hot(x))
    assert there == pytest.approx(back.T)
    assert i.information(i.one_hot(np.exp(x)), i.one_hot(y**3)) == pytest.approx(there)


# PDS


def test_orthogonality_of_independent_of_equal_and_of_few_patients(normal):
    apart = {"a": normal[:, :3], "b": normal[:, 3:6]}
    assert i.orthogonality(apart, PATIENTS) == pytest.approx(1, abs=0.01)
    # A column against itself shares all its entropy, against the two others nothing: a third.
    assert i.orthogonality({"a": normal[:, :3], "b": normal[:, :3]}, PATIENTS) == pytest.approx(2 / 3, abs=0.02)
    # Twelve patients of 50 equal clips each: independent, but any two columns look related.
    few = np.repeat(np.random.default_rng(2).normal(size=(12, 6)), 50, axis=0)
    naive = i.information(i.one_hot(few[:, :3]), i.one_hot(few[:, 3:])).mean() / np.log(8)
    assert naive > 0.4
    scores = []
    for seed in range(10):
        few = np.repeat(np.random.default_rng(seed).normal(size=(12, 6)), 50, axis=0)
        groups = {"a": few[:, :3], "b": few[:, 3:]}
        scores.append(i.orthogonality(groups, np.repeat(range(12), 50), seed))
    assert np.mean(scores) > 0.9


def test_pds_of_known_latents(normal):
    rate, murmur = normal[:, 0], (normal[:, 1] > 0).astype(float)
    factors, own = {"heart rate": rate, "murmur": murmur}, {"heart rate": "rhythm", "murmur": "murmur"}
    apart = {"rhythm": latent(normal, rate), "murmur": latent(normal[:, :9], 8 * murmur)}
    tangled = {name: latent(normal, rate, 8 * murmur) for name in apart}
    named_wrongly = dict(zip(apart, reversed(apart.values()), strict=True))
    collapsed = {name: normal[:, k : k + 3] for k, name in ((3, "rhythm"), (6, "murmur"))}
    good, bad, swapped, empty = (
        i.pds(g, factors, own, PATIENTS, repeats=5) for g in (apart, tangled, named_wrongly, collapsed)
    )
    assert good.mod.value > 0.95
    assert good.score.value > 0.95
    assert good.score.low <= good.score.value <= good.score.high
    assert abs(bad.mod.value) < 0.05
    assert swapped.mod.value < -0.9
    assert empty.orth.value > 0.97
    assert max(p.score.value for p in (bad, swapped, empty)) < 0.1
    assert good.orth.value > 0.97 > 0.8 > bad.orth.value


def test_harmonic_mean_and_modularity_by_hand():
    scores = pd.DataFrame({"a": [0.9, 0.3], "b": [0.2, 0.8], "c": [0.5, 0.1]}, index=["x", "y"])
    assert i.modularity(scores, {"x": "a", "y": "b"}) == pytest.approx((0.4 + 0.5) / 2)
    assert i.harmonic(0.5, 1.0) == pytest.approx(2 / 3)
    assert i.harmonic(1.0, -0.2) == 0


def test_factors_that_go_together_lower_the_ceiling(normal):
    x = normal[:, 0]
    y = 0.6 * x + 0.8 * normal[:, 1]
    factors, own = {"x": x, "y": y}, {"x": "a", "y": "b"}
    readings = i.Readings.of(i.ideal(factors, own), factors, PATIENTS)
    assert i.modularity(readings.scores(), own) == pytest.approx(1 - 0.6**2, abs=0.05)


def test_probes_do_not_know_patients_by_heart():
    """Rows that name their patient, and a factor that is the patient's: nothing to learn for a new patient."""
    rng = np.random.default_rng(0)
    name, factor = rng.normal(size=(30, 40)), rng.normal(size=30)
    rows = np.repeat(name, 4, axis=0)
    for y in (factor, (factor > 0).astype(float)):
        told = i.explained(np.repeat(y, 4), i.read(rows, np.repeat(y, 4), np.repeat(range(30), 4)))
        assert told < 0.2
    with pytest.raises(ValueError, match="4 clips of 1 patient"):
        i.read(rows[:4], factor[:4], ["a"] * 4)


def test_pooling_by_hand_and_what_patterns_tell():
    z = torch.tensor([[[1.0, 3.0, 5.0, 7.0]]])
    states = torch.tensor([[1, 1, 2, 2]])
    # S1, systole, then S2 and diastole, which do not occur: the mean of all.
    expected = [4, z.std(-1).item(), 2, 6, 4, 4]
    assert i.pooled({"a": z}, states)["a"][0] == pytest.approx(expected)
    times = torch.arange(80.0)
    periods = torch.linspace(6, 14, 100)
    waves = torch.sin(2 * torch.pi * times / periods[:, None])[:, None]
    waves = (waves - waves.mean(-1, keepdim=True)) / waves.std(-1, keepdim=True)
    patients = np.arange(100) % 25
    told = [
        i.explained(periods.numpy(), i.read(rows["a"], periods.numpy(), patients))
        for rows in (i.pooled({"a": waves}), i.repeating({"a": waves}))
    ]
    assert told[0] < 0.1
    assert told[1] > 0.95


# What others measure


def test_total_correlation_of_gaussians_in_closed_form():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    covariance = mixing @ mixing.T
    parts = [slice(0, 1), slice(1, 3), slice(3, 6)]
    truth = 0.5 * (sum(np.linalg.slogdet(covariance[p, p])[1] for p in parts) - np.linalg.slogdet(covariance)[1])
    draws = [rng.normal(size=(60, 6)) @ mixing.T for _ in range(300)]
    found = [d.total_correlation({str(p): z[:, p] for p in parts}) for z in draws]
    assert np.mean(found) == pytest.approx(truth, abs=4 * np.std(found) / 300**0.5)  # unbiased at N = 60
    x, y = rng.normal(size=(2, 50_000))
    pair = {"x": x[:, None], "y": (0.8 * x + 0.6 * y)[:, None]}
    assert d.total_correlation(pair) == pytest.approx(-0.5 * np.log(1 - 0.64), rel=0.02)
    with pytest.raises(ValueError, match="6 clips for 6 columns"):
        d.total_correlation({"a": draws[0][:6]})


def test_the_bias_of_two_groups_is_about_the_known_one():
    rng = np.random.default_rng(0)
    n, sizes = 400, (5, 7)
    plain = []
    for _ in range(50):
        z = np.cov(rng.normal(size=(n, sum(sizes))).T)
        logs = [np.linalg.slogdet(m)[1] for m in (z[:5, :5], z[5:, 5:], z)]
        plain.append((logs[0] + logs[1] - logs[2]) / 2)
    assert np.mean(plain) == pytest.approx(5 * 7 / (2 * n), rel=0.1)  # what the correction has to take out


def test_mig_and_sap_by_hand(normal):
    x, y = normal[:, 0], (normal[:, 1] > 0).astype(float)
    codes = np.column_stack([x, x + normal[:, 2], normal[:, 1], normal[:, 3]])
    factors = {"x": x, "y": y}
    bins = [np.digitize(c, np.quantile(c, np.arange(1, 8) / 8)) for c in codes.T]

    def share(k, target, values):
        cells = len({*zip(bins[k], target, strict=True)})
        corrected = mutual_info_score(bins[k], target) + (7 + values - 1 - (cells - 1)) / (2 * N)
        return max(0, corrected) / (entropy(np.bincount(target)) + (values - 1) / (2 * N))

    mig = d.mutual_information_gap(codes, factors)
    for name, target, values in (("x", bins[0], 8), ("y", y.astype(int), 2)):
        second, first = sorted(share(k, target, values) for k in range(4))[-2:]
        assert mig[name] == pytest.approx(first - second)
    sap = d.separated_attribute_predictability(codes, factors)
    for name, target in factors.items():
        second, first = sorted(np.corrcoef(c, target)[0, 1] ** 2 for c in codes.T)[-2:]
        assert sap[name] == pytest.approx(first - second)
    # Two columns tell of x: no gap between columns, a wide one between groups.
    twice = np.column_stack([x, x, normal[:, 3]])
    assert d.mutual_information_gap(twice, {"x": x})["x"] == pytest.approx(0)
    assert d.mutual_information_gap(twice, {"x": x}, ["a", "a", "b"])["x"] > 0.9


def test_concentration_by_hand():
    assert d.concentration(np.eye(3)) == pytest.approx((1, 1))
    assert d.concentration(np.ones((2, 3))) == pytest.approx((0, 0))
    # The first unit tells of both factors equally, the second of the second only: weights 2/3 and 1/3.
    importance = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert d.concentration(importance) == pytest.approx((2 / 3 * 0 + 1 / 3 * 1, (1 + 0) / 2))
    assert d.concentration(np.array([[1.0, 0.0], [0.0, 0.0]]))[0] == pytest.approx(1)  # an idle unit has no weight


def test_dci_tells_apart_from_tangled(normal):
    x, y = normal[:, 0], (normal[:, 1] > 0).astype(float)
    factors = {"x": x, "y": y}
    turned = np.column_stack([x + normal[:, 1], x - normal[:, 1]])
    apart, tangled = (d.dci(codes, factors, PATIENTS, trees=40) for codes in (normal[:, :2], turned))
    assert min(apart) > 0.8
    assert max(tangled[:2]) < 0.5


# Clips with known factors


def test_simulated_factors_are_independent_and_those_put_in(hearts):
    assert len(hearts) == len(set(hearts.patients)) == 24
    assert set(hearts.factors) == set(OWN)
    rates = np.array([clip.record.heart_rate for clip in hearts.clips])
    assert np.exp(hearts.factors["heart rate"]) == pytest.approx(rates)
    measured = [60 / np.median(np.diff(c, axis=1).sum(1)) for c in hearts.cycles]
    assert measured == pytest.approx(rates, rel=0.03)
    murmur = hearts.factors["murmur"] == 1
    assert 6 <= murmur.sum() <= 18
    assert all((clip.record.systolic is not None) == heard for clip, heard in zip(hearts.clips, murmur, strict=True))
    assert hearts.waveforms.shape == (24, 20480)
    mels = hearts.mel(torch.from_numpy(hearts.waveforms[:4]))
    assert (mels - hearts.log_mels[:4])[..., 4:-4].abs().mean() < 0.5  # the same sound in both forms
    again = simulated_clips(2, seed=3 * 12)  # seeds count on from count * seed
    assert np.array_equal(again.waveforms, hearts.waveforms[:2])


def test_clips_of_recordings_are_those_of_the_dataset(simulated):
    known = real_clips(simulated, "the small corpus")
    assert 0 < len(known) <= 48
    assert known.log_mels.shape[1:] == (64, 320)
    assert {len(set(known.patients))} <= {10}  # two of the twelve have no murmur label
    assert np.isfinite(np.stack(list(known.factors.values()))).all()
    with pytest.raises(ValueError, match="nothing: found 0, expected annotated clips"):
        real_clips([], "nothing")


# The swap test


def vocode(log_mel, *, seed):
    return LogMel().griffin_lim(log_mel, iterations=2, seed=seed)


class Blind:
    """A model whose latent is the log-mel of the murmur's group alone: what is swapped is all there is."""

    config = SimpleNamespace(downsampling=1)

    def encode(self, log_mel):
        rest = torch.zeros_like(log_mel)
        mean = torch.cat([rest, rest, log_mel, rest], dim=1)
        return SimpleNamespace(mean=mean, sample=lambda generator: mean)

    def decode(self, z, noise_texture=None):
        return split_subspaces(z)["murmur"]


def test_pairs_differ_in_murmur_and_patient(hearts):
    recipients, donors = draw_pairs(hearts, 100)
    murmur = hearts.factors["murmur"]
    assert (murmur[recipients] != murmur[donors]).all()
    assert (hearts.patients[recipients] != hearts.patients[donors]).all()
    assert len(recipients) == 2 * min((murmur == 1).sum(), (murmur == 0).sum())
    assert murmur[recipients].mean() == 0.5
    few, _ = draw_pairs(hearts, 6)
    assert len(few) == 6


def test_swap_test_of_a_model_that_moves_everything_or_nothing(hearts, judge):
    test = swap_test(Blind(), hearts, judge, vocode, most=8, subspaces=("murmur", "noise"))
    moves = test.moves()
    # Its noise holds nothing: exchanging it changes not a sample.
    assert np.array_equal(test.after["noise"].waveforms, test.before.waveforms)
    assert moves.loc["noise"].to_numpy() == pytest.approx(0)
    assert test.rate_change(test.after["noise"]).value == 0
    assert test.envelope_correlation(test.after["noise"]).value == pytest.approx(1)
    assert test.leak("noise").value <= 0
    assert test.hit("noise").value < 0.5
    # Its murmur holds all: the donor's sound comes over, on the recipient's beats.
    assert moves.loc["murmur", ["S1 over S2", "noise"]].to_numpy() == pytest.approx(1, abs=0.3)
    assert test.leak("murmur").value > 0.2
    assert test.nearer(test.after["murmur"]).value > test.nearer(test.before).value == 0
    assert test.follows(test.giver).n == 8


def test_a_faithful_vae_costs_nothing_more(hearts, judge):
    few = hearts.few(8)
    alone = partial(vocode, seed=0)
    found = resynthesise(few, {"alone": alone, "both": by_way_of(Blind(), alone)}, judge=judge, splits=2)
    for measure in {measure for measure, _ in found}:
        assert found[measure, "both"].value == pytest.approx(found[measure, "alone"].value, nan_ok=True)
    heard = listen(few.waveforms, few.cycles, judge).heart_rate
    error = np.abs(heard - np.exp(few.factors["heart rate"])).mean()
    assert found["heart rate error (bpm)", "original"].value == pytest.approx(error)


def test_few_clips_are_of_many_patients(simulated):
    known = real_clips(simulated, "the small corpus")
    patients = len(set(known.patients))
    some = known.few(patients + 1)
    assert len(some) == len(some.waveforms) == len(some.cycles) == patients + 1
    assert len(set(some.patients)) == patients
    rates = [clip.record.heart_rate for clip in some.clips]
    assert np.exp(some.factors["heart rate"]) == pytest.approx(rates)
    assert known.few(10**6) is known


def test_listening_measures_what_was_put_in(hearts, judge):
    heard = listen(hearts.waveforms, hearts.cycles, judge)
    for name in ("S1 over S2", "noise"):
        assert np.corrcoef(heard.factors[name], hearts.factors[name])[0, 1] > 0.9
    murmur = hearts.factors["murmur"] == 1
    assert np.median(heard.murmur_level[murmur]) > np.median(heard.murmur_level[~murmur]) + 3


# The table


def test_a_rotated_latent_holds_what_it_held():
    z = torch.randn(20, 8, 10, generator=torch.Generator().manual_seed(0))
    turned = rotated(z)
    standard = (z - z.mean((0, 2), keepdim=True)) / z.std((0, 2), keepdim=True)
    assert torch.allclose(turned.norm(dim=1), standard.norm(dim=1), atol=1e-4)
    assert not torch.allclose(turned, standard, atol=0.1)


def test_the_table_has_every_figure_with_its_limits(hearts, judge):
    vae = MultiScaleVAE.from_pretrained()
    table = evaluate_latent(vae, [hearts], judge=judge, vocode=vocode, pairs=8, repeats=5)
    rows = table.loc[hearts.name]
    assert rows.loc["PDS: mod", "floor"] < rows.loc["PDS: mod", "ceiling"]
    assert {f"{name} swapped: hit (R^2)" for name in SUBSPACES} < set(rows.index)
    assert (rows["N"] > 0).all()
    assert rows["measured by"].str.len().min() > 3
    error = rows.loc["reconstruction error (dB)"]
    with torch.inference_mode():
        decoded = vae.decode(vae.encode(hearts.log_mels).mean)
    assert error["value"] == pytest.approx(float((decoded - hearts.log_mels).abs().mean()), rel=1e-4)
    everyone = Sample.of(np.arange(24.0), hearts.patients)
    assert error["patients"] == interval(lambda s: s.values.mean(), everyone).groups


def test_the_command_line_measures_the_corpus_and_simulated_hearts(simulated, monkeypatch, capsys):
    asked = {}

    def table(vae, known, pairs):
        asked.update({clips.name: len(clips) for clips in known}, pairs=pairs)
        return pd.DataFrame({"value": [0.5]}, index=["PDS"])

    monkeypatch.setattr("hldm.evaluation.commands.evaluate_latent", table)
    assert cli.main(["evaluate", str(simulated.root), "--latent"]) == 0
    assert "PDS" in capsys.readouterr().out
    assert asked["simulated hearts, seed 0"] == 30
    assert asked["simulated val"] > 0
