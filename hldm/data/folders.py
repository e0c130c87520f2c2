"""Finding files in a folder as people keep them: beside notes, hidden files, and what an archiver added."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hldm.data.errors import DataError


def files(folder: Path, *suffixes: str) -> Iterator[Path]:
    """The files in a folder with one of these endings in small or capital letters, in the order of their names.

    Hidden files are passed over, such as the ``._NAME`` that a Mac leaves beside each file.

    Raises
    ------
    DataError
        Where the folder cannot be read.
    """
    try:
        found = [
            path
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in suffixes and not path.name.startswith(".") and not path.is_dir()
        ]
    except OSError as error:
        raise DataError(f"a folder that can be read ({error.strerror})", file=folder) from None
    yield from found


def files_below(folder: Path, *suffixes: str) -> Iterator[Path]:
    """As `files`, in this folder and all below it but hidden ones and ``__MACOSX``."""
    yield from files(folder, *suffixes)
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not inner.name.startswith((".", "__MACOSX")):
            yield from files_below(inner, *suffixes)


def beside(path: Path) -> Path:
    """The file itself, or where there is none the one whose ending is in capital letters."""
    capital = path.with_suffix(path.suffix.upper())
    return capital if not path.exists() and capital.exists() else path
