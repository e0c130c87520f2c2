"""What keeps the subspaces apart: simulated pairs, the mean beat, levels of states, leakage, measured swaps."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from hldm.config import PROFILES, SUBSPACES, VAEConfig
from hldm.data import ClinicalRecord, ClipDataset
from hldm.data.clips import normalise
from hldm.data.simulator import complete_record, simulate
from hldm.evaluation.physiology import state_levels as levels_of_waveform
from hldm.models import MultiScaleVAE, swap
from hldm.models.attribute_predictor import AttributePredictor
from hldm.models.latent_probes import FACTORS
from hldm.models.vae import power_sum
from hldm.training.attribute_predictor import train_attribute_predictor
from hldm.training.beat import (
    QUIET,
    SYSTOLE,
    beat_parts,
    clip_factors,
    heart_rate,
    mean_beat,
    state_levels,
    swapped_beat,
)
from hldm.training.disentangle import MEMORY, Disentanglement, Leakage, component_error, decode_swap, measured_error
from hldm.training.mixture import Mixture
from hldm.training.pairs import SimulatedPairs, draw_heart, murmur_on, sounds_on


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return SimulatedPairs(12, seed=7, cache=tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def batch(pairs):
    return pairs.batch(range(12))


def test_a_component_rendered_at_its_own_beats_is_the_simulators():
    record = draw_heart(11)
    made = simulate(record, duration=6.0, seed=11)
    assert record.murmur == "Present"
    np.testing.assert_allclose(sounds_on(made, 11, made.factors.beats), made.factors.components["sounds"], atol=1e-6)
    np.testing.assert_allclose(murmur_on(made, 11, made.factors.beats), made.factors.components["murmur"], atol=1e-6)


def test_pairs_are_rendered_once_and_read_back(pairs, tmp_path):
    first = SimulatedPairs(2, seed=3, cache=tmp_path)
    again = SimulatedPairs(2, seed=3, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert torch.equal(first.batch([1]).log_mel, again.batch([1]).log_mel)
    assert not torch.equal(first.batch([1]).log_mel, pairs.batch([1]).log_mel)


def test_components_sum_to_the_recording(batch):
    # What is left is interference of components, of mean 0 in power.
    error = power_sum(*batch.components().values()) - batch.log_mel
    assert error.abs().mean() < 1.5
    assert error.abs().mean() < (batch.swapped("noise") - batch.log_mel).abs().mean() / 3


def test_a_rendered_swap_has_the_donors_part_and_keeps_the_rest(batch):
    partner = batch.partner
    assert torch.equal(partner[partner], torch.arange(len(partner)))
    own, donated = batch.components(), {name: batch.components(name) for name in SUBSPACES}
    assert torch.equal(donated["noise"]["noise"], own["noise"][partner])
    assert torch.equal(donated["murmur"]["sounds"], own["sounds"])
    assert torch.equal(donated["rhythm"]["noise"], own["noise"])
    # At the donor's beats one's own S1 comes where the donor's does.
    states, moved = batch.states[partner], donated["rhythm"]["sounds"]
    loud = torch.stack([(moved[:, :12].mean(1) * (states == s)).sum(1) / (states == s).sum(1) for s in (1, 4)])
    assert (loud[0] > loud[1] + 10).all()


def test_the_heart_rate_is_read_from_the_states(batch):
    asked = torch.tensor([record.heart_rate for record in batch.records])
    assert ((heart_rate(batch.states) / asked - 1).abs() < 0.15).all()  # it varies with breathing
    assert heart_rate(torch.full((1, 40), 4)).isnan().all()


def test_the_mean_beat_of_a_beat_that_repeats():
    states = torch.tensor([1] * 2 + [2] * 6 + [3] * 2 + [4] * 10).repeat(4)[None]
    level = torch.tensor([0.0, -10.0, -30.0, -20.0, -50.0])[states]
    beat = mean_beat(level[:, None].expand(-1, 64, -1), states)
    torch.testing.assert_close(beat[0, :, 0], torch.tensor([-10.0, -30, -30, -30, -20, -50, -50, -50]))


def test_the_parts_of_a_mean_beat_sum_to_it():
    beat = -40 - 5 * torch.rand(3, 8, 64, generator=torch.Generator().manual_seed(0))
    beat[:, QUIET] = -60
    total = 10 * torch.log10(sum(beat_parts(beat).values()))
    torch.testing.assert_close(total, beat)
    assert torch.equal(beat_parts(beat)["murmur"][:, 0], torch.zeros(3, 64))


def test_a_mean_beat_foretells_murmur_and_noise_of_a_rendered_swap(batch):
    beat = mean_beat(batch.log_mel, batch.states)
    for name in ("murmur", "noise"):
        truth = mean_beat(batch.swapped(name), batch.states)
        foretold = swapped_beat(beat, beat[batch.partner], name)
        error, change = ((x - truth)[:, SYSTOLE].abs().mean() for x in (foretold, beat))
        assert error < 0.8 * change, name


@pytest.mark.parametrize("components", [False, True])
def test_factors_tell_what_the_simulator_was_asked_for(batch, components):
    heard = torch.tensor([float(record.murmur_here) for record in batch.records])
    alone = batch.components() if components else None
    factors = clip_factors(batch.log_mel, batch.states, heart_rate(batch.states), heard, alone)
    named = dict(zip(FACTORS, factors.T, strict=True))
    assert factors.shape == (24, len(FACTORS))
    assert named["level"][heard == 1].mean() > named["level"][heard == 0].mean() + 0.5
    noise = batch.noise[:, 0].mean((1, 2))
    assert np.corrcoef(named["floor"], noise)[0, 1] > (0.7 if components else 0.5)


def test_levels_of_states_are_those_of_the_waveform():
    rows = []
    for seed in range(8):
        made = simulate(complete_record(ClinicalRecord(murmur="Absent"), seed), duration=8.0, seed=seed).recording
        clip = ClipDataset([made])[0]
        first = round(clip.start * made.sampling_rate)
        inside = made.cycles - clip.start
        inside = inside[(inside[:, 0] >= 0) & (inside[:, 4] <= 5.12)]
        heard = levels_of_waveform(normalise(made.waveform)[first : first + 20480], made.sampling_rate, inside)
        seen = state_levels(clip.log_mel[None], clip.states[None])[0].numpy()
        rows.append((seen, (heard.s1, heard.systole, heard.s2, heard.diastole)))
    seen, heard = np.array(rows).transpose(1, 0, 2)
    offset = seen - heard
    assert np.median(np.abs(offset - np.median(offset))) < 1.5  # dB
    together = np.diag(np.corrcoef(seen.T, heard.T)[:4, 4:])
    assert (together[[0, 1, 2]] > 0.9).all()
    assert together[3] > 0.6  # a frame is 64 ms long, and S2 rings into a short diastole


def test_a_knock_leaves_the_levels_of_states(batch):
    knocked = batch.log_mel.clone()
    knocked[:, :, 100:104] += 40
    moved = state_levels(knocked, batch.states) - state_levels(batch.log_mel, batch.states)
    assert moved.abs().median() < 1


def test_leakage_is_the_r2_of_ridge_regressions():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(MEMORY, 8, generator=generator)
    y = torch.randn(MEMORY, len(FACTORS), generator=generator)
    y[:, 0] = x[:, 2:4].sum(1)  # heart rate, written into sounds
    leakage = Leakage(8, ridge=1e-6)
    assert leakage(x, y) == 0  # no memory yet
    found = leakage(x, y)
    expected = []
    for i, factor in enumerate(FACTORS.values()):
        parts = {name: x[:, 2 * k : 2 * k + 2] for k, name in enumerate(SUBSPACES) if name != factor.subspace}
        probes = (LinearRegression().fit(part, y[:, i]).score(part, y[:, i]) for part in parts.values())
        expected.append(sum(probes))
    assert found == pytest.approx(np.mean(expected), rel=1e-3)
    assert expected[0] >= 1


def test_less_leakage_is_where_its_gradient_points():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(MEMORY, 8, generator=generator)
    y = torch.full((MEMORY, len(FACTORS)), torch.nan)
    y[:] = torch.randn(MEMORY, len(FACTORS), generator=generator)
    y[:, 0] = x[:, 4]
    leakage = Leakage(8)
    leakage(x, y)
    free = x.clone().requires_grad_()
    before = leakage(free, y)
    before.backward()
    after = leakage(free.detach() - 5 * free.grad, y)
    assert after < before


@pytest.mark.parametrize("subspace", SUBSPACES)
def test_a_swap_is_decoded_anew_only_where_it_sounds(subspace):
    torch.manual_seed(0)
    vae = MultiScaleVAE(VAEConfig(width=16, component_width=16)).eval()
    z, donor = torch.randn(2, 1, 32, 16, generator=torch.Generator().manual_seed(0))
    position = torch.linspace(0, 2, 16)[None]
    mixed = swap(z, donor, subspace, position, position + 0.1)
    if subspace == "rhythm":  # noise knows no beat, so it stays
        assert torch.equal(mixed[:, -8:], z[:, -8:])
    torch.testing.assert_close(decode_swap(vae, mixed, subspace, vae.components(z)), vae.decode(mixed))


def test_components_too_faint_to_hear_need_only_stay_so(batch):
    truth = batch.components()
    assert component_error(truth, batch) < 0.01
    softer = truth | {"murmur": torch.where(truth["murmur"] < batch.log_mel - 25, -200.0, truth["murmur"])}
    assert component_error(softer, batch) < 0.01
    louder = truth | {"murmur": truth["murmur"].clamp_min(-30)}
    assert component_error(louder, batch) > 3


def test_a_predictor_is_content_with_the_renderings_own_hearing(batch):
    torch.manual_seed(0)
    predictor = AttributePredictor().eval()
    heard = predictor(batch.log_mel)
    everyone = torch.arange(24)
    least = measured_error(heard, heard, everyone, batch.states, "murmur")
    other = dataclasses.replace(heard, factors=heard.factors + 1)
    assert measured_error(other, heard, everyone, batch.states, "murmur") > least
    # After an exchange of noise a murmur may be drowned: nobody is blamed.
    deaf = dataclasses.replace(heard, factors=heard.factors.clone())
    deaf.factors[:, list(FACTORS).index("murmur")] += 5
    quiet = [measured_error(x, heard, everyone, batch.states, "noise") for x in (heard, deaf)]
    assert quiet[0] == quiet[1]


@pytest.fixture
def mixture(simulated, monkeypatch, tmp_path):
    monkeypatch.setenv("HLDM_CACHE", str(tmp_path))
    return Mixture(ClipDataset(simulated), 8, pairs=4)


TERMS = ("reading", "correlation", "leakage", "component", "rendered", "beat", "measured")


def test_half_of_a_batch_is_simulated_and_swaps_stay_within_each_half(mixture):
    batch = mixture.draw(torch.Generator().manual_seed(0))
    assert batch.sizes == (4, 4)
    assert batch.log_mel.shape == (8, 64, 320)
    assert (batch.partner[:4] < 4).all()
    assert (batch.partner[4:] >= 4).all()
    assert (batch.partner != torch.arange(8)).all()


@pytest.mark.parametrize("off", [*TERMS, "superposition"])
def test_every_term_can_be_switched_off(mixture, off):
    name = off if off == "superposition" else f"{off}_weight"
    config = dataclasses.replace(VAEConfig(width=16, component_width=16), **{name: 0})
    torch.manual_seed(0)
    vae = MultiScaleVAE(config)
    predictor = AttributePredictor().requires_grad_(False)
    batch, generator = mixture.draw(torch.Generator().manual_seed(0)), torch.Generator().manual_seed(1)
    posterior = vae.encode(batch.log_mel)
    z = posterior.mean
    components = vae.components(z) if config.superposition else {}
    loss, terms = Disentanglement(config, predictor)(vae, batch, posterior, z, components, 1000, generator)
    gone = {"component"} if off == "superposition" else {off}
    assert set(terms) == set(TERMS) - gone
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in vae.parameters())


def test_a_predictor_is_trained_and_read_back(simulated, monkeypatch, tmp_path):
    monkeypatch.delenv("HLDM_CIRCOR", raising=False)
    monkeypatch.setenv("HLDM_CACHE", str(tmp_path))
    profile = dataclasses.replace(PROFILES["smoke"], max_steps=3, max_patients=6)
    predictor, scores = train_attribute_predictor(profile, tmp_path / "runs", batch_size=8)
    assert 0 <= scores["state_accuracy"] <= 1
    again = AttributePredictor.from_pretrained(tmp_path / "runs")
    x = torch.full((1, 64, 320), -50.0)
    torch.testing.assert_close(again(x).factors, predictor(x).factors, atol=2e-2, rtol=2e-2)
