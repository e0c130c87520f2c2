"""Checks for a chapter's exercises: they need nothing but the notebook, and never stop it."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.display import HTML


def check_answer(answer: object, correct: Callable[[object], bool], *, hint: str) -> HTML:
    """Say whether an answer is right; give the hint where it is not, or not yet there.

    Parameters
    ----------
    answer : object
        None stands for "not answered yet".
    correct : callable
        From an answer to whether it is right. If it raises, the answer was no such thing, and the error is shown.
    hint : str

    Returns
    -------
    IPython.display.HTML

    Examples
    --------
    >>> check_answer(rate, lambda bpm: abs(bpm - recording.heart_rate) < 1, hint="A minute has 60 s.")
    """
    from IPython.display import HTML

    if answer is None:
        return HTML(f"<p>No answer yet. Hint: {html.escape(hint)}</p>")
    try:
        right, why = bool(correct(answer)), ""
    except Exception as error:  # whatever a learner's answer does wrong belongs on the page, not in a traceback
        right, why = False, f" ({type(error).__name__}: {error})"
    if right:
        return HTML("<p><b>Right.</b></p>")
    shown = repr(answer)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return HTML(f"<p><b>Not yet:</b> {html.escape(shown + why)}. Hint: {html.escape(hint)}</p>")
