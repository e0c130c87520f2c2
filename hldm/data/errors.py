"""The one exception for malformed data, and what is done with what a corpus has to leave out."""

from __future__ import annotations

import os
import warnings
from functools import partial


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

    def __reduce__(self):
        """Whole through a process pool, which by default hands on the message alone."""
        told = {"file": self.file, "field": self.field, "value": self.value}
        return partial(type(self), self.expected, **told), ()


def refuse(problem: DataError) -> None:
    """Raise it."""
    raise problem


class Defects:
    """What a corpus leaves out while it is read: a defect of one file costs that file, and is said once.

    Parameters
    ----------
    strict : bool
        Raise the first defect instead.

    Attributes
    ----------
    problems : list of DataError
        Each names a file and what is wrong with it.
    """

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.problems: list[DataError] = []
        self._said: set[str] = set()

    def __call__(self, problem: DataError) -> None:
        if self.strict:
            raise problem
        if str(problem) not in self._said:
            self._said.add(str(problem))
            self.problems.append(problem)
            warnings.warn(f"left out: {problem}", stacklevel=4)  # where somebody iterates

    def attempt(self, read, *args):
        """What `read` returns; None, and the defect noted, where it cannot."""
        try:
            return read(*args)
        except DataError as problem:
            self(problem)
            return None
