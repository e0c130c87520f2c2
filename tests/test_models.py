"""Shapes, invariants and hand computations for VAE and U-Net."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hldm.config import SUBSPACES, UNetConfig, VAEConfig
from hldm.engine import Condition
from hldm.models import MultiScaleVAE, StructuredUNet, split_subspaces
from hldm.models.unet import SubspaceWeights
from hldm.models.vae import Posterior, correlation_penalty, power_sum

SMALL_VAE = VAEConfig(width=16)
SMALL_UNET = UNetConfig(condition_width=16, widths=(16, 16, 32))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed))


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 12))
def test_the_vae_keeps_a_time_axis_and_undoes_its_shape(batch, eighths):
    torch.manual_seed(0)
    vae = MultiScaleVAE(SMALL_VAE)
    log_mel = randn(batch, 64, 8 * eighths) * 10 - 55
    posterior = vae.encode(log_mel)
    assert posterior.mean.shape == (batch, 32, 2 * eighths)
    assert vae.decode(posterior.mean).shape == log_mel.shape
    parts = split_subspaces(posterior.mean)
    assert list(parts) == list(SUBSPACES)
    assert torch.equal(torch.cat(list(parts.values()), 1), posterior.mean)


@pytest.mark.parametrize("shape", [(1, 32, 320), (64, 320), (1, 64, 321)])
def test_the_vae_names_the_shape_it_wants(shape):
    with pytest.raises(ValueError, match=r"expected \(batch, 64, a multiple of 8\)"):
        MultiScaleVAE(SMALL_VAE).encode(torch.zeros(shape))


def test_kl_is_that_of_torch_distributions():
    posterior = Posterior(randn(2, 4, 5), randn(2, 4, 5, seed=1))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(posterior.mean, (posterior.log_variance / 2).exp()), normal(0.0, 1.0)
    )
    assert posterior.kl() == pytest.approx(expected.mean().item(), rel=1e-5)


def test_the_correlation_penalty_sees_only_pairs_across_subspaces():
    independent = randn(64, 32, 80)
    assert correlation_penalty(independent) < 1e-3
    within = independent.clone()
    within[:, 1] = within[:, 0]  # both in rhythm
    assert correlation_penalty(within) == pytest.approx(correlation_penalty(independent).item(), abs=1e-3)
    across = independent.clone()
    across[:, 8:16] = across[:, :8]  # sounds repeat rhythm
    # 8 pairs of 2 * 8 * 8 * 6 / 2 = 384 are fully correlated.
    assert correlation_penalty(across) == pytest.approx(8 / 384, abs=2e-3)


def test_noise_texture_is_heard_in_noise_and_murmur_alone():
    vae, z, texture = MultiScaleVAE().eval(), torch.randn(2, 32, 8), torch.randn(2, 64, 32)
    with torch.no_grad():
        parts = vae.components(z)
        wanted = power_sum(
            parts["sounds"], *(parts[name] + vae.NOISE_TEXTURE * texture for name in ("murmur", "noise"))
        )
        torch.testing.assert_close(vae.decode(z, texture), wanted)
        torch.testing.assert_close(vae.decode(z, 0 * texture), vae.decode(z))


def test_standardise_is_undone():
    vae = MultiScaleVAE(SMALL_VAE)
    vae.latent_mean.uniform_(-1, 1, generator=generator())
    vae.latent_std.uniform_(0.5, 2, generator=generator(1))
    z = randn(2, 32, 8)
    torch.testing.assert_close(vae.unstandardise(vae.standardise(z)), z)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.booleans(), st.booleans())
def test_the_unet_keeps_shapes_under_every_ablation(batch, quarters, medical, structured):
    torch.manual_seed(0)
    unet = StructuredUNet(dataclasses.replace(SMALL_UNET, medical_attention=medical, structured=structured))
    z = randn(batch, 32, 4 * quarters)
    beats = torch.arange(4 * quarters) / 10 + torch.zeros(batch, 1)
    out = unet(z, torch.full((batch,), 5), Condition(randn(batch, 16), randn(batch, 3, 16), beats))
    assert out.shape == z.shape
    assert len(unet.heads) == (4 if structured else 1)


def test_each_head_owns_its_subspace():
    torch.manual_seed(0)
    unet = StructuredUNet(SMALL_UNET)
    condition = Condition(randn(2, 16), randn(2, 3, 16), torch.zeros(2, 8))
    arguments = (randn(2, 32, 8), torch.tensor([3, 9]), condition)
    before = split_subspaces(unet(*arguments))
    torch.nn.init.zeros_(unet.heads[SUBSPACES.index("murmur")][-1].weight)
    after = split_subspaces(unet(*arguments))
    assert [name for name in SUBSPACES if not torch.equal(before[name], after[name])] == ["murmur"]


def test_subspace_weights_learn_what_the_condition_is_worth():
    torch.manual_seed(0)
    weights = SubspaceWeights(4, hidden=32)
    optimizer = torch.optim.Adam(weights.parameters(), 1e-2)
    draw = generator()
    for _ in range(600):
        c = torch.randn(64, 4, generator=draw)
        dropped = torch.rand(64, generator=draw) < 0.5
        gain = torch.ones(64, 4)
        gain[:, 2] = torch.where(c[:, 0] > 0, 9.0, 1.0)  # the third subspace profits where c_0 > 0
        errors = torch.where(dropped[:, None], gain, torch.ones(64, 4)) * 0.1
        loss = weights.loss(c, torch.randn(64, generator=draw), errors, dropped)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    c = torch.tensor([[2.0, 0, 0, 0], [-2.0, 0, 0, 0]])
    found = weights(c).detach()
    torch.testing.assert_close(found.mean(1), torch.ones(2))
    # Error ratio 3 in one of four: weights 3/1.5 and 1/1.5.
    assert found[0, 2] == pytest.approx(2.0, abs=0.4)
    assert found[1, 2] == pytest.approx(1.0, abs=0.25)


def test_weights_come_back_from_disk(tmp_path):
    torch.manual_seed(0)
    unet = StructuredUNet(SMALL_UNET).eval()
    unet.save(tmp_path, half=False)
    again = StructuredUNet.from_pretrained(tmp_path)
    assert again.config == SMALL_UNET
    for name, value in unet.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    with pytest.raises(FileNotFoundError, match=r"vae\.safetensors"):
        MultiScaleVAE.from_pretrained(tmp_path)
