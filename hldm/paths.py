"""Where things lie: the environment, caches, weights, and the one way to write a file whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _folder(variable: str, default: Path | None) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else default


def data_folder() -> Path:
    """The project's own ``data`` folder: weights and the small simulated corpus."""
    return Path(__file__).resolve().parents[1] / "data"


def weights_folder() -> Path:
    """Trained weights: ``HLDM_WEIGHTS``, or the ones shipped with the project."""
    return _folder("HLDM_WEIGHTS", data_folder() / "weights")


def shared_weights(name: str, folder: str | os.PathLike | None = None) -> Path:
    """Weights that others build on, of an encoder or the judge: in `folder`, else `weights_folder`, else as shipped."""
    places = (*([Path(folder)] if folder else []), weights_folder(), data_folder() / "weights")
    return next((place / name for place in places if (place / name).exists()), places[-1] / name)


def cache_folder() -> Path:
    """Downloads and cached features: ``HLDM_CACHE``, or ``~/.cache/hldm``."""
    return _folder("HLDM_CACHE", Path.home() / ".cache" / "hldm")


def circor_folder() -> Path | None:
    """CirCor in its published layout: ``HLDM_CIRCOR``, or None where it is not set."""
    return _folder("HLDM_CIRCOR", None)


def simulated_folder() -> Path:
    """The small simulated corpus that comes with the project, in CirCor's layout."""
    return data_folder() / "simulated"


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A name beside `path` to write to; what stands there is renamed to `path` when all went well, else removed.

    The one way to write a file: it is there whole or not at all.

    Examples
    --------
    >>> with replacing("table.csv") as partial:
    ...     partial.write_text("a,b")
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
