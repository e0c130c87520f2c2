"""Fetching a published data set: resumed where it broke off, checked file by file, whole or not at all.

Everything lands in ``<destination>.partial`` first. Only when every file there has the SHA-256 sum that the
publisher's own ``SHA256SUMS.txt`` gives is the folder renamed, so a data set under its final name is complete.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from hldm.data.errors import DataError
from hldm.paths import cache_folder

SUMS = "SHA256SUMS.txt"
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of a body


class DownloadError(OSError):
    """A download that could not be completed; what has arrived is kept for the next attempt.

    The message names the file, its URL, what was found and what was expected.
    """

    def __init__(self, file: str | os.PathLike, url: str, found: object, expected: str):
        self.file, self.url, self.found, self.expected = file, url, found, expected
        super().__init__(f"{file} from {url}: {found}; expected {expected}")


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
    files: int | None = None
    fingerprint: tuple[str, str] | None = None
    terms: str = ""


SOURCES = {
    "circor": Source(
        name="circor",
        url="https://physionet.org/files/circor-heart-sound/1.0.3",
        size=600_000_000,
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

    staging = destination.with_name(destination.name + ".partial")
    _check_space(dataset, staging, url)
    staging.mkdir(parents=True, exist_ok=True)
    (staging / SUMS).unlink(missing_ok=True)  # may be of another release: always fetched anew
    with _transfer(staging, url, retries, connections) as fetch:
        fetch(SUMS, None)
        sums = read_sums(dataset, staging)
        for folder in {(staging / name).parent for name in sums}:  # pooch's own makedirs races with itself
            folder.mkdir(parents=True, exist_ok=True)
        _fetch_all(fetch, sums, dataset.name, connections, progress)

    for path in staging.rglob("*"):  # what a killed process left behind
        if path.is_file() and path.relative_to(staging).as_posix() not in (*sums, SUMS):
            path.unlink()
    if destination.exists():
        destination.rmdir()
    staging.rename(destination)
    return destination


def read_sums(source: Source, folder: Path) -> dict[str, str]:
    """File names and SHA-256 sums from a folder's ``SHA256SUMS.txt``, checked against the `source`.

    Raises
    ------
    DataError
        For a line of another form, a name that leaves the folder, or another release's sums.
    """
    path = folder / SUMS
    sums: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *]?(\S.*)", line.rstrip())
        if not match:
            raise DataError("a SHA-256 sum and a file name", file=path, field=f"line {number}", value=line[:120])
        digest, name = match[1].lower(), match[2].removeprefix("./")
        if not _stays_inside(name, folder):
            raise DataError("a file inside the folder", file=path, field=f"line {number}", value=name)
        if sums.setdefault(name, digest) != digest:
            raise DataError("one sum per file", file=path, field=f"line {number}", value=name)
    sums.pop(SUMS, None)

    if len(sums) != (source.files or len(sums)) or not sums:
        raise DataError(f"{source.files or 'some'} files", file=path, field="lines", value=len(sums))
    if source.fingerprint:
        start, expected = source.fingerprint
        rows = sorted(f"{digest} {name}\n" for name, digest in sums.items() if name.startswith(start))
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
    import pooch

    folder = Path(folder)
    whole = f"the complete data set {source.name!r} (move the folder away, or choose another, to download it)"
    if not (folder / SUMS).is_file():
        raise DataError(whole, file=folder, field=SUMS, value="no such file")
    for name, digest in read_sums(source, folder).items():
        if not (folder / name).is_file():
            raise DataError(whole, file=folder / name, value="no such file")
        found = pooch.file_hash(str(folder / name))
        if found != digest:
            raise DataError(f"sha256:{digest} and {whole}", file=folder / name, field="sha256", value=found)


def _stays_inside(name: str, folder: Path) -> bool:
    parts = PurePosixPath(name).parts
    plain = not re.search(r"[\\:\x00-\x1f]", name) and not name.startswith("/") and ".." not in parts
    # A link planted in the folder must not lead out of it either.
    return plain and (folder / name).resolve().is_relative_to(folder.resolve())


def _check_space(source: Source, staging: Path, url: str) -> None:
    have = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    existing = next(parent for parent in staging.absolute().parents if parent.exists())
    free, needed = shutil.disk_usage(existing).free, source.size - have
    if free < needed:
        found = f"{free / 1e6:,.0f} MB are free"
        raise DownloadError(existing, url, found, f"room for {needed / 1e6:,.0f} MB")


@contextmanager
def _transfer(staging: Path, url: str, retries: int, connections: int) -> Iterator:
    """A function ``fetch(name, digest)`` that brings one file into `staging`, unless it is there already."""
    import pooch
    import requests

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # otherwise one line for each of ten thousand files
    with requests.Session() as session:
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=connections)
        session.mount("http://", adapter)
        session.mount("https://", adapter)

        def fetch(name: str, digest: str | None) -> None:
            files = pooch.create(
                staging,
                base_url=f"{url}/",
                registry={name: digest and f"sha256:{digest}"},
                urls={name: f"{url}/{quote(name)}"},
                retry_if_failed=retries,
            )
            try:
                files.fetch(name, downloader=_Resumed(name, staging / f"{name}.part", session))
            except requests.RequestException as error:
                found = f"{type(error).__name__} in each of {retries + 1} attempts ({error})"
                raise DownloadError(name, f"{url}/{name}", found, "the whole file") from error
            except ValueError as error:  # pooch's word for a wrong sum
                found = f"other bytes in each of {retries + 1} attempts"
                raise DataError(f"sha256:{digest} from {url}/{name}", file=name, value=found) from error

        try:
            yield fetch
        finally:
            logger.setLevel(level)


def _fetch_all(fetch, sums: dict[str, str], title: str, connections: int, progress: bool) -> None:
    from tqdm import tqdm

    with (
        tqdm(total=len(sums), desc=title, unit=" files", disable=not progress) as bar,
        ThreadPoolExecutor(connections) as pool,
    ):
        # Leaving `map` early, by an error or Ctrl-C, cancels what has not begun.
        for _ in pool.map(fetch, sums.keys(), sums.values()):
            bar.update()


class _Resumed:
    """A pooch downloader that keeps what arrived in `part` and asks for the rest (HTTP Range).

    Pooch calls it again after a dropped connection or a wrong sum, each time with a fresh `output_file`.
    """

    def __init__(self, name: str, part: Path, session):
        self.name, self.part, self.session = name, part, session

    def __call__(self, url: str, output_file: str, pooch) -> None:
        import requests

        part = self.part
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"}  # a compressed body has other byte positions
        if have:
            headers["Range"] = f"bytes={have}-"
        with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # nothing left to send: the checksum decides what we have
                os.replace(part, output_file)
                return
            if response.status_code >= 500 or response.status_code in (408, 429):
                response.raise_for_status()  # passing troubles, which pooch retries
            if response.status_code not in (200, 206):
                status = f"HTTP {response.status_code} {response.reason}"
                raise DownloadError(self.name, url, status, "HTTP 200")
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            with part.open("ab" if have and resumed else "wb") as file:
                for block in response.iter_content(4096):  # what is lost when the connection drops
                    file.write(block)
        length = response.headers.get("Content-Length")
        if length is not None and response.raw.tell() != int(length):
            raise requests.ConnectionError(f"{response.raw.tell()} of {length} bytes arrived")
        os.replace(part, output_file)
