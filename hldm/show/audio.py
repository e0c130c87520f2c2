"""Players for heart sounds: the sound itself, at its true loudness, under a spectrogram with a moving cursor.

Nothing here normalises: a grade II murmur must stay softer than a grade IV one. Small speakers, which do not reproduce
the range below 150 Hz where most of a heart sound's energy lies, get a second version, labelled as such; one switch
chooses it for all players of a page.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hldm.show.difference import comparable, difference
from hldm.show.page import HIGHEST, data_uri, output, spectrum
from hldm.show.plots import decibels

if TYPE_CHECKING:
    from IPython.display import HTML

LOWEST_RATE = 3000  # Hz; browsers refuse to decode WAV files below it
SHIFT_OCTAVES = 2  # from 25-200 Hz to 100-800 Hz
BOOSTED_PEAK = 0.9  # of full scale
SWITCH = '<button type="button" class="hldm-ab">Switch sounds while they play</button>'


def player(sound, sampling_rate: int | None = None, *, title: str, alt: str = "", boost: bool = True) -> HTML:
    """An audio player under a spectrogram with a moving cursor.

    Parameters
    ----------
    sound : object or ndarray (samples,)
        Anything with `waveform` and `sampling_rate`, or samples with full scale 1. Louder samples are clipped.
    sampling_rate : int, optional
        Hz; needed for bare samples.
    title : str
    alt : str
        What there is to see in the spectrogram; by default its title, duration and range.
    boost : bool
        Bring a second version for small speakers, shifted up by two octaves and amplified. It is for listening
        only, and says so.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        If the sound is empty, not one-dimensional, not finite, or has no sampling rate.
    """
    return output(players([title], [sound], sampling_rate, alts=[alt], boost=boost)[0])


def compare(
    a,
    b,
    sampling_rate: int | None = None,
    *,
    titles: tuple[str, str] = ("A", "B"),
    alts: tuple[str, str] = ("", ""),
    boost: bool = True,
) -> HTML:
    """Two players side by side, on one scale of level and colour; below each other on a phone.

    A button changes from one sound to the other without a pause. Two generated sounds of equal length are also held
    against each other: which facts of the record differ, where the level does, and how far each subspace of the latent
    moved.

    Parameters
    ----------
    a, b : object or ndarray (samples,)
        As for `player`.
    sampling_rate : int, optional
        Hz, of bare samples.
    titles, alts : pair of str
    boost : bool
        As for `player`; both versions for small speakers are amplified by the same gain.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        As for `player`.
    """
    pair = "".join(players(titles, (a, b), sampling_rate, alts=alts, boost=boost))
    below = difference(a, b, titles) if comparable(a, b) else ""
    return output(f'<div class="hldm-both"><div class="hldm-pair">{pair}</div>{SWITCH}{below}</div>')


def players(
    titles: Sequence[str], sounds: Sequence, sampling_rate: int | None = None, *, alts: Sequence[str] = (), boost: bool
) -> list[str]:
    """HTML of a player for each sound; their versions for small speakers are amplified by the same gain."""
    heard = [_samples(sound, sampling_rate) for sound in sounds]
    shifted = [_shifted(*each) if boost else None for each in heard]
    peak = max((float(np.abs(each).max()) for each in shifted if each is not None), default=0)
    gain = BOOSTED_PEAK / peak if peak else 1.0
    made = zip(heard, titles, alts or [""] * len(heard), shifted, strict=True)
    return [_figure(*each, title, alt, small, gain) for each, title, alt, small in made]


def _samples(sound, sampling_rate: int | None) -> tuple[np.ndarray, int]:
    rate = sampling_rate or getattr(sound, "sampling_rate", None)
    samples = np.asarray(getattr(sound, "waveform", sound), dtype=np.float32)
    if rate is None:
        raise ValueError("sampling_rate: found None, expected the rate of the samples in Hz")
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"sound: found the shape {samples.shape}, expected (samples,) with at least one")
    if not np.isfinite(samples).all():
        raise ValueError("sound: found samples that are not finite, expected numbers")
    return samples, int(rate)


def _figure(samples: np.ndarray, rate: int, title: str, alt: str, small: np.ndarray | None, gain: float) -> str:
    """One player: title, spectrogram with cursor and axes, controls, and what the other version is."""
    duration = len(samples) / rate
    alt = alt or f"Spectrogram of “{title}”: {duration:.1f} seconds, 0 to {HIGHEST:.0f} hertz."
    _, frequencies, levels = decibels(samples, rate, hop=max(32, len(samples) // 600))  # at most about 600 columns
    colours = {"vmin": -80, "vmax": 0, "cmap": "magma"}  # the same colours for the same level everywhere
    picture = spectrum(levels[frequencies <= HIGHEST], alt, duration, cursor=True, **colours)
    other, note = "", ""
    if small is not None:
        other = f' data-small="{_wav(gain * small, rate)}"'
        said = f"For small speakers: {SHIFT_OCTAVES} octaves higher and {20 * np.log10(gain):+.0f} dB. Playback only."
        note = f'<p class="hldm-note hldm-small">{said}</p>\n'
    title = html.escape(title)
    return f"""<figure class="hldm-player">
<figcaption>{title}</figcaption>
{picture}
<audio controls preload="none" data-seconds="{duration:.3f}" aria-label="{title}" src="{_wav(samples, rate)}"{other}>
</audio>
{note}</figure>"""


def _shifted(samples: np.ndarray, rate: int) -> np.ndarray:
    """The sound some octaves higher at the same pace: stretched by a phase vocoder, then played faster."""
    import librosa

    window = 512
    padded = np.pad(samples, (0, max(0, window - len(samples))))
    return librosa.effects.pitch_shift(padded, sr=rate, n_steps=12 * SHIFT_OCTAVES, n_fft=window)[: len(samples)]


def _wav(samples: np.ndarray, rate: int) -> str:
    """A data URI of the samples as 16-bit WAV, at a rate that browsers accept."""
    import soundfile

    if rate < LOWEST_RATE:
        from scipy.signal import resample_poly

        factor = -(-LOWEST_RATE // rate)
        samples, rate = resample_poly(samples, factor, 1), rate * factor
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    return data_uri(buffer.getvalue(), "audio/wav")
