"""Swapping a subspace between two hearts that do not beat in step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hldm.config import SUBSPACES
from hldm.models import cycle_position, split_subspaces, swap
from hldm.models.subspaces import warp


def heart(beats, lengths):
    """States of `beats` beats, given the frames of S1, systole, S2 and diastole, (1, frames)."""
    one = torch.cat([torch.full((n,), state) for state, n in enumerate(lengths, start=1)])
    return one.repeat(beats)[None]


def latent(*values):
    """Four subspaces of one channel each."""
    return torch.stack(values)[None]


def test_the_cycle_position_by_hand():
    position = cycle_position(torch.tensor([[1, 2, 2, 3, 4, 4, 4, 4, 1, 1]]))
    expected = torch.tensor([0, 0.25, 0.375, 0.5, 0.75, 0.8125, 0.875, 0.9375, 1, 1.125])
    torch.testing.assert_close(position[0], expected)


@given(st.lists(st.tuples(*[st.integers(1, 9)] * 4), min_size=1, max_size=8), st.integers(0, 6))
def test_the_cycle_position_rises_and_tells_the_state(beats, cut):
    states = torch.cat([heart(1, lengths) for lengths in beats], dim=1)[:, cut:]
    if states.shape[1]:
        position = cycle_position(states)
        assert (position.diff(dim=1) > 0).all()
        assert torch.equal((4 * position).floor().long() % 4 + 1, states)


def test_a_warp_onto_the_same_cycle_changes_nothing():
    position = cycle_position(heart(3, (2, 4, 2, 6)))
    z = torch.randn(1, 5, position.shape[1], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(warp(z, position, position), z)


def test_a_warp_puts_systole_into_systole():
    slow, fast = heart(3, (3, 6, 3, 12)), heart(5, (2, 5, 2, 4))
    in_systole = (slow == 2).float()[:, None]
    moved = warp(in_systole, cycle_position(slow), cycle_position(fast))[0, 0]
    inside = fast[0] == 2
    assert moved[inside].min() == 1
    # Between two states the warp is as steep as the slow heart's frames allow.
    assert moved[~inside].max() < 1
    assert moved[fast[0] == 4].mean() < 0.1


def test_a_swap_takes_one_subspace_and_no_more():
    position = cycle_position(heart(3, (2, 4, 2, 6)))
    generator = torch.Generator().manual_seed(0)
    z, donor = (torch.randn(1, 8, position.shape[1], generator=generator) for _ in range(2))
    for name in SUBSPACES:
        mixed = split_subspaces(swap(z, donor, name, position, position))
        for other, part in mixed.items():
            torch.testing.assert_close(part, split_subspaces(donor if other == name else z)[other])


def test_a_donated_rhythm_brings_its_beats_and_moves_sounds_and_murmur_onto_them():
    own, other = heart(4, (2, 5, 2, 7)), heart(4, (3, 4, 2, 7))
    z = latent(own[0] * 1.0, (own[0] == 1) * 1.0, (own[0] == 2) * 1.0, torch.arange(64.0))
    donor = latent(other[0] * 1.0, *torch.zeros(3, 64))
    mixed = split_subspaces(swap(z, donor, "rhythm", cycle_position(own), cycle_position(other)))
    assert torch.equal(mixed["rhythm"][0, 0], other[0] * 1.0)
    assert mixed["sounds"][0, 0][other[0] == 1].min() > 0.3
    assert mixed["murmur"][0, 0][other[0] == 2].min() == 1
    assert torch.equal(mixed["noise"][0, 0], torch.arange(64.0))  # noise knows no beat


def test_a_swap_can_be_trained_through():
    position, wanted = cycle_position(heart(2, (2, 3, 2, 5))), cycle_position(heart(3, (2, 2, 1, 3)))
    donor = torch.randn(1, 8, 24, requires_grad=True)
    swap(torch.zeros(1, 8, 24), donor, "murmur", wanted, position).sum().backward()
    gradient = split_subspaces(donor.grad)
    assert gradient["murmur"].abs().sum() > 0
    assert gradient["rhythm"].abs().sum() == 0


def test_an_unknown_subspace_is_named():
    with pytest.raises(ValueError, match="'murmurs', expected one of rhythm, sounds, murmur, noise"):
        swap(torch.zeros(1, 8, 4), torch.zeros(1, 8, 4), "murmurs", torch.zeros(1, 4), torch.zeros(1, 4))
