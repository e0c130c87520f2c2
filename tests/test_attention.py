"""Medical Attention: the mask by hand, its sparsity, what it does not depend on, and that it can learn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hldm.config import UNetConfig
from hldm.engine.blocks import CrossAttention
from hldm.models import MedicalAttention, StructuredUNet
from hldm.models.attention import CUTOFF, PHYSIOLOGY

LEARNT = ("periodicity", "locality", "phase")


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def attention(b=0.0, locality=0.0, phase=0.0, heads=1, channels=8):
    torch.manual_seed(0)
    layer = MedicalAttention(channels, heads)
    for name, value in zip(LEARNT, (b, locality, phase), strict=True):
        torch.nn.init.constant_(getattr(layer, name), value)
    return layer


def grid(frames=80, rate=75.0, start=0.0):
    """Beat positions ``(1, frames)`` at `rate` beats a minute."""
    return (start + torch.arange(frames) * 0.064 * rate / 60)[None]


strengths = st.tuples(st.floats(-6, 6), st.floats(-1, 12), st.floats(-1, 1))


def test_medical_attention_by_hand():
    layer = attention(b=2.5, locality=0.3, phase=0.1, heads=2, channels=16)
    x, beats = randn(1, 16, 6), torch.tensor([[0.0, 0.35, 0.7, 1.0, 1.4, 2.0]])
    q, k, v = layer.qkv(layer.norm(x))[0].chunk(3)
    difference = beats[0][:, None] - beats[0][None]
    mask = 2.5 * torch.cos(2 * torch.pi * (difference - 0.1)) - 0.3 * difference.abs()
    mask[mask < mask.max(1, keepdim=True).values - 4] = -torch.inf
    assert 0 < mask.isinf().sum() < 20
    rows = []
    for head in range(2):
        qh, kh, vh = (part[8 * head : 8 * head + 8] for part in (q, k, v))
        rows.append(((qh.T @ kh / 8**0.5 + mask).softmax(-1) @ vh.T).T)
    torch.testing.assert_close(layer(x, beats), x + layer.out(torch.cat(rows)[None]))


def test_heads_begin_as_physiology_says_in_turn():
    layer = MedicalAttention(48, heads=6)
    for head in range(6):
        found = [float(getattr(layer, name)[head].detach()) for name in LEARNT]
        assert found == pytest.approx(PHYSIOLOGY[head % 4])
    beats = grid(rate=60 / 0.064 / 25)  # 25 frames a beat: frame 9 lies .36 of a beat behind S1
    same, near, systole, plain = layer.mask(beats)[0, :4].detach()
    assert {0, 25, 50, 75} <= set(same[50].topk(4).indices.tolist())
    assert near[40].isfinite().nonzero().flatten().tolist() == list(range(28, 53))  # half a beat to each side
    assert int(systole[9].argmax()) % 25 == 0
    assert (plain == 0).all()


def test_a_plain_head_and_the_ablation_agree():
    medical = attention(heads=2, channels=16)
    plain = MedicalAttention(16, heads=2, medical=False)
    plain.load_state_dict({k: v for k, v in medical.state_dict().items() if k in plain.state_dict()})
    x, beats = randn(2, 16, 12), randn(2, 12).cumsum(1)
    torch.testing.assert_close(medical(x, beats), plain(x, beats))
    assert plain.mask(beats) is None
    assert (plain.cut_share(beats) == 0).all()


@settings(max_examples=25, deadline=None)
@given(st.floats(-6, 6), st.floats(-1, 1), st.floats(40, 180), st.integers(-3, 3))
def test_without_locality_the_mask_is_periodic_in_whole_beats(b, phase, rate, beats_away):
    layer, beats = attention(b, 0.0, phase), grid(24, rate)
    moved = beats.clone()
    moved[:, 12] += beats_away
    here, there = layer.mask(beats)[0, 0].detach(), layer.mask(moved)[0, 0].detach()
    both = here.isfinite() & there.isfinite()
    torch.testing.assert_close(here[both], there[both], atol=1e-4, rtol=0)
    # Only an entry that lies on the cutoff itself may change sides, by rounding.
    border = here.isfinite() ^ there.isfinite()
    kept = torch.where(here.isfinite(), here, there)
    torch.testing.assert_close(
        (kept.amax(1, keepdim=True) - kept)[border], torch.full_like(kept, CUTOFF)[border], atol=1e-4, rtol=0
    )


@settings(max_examples=25, deadline=None)
@given(strengths, st.floats(40, 180), st.sampled_from([-20.0, -1.0, 0.5, 7.0, 31.0]))
def test_the_origin_of_the_grid_does_not_matter(parameters, rate, shift):
    layer, beats = attention(*parameters), grid(40, rate)
    x = randn(1, 8, 40)
    here, there = layer.mask(beats).detach(), layer.mask(beats + shift).detach()
    both = here.isfinite() & there.isfinite()
    assert (here.isfinite() ^ there.isfinite()).float().mean() < 0.01
    torch.testing.assert_close(here[both], there[both], atol=5e-4, rtol=0)
    assert (layer(x, beats) - layer(x, beats + shift)).abs().max() < 0.1


@settings(max_examples=25, deadline=None)
@given(strengths, st.integers(1, 60), st.floats(40, 180))
def test_no_row_is_empty_and_what_is_cut_gets_nothing(parameters, frames, rate):
    mask = attention(*parameters).mask(grid(frames, rate))[0, 0].detach()
    weights = (mask + randn(frames, frames)).softmax(-1)
    torch.testing.assert_close(weights.sum(-1), torch.ones(frames))
    assert mask.diagonal().isfinite().all()
    assert (weights[mask.isinf()] == 0).all()
    kept = mask.isfinite() & ~torch.eye(frames, dtype=torch.bool)
    assert ((mask.amax(1, keepdim=True) - mask)[kept] <= CUTOFF + 1e-4).all()


def test_padding_far_away_or_repeated_leaves_numbers():
    layer = attention(3.0, 8.0, 0.36)
    beats = grid(16)
    beats[:, 12:] = torch.tensor([1e4, 1e4, 1e4, -1e4])
    x = randn(1, 8, 16)
    assert layer(x, beats).isfinite().all()
    other = x.clone()
    other[..., 12:] += 1.0
    plain = layer.norm
    layer.norm = torch.nn.Identity()  # group norm sees all frames; the attention alone must not
    torch.testing.assert_close(layer(x, beats)[..., :12], layer(other, beats)[..., :12])
    layer.norm = plain


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 100))
def test_gradients_reach_strength_locality_and_phase(seed):
    layer = attention(2.0, 1.0, 0.2, heads=2)
    layer(randn(2, 8, 20, seed=seed), grid(20).expand(2, -1)).square().mean().backward()
    for name in LEARNT:
        gradient = getattr(layer, name).grad
        assert gradient.isfinite().all()
        assert (gradient != 0).all(), name


def test_a_stronger_mask_is_a_sparser_one_and_the_share_is_reported():
    beats = grid()
    shares = [float(attention(b=b).cut_share(beats)) for b in (0.0, 1.9, 3.0, 6.0)]
    assert shares[:2] == [0.0, 0.0]  # the lowest entry lies 2 b below the highest
    # b (1 - cos 2 pi d) > 4 over the share 1 - 2 d0 of a beat, with cos 2 pi d0 = 1 - 4 / b
    for share, b in zip(shares[2:], (3.0, 6.0), strict=True):
        assert share == pytest.approx(1 - torch.arccos(torch.tensor(1 - 4 / b)).item() / torch.pi, abs=0.05)
    narrow, wide = (float(attention(locality=value).cut_share(beats)) for value in (16.0, 8.0))
    assert narrow > wide > 0.7
    cut = StructuredUNet(UNetConfig(condition_width=16, widths=(16, 16, 32))).cut_shares(beats)
    assert list(cut) == ["down 0", "down 1", "down 2", "middle", "up 0", "up 1", "up 2"]
    assert all(share.shape == (4,) and share[3] == 0 and (share[:3] > 0.2).all() for share in cut.values())


def test_cross_attention_differs_between_queries():
    torch.manual_seed(0)
    cross = CrossAttention(16, 16)
    x, tokens = randn(1, 16, 8), randn(1, 5, 16, seed=1)
    change = (cross(x, tokens) - x)[0]
    assert change.std(dim=1).mean() > 1e-3
    repeated = (cross(x, tokens[:, :1].repeat(1, 5, 1)) - x)[0]
    assert repeated.std(dim=1).mean() < 1e-5  # one repeated token gives every query the same
