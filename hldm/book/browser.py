"""A headless Chromium that looks at a page as a reader does: a width, a height, light or dark."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

SECONDS_PER_PAGE = 120
PICTURE = 3000  # px, height of a screenshot


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


def find_browser() -> tuple[str, str] | None:
    """Paths of Chromium and its driver, or None where one of them is not installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def open_browser():
    """A headless Chromium that resolves no name and may play sound without a click.

    Raises
    ------
    RuntimeError
        If none is installed.
    """
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
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})  # every visit is the first
    try:
        yield driver
    finally:
        driver.quit()


def look(driver, view: View) -> None:
    """Give the browser's window the size and the colour scheme of a view."""
    metrics = {"width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": view.width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"features": [{"name": "prefers-color-scheme", "value": view.scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)


def photograph(driver, view: View, path: Path) -> None:
    """Write the whole page, in as many pictures as its length takes: ``NAME-1.png`` and so on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    look(driver, replace(view, height=PICTURE))
    height = driver.execute_script("return document.documentElement.scrollHeight")
    for i, top in enumerate(range(0, height, PICTURE), start=1):
        driver.execute_script("scrollTo({top: arguments[0], behavior: 'instant'})", top)
        time.sleep(1)  # for what is drawn when it comes near
        driver.save_screenshot(str(path.with_stem(f"{path.stem}-{i}")))
    look(driver, view)


def press_tab(driver) -> None:
    """Press the key that moves the focus on."""
    key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
    for kind in ("keyDown", "keyUp"):
        driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, **key})
