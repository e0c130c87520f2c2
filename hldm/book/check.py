"""Open every page in a real browser with the network cut, and list what a reader would miss."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import nbformat

from hldm.book.links import pages_of

#: Cells with one of these tags show no output, or only after a click.
HIDDEN_OUTPUT = {"remove-cell", "remove-output", "hide-cell", "hide-output"}
SECONDS_PER_PAGE = 120


@dataclass(frozen=True)
class View:
    """How a reader looks at a page: width and height in CSS pixels, and colour scheme."""

    width: int
    height: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width} px, {self.scheme}"


DESKTOP = View(1280, 900, "light")
PHONE = View(390, 844, "dark")


@dataclass(frozen=True)
class Problem:
    """Something wrong on a page, and how it was looked at."""

    page: str
    view: View
    what: str

    def __str__(self) -> str:
        return f"{self.page} ({self.view}): {self.what}"


def find_browser() -> tuple[str, str] | None:
    """Paths of Chromium and its driver, or None where one of them is not installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def check_site(
    site: Path,
    *,
    executed: Path | None = None,
    views: Sequence[View] = (DESKTOP, PHONE),
    pictures: Path | None = None,
    patience: float = 10,
) -> list[Problem]:
    """Open every page of a site in every view.

    Parameters
    ----------
    site : Path
        Folder of the HTML.
    executed : Path, optional
        Folder of the executed notebooks; every output in them must be visible on the page of that name.
    views : sequence of View
    pictures : Path, optional
        Folder for a full-length screenshot of every page and view.
    patience : float
        Seconds to wait for each figure, formula, widget or sound before it counts as missing.

    Returns
    -------
    list of Problem
        Console errors, failed or outgoing requests, missing outputs, figures, widgets and formulas, images without
        alternative text, sounds that do not play, faint text on figures, pages wider than the screen.

    Raises
    ------
    RuntimeError
        If no Chromium is installed, or the site has no page.
    """
    pages = [path.relative_to(site).as_posix() for path in pages_of(site)]
    problems = []
    with _serve(site) as address, _browser() as driver:
        for view in views:
            _look(driver, view)
            for page in pages:
                found = _check_page(driver, f"{address}/{page}", _expected_outputs(executed, page), patience)
                problems += [Problem(page, view, what) for what in found]
                if pictures:
                    name = f"{page.removesuffix('.html').replace('/', '-')}-{view.width}-{view.scheme}.png"
                    _photograph(driver, view, pictures / name)
    return problems


def _check_page(driver, url: str, outputs: int | None, patience: float) -> list[str]:
    driver.get_log("performance"), driver.get_log("browser")  # what the page before left
    driver.get(url)
    script = files("hldm.book").joinpath("check.js").read_text(encoding="utf-8")
    found = driver.execute_async_script(script, outputs, patience)
    found += [f"console: {entry['message']}" for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    return found + list(_failed_requests(driver.get_log("performance"), url))


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


def _expected_outputs(executed: Path | None, page: str) -> int | None:
    """How many cells of the executed notebook show an output; None where the page is no notebook."""
    path = executed and executed / Path(page).with_suffix(".ipynb").name
    if not path or not path.exists():
        return None
    cells = nbformat.read(path, as_version=4).cells
    return sum(bool(cell.get("outputs")) and not HIDDEN_OUTPUT & set(cell.metadata.get("tags", [])) for cell in cells)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing: failed requests are the browser's to report, and it may leave before an answer is complete."""

    def log_message(self, *_):
        pass

    def handle(self):
        with suppress(ConnectionError):
            super().handle()


@contextmanager
def _serve(site: Path) -> Iterator[str]:
    """Serve a folder on this machine; gives its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def _browser():
    """A headless Chromium that resolves no name and may play sound without a click."""
    from selenium import webdriver

    found = find_browser()
    if not found:
        raise RuntimeError("found no chromium with chromedriver, expected both on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location, driver_path = found
    for flag in (
        "headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "no-proxy-server", "mute-audio",
        "disable-background-networking", "disable-component-update", "hide-scrollbars",
        "autoplay-policy=no-user-gesture-required", "host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    driver.set_script_timeout(SECONDS_PER_PAGE)
    try:
        yield driver
    finally:
        driver.quit()


def _look(driver, view: View) -> None:
    metrics = {"width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": view.width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"features": [{"name": "prefers-color-scheme", "value": view.scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)


def _photograph(driver, view: View, path: Path) -> None:
    """The whole page, however long, in a window of that height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height = driver.execute_script("return document.documentElement.scrollHeight")
    _look(driver, replace(view, height=height))
    time.sleep(1)  # for what moves when the window grows
    driver.save_screenshot(str(path))
    _look(driver, view)
