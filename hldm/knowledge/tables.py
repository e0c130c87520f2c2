"""The tables of words: what a text may say and how a record is told, as package data."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """The rows of one table of `hldm.knowledge`, by its columns.

    Parameters
    ----------
    name : {"rules", "shorthand", "triggers", "wordings", "words"}
        ``tables/README.md`` says what each holds.
    """
    with files("hldm.knowledge").joinpath("tables", f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@cache
def words(kind: str) -> frozenset[str]:
    """The words of one kind in ``words.csv``."""
    return frozenset(word for row in rows("words") if row["kind"] == kind for word in row["words"].split())


def split_cell(cell: str) -> list[str]:
    """The values of a cell that separates them by semicolons."""
    return [part.strip() for part in cell.split(";") if part.strip()]
