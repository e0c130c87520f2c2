"""Reading text and tables that others wrote, with every defect named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hldm.data.errors import DataError


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises
    ------
    DataError
        Where the file is missing or no text.
    """
    if not path.is_file():
        raise DataError("a text file", file=path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("text in UTF-8", file=path, value=str(error)) from None


def read_csv(path: Path, columns: Sequence[str] = (), names: Sequence[str] | None = None) -> pd.DataFrame:
    """A table as stripped text: every cell a string, ``nan`` and empty cells left as they are.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        The header has at least these.
    names : sequence of str, optional
        For a table without a header: what its columns are called.

    Raises
    ------
    DataError
        Where the file is missing, no table, or short of a column.
    """
    if not path.is_file():
        raise DataError("a table", file=path)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, header=None if names else 0, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"a table ({error})", file=path) from None
    if names:
        if len(table.columns) != len(names):
            raise DataError(f"the columns {list(names)}", file=path, field="columns", value=len(table.columns))
        table.columns = list(names)
    if missing := [column for column in columns if column not in table]:
        raise DataError(f"the column {missing[0]!r}", file=path, field="columns", value=list(table))
    return table.apply(lambda column: column.str.strip())
