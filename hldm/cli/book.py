"""``hldm book``: execute, render and check the book."""

from __future__ import annotations

from hldm.cli import arguments
from hldm.data.errors import DataError


def add_to(command) -> None:
    """Add the command to the parser."""
    sub = command("book", book, "execute the chapters and render the site to _build/html; needs a checkout")
    sub.add_argument("task", nargs="?", default="build", choices=["build", "render", "links", "check", "serve"])
    arguments.add_profile(sub)


def book(options) -> int:
    """Hand over to ``python -m hldm.book``."""
    from hldm.book.__main__ import main
    from hldm.book.site import ROOT

    if not (ROOT / "_toc.yml").is_file():
        raise DataError("a checkout of the project: the installed package has no chapters", file=ROOT)
    return main([options.task, "--profile", options.profile])
