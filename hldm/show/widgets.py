"""Widgets that react without a kernel: everything was computed before, the page only chooses."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING

from hldm.show.audio import _html

if TYPE_CHECKING:
    from IPython.display import HTML


def choices(outputs: Mapping, *, title: str, controls: tuple[str, ...]) -> HTML:
    """Menus that choose among outputs computed before, such as players.

    Parameters
    ----------
    outputs : mapping
        From a choice to what to show: a string of HTML, or an object with ``_repr_html_`` such as `player` returns.
        A choice is a string, or a tuple of strings, one for each menu. Every combination must be there.
    title : str
    controls : tuple of str
        The label of each menu.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        If a choice has another number of parts than there are menus, or a combination is missing.

    Examples
    --------
    >>> choices({"II/VI": player(soft), "IV/VI": player(loud)}, title="How loud?", controls=("Grade",))
    """
    panels = {(key,) if isinstance(key, str) else tuple(key): value for key, value in outputs.items()}
    for key in panels:
        if len(key) != len(controls):
            raise ValueError(f"outputs: found the choice {key}, expected one part for each of {controls}")
    menus = [list(dict.fromkeys(key[i] for key in panels)) for i in range(len(controls))]
    missing = [key for key in product(*menus) if key not in panels]
    if missing or not panels:
        raise ValueError(f"outputs: found nothing for {missing[:3] or 'any choice'}, expected all combinations")
    body = "".join(_panel(key, value) for key, value in panels.items())
    menu = "".join(_menu(label, values) for label, values in zip(controls, menus, strict=True))
    return _html(
        f'<fieldset class="hldm-choices"><legend>{html.escape(title)}</legend>'
        f'<div class="hldm-controls">{menu}</div>{body}</fieldset>'
    )


def _menu(label: str, values: list[str]) -> str:
    options = "".join(f"<option>{html.escape(value)}</option>" for value in values)
    return f"<label>{html.escape(label)} <select>{options}</select></label>"


def _panel(key: tuple[str, ...], value) -> str:
    content = value if isinstance(value, str) else value._repr_html_()
    content = re.sub(r"<(style|script)>.*?</\1>", "", content, flags=re.DOTALL)  # the outer element has them
    name = html.escape(json.dumps(key, ensure_ascii=False, separators=(",", ":")))
    return f'<div class="hldm-panel" data-key="{name}" hidden>{content}</div>'
