"""Widgets that react without a kernel: everything was computed before, the page only chooses."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING

from hldm.show.audio import SWITCH, players
from hldm.show.difference import difference
from hldm.show.page import chooser, menu, panels

if TYPE_CHECKING:
    from IPython.display import HTML

    from hldm.synthesis import HeartSound


def choices(outputs: Mapping, *, title: str, controls: tuple[str, ...]) -> HTML:
    """Menus that choose among outputs computed before, such as players.

    Whoever listens while choosing goes on listening at the same moment of the next sound.

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
    contents = {(key,) if isinstance(key, str) else tuple(key): value for key, value in outputs.items()}
    for key in contents:
        if len(key) != len(controls):
            raise ValueError(f"outputs: found the choice {key}, expected one part for each of {controls}")
    menus = [list(dict.fromkeys(key[i] for key in contents)) for i in range(len(controls))]
    missing = [key for key in product(*menus) if key not in contents]
    if missing or not contents:
        raise ValueError(f"outputs: found nothing for {missing[:3] or 'any choice'}, expected all combinations")
    return chooser(title, "".join(map(menu, controls, menus)), panels(contents))


def scrub(outputs: Mapping, *, title: str, control: str) -> HTML:
    """A slider through outputs computed before, such as players of the steps of a sampler; otherwise as `choices`.

    Parameters
    ----------
    outputs : mapping of str to object
        From the name of a place on the slider to what to show there, in their order.
    title : str
    control : str
        The label of the slider.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        Without outputs.

    Examples
    --------
    >>> scrub({"t = 999": player(noise), "t = 0": player(heart)}, title="From noise to sound", control="Step")
    """
    if not outputs:
        raise ValueError("outputs: found none, expected at least one place for the slider")
    names = html.escape(json.dumps(list(outputs), ensure_ascii=False))
    slider = (
        f'<label>{html.escape(control)} <input type="range" min="0" max="{len(outputs) - 1}" step="1" value="0" '
        f'data-names="{names}"></label><output aria-live="polite">{html.escape(next(iter(outputs)))}</output>'
    )
    return chooser(title, slider, panels({(str(i),): value for i, value in enumerate(outputs.values())}))


def what_if_panel(
    base: HeartSound, edits: Mapping[str, HeartSound], *, title: str, control: str = "What if", boost: bool = True
) -> HTML:
    """A heart beside its edits, of which a menu chooses one: players, difference and subspaces, without a kernel.

    Parameters
    ----------
    base : HeartSound
    edits : mapping of str to HeartSound
        From what the menu calls an edit to its sound, of the same length as `base`.
    title, control : str
        Of the panel, and of its menu.
    boost : bool
        As of `hldm.show.player`; all versions for small speakers are amplified by the same gain.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        Without an edit, or for an edit of another length.
    """
    if not edits:
        raise ValueError("edits: found none, expected one or more")
    before, *after = players(["As it was", *edits], [base, *edits.values()], boost=boost)
    chosen = panels({(name,): made for name, made in zip(edits, after, strict=True)})
    below = panels({(name,): difference(base, sound, ("base", name)) for name, sound in edits.items()})
    pair = f'<div class="hldm-pair">{before}<div>{chosen}</div></div>{SWITCH}'
    return chooser(title, menu(control, list(edits)), pair + below)
