"""Execute chapters with papermill and measure what each one costs."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil

#: Set while a chapter runs for the site; `hldm.show` then writes figures for pages instead of a live notebook.
BOOK_VARIABLE = "HLDM_BOOK"


class ChapterError(RuntimeError):
    """A chapter did not run to its end; the message holds its name and traceback."""


@dataclass(frozen=True)
class Run:
    """What one execution of a chapter cost.

    Attributes
    ----------
    chapter : str
        File name without extension.
    seconds : float
    peak_bytes : int
        Largest resident memory seen, summed over the kernel and its children.
    """

    chapter: str
    seconds: float
    peak_bytes: int

    @property
    def peak_gigabytes(self) -> float:
        return self.peak_bytes / 1e9


class _PeakMemory:
    """Sample the resident memory of this process's descendants (the kernel and its workers)."""

    def __init__(self, interval: float = 0.1):
        self.interval = interval  # s
        self.peak = 0  # bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._before = {child.pid for child in psutil.Process().children(recursive=True)}
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(self.interval):
            self.peak = max(self.peak, sum(map(self._resident, psutil.Process().children(recursive=True))))

    def _resident(self, process: psutil.Process) -> int:
        try:
            return 0 if process.pid in self._before else process.memory_info().rss
        except psutil.Error:  # it has ended between listing and asking
            return 0


def execute(source: Path, target: Path, *, profile: str = "smoke") -> Run:
    """Execute one chapter and write the executed copy.

    Parameters
    ----------
    source, target : Path
        The chapter and its executed copy. The kernel works in an empty folder, so that no chapter can depend on
        where it was started.
    profile : str
        Handed to the chapter as its parameter `profile`.

    Returns
    -------
    Run

    Raises
    ------
    ChapterError
        If a cell raises; the executed copy up to that cell is at `target`.
    """
    import papermill

    target.parent.mkdir(parents=True, exist_ok=True)
    os.environ[BOOK_VARIABLE] = "1"
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder, _PeakMemory() as memory:
            papermill.execute_notebook(
                str(source.resolve()),
                str(target.resolve()),
                parameters={"profile": profile},
                cwd=folder,
                progress_bar=False,
                extra_arguments=["--log-level=40"],  # errors: its warning of eavesdroppers alarms whoever builds a book
            )
    except papermill.PapermillExecutionError as error:
        raise ChapterError(f"{source.name}: cell {error.exec_count} failed\n{error}") from None
    finally:
        del os.environ[BOOK_VARIABLE]
    run = Run(source.stem, time.perf_counter() - started, memory.peak)
    _prepare_for_page(target, run, profile)
    return run


def _prepare_for_page(path: Path, run: Run, profile: str) -> None:
    """Hide what papermill injected, drop its machine-dependent notes, and state the costs at the end."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)  # what needs a kernel is not on the page
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            cell.metadata["tags"] = [*tags, "remove-input"]
    cost = f"{run.seconds:.1f} s and at most {run.peak_gigabytes:.2f} GB of memory"
    note = f"---\n*This page was executed with the profile `{profile}`: {cost}.*"
    notebook.cells.append(nbformat.v4.new_markdown_cell(note))
    nbformat.write(notebook, path)
