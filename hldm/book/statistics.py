"""The page of execution statistics: what the book cost, and what it was made with."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

import psutil

from hldm.book.execute import Run
from hldm.config import PROFILES
from hldm.paths import circor_folder

#: What shapes the numbers on the pages.
SHOWN_VERSIONS = (
    "hldm", "torch", "torch-geometric", "transformers", "diffusers", "numpy", "scipy", "librosa", "wfdb",
    "scikit-learn", "plotly", "papermill", "jupyter-book",
)  # fmt: skip

PAGE = """# Execution statistics

Every chapter of this site was executed from top to bottom, just before the site was built. The numbers below come
from that run; nothing on this page is written by hand.

## Chapters

{chapters}

Memory is the largest resident size of the chapter's kernel together with the processes it started.

## Machine and data

{machine}

## Versions

{versions}
"""


def statistics_page(runs: list[Run], profile: str) -> str:
    """The statistics page in Markdown.

    Parameters
    ----------
    runs : list of Run
        One for each chapter, in the order of the book.
    profile : str
    """
    chapters = [[f"[](./{r.chapter}.ipynb)", f"{r.seconds:.1f}", f"{r.peak_gigabytes:.2f}"] for r in runs]
    total = f"**{sum(r.seconds for r in runs):.1f}**"
    highest = f"**{max((r.peak_gigabytes for r in runs), default=0):.2f}**"
    chapters.append(["**together**", total, highest])
    return PAGE.format(
        chapters=_table(["Chapter", "Time (s)", "Peak memory (GB)"], chapters),
        machine=_table(["Item", "Value"], [*_machine(), *_data(profile)]),
        versions=_table(["Package", "Version"], [[name, version(name)] for name in SHOWN_VERSIONS]),
    )


def _machine() -> list[list[str]]:
    import torch

    device = "CPU only"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        ["Executed on", f"{datetime.now(UTC):%d %B %Y, %H:%M} UTC"],
        ["Device", device],
        ["CPU cores", str(cores)],
        ["Memory", f"{psutil.virtual_memory().total / 1e9:.0f} GB"],
        ["System", f"{platform.system()} {platform.machine()}"],
        ["Python", platform.python_version()],
    ]


def _data(profile: str) -> list[list[str]]:
    budget = PROFILES[profile]
    patients = "all" if budget.max_patients is None else f"at most {budget.max_patients}"
    heart_sounds = "CirCor DigiScope, as published" if circor_folder() else "the simulated corpus of this project"
    return [
        ["Profile", f"`{profile}` ({patients} patients for each training)"],
        ["Heart sounds", heart_sounds],
    ]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
