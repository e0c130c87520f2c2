"""Pictures of vectors and of what moves them: clouds of points, matrices with their numbers, shaded words."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from hldm.show.page import output
from hldm.show.plots import COLOURS

if TYPE_CHECKING:
    from IPython.display import HTML


def cloud(points: np.ndarray, colour_by: Mapping[str, Sequence], *, title: str, x: str, y: str) -> go.Figure:
    """Points in the plane with a menu that chooses what colours them; it works without a kernel.

    Parameters
    ----------
    points : ndarray (points, 2)
    colour_by : mapping of str to sequence
        For every entry of the menu a value for each point; None stands for unknown and is drawn faintly.
    x, y : str
        Titles of the axes.

    Returns
    -------
    plotly Figure
    """
    points = np.asarray(points)
    figure, owner = go.Figure(), []
    for name, values in colour_by.items():
        known = sorted({v for v in values if v is not None}, key=str)
        for value in [None, *known] if None in values else known:
            mine = points[[v == value for v in values]].round(3)
            figure.add_scatter(
                x=mine[:, 0], y=mine[:, 1], mode="markers", name="unknown" if value is None else str(value),
                marker={"size": 6, **({"color": "gray", "opacity": 0.3} if value is None else {})},
            )  # fmt: skip
            owner.append(name)
    buttons = [
        {"label": name, "method": "restyle", "args": ["visible", [o == name for o in owner]]} for name in colour_by
    ]
    first = next(iter(colour_by))
    for trace, name in zip(figure.data, owner, strict=True):
        trace.visible = name == first
    menu = {"name": "Colour by", "buttons": buttons, "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"}
    below = {"y": -0.2, "yanchor": "top", "x": 0}
    figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, height=440, legend=below, updatemenus=[menu])
    return figure


def matrix(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    x: str,
    y: str,
    span: tuple[float, float] = (0.0, 1.0),
    digits: int = 2,
) -> go.Figure:
    """A table of numbers as coloured cells, the first row on top.

    Parameters
    ----------
    values : ndarray (rows, columns)
        NaN leaves a cell empty.
    x, y : str
        Titles of the axes.
    span : tuple of float
        Values of the faintest and the fullest colour; where it reaches below zero, zero is white.
    digits : int
        Decimals of the numbers in the cells; 0 hides them.

    Returns
    -------
    plotly Figure
    """
    values = np.asarray(values, dtype=float)
    heat = go.Heatmap(
        z=values.round(3), x=list(columns), y=list(rows), zmin=span[0], zmax=span[1], xgap=1, ygap=1,
        colorscale="RdBu" if span[0] < 0 else ["white", COLOURS[5]], showscale=not digits,
        texttemplate=f"%{{z:.{digits}f}}" if digits else None, textfont={"color": "black"},  # legible on every cell
        hovertemplate="%{y}, %{x}: %{z:.3f}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure(heat)
    figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, height=150 + 22 * len(rows))
    figure.update_yaxes(autorange="reversed")
    return figure


def shaded(words: Sequence[str], values: Sequence[float], *, title: str) -> HTML:
    """A text whose words are shaded by a number; the number shows where the pointer rests.

    Parameters
    ----------
    words : sequence of str
    values : sequence of float
        One a word, not negative; the largest gets the fullest shade.
    title : str

    Raises
    ------
    ValueError
        If there are not as many values as words.
    """
    if len(words) != len(values):
        raise ValueError(f"values: found {len(values)} for {len(words)} words, expected one each")
    top = max(values, default=0) or 1
    marks = (
        f'<span title="{value:.2f}" style="background: rgba(213, 94, 0, {0.6 * value / top:.2f}); '
        f'border-radius: 3px; padding: 0 2px">{html.escape(word)}</span>'
        for word, value in zip(words, values, strict=True)
    )
    return output(f"<figure><figcaption>{html.escape(title)}</figcaption><p>{' '.join(marks)}</p></figure>")
