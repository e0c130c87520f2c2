"""What is being done, and for how long: on stderr, where that is a terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def working(what: str) -> Iterator[None]:
    """A line that says `what` and counts the seconds; what is printed meanwhile stands above it.

    Examples
    --------
    >>> with working("training the VAE"):
    ...     train("vae")
    """
    from tqdm import tqdm

    with tqdm(desc=what, bar_format="{desc} ... {elapsed}", leave=False, disable=None) as bar:
        if bar.disable:
            yield
            return
        done = threading.Event()

        def tick() -> None:
            while not done.wait(1):
                bar.refresh()

        clock = threading.Thread(target=tick, daemon=True)
        clock.start()
        try:
            with contextlib.redirect_stdout(_Above(sys.stdout)):
                yield
        finally:
            done.set()
            clock.join()


class _Above:
    """A stream that clears the line of progress before it writes."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text: str) -> int:
        from tqdm import tqdm

        with tqdm.external_write_mode(file=self.stream):
            return self.stream.write(text)

    def __getattr__(self, name: str):
        return getattr(self.stream, name)
