"""The command line: ``hldm download / simulate / check / graph / train / generate / evaluate / book``.

One file for each group of commands. Each imports what it needs when it runs, so that ``hldm --help`` answers at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from hldm import __version__
from hldm.cli import book, data, evaluate, generate, train
from hldm.data.errors import DataError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0 when all is well, 1 when a check found problems, 2 when the user, the data or the disk is at fault (one line
        on stderr says how), 130 when interrupted, 141 when nobody reads the output any more.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a pipe may know fewer letters than we write
    options = _parser().parse_args(arguments)
    try:
        status = options.run(options) or 0
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "hldm":
            raise
        return _fail(f"{error.name} is not installed; the book needs: pip install 'hldm[book]'")
    except BrokenPipeError:
        _forget_output()
        return 141
    except (DataError, OSError) as error:
        _forget_output()
        return _fail(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return status


def _fail(message: object) -> int:
    print("hldm:", " ".join(str(message).split()), file=sys.stderr)
    return 2


def _forget_output() -> None:
    """Send what stdout could not write to nowhere, or Python tries again when it ends, and complains."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hldm", description="Heart sounds from clinical metadata.")
    parser.add_argument("--version", action="version", version=f"hldm {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        sub.set_defaults(run=run)
        return sub

    for group in (data, train, generate, evaluate, book):
        group.add_to(command)
    return parser
