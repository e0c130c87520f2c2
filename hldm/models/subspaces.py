"""The four subspaces of a latent (Eq. 2), and exchanging one between two hearts that do not beat in step.

Rhythm says *when*; sounds and murmur say *what* happens in each part of a beat. So they travel along the cardiac
cycle, not along the clock: before a murmur enters another heart it is stretched beat by beat, state by state, onto
that heart's own cycle. Noise knows no beat and stays where it is in time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hldm.config import SUBSPACES


def split_subspaces(z: Tensor) -> dict[str, Tensor]:
    """Eq. 2: z = [rhythm | sounds | murmur | noise]; ``(batch, 4 * n, frames)`` to four ``(batch, n, frames)``."""
    return dict(zip(SUBSPACES, z.chunk(len(SUBSPACES), dim=1), strict=True))


def cycle_position(states: Tensor) -> Tensor:
    """How far a heart has come, counted in beats, with S1, systole, S2 and diastole a quarter of a beat each.

    Two hearts are at the same place of their cycle where these fractional parts agree, whatever their rates and
    however long their systoles.

    Parameters
    ----------
    states : Tensor (batch, frames), int64 in 1..4
        As of `hldm.data.clips.Clip.states`; the first frame counts as the onset of its state.

    Returns
    -------
    Tensor (batch, frames), float32
        Increasing; 0 at the first S1 where the clip starts with one.
    """
    frame = torch.arange(states.shape[1], device=states.device).expand_as(states)
    new = torch.ones_like(states, dtype=torch.bool)
    new[:, 1:] = states[:, 1:] != states[:, :-1]
    start = torch.where(new, frame, 0).cummax(1).values
    following = torch.where(new, frame, states.shape[1]).roll(-1, 1)
    following[:, -1] = states.shape[1]
    end = following.flip(1).cummin(1).values.flip(1)
    within = (frame - start) / (end - start)
    beat = (new & (states == 1)).cumsum(1) - 1
    return beat + (states - 1 + within) / 4


def warp(z: Tensor, position: Tensor, onto: Tensor) -> Tensor:
    """What `z` holds at each place of its own cycle, laid out along another cycle; linear between frames.

    Where the other heart beats more often, the whole beats of `z` start again.

    Parameters
    ----------
    z : Tensor (batch, channels, frames)
    position : Tensor (batch, frames)
        Where `z` is at each frame, in beats, increasing: `cycle_position`, or `hldm.data.clips.Clip.beat_position`
        if that is all that is known (then S2 falls where the other heart has it only if systoles agree).
    onto : Tensor (batch, frames)
        The same of the heart that `z` is to fit.
    """
    whole = position[:, -1:].floor().clamp_min(1)
    wanted = torch.where(onto > position[:, -1:], onto % whole, onto).contiguous()
    right = torch.searchsorted(position.contiguous(), wanted).clamp(1, position.shape[1] - 1)
    before, after = position.gather(1, right - 1), position.gather(1, right)
    share = ((wanted - before) / (after - before).clamp_min(1e-6)).clamp(0, 1)[:, None]
    left, right = ((right + shift)[:, None].expand(-1, z.shape[1], -1) for shift in (-1, 0))
    return torch.lerp(z.gather(2, left), z.gather(2, right), share)


def swap(z: Tensor, donor: Tensor, subspace: str, position: Tensor, donor_position: Tensor) -> Tensor:
    """The latent `z` with one subspace of `donor`.

    Sounds and murmur of the donor are warped onto the cycle of `z`. A donated rhythm brings its own cycle: the sounds
    and the murmur of `z` are warped onto it, so that the result beats as the donor does.

    Parameters
    ----------
    z, donor : Tensor (batch, latent channels, frames)
    subspace : {"rhythm", "sounds", "murmur", "noise"}
    position, donor_position : Tensor (batch, frames)
        As of `warp`, at the latent's frame rate.

    Raises
    ------
    ValueError
        For a subspace that does not exist.
    """
    if subspace not in SUBSPACES:
        raise ValueError(f"subspace is {subspace!r}, expected one of {', '.join(SUBSPACES)}")
    own, other = split_subspaces(z), split_subspaces(donor)
    if subspace == "rhythm":
        moved = {name: warp(own[name], position, donor_position) for name in ("sounds", "murmur")}
        own |= moved | {"rhythm": other["rhythm"]}
    elif subspace == "noise":
        own["noise"] = other["noise"]
    else:
        own[subspace] = warp(other[subspace], donor_position, position)
    return torch.cat(list(own.values()), dim=1)
