"""Real hearts at other rates: what is stretched, and what is not."""

import numpy as np
import pytest
import torch

from hldm.config import AudioConfig
from hldm.data import ClinicalRecord, ClipDataset
from hldm.data.simulator import complete_record, simulate
from hldm.data.time_warp import FACTORS, SPARE, time_warp, time_warped_clips
from hldm.training.beat import heart_rate

FRAMES = AudioConfig().clip_frames


def recording(rate: float, seed: int = 0):
    record = complete_record(ClinicalRecord(murmur="Absent", heart_rate=rate), seed)
    return simulate(record, duration=12.0, seed=seed).recording


@pytest.fixture(scope="module")
def clip():
    longer = AudioConfig(clip_seconds=SPARE * AudioConfig().clip_seconds)
    return ClipDataset([recording(100.0)], longer)[0]


def lengths(states: torch.Tensor) -> np.ndarray:
    """Mean frames of each whole state."""
    changes = np.flatnonzero(np.diff(states.numpy())) + 1
    runs = list(zip(states.numpy()[changes[:-1]], np.diff(changes), strict=True))
    return np.array([np.mean([length for state, length in runs if state == s]) for s in range(1, 5)])


@pytest.mark.parametrize("rate", [72.0, 100.0, 136.0])
def test_beats_come_at_the_rate_asked_for(clip, rate):
    made = time_warp(clip, rate, FRAMES)
    assert made.log_mel.shape == (64, FRAMES)
    assert made.record.heart_rate == rate
    assert float(heart_rate(made.states[None])) == pytest.approx(rate, rel=0.06)
    assert (made.beat_position.diff() > 0).all()
    beats = made.beat_position[-1] - made.beat_position[0]
    assert float(beats) * 60 / (FRAMES / 62.5) == pytest.approx(rate, rel=0.06)


def test_a_slower_heart_rests_longer(clip):
    before, after = lengths(clip.states), lengths(time_warp(clip, 72.0, FRAMES).states)
    assert after[[0, 2]] == pytest.approx(before[[0, 2]], abs=0.6)  # S1 and S2
    assert before[1] < after[1] < before[1] + 0.4 * (after.sum() - before.sum())  # systole
    assert after[3] > 1.5 * before[3]


def test_one_rate_leaves_all_as_it_is(clip):
    made = time_warp(clip, clip.record.heart_rate, FRAMES)
    torch.testing.assert_close(made.log_mel, clip.log_mel[:, :FRAMES])
    assert torch.equal(made.states, clip.states[:FRAMES])


def test_what_is_out_of_reach_is_not_made(clip):
    rate = clip.record.heart_rate
    assert time_warp(clip, rate / (1.01 * FACTORS[1]), FRAMES) is None
    assert time_warp(clip, rate / (0.99 * FACTORS[0]), FRAMES) is None
    assert time_warp(clip, 1.3 * rate, clip.log_mel.shape[1]) is None  # too short to be made faster


def test_clips_are_drawn_by_seed():
    hearts = [recording(rate, seed) for seed, rate in enumerate((80.0, 100.0, 120.0))]
    first, again, other = (time_warped_clips(hearts, seed=seed) for seed in (1, 1, 2))
    assert first
    assert [c.record.heart_rate for c in first] == [c.record.heart_rate for c in again]
    assert [c.record.heart_rate for c in first] != [c.record.heart_rate for c in other]
