"""What every output is made of: its style and script, pictures inside it, and panels of which controls show one."""

from __future__ import annotations

import html
import io
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from IPython.display import HTML

HIGHEST = 800.0  # Hz, top of every spectrogram
_numbers = count(1)  # the name of an output is unique in its notebook


def output(body: str, script: str = "show.js") -> HTML:
    """The body with the style and script it needs: Colab shows every output in a frame of its own."""
    from IPython.display import HTML

    return HTML(
        f'<div class="hldm-show" id="hldm-{next(_numbers)}"><style>{_asset("show.css")}</style>{body}'
        f"<script>(({_asset(script)}))(document.currentScript.parentElement)</script></div>"
    )


@cache
def _asset(name: str) -> str:
    return files("hldm.show").joinpath(name).read_text(encoding="utf-8")


def data_uri(content: bytes, kind: str) -> str:
    """A file inside the page; the build of the site takes it out again (`hldm.book.media`)."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def spectrum(image: np.ndarray, alt: str, duration: float, *, cursor: bool = False, **colours) -> str:
    """A picture over time and frequency in its axes, one pixel a value.

    Parameters
    ----------
    image : ndarray (bins, frames) or (bins, frames, 4)
        From 0 Hz to `HIGHEST`.
    alt : str
    duration : float
        Seconds.
    cursor : bool
        Whether there is a line that a script moves.
    colours
        Of `matplotlib.image.imsave`, where the image holds levels.
    """
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, image, origin="lower", format="png", **colours)
    picture = f'<img loading="lazy" alt="{html.escape(alt)}" src="{data_uri(buffer.getvalue(), "image/png")}">'
    return f"""<div class="hldm-plot">
<span class="hldm-y">{HIGHEST:.0f} Hz</span><span class="hldm-y hldm-low">0</span>
<div class="hldm-image">{picture}{"<i></i>" * cursor}</div>
<span class="hldm-x">0 s</span><span class="hldm-x hldm-end">{duration:.1f} s</span>
</div>"""


def chooser(title: str, controls: str, body: str) -> HTML:
    """Controls under a title, above what they choose from."""
    return output(
        f'<fieldset class="hldm-choices"><legend>{html.escape(title)}</legend>'
        f'<div class="hldm-controls">{controls}</div>{body}</fieldset>'
    )


def menu(label: str, values: list[str]) -> str:
    """A menu with its label."""
    options = "".join(f"<option>{html.escape(value)}</option>" for value in values)
    return f"<label>{html.escape(label)} <select>{options}</select></label>"


def panels(contents: Mapping[tuple[str, ...], object]) -> str:
    """A panel for each key, hidden until the controls of the `chooser` around it stand at that key."""
    return "".join(_panel(key, content) for key, content in contents.items())


def _panel(key: tuple[str, ...], value) -> str:
    content = value if isinstance(value, str) else value._repr_html_()
    content = re.sub(r"<(style|script)>.*?</\1>", "", content, flags=re.DOTALL)  # the outer element has them
    name = html.escape(json.dumps(key, ensure_ascii=False, separators=(",", ":")))
    return f'<div class="hldm-panel" data-key="{name}" hidden>{content}</div>'
