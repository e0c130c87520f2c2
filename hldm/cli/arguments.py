"""What several commands take, and the numbers they accept."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from hldm.config import PROFILES
from hldm.data.errors import DataError
from hldm.paths import circor_folder


def _accepted(kind: type, fits: Callable[[float], bool], name: str) -> Callable[[str], float]:
    """A reader of numbers for argparse, which quotes its name: "invalid seed from 0 to 2**63 - 1 value: '-1'"."""

    def read(text: str):
        number = kind(text)
        if not fits(number):
            raise ValueError
        return number

    read.__name__ = name
    return read


seed = _accepted(int, lambda number: 0 <= number < 2**63, "seed from 0 to 2**63 - 1")
count = _accepted(int, lambda number: number >= 1, "number above 0")
several = _accepted(int, lambda number: number >= 3, "number above 2")
scale = _accepted(float, lambda number: 0 <= number < float("inf"), "number from 0")


def add_profile(parser: argparse.ArgumentParser) -> None:
    """``--profile``: how much work."""
    parser.add_argument("--profile", choices=list(PROFILES), default="smoke", help="how much work (default: smoke)")


def corpus(options) -> Path:
    """The corpus that was named, here or in the environment."""
    folder = options.corpus or circor_folder()
    if folder is None:
        raise DataError("a corpus folder, as the argument CORPUS or in the variable HLDM_CIRCOR")
    return folder
