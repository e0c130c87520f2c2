"""Fetching a published data set: resumed where it broke off, checked file by file, whole or not at all.

Everything lands in ``<destination>.partial`` first, a folder that is marked as this program's own. Only when every
file there has the SHA-256 sum that the publisher's own ``SHA256SUMS.txt`` gives is it moved, so a data set under its
final name is complete.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO
from urllib.parse import quote

from hldm.data.errors import DataError
from hldm.data.sums import SUMS, differing, digest, read_sums
from hldm.paths import cache_folder, workplace

TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of a body
SLOWEST = 1000  # bytes a second: who sends less, once PATIENCE seconds have passed, is taken for dead
PATIENCE = 30


class DownloadError(OSError):
    """A download that could not be completed; what has arrived is kept for the next attempt.

    The message names the file, its URL, what was found and what was expected.
    """

    def __init__(self, file: str | os.PathLike, url: str, found: object, expected: str):
        self.file, self.url, self.found, self.expected = file, url, found, expected
        super().__init__(f"{file} from {url}: {found}; expected {expected}")

    def __reduce__(self):
        return type(self), (self.file, self.url, self.found, self.expected)


@dataclass(frozen=True)
class Source:
    """A published folder with a ``SHA256SUMS.txt``.

    Attributes
    ----------
    name : str
    url : str
        The folder's address; a file's address is this, a slash, and the file's name.
    size : int
        Bytes on disk, about.
    largest : int
        Bytes that no single file exceeds; whatever a server sends beyond is refused.
    files : int or None
        How many files its sums list; None accepts any number.
    fingerprint : (str, str) or None
        The start of some file names, and the SHA-256 over the sorted ``"sum name\\n"`` lines of those files. It
        recognises the release whichever mirror serves it. (A mirror that forges all *other* sums passes: for
        those the sums are as trustworthy as the connection they came over.)
    terms : str
        Licence and attribution, shown to whoever downloads.
    """

    name: str
    url: str
    size: int
    largest: int = 64_000_000
    files: int | None = None
    fingerprint: tuple[str, str] | None = None
    terms: str = ""


SOURCES = {
    "circor": Source(
        name="circor",
        url="https://physionet.org/files/circor-heart-sound/1.0.3",
        size=600_000_000,
        largest=4_000_000,  # a recording has half a megabyte, the sums have one
        files=10_434,  # 3,163 recordings of three files, 942 patients of one, and three for the whole
        fingerprint=("training_data/8519", "1247eb71767155ae66a53b6b313cad964755b5d52382c69e58ff47963e85e370"),
        terms="CirCor DigiScope Phonocardiogram Dataset 1.0.3 (Oliveira et al. 2022, "
        "https://doi.org/10.13026/tshs-mw03), Open Data Commons Attribution License v1.0",
    )
}


def download(
    dataset: str | Source = "circor",
    destination: str | os.PathLike | None = None,
    *,
    mirror: str | None = None,
    retries: int = 5,
    connections: int = 4,
    progress: bool = True,
) -> Path:
    """Fetch a data set, resuming an earlier attempt, and return its folder.

    Parameters
    ----------
    dataset : str or Source
        ``"circor"``, or the description of another published folder.
    destination : path, optional
        The folder to create; `hldm.paths.cache_folder` / its name by default. Where it already holds the
        complete data set, nothing is fetched.
    mirror : str, optional
        An ``http(s)`` folder with the same content, used instead of the publisher's. Proxies are taken from
        the environment (``HTTPS_PROXY``, ``NO_PROXY``) either way.
    retries : int
        Further attempts for a file whose connection drops or whose bytes are wrong.
    connections : int
        Files fetched at a time.
    progress : bool
        Show a bar.

    Raises
    ------
    DataError
        For sums that are not those of the data set, a file name that leaves the folder, content that stays
        wrong, or a destination that holds something else.
    DownloadError
        When the server does not give a file, or the disk is too small.
    """
    if not isinstance(dataset, Source):
        if dataset not in SOURCES:
            raise DataError("one of " + ", ".join(SOURCES), field="dataset", value=dataset)
        dataset = SOURCES[dataset]
    url = (mirror or dataset.url).rstrip("/")
    if not re.match(r"https?://[^/]", url):
        raise DataError("an address that starts with http:// or https://", field="mirror", value=mirror)
    destination = Path(destination).expanduser() if destination is not None else cache_folder() / dataset.name

    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        verify(dataset, destination)
        return destination

    _check_space(dataset, destination, url)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with workplace(destination.with_name(destination.name + ".partial"), keep=True) as staging:
        folder = staging / destination.name
        folder.mkdir(exist_ok=True)
        (folder / SUMS).unlink(missing_ok=True)  # may be of another release: always fetched anew
        with _Fetcher(dataset, folder, url, retries, connections) as fetch:
            fetch(SUMS)
            sums = sums_of(dataset, folder)
            _fetch_all(fetch, sums, dataset.name, connections, progress)
        for path in folder.rglob("*"):  # what a killed process left behind
            if path.is_file() and path.relative_to(folder).as_posix() not in (*sums, SUMS):
                path.unlink()
        if destination.exists():
            destination.rmdir()
        folder.rename(destination)
    return destination


def sums_of(source: Source, folder: Path) -> dict[str, str]:
    """File names and SHA-256 sums from a folder's ``SHA256SUMS.txt``, checked against the `source`.

    Raises
    ------
    DataError
        As of `read_sums`, and for another release's sums.
    """
    path, sums = folder / SUMS, read_sums(folder)
    if len(sums) != (source.files or len(sums)) or not sums:
        raise DataError(f"{source.files or 'some'} files", file=path, field="lines", value=len(sums))
    if source.fingerprint:
        start, expected = source.fingerprint
        rows = sorted(f"{sum_} {name}\n" for name, sum_ in sums.items() if name.startswith(start))
        found = hashlib.sha256("".join(rows).encode()).hexdigest()
        if found != expected:
            raise DataError(f"those of {source.url} ({expected})", file=path, field=f"{start}*", value=found)
    return sums


def verify(source: Source, folder: str | os.PathLike) -> None:
    """Check that a folder holds the complete data set.

    Raises
    ------
    DataError
        For a missing or changed file; the message names the first one.
    """
    folder = Path(folder)
    whole = f"the complete data set {source.name!r} (move the folder away, or choose another, to download it)"
    if not (folder / SUMS).is_file():
        raise DataError(whole, file=folder, field=SUMS, value="no such file")
    for name in sums_of(source, folder):
        if not (folder / name).is_file():
            raise DataError(whole, file=folder / name, value="no such file")
    for problem in differing(folder):
        raise DataError(f"{problem.expected} and {whole}", file=problem.file, field=problem.field, value=problem.value)


def _check_space(source: Source, destination: Path, url: str) -> None:
    partial = destination.with_name(destination.name + ".partial")
    have = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    existing = next(parent for parent in destination.absolute().parents if parent.exists())
    free, needed = shutil.disk_usage(existing).free, source.size - have
    if free < needed:
        found = f"{free / 1e6:,.0f} MB are free"
        raise DownloadError(existing, url, found, f"room for {needed / 1e6:,.0f} MB")


def _fetch_all(fetch: _Fetcher, sums: dict[str, str], title: str, connections: int, progress: bool) -> None:
    from tqdm import tqdm

    with (
        tqdm(total=len(sums), desc=title, unit=" files", disable=not progress) as bar,
        ThreadPoolExecutor(connections) as pool,
    ):
        # Leaving `map` early, by an error or Ctrl-C, cancels what has not begun.
        for _ in pool.map(fetch, sums.keys(), sums.values()):
            bar.update()


class _Fetcher:
    """Brings single files of a published folder: each whole and with its sum, or not at all."""

    def __init__(self, source: Source, folder: Path, url: str, retries: int, connections: int):
        import requests

        self.source, self.folder, self.url, self.retries = source, folder, url, retries
        self.session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=connections)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def __enter__(self) -> _Fetcher:
        return self

    def __exit__(self, *_) -> None:
        self.session.close()

    def __call__(self, name: str, sum_: str | None = None) -> None:
        """Bring one file, unless it is there; without a sum, whatever comes."""
        import requests

        path = self.folder / name
        if sum_ and path.is_file() and digest(path) == sum_:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        for attempt in range(self.retries + 1):
            sleep(min(attempt, 10))
            try:
                with part.open("wb") as file:
                    self._transfer(name, file)
                if sum_ in (None, digest(part)):
                    os.replace(part, path)
                    return
                failure = None
            except requests.RequestException as error:  # may pass; a full disk and a DownloadError will not
                failure = error
            finally:
                part.unlink(missing_ok=True)
        url = f"{self.url}/{name}"
        if failure is None:
            found = f"other bytes in each of {self.retries + 1} attempts"
            raise DataError(f"sha256:{sum_} from {url}", file=name, value=found)
        found = f"{type(failure).__name__} in each of {self.retries + 1} attempts ({failure})"
        raise DownloadError(name, url, found, "the whole file") from failure

    def _transfer(self, name: str, file: BinaryIO) -> None:
        """One attempt.

        Raises
        ------
        requests.RequestException
            For what may pass: a connection that drops or is too slow, a server that is busy.
        DownloadError
            For what will not.
        """
        import requests
        from urllib3.exceptions import HTTPError

        began, arrived, most = monotonic(), 0, self.source.largest
        headers = {"Accept-Encoding": "identity"}  # so that lengths are those of the file
        with self.session.get(f"{self.url}/{quote(name)}", headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code >= 500 or response.status_code in (408, 429):
                response.raise_for_status()
            if response.status_code != 200:
                status = f"HTTP {response.status_code} {response.reason}"
                raise DownloadError(name, f"{self.url}/{name}", status, "HTTP 200")
            announced = response.headers.get("Content-Length")
            try:
                while block := response.raw.read1(1 << 16):
                    arrived += len(block)
                    if arrived > most:
                        found = f"more than {most:,} bytes"
                        raise DownloadError(name, f"{self.url}/{name}", found, f"at most {most:,} bytes")
                    file.write(block)
                    if (elapsed := monotonic() - began) > PATIENCE and arrived < SLOWEST * elapsed:
                        raise requests.ConnectionError(f"{arrived / elapsed:.0f} bytes a second")
            except HTTPError as error:
                raise requests.ConnectionError(str(error)) from error
        if announced is not None and arrived != int(announced):
            raise requests.ConnectionError(f"{arrived} of {announced} bytes arrived")
