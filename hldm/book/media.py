"""Sounds and pictures out of the pages into files, so that a page loads them when they are wanted, and each once."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from functools import partial
from pathlib import Path

KINDS = {"audio/wav": "wav", "image/png": "png"}
_URI = re.compile(rf'"data:({"|".join(KINDS)});base64,([A-Za-z0-9+/=]+)"')


def take_out(site: Path) -> None:
    """Write every sound and picture that a page of the site holds as a data URI to ``site/_media``, named by content.

    The notebooks keep theirs: whoever runs one has no site beside it.
    """
    folder = site / "_media"
    folder.mkdir(exist_ok=True)
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        there = os.path.relpath(folder, page.parent).replace(os.sep, "/")
        less = _URI.sub(partial(_reference, folder, there), text)
        if less != text:
            page.write_text(less, encoding="utf-8")


def _reference(folder: Path, there: str, uri: re.Match) -> str:
    """Write what the URI holds; gives the attribute that names the file."""
    content = base64.b64decode(uri[2])
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.{KINDS[uri[1]]}"
    (folder / name).write_bytes(content)
    return f'"{there}/{name}"'
