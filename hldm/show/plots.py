"""plotly figures with the book's look, and an accessible way to show them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from plotly.io.base_renderers import MimetypeRenderer

from hldm.config import AudioConfig
from hldm.data import Segment, State

#: Distinguishable with every common colour vision, on white and on black (after Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STATE_COLOURS = {
    State.S1: COLOURS[1], State.SYSTOLE: COLOURS[4], State.S2: COLOURS[0], State.DIASTOLE: COLOURS[5],
}  # fmt: skip
NEUTRAL = "#808080"  # text and lines before the page's script gives them the colours of its theme
GRID = "rgba(128, 128, 128, 0.25)"

LONG_NAME = 12  # letters

#: Most points of a waveform that a page carries; above that, minimum and maximum of each bin are drawn.
MAX_POINTS = 4000


def _template() -> go.layout.Template:
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": NEUTRAL, "automargin": True}
    layout = go.Layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", colorway=COLOURS,
        font={"color": NEUTRAL, "size": 13}, height=320,
        title={
            "font": {"size": 15}, "x": 0, "xref": "container", "y": 1, "yref": "container", "yanchor": "top",
            "pad": {"t": 10},
        },
        margin={"l": 10, "r": 10, "t": 70, "b": 10}, xaxis=axis, yaxis=axis, hovermode="closest",
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    return go.layout.Template(layout=layout)


class PageRenderer(MimetypeRenderer):
    """Write a figure as HTML that the site's script draws with the page's one copy of plotly.

    The alternative text comes from ``figure.layout.meta["alt"]``. Nothing else goes along: jupyter-book takes
    any representation that it does not know for a missing figure.
    """

    def to_mimebundle(self, fig_dict: dict) -> dict:
        layout = fig_dict.get("layout", {})
        alt = (layout.get("meta") or {}).get("alt", "")
        text = pio.to_json(fig_dict, validate=False)
        inside_script = text.replace("</", r"<\/")
        height = layout.get("height") or 320
        page = (
            f'<div class="hldm-plotly" role="img" aria-label="{html.escape(alt)}" style="height:{height}px">'
            f'<script type="application/json">{inside_script}</script></div>'
        )
        return {"text/html": page}


def use_book_figures(*, on_page: bool) -> None:
    """Give every figure the book's look; on a page of the site, also draw it with the site's script."""
    pio.templates["hldm"] = _template()
    pio.templates.default = "hldm"
    pio.renderers["hldm"] = PageRenderer()
    if on_page:
        pio.renderers.default = "hldm"


def show(figure: go.Figure, *, alt: str) -> None:
    """Show a figure with a text for those who do not see it.

    Parameters
    ----------
    figure : plotly Figure
        It must have a title.
    alt : str
        What there is to see, in a sentence or two.

    Raises
    ------
    ValueError
        If the title or the text is missing.
    """
    if not alt.strip():
        raise ValueError("alt: found an empty text, expected a sentence that says what there is to see")
    if not figure.layout.title.text:
        raise ValueError("figure: found no title, expected one")
    figure.update_layout(meta={"alt": alt})
    figure.show()


def waveform(
    samples: np.ndarray,
    sampling_rate: int,
    *,
    segments: Sequence[Segment] = (),
    title: str = "Waveform",
) -> go.Figure:
    """A waveform over time, with annotated heart states as shaded bands.

    Parameters
    ----------
    samples : ndarray (samples,)
        Full scale is 1.
    sampling_rate : int
        Hz.
    segments : sequence of Segment
        Unannotated stretches stay unshaded.

    Returns
    -------
    plotly Figure
    """
    times, values = _envelope(np.asarray(samples, dtype=np.float32), sampling_rate)
    figure = go.Figure(go.Scatter(x=times, y=values, mode="lines", line={"width": 1}, showlegend=False))
    for state, colour in STATE_COLOURS.items():
        _shade(figure, [s for s in segments if s.state == state], state.name.capitalize(), colour)
    figure.update_layout(title=title, xaxis_title="Time (s)", yaxis_title="Amplitude (full scale = 1)")
    return figure


def _envelope(samples: np.ndarray, sampling_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and values to draw: all samples, or the extremes of each bin where there are too many."""
    if len(samples) <= MAX_POINTS:
        return (np.arange(len(samples)) / sampling_rate).astype(np.float32), samples
    width = -(-2 * len(samples) // MAX_POINTS)
    bins = np.pad(samples, (0, -len(samples) % width), mode="edge").reshape(-1, width)
    starts = np.arange(len(bins)) * width / sampling_rate
    times = np.stack([starts, starts + width / 2 / sampling_rate], axis=1)
    return times.ravel().astype(np.float32), np.stack([bins.min(axis=1), bins.max(axis=1)], axis=1).ravel()


def _shade(figure: go.Figure, segments: list[Segment], name: str, colour: str) -> None:
    """Bands over the whole height, as one filled trace on its own axis: it has a legend and hides at a click."""
    if not segments:
        return
    corners = [((s.start, 0), (s.start, 1), (s.end, 1), (s.end, 0), (None, None)) for s in segments]
    x, y = zip(*(point for four in corners for point in four), strict=True)
    figure.add_scatter(
        x=x, y=y, yaxis="y2", mode="lines", line={"width": 0}, fill="toself", fillcolor=colour, opacity=0.3,
        name=name, hoverinfo="name",
    )  # fmt: skip
    hidden = {"range": [0, 1], "visible": False, "fixedrange": True}
    figure.update_layout(yaxis={"overlaying": "y2", "tickmode": "auto"}, yaxis2=hidden)  # bands lie below


def decibels(samples: np.ndarray, sampling_rate: int, *, window: int = 256, hop: int = 32):
    """Short-time power in dB relative to a sine at full scale, not below -80 dB.

    Parameters
    ----------
    samples : ndarray (samples,)
    sampling_rate : int
        Hz.
    window, hop : int
        Length of the Hann window and its step, in samples.

    Returns
    -------
    times : ndarray (frames,)
        Seconds.
    frequencies : ndarray (bins,)
        Hz.
    levels : ndarray (bins, frames), float32
        dB.
    """
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    samples = np.asarray(samples, dtype=np.float64)
    transform = ShortTimeFFT(hann(window, sym=False), hop, sampling_rate, scale_to="magnitude")
    padded = np.pad(samples, (0, max(0, window - len(samples))))  # shorter than a window has no frame
    magnitude = 2 * np.abs(transform.stft(padded))  # a one-sided spectrum holds half of a sine's amplitude
    times = transform.t(len(padded))
    inside = (times >= 0) & (times <= len(samples) / sampling_rate)
    levels = 20 * np.log10(np.maximum(magnitude[:, inside], 1e-4))
    return times[inside], transform.f, levels.astype(np.float32)


def spectrogram(
    samples: np.ndarray,
    sampling_rate: int,
    *,
    title: str = "Spectrogram",
    highest: float = 800.0,
) -> go.Figure:
    """Level over time and frequency.

    Parameters
    ----------
    samples : ndarray (samples,)
        Full scale is 1.
    sampling_rate : int
        Hz.
    highest : float
        Upper end of the frequency axis in Hz; heart sounds lie mainly below 500 Hz.

    Returns
    -------
    plotly Figure
        Levels in whole dB from -80 to 0, on one scale for all sounds.
    """
    hop = max(32, len(samples) // 1000)  # about a thousand columns, however long the sound
    times, frequencies, levels = decibels(samples, sampling_rate, hop=hop)
    shown = frequencies <= highest
    figure = go.Figure(
        go.Heatmap(
            x=times.astype(np.float32), y=frequencies[shown].astype(np.float32),
            z=np.round(levels[shown]).astype(np.int8), zmin=-80, zmax=0, colorscale="Magma",
            colorbar={"title": "dB"}, hovertemplate="%{x:.2f} s, %{y:.0f} Hz: %{z} dB<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(title=title, xaxis_title="Time (s)", yaxis_title="Frequency (Hz)")
    return figure


def mel_spectrogram(
    levels: np.ndarray, config: AudioConfig = AudioConfig(), *, title: str = "Log-mel spectrogram"
) -> go.Figure:
    """What the models see: level over time and mel band.

    Parameters
    ----------
    levels : ndarray or Tensor (mels, frames)
        dB, as `hldm.data.LogMel` returns them.
    config : AudioConfig
        The front end that made them.
    """
    import librosa

    levels = np.asarray(levels)
    centres = librosa.mel_frequencies(config.n_mels + 2, fmin=config.fmin, fmax=config.fmax)[1:-1]
    times = np.arange(levels.shape[1]) / config.frame_rate
    figure = go.Figure(
        go.Heatmap(
            x=times.astype(np.float32), y=np.round(centres).astype(np.int16), z=np.round(levels).astype(np.int8),
            zmin=config.floor_db, zmax=0, colorscale="Magma", colorbar={"title": "dB"},
            hovertemplate="%{x:.2f} s, %{y} Hz: %{z} dB<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(title=title, xaxis_title="Time (s)", yaxis_title="Centre of mel band (Hz)")
    return figure


def bars(groups: Mapping[str, Mapping[str, float]], *, title: str, x: str, y: str) -> go.Figure:
    """Bars of one or several series over the same categories.

    Parameters
    ----------
    groups : mapping of str to mapping
        ``{series: {category: value}}``.
    x, y : str
        Titles of the axes, with units.

    Returns
    -------
    plotly Figure
    """
    figure = go.Figure([go.Bar(name=name, x=list(values), y=list(values.values())) for name, values in groups.items()])
    figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, showlegend=len(groups) > 1)
    if max((len(str(category)) for values in groups.values() for category in values), default=0) > LONG_NAME:
        figure.update_layout(height=400)  # on a phone the names stand upright
    return figure
