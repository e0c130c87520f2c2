"""Reading text and tables that others wrote, with every defect named."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from hldm.data.errors import DataError, refuse


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises
    ------
    DataError
        Where the file is missing, cannot be read, or is no text.
    """
    try:
        if not path.is_file():
            raise DataError("a text file", file=path)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("text in UTF-8", file=path, value=str(error)) from None
    except OSError as error:
        raise DataError(f"a file that can be read ({error.strerror})", file=path) from None


def whole_number(text: str) -> str:
    """An id as it was before pandas or a spreadsheet took it for a decimal: ``"50379.0"`` is ``"50379"``."""
    return re.sub(r"^(\d+)\.0+$", r"\1", text)


def read_csv(
    path: Path,
    columns: Sequence[str] = (),
    names: Sequence[str] | None = None,
    *,
    key: str | None = None,
    on_defect: Callable[[DataError], None] = refuse,
) -> pd.DataFrame:
    """A table as stripped text: every cell a string, ``nan`` and empty cells left as they are.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        The header has at least these.
    names : sequence of str, optional
        For a table without a header: what its columns are called.
    key : str, optional
        The column that says what a row is about. Rows that repeat one another are read once.
    on_defect : function of a DataError
        Called for each row that has a cell too many or too few, and for each `key` whose rows disagree; these rows
        are left out. By default the first such row is an error.

    Raises
    ------
    DataError
        Where the file is missing, no table, or short of a column.
    """
    rows = _without_index(_rows(path))
    header = list(names) if names else next(rows, [])
    if not header:
        raise DataError("a table with a header", file=path, value="an empty file")
    if missing := [column for column in columns if column not in header]:
        raise DataError(f"the column {missing[0]!r}", file=path, field="columns", value=header)
    if twice := [column for column in header if column and header.count(column) > 1]:
        raise DataError("each column once", file=path, field="columns", value=twice[0])
    sound = []
    for number, cells in enumerate(rows, start=1):
        if len(cells) == len(header):
            sound.append(cells)
        else:
            expected = f"{len(header)} cells, one a column"
            on_defect(DataError(expected, file=path, field=f"row {number}", value=cells))
    table = pd.DataFrame(sound, columns=header, dtype=str)
    return table if key is None else _once(table, key, path, on_defect)


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of a table, stripped cell by cell; lines without any text are passed over."""
    try:
        for row in csv.reader(read_text(path).splitlines(keepends=True), strict=True):
            if any(cells := [cell.strip() for cell in row]):
                yield cells
    except csv.Error as error:
        raise DataError(f"a table ({error})", file=path) from None


def _without_index(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """Less the first column where it is unnamed and counts the rows, as pandas writes it unless told otherwise."""
    rows = list(rows)
    first = [row[0] for row in rows]
    if first[:1] in ([""], ["Unnamed: 0"]) and first[1:] == [str(k) for k in range(len(rows) - 1)]:
        rows = [row[1:] for row in rows]
    return iter(rows)


def _once(table: pd.DataFrame, key: str, path: Path, on_defect: Callable[[DataError], None]) -> pd.DataFrame:
    """One row for each value of `key`, and none for one about which the rows disagree."""
    table = table.assign(**{key: table[key].map(whole_number)}).drop_duplicates()
    twice = table[key].duplicated(keep=False)
    for value in table[key][twice].unique():
        on_defect(DataError("each once, or the same row again", file=path, field=key, value=value))
    return table[~twice].reset_index(drop=True)
