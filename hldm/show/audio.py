"""Players for heart sounds: a page carries the sound itself, at its true loudness, with a moving cursor.

Nothing here normalises: a grade II murmur must stay softer than a grade IV one. Small speakers, which do not reproduce
the range below 150 Hz where most of a heart sound's energy lies, get a second, labelled version.
"""

from __future__ import annotations

import base64
import html
import io
from functools import cache
from importlib.resources import files
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from hldm.show.difference import comparable, difference
from hldm.show.plots import decibels

if TYPE_CHECKING:
    from IPython.display import HTML

LOWEST_RATE = 3000  # Hz; browsers refuse to decode WAV files below it
SHIFT_OCTAVES = 2  # from 25-200 Hz to 100-800 Hz
BOOSTED_PEAK = 0.9  # of full scale
HIGHEST = 800.0  # Hz, top of the spectrogram
_numbers = count(1)  # radio buttons and labels need names that are unique on a page


def player(sound, sampling_rate: int | None = None, *, title: str, alt: str = "", boost: bool = False) -> HTML:
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
        Offer a second version for small speakers, shifted up by two octaves and amplified. It is for listening
        only, and says so.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        If the sound is empty, not one-dimensional, not finite, or has no sampling rate.
    """
    samples, rate = _samples(sound, sampling_rate)
    gain = _gain([_shifted(samples, rate)]) if boost else None
    return _html(_figure(samples, rate, title, alt, gain))


def compare(
    a,
    b,
    sampling_rate: int | None = None,
    *,
    titles: tuple[str, str] = ("A", "B"),
    alts: tuple[str, str] = ("", ""),
    boost: bool = False,
) -> HTML:
    """Two players side by side, on one scale of level and colour; below each other on a phone.

    Two generated sounds of equal length are also held against each other: which facts of the record differ, where the
    level does, and how far each subspace of the latent moved.

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
    """
    sounds = [_samples(sound, sampling_rate) for sound in (a, b)]
    gain = _gain([_shifted(*sound) for sound in sounds]) if boost else None
    figures = [_figure(*sound, title, alt, gain) for sound, title, alt in zip(sounds, titles, alts, strict=True)]
    body = '<div class="hldm-pair">' + "".join(figures) + "</div>"
    return _html(body + difference(a, b, titles) if comparable(a, b) else body)


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


def _figure(samples: np.ndarray, rate: int, title: str, alt: str, gain: float | None) -> str:
    """One player: title, spectrogram with cursor and axes, controls, and the choice of version."""
    duration = len(samples) / rate
    alt = alt or f"Spectrogram of “{title}”: {duration:.1f} seconds, 0 to {HIGHEST:.0f} hertz."
    return f"""<figure class="hldm-player">
<figcaption>{html.escape(title)}</figcaption>
<div class="hldm-plot">
<span class="hldm-y">{HIGHEST:.0f} Hz</span><span class="hldm-y hldm-low">0</span>
<div class="hldm-image"><img alt="{html.escape(alt)}" src="{_image(samples, rate)}"><i></i></div>
<span class="hldm-x">0 s</span><span class="hldm-x hldm-end">{duration:.1f} s</span>
</div>
<audio controls preload="auto" aria-label="{html.escape(title)}" src="{_wav(samples, rate)}"></audio>
{_boost_choice(samples, rate, gain)}</figure>"""


def _boost_choice(samples: np.ndarray, rate: int, gain: float | None) -> str:
    if gain is None:
        return ""
    boosted = _wav(gain * _shifted(samples, rate), rate)
    label = f"For small speakers: {SHIFT_OCTAVES} octaves higher and {20 * np.log10(gain):+.0f} dB. Playback only."
    return f'<label><input type="checkbox" data-src="{boosted}"> {label}</label>\n'


def _shifted(samples: np.ndarray, rate: int) -> np.ndarray:
    """The sound some octaves higher at the same pace: stretched by a phase vocoder, then played faster."""
    import librosa

    return librosa.effects.pitch_shift(samples, sr=rate, n_steps=12 * SHIFT_OCTAVES, n_fft=512)


def _gain(sounds: list[np.ndarray]) -> float:
    """The factor that brings the loudest of these sounds to `BOOSTED_PEAK`."""
    peak = max(float(np.abs(sound).max()) for sound in sounds)
    return BOOSTED_PEAK / peak if peak else 1.0


def _wav(samples: np.ndarray, rate: int) -> str:
    """A data URI of the samples as 16-bit WAV, at a rate that browsers accept."""
    import soundfile

    if rate < LOWEST_RATE:
        from scipy.signal import resample_poly

        factor = -(-LOWEST_RATE // rate)
        samples, rate = resample_poly(samples, factor, 1), rate * factor
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()


def _image(samples: np.ndarray, rate: int) -> str:
    """A data URI of the spectrogram as PNG: one pixel a bin, the same colours for the same level everywhere."""
    from matplotlib.image import imsave

    hop = max(32, len(samples) // 600)  # at most about 600 columns
    _, frequencies, levels = decibels(samples, rate, hop=hop)
    buffer = io.BytesIO()
    imsave(buffer, levels[frequencies <= HIGHEST], vmin=-80, vmax=0, cmap="magma", origin="lower", format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@cache
def _asset(name: str) -> str:
    return files("hldm.show").joinpath(name).read_text(encoding="utf-8")


def _html(body: str, script: str = "show.js") -> HTML:
    """The body with the style and script it needs: Colab shows every output in a frame of its own."""
    from IPython.display import HTML

    name = f"hldm-{next(_numbers)}"
    return HTML(
        f'<div class="hldm-show" id="{name}"><style>{_asset("show.css")}</style>{body}'
        f"<script>(({_asset(script)}))(document.currentScript.parentElement)</script></div>"
    )
