"""Real hearts at rates that few of them have: a clip whose beats are made longer or shorter, state by state.

A slower heart mostly rests longer. S1 and S2 keep their lengths, systole goes with the square root of the beat (Bazett
1920, as in the simulator), and diastole takes what is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch

from hldm.config import AudioConfig
from hldm.data.clips import Clip, ClipDataset
from hldm.data.records import Recording, State

#: Beat lengths may change by such a factor: beyond, a stretched diastole is no longer one.
FACTORS = (0.7, 1.45)
RATES = (55.0, 165.0)  # bpm, drawn from evenly
SPARE = 1.5  # how much longer than a clip its source is, so that there is enough of it to be made faster


def time_warped_clips(
    recordings: Iterable[Recording], audio: AudioConfig = AudioConfig(), *, hop_seconds: float = 2.56, seed: int = 0
) -> list[Clip]:
    """Clips of recordings at heart rates drawn evenly from `RATES`, where those are within reach.

    Parameters
    ----------
    recordings : iterable of Recording
    audio : AudioConfig
        Clips are as long as its.
    hop_seconds : float
        Least distance between the starts of two clips of a recording.
    """
    longer = replace(audio, clip_seconds=SPARE * audio.clip_seconds)
    sources = ClipDataset(recordings, longer, hop_seconds=hop_seconds)
    rates = np.random.default_rng(seed).uniform(*RATES, len(sources))
    made = (time_warp(sources[i], rate, audio.clip_frames) for i, rate in enumerate(rates))
    return [clip for clip in made if clip is not None]


def time_warp(clip: Clip, heart_rate: float, frames: int) -> Clip | None:
    """The first `frames` frames of a clip at another heart rate, with its record.

    Log-mels are interpolated linearly in time.

    Parameters
    ----------
    clip : Clip
        Longer than `frames` where the heart is to beat faster.
    heart_rate : float
        bpm.

    Returns
    -------
    Clip or None
        None where the rate is too far off (`FACTORS`), the clip is too short for it, or a state is missing.
    """
    factor = clip.record.heart_rate / heart_rate
    scale = _scales(clip, factor)
    if not FACTORS[0] <= factor <= FACTORS[1] or scale is None:
        return None
    elapsed = np.concatenate([[0.0], np.cumsum(scale[clip.states.numpy() - 1])[:-1]])
    if elapsed[-1] < frames - 1:
        return None
    source = torch.from_numpy(np.interp(np.arange(frames), elapsed, np.arange(len(elapsed))))
    left = source.long().clamp_max(len(elapsed) - 2)
    share = (source - left).float()

    def at(x: torch.Tensor) -> torch.Tensor:
        return torch.lerp(x[..., left], x[..., left + 1], share)

    position = at(clip.beat_position)
    whole = int((position < position[-1].floor()).sum())
    record = clip.record.replace(heart_rate=round(float(heart_rate), 1))
    return replace(
        clip, log_mel=at(clip.log_mel), beat_position=position, states=clip.states[source.round().long()],
        whole_frames=whole, record=record,
    )  # fmt: skip


def _scales(clip: Clip, factor: float) -> np.ndarray | None:
    """By how much each state is to last longer where beats do by `factor`, (4,); None where one would vanish."""
    whole = clip.states[: clip.whole_frames]
    s1, systole, s2, diastole = (float((whole == state).float().mean()) for state in range(State.S1, State.S1 + 4))
    if min(s1, systole, s2, diastole) <= 0:
        return None
    ejection = factor**0.5 * (s1 + systole)
    longer = np.array([1.0, (ejection - s1) / systole, 1.0, (factor - ejection - s2) / diastole])
    return longer if longer.min() > 0.1 else None
