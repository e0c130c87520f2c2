"""Where things lie: the environment, caches, weights, and the one way to write a file whole."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: two processes on one output are not kept apart there
    fcntl = None

#: Stands in every folder where something is being made; locked as long as somebody is at work there.
MARKER = ".hldm"


def _folder(variable: str, default: Path | None) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else default


def data_folder() -> Path:
    """Weights and the small simulated corpus: in the installed package, or in ``data`` of a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "shipped"  # where setup.py puts it
    return installed if installed.is_dir() else package.parent / "data"


def weights_folder() -> Path:
    """Trained weights: ``HLDM_WEIGHTS``, or the ones shipped with the project."""
    return _folder("HLDM_WEIGHTS", data_folder() / "weights")


def shared_weights(name: str, folder: str | os.PathLike | None = None) -> Path:
    """Weights that others build on, of an encoder or the judge: in `folder`, else `weights_folder`, else as shipped."""
    places = (*([Path(folder)] if folder else []), weights_folder(), data_folder() / "weights")
    return next((place / name for place in places if (place / name).exists()), places[-1] / name)


def cache_folder() -> Path:
    """Downloads and cached features: ``HLDM_CACHE``, or ``~/.cache/hldm``; temporary where there is no home."""
    home = _home()
    usable = (home / ".cache" / "hldm").is_dir() or os.access(home, os.W_OK)
    return _folder("HLDM_CACHE", (home if usable else _temporary_home()) / ".cache" / "hldm")


def _temporary_home() -> Path:
    return Path(tempfile.gettempdir()) / f"hldm-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _home() -> Path:
    """The home directory. Where this user has none, the process gets one: other libraries cannot do without."""
    try:
        return Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(_temporary_home())
        return _temporary_home()


_home()  # before any of them is imported


def circor_folder() -> Path | None:
    """CirCor in its published layout: ``HLDM_CIRCOR``, or None where it is not set."""
    return _folder("HLDM_CIRCOR", None)


def simulated_folder() -> Path:
    """The small simulated corpus that comes with the project, in CirCor's layout."""
    return data_folder() / "simulated"


@contextmanager
def replacing(path: str | os.PathLike, *, wait: bool = True) -> Iterator[Path]:
    """A name to write a file or a folder at; what stands there is moved to `path` when all went well, else removed.

    The one way to write: it is there whole or not at all, also after a kill or on a full disk.

    Parameters
    ----------
    path : path
        A file is replaced; a folder may not be there, or be empty.
    wait : bool
        Whether to wait for another process that writes the same; otherwise that is an error.

    Raises
    ------
    OSError
        As of `workplace`, and where the disk is full.

    Examples
    --------
    >>> with replacing("table.csv") as partial:
    ...     partial.write_text("a,b")
    """
    path = Path(path)
    with workplace(path.with_name(f".{path.name}.partial"), wait=wait) as folder:
        partial = folder / path.name
        try:
            yield partial
        except Exception as error:
            full = os.strerror(errno.ENOSPC)
            if full not in str(error) and shutil.disk_usage(folder).free > 64 << 10:
                raise
            raise OSError(errno.ENOSPC, full, str(path)) from error  # other libraries have other errors for it
        if partial.is_dir():
            if path.is_dir():
                path.rmdir()  # Windows does not move a folder onto an empty one
        else:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())  # some file systems tell only now that the disk is full
        os.replace(partial, path)


@contextmanager
def workplace(folder: str | os.PathLike, *, wait: bool = False, keep: bool = False) -> Iterator[Path]:
    """A folder where something is made, this process's alone while the context lasts, and gone afterwards.

    A marker, which is empty, tells it from a folder of somebody else's with that name, so what a killed process left
    is cleaned up, and nothing of the user's ever is.

    Parameters
    ----------
    folder : path
        Its parent is there.
    wait : bool
        Whether to wait for another process at work there; otherwise that is an error.
    keep : bool
        Whether what is in it outlasts a failure or a kill, for the next run to go on with.

    Raises
    ------
    FileExistsError
        Where something stands there that this program did not make.
    BlockingIOError
        Where another process is at work and `wait` is false.
    """
    folder = Path(folder)
    lock = _take(folder, wait)
    done = False
    try:
        if not keep:
            _empty(folder)
        yield folder
        done = True
    finally:
        if done or not keep:
            _empty(folder)
            with suppress(OSError):  # a process that waited has moved in
                (folder / MARKER).unlink()
                folder.rmdir()
        lock.close()


def clean(folder: str | os.PathLike) -> None:
    """Remove what runs that were killed left of single files in a folder; what somebody is at work on stays."""
    for marker in Path(folder).glob(f".*.partial/{MARKER}"):
        with suppress(OSError), workplace(marker.parent):
            pass


def _take(folder: Path, wait: bool) -> IO[str]:
    """Make a folder with its marker, or take over one that has it; returns the locked marker."""
    marker, foreign = folder / MARKER, FileExistsError(f"{folder} is in the way: hldm did not make it; move it away")
    while True:
        if folder.is_symlink() or folder.is_file():
            raise foreign
        with suppress(FileExistsError):  # not exist_ok, which fails where another process removes it just then
            folder.mkdir()
        with suppress(FileNotFoundError):  # whoever was at work here has just removed it: once more
            there = os.listdir(folder)
            if there and (MARKER not in there or marker.stat().st_size):
                raise foreign
            lock = marker.open("a", encoding="utf-8")
            try:
                _lock(lock, wait)
                if os.path.samestat(os.fstat(lock.fileno()), marker.stat()):
                    return lock
            except BlockingIOError:
                lock.close()
                raise BlockingIOError(f"{folder}: another hldm process is making this; let it finish first") from None
            except BaseException:
                lock.close()
                raise
            lock.close()


def _lock(file: IO[str], wait: bool) -> None:
    """Lock a file until it is closed or its process ends; file systems that know no locks do without."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return


def _empty(folder: Path) -> None:
    """Remove everything but the marker."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARKER:
            path.unlink()
