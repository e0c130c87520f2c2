"""The mean beat of a clip: what its S1, systole, S2 and diastole sound like, measured on the log-mel alone.

No network is involved, and everything is differentiable: it labels clips, and it says what a decoded swap between two
real recordings ought to be.
"""

from __future__ import annotations

import librosa
import torch
from torch import Tensor

from hldm.config import AudioConfig
from hldm.models.readers import FACTORS
from hldm.models.subspaces import cycle_position

#: Places in the beat where it is measured: (state, share of the state gone by).
PLACES = ((1, 1 / 2), (2, 1 / 6), (2, 1 / 2), (2, 5 / 6), (3, 1 / 2), (4, 1 / 6), (4, 1 / 2), (4, 5 / 6))
S1, SYSTOLE, S2, QUIET = 0, slice(1, 4), 4, slice(6, 8)  # QUIET: late diastole, where nothing but noise is expected
BLUR = 0.2  # of a state, so that every place hears some frames
MURMUR_FROM = 80.0  # Hz; below, systole rings with S1
LEAST_LEVEL = -65.0  # dB; fainter murmurs are alike


def _frequencies(audio: AudioConfig) -> Tensor:
    """Centre of each mel band, Hz."""
    return torch.from_numpy(librosa.mel_frequencies(audio.n_mels + 2, fmin=audio.fmin, fmax=audio.fmax)[1:-1]).float()


def heart_rate(states: Tensor, audio: AudioConfig = AudioConfig()) -> Tensor:
    """Beats per minute from the first S1 to the last, ``(batch, frames) -> (batch,)``; NaN with fewer than two."""
    onset = (states == 1) & torch.cat([torch.ones_like(states[:, :1]) == 1, states[:, :-1] != 1], dim=1)
    frame = torch.arange(states.shape[1], device=states.device).expand_as(states)
    first = torch.where(onset, frame, states.shape[1]).amin(1)
    last = torch.where(onset, frame, -1).amax(1)
    beats = onset.sum(1) - 1
    rate = 60 * audio.frame_rate * beats / (last - first).clamp_min(1)
    return torch.where(beats > 0, rate, torch.nan)


def mean_beat(log_mel: Tensor, states: Tensor) -> Tensor:
    """Level at each of `PLACES`, averaged over the beats of a clip.

    Parameters
    ----------
    log_mel : Tensor (batch, mels, frames), dB
    states : Tensor (batch, frames), int64 in 1..4

    Returns
    -------
    Tensor (batch, places, mels), dB
    """
    quarter = 4 * cycle_position(states).remainder(1)
    within = quarter - quarter.floor()
    state, centre = torch.tensor(PLACES, device=log_mel.device).T
    near = torch.exp(-(((within[..., None] - centre) / BLUR) ** 2)) * (states[..., None] == state)
    return torch.einsum("bmf,bfp->bpm", log_mel, near) / near.sum(1)[..., None].clamp_min(1e-6)


def beat_parts(beat: Tensor, audio: AudioConfig = AudioConfig()) -> dict[str, Tensor]:
    """Power of sounds, murmur and noise in a mean beat; they sum to it where nothing lies below the noise.

    Noise is what late diastole holds. What systole has beyond it from `MURMUR_FROM` on is murmur; all else is sounds.

    Parameters
    ----------
    beat : Tensor (batch, places, mels), dB

    Returns
    -------
    dict of Tensor (batch, places, mels), power
    """
    power = 10 ** (beat / 10)
    noise = 10 ** (beat[:, QUIET].mean(1, keepdim=True) / 10)
    beyond = (power - noise).clamp_min(0)
    systolic = beat.new_zeros(beat.shape[1:])
    systolic[SYSTOLE] = (_frequencies(audio) >= MURMUR_FROM).to(beat)
    return {"sounds": beyond * (1 - systolic), "murmur": beyond * systolic, "noise": noise.expand_as(beat)}


def swapped_beat(beat: Tensor, donor: Tensor, subspace: str, audio: AudioConfig = AudioConfig()) -> Tensor:
    """The mean beat expected of a heart that was given one subspace of another's, (batch, places, mels), dB.

    A rhythm moves the beats and leaves what they sound like.
    """
    parts = beat_parts(beat, audio)
    if subspace != "rhythm":
        parts[subspace] = beat_parts(donor, audio)[subspace]
    return 10 * torch.log10(sum(parts.values()))


def murmur_level(log_mel: Tensor, states: Tensor, audio: AudioConfig = AudioConfig()) -> Tensor:
    """Level of systole over late diastole, 100 to 400 Hz, dB: ``(batch, mels, frames) -> (batch,)``.

    What `hldm.evaluation.physiology.murmur_band_level` measures on waveforms, on the mean beat of a log-mel.
    """
    hertz = _frequencies(audio)
    power = 10 ** (mean_beat(log_mel, states)[..., (hertz >= 100) & (hertz <= 400)] / 10)
    return 10 * (power[:, SYSTOLE].mean((1, 2)).log10() - power[:, QUIET].mean((1, 2)).log10())


def clip_factors(
    log_mel: Tensor, states: Tensor, rate: Tensor, murmur: Tensor, audio: AudioConfig = AudioConfig()
) -> Tensor:
    """The `hldm.models.readers.FACTORS` of clips, standardised.

    Parameters
    ----------
    log_mel : Tensor (batch, mels, frames), dB
    states : Tensor (batch, frames), int64 in 1..4
    rate : Tensor (batch,), bpm
    murmur : Tensor (batch,)
        1 heard, 0 not, NaN unknown.

    Returns
    -------
    Tensor (batch, len(FACTORS))
    """
    beat = mean_beat(log_mel, states)
    hertz = _frequencies(audio)
    band = (hertz >= 100) & (hertz <= 400)
    level = beat_parts(beat, audio)["murmur"][:, SYSTOLE, band].mean((1, 2))
    values = {
        "heart_rate": (rate / 60).log(),
        "contrast": (beat[:, S1] - beat[:, S2])[:, hertz < 150].mean(1),
        "murmur": murmur,
        "level": 10 * torch.log10(level + 10 ** (LEAST_LEVEL / 10)),
        "floor": beat[:, QUIET].mean((1, 2)),
    }
    return torch.stack([(values[name] - f.mean) / f.scale for name, f in FACTORS.items()], dim=1)
