"""The one exception for malformed data."""

from __future__ import annotations

import os


class DataError(ValueError):
    """Data that is not what its format promises.

    Parameters
    ----------
    expected : str
        What a correct file would have held, in words a person can act on.
    file : path, optional
        The file at fault.
    field : str, optional
        The field, column or line within it.
    value : object, optional
        What was found there.
    """

    def __init__(
        self,
        expected: str,
        *,
        file: str | os.PathLike | None = None,
        field: str | None = None,
        value: object = None,
    ):
        self.expected, self.file, self.field, self.value = expected, file, field, value
        where = ": ".join(str(part) for part in (file, field) if part is not None)
        found = "" if value is None else f"found {value!r}, "
        super().__init__(f"{where + ': ' if where else ''}{found}expected {expected}")
