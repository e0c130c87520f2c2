"""A published folder's own ``SHA256SUMS.txt``: reading it, and finding the files that are not as it says."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from hldm.data.errors import DataError
from hldm.data.text import read_text

SUMS = "SHA256SUMS.txt"


def read_sums(folder: Path) -> dict[str, str]:
    """File names and SHA-256 sums from a folder's ``SHA256SUMS.txt``.

    Raises
    ------
    DataError
        For a line of another form, a name that leaves the folder, and two sums for one file.
    """
    path = folder / SUMS
    sums: dict[str, str] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *]?(\S.*)", line.rstrip())
        if not match:
            raise DataError("a SHA-256 sum and a file name", file=path, field=f"line {number}", value=line[:120])
        sum_, name = match[1].lower(), match[2].removeprefix("./")
        if not _stays_inside(name, folder):
            raise DataError("a file inside the folder", file=path, field=f"line {number}", value=name)
        if sums.setdefault(name, sum_) != sum_:
            raise DataError("one sum per file", file=path, field=f"line {number}", value=name)
    sums.pop(SUMS, None)
    return sums


def _stays_inside(name: str, folder: Path) -> bool:
    parts = PurePosixPath(name).parts
    plain = not re.search(r"[\\:\x00-\x1f]", name) and not name.startswith("/") and ".." not in parts
    # A link planted in the folder must not lead out of it either.
    return plain and Path(os.path.realpath(folder / name)).is_relative_to(os.path.realpath(folder))


def digest(path: Path) -> str:
    """SHA-256 sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differing(folder: Path) -> Iterator[DataError]:
    """A problem for each file that is there and has another sum; those that are not there are passed over."""
    for name, expected in read_sums(folder).items():
        path = folder / name
        try:
            if not path.is_file():
                continue
            found = digest(path)
        except OSError as error:
            yield DataError(f"a file that can be read ({error.strerror})", file=path)
            continue
        if found != expected:
            yield DataError(f"{expected}, as in {SUMS}", file=path, field="sha256", value=found)
