"""``python -m hldm.book``: what the Makefile calls."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from hldm.config import PROFILES


def main(arguments: list[str] | None = None) -> int:
    """Fetch the site's scripts, build the book, render it again, check or serve it; exits with 0 when all is well."""
    from hldm.book.site import ROOT

    parser = argparse.ArgumentParser(prog="python -m hldm.book", description=main.__doc__)
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--profile", choices=sorted(PROFILES), default="smoke")
    parser.add_argument("--output", type=Path, default=ROOT, help="folder that holds _build")
    parser.add_argument("--port", type=int, default=8000, help="of `serve`")
    parser.add_argument("--pictures", type=Path, help="folder for screenshots that `check` takes")
    options = parser.parse_args(arguments)
    return TASKS[options.task](options)


def _build(options) -> int:
    from hldm.book import build

    return _made(partial(build, options.output, profile=options.profile))


def _render(options) -> int:
    from hldm.book import render

    return _made(partial(render, options.output))


def _made(make: Callable[[], Path]) -> int:
    try:
        print("site:", make() / "book/intro.html")
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _fetch(options) -> int:
    from hldm.book.vendor import fetch_archives

    fetch_archives()
    return 0


def _links(options) -> int:
    from hldm.book import broken_links

    return _report(broken_links(_site(options)), "internal links")


def _check(options) -> int:
    from hldm.book.check import check_site, table

    build = options.output / "_build"
    visits = check_site(_site(options), executed=build / "book", pictures=options.pictures)
    print(table(visits))
    return _report([what for visit in visits for what in str(visit).splitlines()], "pages")


def _serve(options) -> int:
    from hldm.book.serve import served

    with served(_site(options), options.port) as address:
        print(f"{address}/book/intro.html (Ctrl-C ends)")
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


def _site(options) -> Path:
    return options.output / "_build" / "html"


def _report(problems: list, what: str) -> int:
    for problem in problems:
        print(problem)
    print(f"{what}: {len(problems) or 'no'} problems")
    return bool(problems)


TASKS = {
    "build": _build, "render": _render, "check": _check, "fetch": _fetch, "links": _links, "serve": _serve,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
