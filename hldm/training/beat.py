"""The mean beat of a clip: what its S1, systole, S2 and diastole sound like, measured on the log-mel alone.

No network is involved, and everything is differentiable: it labels clips, and it says what a decoded swap between two
real recordings ought to be.
"""

from __future__ import annotations

import librosa
import torch
from torch import Tensor

from hldm.config import AudioConfig
from hldm.models.latent_probes import FACTORS
from hldm.models.subspaces import cycle_position

#: Places in the beat where it is measured: (state, share of the state gone by).
PLACES = ((1, 1 / 2), (2, 1 / 6), (2, 1 / 2), (2, 5 / 6), (3, 1 / 2), (4, 1 / 6), (4, 1 / 2), (4, 5 / 6))
SYSTOLE, QUIET = slice(1, 4), slice(6, 8)  # QUIET: late diastole, where nothing but noise is expected
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


def state_levels(log_mel: Tensor, states: Tensor, audio: AudioConfig = AudioConfig()) -> Tensor:
    """Level of S1, systole, S2 and diastole, up to 400 Hz: the median over beats, ``(batch, 4)``, dB.

    What `hldm.evaluation.physiology.state_levels` measures on waveforms, up to a constant. A knock on the stethoscope
    moves a mean and leaves a median.

    Parameters
    ----------
    log_mel : Tensor (batch, mels, frames), dB
    states : Tensor (batch, frames), int64 in 1..4
    """
    power = (10 ** (log_mel[:, _frequencies(audio) <= 400] / 10)).sum(1)
    new = torch.zeros_like(states)
    new[:, 1:] = states[:, 1:] != states[:, :-1]
    run = new.cumsum(1)  # the how manieth state since the start
    empty = power.new_zeros(len(run), int(run.max()) + 1)
    mean = empty.scatter_add(1, run, power) / empty.scatter_add(1, run, torch.ones_like(power))  # NaN beyond the last
    state = torch.zeros_like(empty, dtype=states.dtype).scatter(1, run, states)
    medians = [torch.where(state == s, mean, torch.nan).nanmedian(1).values for s in range(1, 5)]
    return 10 * torch.log10(torch.stack(medians, dim=1).clamp_min(1e-9))


def clip_factors(
    log_mel: Tensor,
    states: Tensor,
    rate: Tensor,
    murmur: Tensor,
    components: dict[str, Tensor] | None = None,
    audio: AudioConfig = AudioConfig(),
) -> Tensor:
    """The `hldm.models.latent_probes.FACTORS` of clips, standardised.

    Parameters
    ----------
    log_mel : Tensor (batch, mels, frames), dB
    states : Tensor (batch, frames), int64 in 1..4
    rate : Tensor (batch,), bpm
    murmur : Tensor (batch,)
        1 heard, 0 not, NaN unknown.
    components : dict of Tensor (batch, mels, frames), optional
        Sounds, murmur and noise alone, where the simulator tells them: then levels are theirs. Else S1 and S2 count as
        the sounds, what systole has beyond late diastole as the murmur, and diastole as the noise.

    Returns
    -------
    Tensor (batch, len(FACTORS))
    """
    hertz = _frequencies(audio)
    band = (hertz >= 100) & (hertz <= 400)
    if components is None:
        sounds = noise = state_levels(log_mel, states, audio)
        beyond = beat_parts(mean_beat(log_mel, states), audio)["murmur"]
    else:
        sounds, noise = (state_levels(components[name], states, audio) for name in ("sounds", "noise"))
        beyond = 10 ** (mean_beat(components["murmur"], states) / 10)
    level = beyond[:, SYSTOLE, band].mean((1, 2))
    values = {
        "heart_rate": (rate / 60).log(),
        "contrast": sounds[:, 0] - sounds[:, 2],
        "murmur": murmur,
        "level": 10 * torch.log10(level + 10 ** (LEAST_LEVEL / 10)),
        "floor": noise[:, 3],
    }
    return torch.stack([(values[name] - f.mean) / f.scale for name, f in FACTORS.items()], dim=1)
