"""The wordings of narratives and notes, from ``narrative.csv`` and ``note.csv``: several for every fact.

The last two sentence frames of every set of a narrative are held out: `narrative` uses them only when asked to, to test
what was trained on the others.
"""

from __future__ import annotations

from functools import cache

from hldm.knowledge.tables import rows

HELD_OUT = 2  # frames at the end of every set


@cache
def wordings(table: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Every wording of a table: by name, then by the value that it is for ("" where it serves any)."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in rows(table):
        some = found.setdefault(row["name"], {})
        some[row["value"]] = (*some.get(row["value"], ()), row["text"])
    return found


def options(table: str, name: str, value: object = "") -> tuple[str, ...]:
    """The ways to put one fact."""
    return wordings(table)[name]["" if value is None else str(value)]
