"""Open every page in a real browser with the network cut: what would a reader miss, and what does a page weigh?"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat

from hldm.book import vendor
from hldm.book.browser import DESKTOP, PHONE, View, look, open_browser, photograph, press_tab
from hldm.book.links import pages_of
from hldm.book.serve import served

#: Cells with one of these tags show no output, or only after a click.
HIDDEN_OUTPUT = {"remove-cell", "remove-output", "hide-cell", "hide-output"}
#: Cells with one of these tags show no code, or only after a click.
HIDDEN_INPUT = {"remove-cell", "remove-input", "hide-cell", "hide-input"}
HEAVIEST = 3000.0  # kB that a page may load before its reader does anything, each file compressed
WIDEST = 79  # columns of a line of code: more are cut or broken on a page
GRAVE = ("serious", "critical")  # findings of axe that count


@dataclass(frozen=True)
class Visit:
    """What was found on one page in one view.

    Attributes
    ----------
    page : str
    view : View
    kilobytes : float
        What the page loaded before its reader did anything, each file compressed with gzip.
    axe : dict of str to int
        Findings of axe-core by impact.
    keys : dict of str to tuple of int
        Kinds of controls: how many the Tab key reaches, and how many there are. Empty where it was not tried.
    problems : list of str
    """

    page: str
    view: View
    kilobytes: float = 0.0
    axe: dict[str, int] = field(default_factory=dict)
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(f"{self.page} ({self.view}): {what}" for what in self.problems)


def check_site(
    site: Path,
    *,
    executed: Path | None = None,
    views: Sequence[View] = (DESKTOP, PHONE),
    pictures: Path | None = None,
    patience: float = 10,
) -> list[Visit]:
    """Open every page of a site in every view.

    Parameters
    ----------
    site : Path
        Folder of the HTML.
    executed : Path, optional
        Folder of the executed notebooks; every output in them must be visible on the page of that name.
    views : sequence of View
        In the first one sounds are played and the Tab key is pressed.
    pictures : Path, optional
        Folder for a full-length screenshot of every page and view.
    patience : float
        Seconds to wait for each figure, formula, widget or sound before it counts as missing.

    Returns
    -------
    list of Visit
        Their problems: console errors, failed or outgoing requests, missing outputs, figures, widgets and formulas,
        images without alternative text, sounds that do not play, grave findings of axe, controls that no key reaches,
        pages that are too heavy or wider than the screen.

    Raises
    ------
    RuntimeError
        If no Chromium is installed, axe-core cannot be fetched, or the site has no page.
    """
    pages = [path.relative_to(site).as_posix() for path in pages_of(site)]
    visits, axe = [], vendor.axe()
    with served(site) as address, open_browser() as driver:
        for view in views:
            look(driver, view)
            for page in pages:
                visit = Visit(page, view, problems=_code_too_wide(executed, page) if view == views[0] else [])
                visits.append(_look_at(driver, address, site, visit, axe, executed, patience, view == views[0]))
                if pictures:
                    name = f"{page.removesuffix('.html').replace('/', '-')}-{view.width}-{view.scheme}.png"
                    photograph(driver, view, pictures / name)
    return visits


def table(visits: Sequence[Visit]) -> str:
    """A line for each page and view: weight, findings of axe, what the Tab key reaches, problems."""
    lines = [f"{'page':<28} {'view':<14} {'kB':>6}  {'axe':<24} keys"]
    for visit in visits:
        axe = ", ".join(f"{count} {impact}" for impact, count in visit.axe.items()) or "nothing"
        keys = ", ".join(f"{kind} {reached}/{there}" for kind, (reached, there) in visit.keys.items())
        problems = f"  {len(visit.problems)} problems" if visit.problems else ""
        lines.append(f"{visit.page:<28} {visit.view!s:<14} {visit.kilobytes:>6.0f}  {axe:<24} {keys}{problems}")
    return "\n".join(lines)


def _look_at(driver, address: str, site: Path, visit: Visit, axe: str, executed, patience: float, first: bool) -> Visit:
    driver.get_log("performance"), driver.get_log("browser")  # what the page before left
    url = f"{address}/{visit.page}"
    driver.get(url)
    driver.execute_async_script(_script("settle.js"))
    log = driver.get_log("performance")
    kilobytes = _weight(log, site, address)
    problems = [*visit.problems]
    if kilobytes > HEAVIEST:
        problems.append(f"weight: {kilobytes:.0f} kB before the first interaction, at most {HEAVIEST:.0f} expected")
    problems += driver.execute_async_script(
        _script("check.js"), _expected_outputs(executed, visit.page), patience, first
    )
    impacts: dict[str, int] = {}
    driver.execute_script(axe)
    for rule, impact, elements in driver.execute_async_script(_script("axe.js")):
        impacts[impact] = impacts.get(impact, 0) + len(elements)
        if impact in GRAVE:
            problems.append(f"axe: {rule} ({impact}) of {len(elements)}: {elements[0]}")
    keys = _press_keys(driver, problems) if first else {}
    problems += [f"console: {entry['message']}" for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    problems += _failed_requests([*log, *driver.get_log("performance")], url)
    return Visit(visit.page, visit.view, kilobytes, impacts, keys, problems)


def _script(name: str) -> str:
    return files("hldm.book").joinpath(name).read_text(encoding="utf-8")


def _weight(log: list[dict], site: Path, address: str) -> float:
    """Compressed kB of the files that were asked for."""
    events = [json.loads(entry["message"])["message"] for entry in log]
    urls = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    paths = {site / unquote(urlsplit(url).path).lstrip("/") for url in urls if url.startswith(address)}
    return sum(_compressed(path) for path in paths if path.is_file()) / 1000


@cache
def _compressed(path: Path) -> int:
    content = path.read_bytes()
    return min(len(content), len(gzip.compress(content)))


def _press_keys(driver, problems: list[str]) -> dict[str, tuple[int, int]]:
    """Press Tab through the text of the page, and see what gets the focus."""
    there = driver.execute_script(f"{_script('keys.js')}; return hldmKeys.start();")
    reached, before = [], -1
    while len(reached) < there and len(reached) > before:  # a player takes several presses
        before = len(reached)
        for _ in range(40):
            press_tab(driver)
        reached = driver.execute_script("return hldmKeys.reached();")
    found, missed = driver.execute_script("return hldmKeys.end();")
    problems += [f"keyboard: Tab does not reach {what}" for what in missed]
    return {kind: tuple(counts) for kind, counts in found.items()}


def _failed_requests(log: list[dict], page: str) -> Iterator[str]:
    """Requests that failed, and those that left the site: with a network they might have worked unnoticed."""
    urls, own = {}, urlsplit(page).netloc
    for message in (json.loads(entry["message"])["message"] for entry in log):
        what = message["params"]
        if message["method"] == "Network.requestWillBeSent":
            urls[what["requestId"]] = url = what["request"]["url"]
            if urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).netloc != own:
                yield f"request: {url} leaves the site"
        elif message["method"] == "Network.loadingFailed" and not what.get("canceled"):
            yield f"request: {urls.get(what['requestId'], 'unknown')} failed with {what['errorText']}"
        elif message["method"] == "Network.responseReceived" and what["response"]["status"] >= 400:
            yield f"request: {what['response']['url']} answered {what['response']['status']}"


def _cells(executed: Path | None, page: str) -> list | None:
    """Cells of the executed notebook; None where the page is no notebook."""
    path = executed and executed / Path(page).with_suffix(".ipynb").name
    return nbformat.read(path, as_version=4).cells if path and path.exists() else None


def _expected_outputs(executed: Path | None, page: str) -> int | None:
    """How many cells of the executed notebook show an output; None where the page is no notebook."""
    cells = _cells(executed, page)
    if cells is None:
        return None
    return sum(bool(cell.get("outputs")) and not HIDDEN_OUTPUT & set(cell.metadata.get("tags", [])) for cell in cells)


def _code_too_wide(executed: Path | None, page: str) -> list[str]:
    shown = [
        cell.source.splitlines()
        for cell in _cells(executed, page) or []
        if cell.cell_type == "code" and not HIDDEN_INPUT & set(cell.metadata.get("tags", []))
    ]
    wide = [line for lines in shown for line in lines if len(line) > WIDEST]
    return [f"code: {len(wide)} lines of more than {WIDEST} columns, such as {wide[0].strip()}"] if wide else []
