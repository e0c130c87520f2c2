"""The sources of the chapters keep to what the page has room for, and add up."""

import re

import nbformat
import pytest

from hldm.book.site import ROOT

WIDTH, HEIGHT = 79, 15
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_code_fits_the_page(path):
    """On a phone a line that is too wide scrolls, and so does a solution inside a text cell."""
    sources = [cell.source for cell in cells(path, "code")]
    assert not [source for source in sources if len(source.splitlines()) > HEIGHT]
    for cell in cells(path, "markdown"):
        sources += re.findall(r"```python\n(.*?)```", cell.source, re.DOTALL)
    assert not [line for source in sources for line in source.splitlines() if len(line) > WIDTH]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_cell_shows_a_figure_that_it_only_prepares(path):
    """A last line such as `figure.update_layout(...)` would put the figure on the page without its alternative text."""
    last = [cell.source.rstrip().splitlines()[-1] for cell in cells(path, "code") if cell.source.strip()]
    assert not [line for line in last if line.startswith(("figure.", "fig."))]


@pytest.mark.parametrize("path", CHAPTERS[:6], ids=lambda path: path.stem)
def test_the_minutes_of_the_exercises_add_up(path):
    texts = [cell.source for cell in cells(path, "markdown")]
    stated = re.search(r"exercises another\s+(\d+)", texts[0])
    each = re.findall(r"^### .*\((\d+) minutes\)$", "\n".join(texts), re.MULTILINE)
    assert int(stated[1]) == sum(map(int, each))
