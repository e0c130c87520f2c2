"""Pictures of the denoiser at work: latents, and maps over pairs of beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hldm.config import SUBSPACES


def latent(z: np.ndarray, frame_seconds: float, *, title: str, span: float = 3.0) -> go.Figure:
    """A standardised latent over time, its channels in their subspaces, the first on top.

    Parameters
    ----------
    z : ndarray or Tensor (channels, frames)
        As many channels for each of `SUBSPACES`.
    frame_seconds : float
        Seconds from one latent frame to the next.
    span : float
        Values beyond plus or minus this have the fullest colour.

    Returns
    -------
    plotly Figure
    """
    z = np.asarray(z, dtype=float)
    width = len(z) // len(SUBSPACES)
    times = (np.arange(z.shape[1]) * frame_seconds).round(3)
    heat = go.Heatmap(
        z=z.round(2), x=times, zmin=-span, zmax=span, colorscale="RdBu", reversescale=True,
        colorbar={"title": "sd"}, hovertemplate="%{x:.2f} s, channel %{y}: %{z:.2f}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure(heat)
    for edge in range(width, len(z), width):
        figure.add_hline(y=edge - 0.5, line_color="black", line_width=1)
    middles = [width * i + (width - 1) / 2 for i in range(len(SUBSPACES))]
    figure.update_layout(title=title, xaxis_title="Time (s)", height=300)
    figure.update_yaxes(title="Subspace", tickvals=middles, ticktext=list(SUBSPACES), autorange="reversed")
    return figure


def beat_maps(
    maps: Mapping[str, np.ndarray],
    names: Sequence[str],
    beats: np.ndarray,
    *,
    title: str,
    unit: str,
    span: tuple[float, float],
) -> go.Figure:
    """Maps over pairs of frames on the beat grid, two in a row; a menu chooses among several sets of them.

    Parameters
    ----------
    maps : mapping of str to ndarray (maps, queries, keys)
        For every entry of the menu as many maps as names. What is not finite stays empty.
    names : sequence of str
        Of the maps, such as the attention heads.
    beats : ndarray (frames,)
        Beat position of every frame, for both axes.
    unit : str
        Title of the colour bar.
    span : tuple of float
        Values of the faintest and the fullest colour; where it reaches below zero, zero is white.

    Returns
    -------
    plotly Figure
    """
    beats = np.asarray(beats, dtype=float).round(3)
    rows = -(-len(names) // 2)
    figure = make_subplots(rows, 2, subplot_titles=names, vertical_spacing=0.2 / rows, horizontal_spacing=0.12)
    for entry, values in maps.items():
        values = np.asarray(values, dtype=float)
        for i, each in enumerate(np.where(np.isfinite(values), values.round(3), np.nan)):
            heat = go.Heatmap(
                z=each, x=beats, y=beats, zmin=span[0], zmax=span[1], visible=entry == next(iter(maps)),
                colorscale="RdBu_r" if span[0] < 0 else "Blues", showscale=i == 0, colorbar={"title": unit},
                hovertemplate="query %{y:.2f}, key %{x:.2f} beats: %{z:.3g}<extra></extra>",
            )  # fmt: skip
            figure.add_trace(heat, row=i // 2 + 1, col=i % 2 + 1)
    figure.update_layout(title=title, height=60 + 260 * rows)
    figure.update_xaxes(title="Key (beats)", row=rows)  # those above share it
    figure.update_yaxes(autorange="reversed")
    figure.update_yaxes(title="Query (beats)", col=1)  # that beside it shares it
    if len(maps) > 1:
        owner = [entry for entry in maps for _ in names]
        buttons = [{"label": e, "method": "restyle", "args": ["visible", [o == e for o in owner]]} for e in maps]
        menu = {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.05, "yanchor": "bottom"}
        figure.update_layout(updatemenus=[menu], margin={"t": 100})
    return figure
