"""From notebooks to a site: execute every chapter, write the statistics page, fetch assets, run jupyter-book."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from hldm.book.execute import ChapterError, Run, execute
from hldm.book.media import take_out
from hldm.book.statistics import statistics_page
from hldm.book.vendor import fetch_assets

ROOT = Path(__file__).resolve().parents[2]


def build(output: Path = ROOT, *, profile: str = "smoke", say: Callable[[str], None] = print) -> Path:
    """Execute the whole book and render it.

    Parameters
    ----------
    output : Path
        Everything is written below ``output/_build``: executed chapters in ``book``, the site in ``html``.
    profile : str
        ``"smoke"``, ``"laptop"`` or ``"gpu"``.
    say : callable
        Receives one line of progress at a time.

    Returns
    -------
    Path
        The site's folder.

    Raises
    ------
    ChapterError
        If chapters failed: one message with every name and traceback. No site is rendered then.
    RuntimeError
        If an asset cannot be fetched or jupyter-book warned.
    """
    staged = output / "_build" / "book"
    shutil.rmtree(staged, ignore_errors=True)
    runs, failures = _execute_all(staged, profile, say)
    if failures:
        raise ChapterError("\n\n".join(map(str, failures)))
    (staged / "statistics.md").write_text(statistics_page(runs, profile), encoding="utf-8")
    return render(output)


def _execute_all(staged: Path, profile: str, say) -> tuple[list[Run], list[ChapterError]]:
    runs, failures = [], []
    for source in sorted((ROOT / "book").glob("*.ipynb")):
        try:
            run = execute(source, staged / source.name, profile=profile)
        except ChapterError as error:
            failures.append(error)
            say(f"{source.stem:<20} failed")
        else:
            runs.append(run)
            say(f"{run.chapter:<20} {run.seconds:6.1f} s  {run.peak_gigabytes:5.2f} GB")
    return runs, failures


def render(output: Path = ROOT) -> Path:
    """Render the executed chapters below ``output/_build/book`` and the book's other pages, with warnings as errors.

    Returns
    -------
    Path
        The site's folder.

    Raises
    ------
    RuntimeError
        If an asset cannot be fetched or jupyter-book warned.
    """
    folder = output / "_build"
    fetch_assets(folder / "assets")
    shutil.rmtree(folder / "html", ignore_errors=True)
    not_executed = shutil.ignore_patterns(".ipynb_checkpoints", "*.ipynb")
    shutil.copytree(ROOT / "book", folder / "book", ignore=not_executed, dirs_exist_ok=True)
    shutil.copy(ROOT / "_toc.yml", folder / "_toc.yml")
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["--config", ROOT / "_config.yml", "--path-output", output, "--all", "-W", "--keep-going", "-q"]
    done = subprocess.run([*jupyter_book, "build", folder, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"jupyter-book failed:\n{done.stdout}\n{done.stderr}")
    take_out(folder / "html")
    return folder / "html"
