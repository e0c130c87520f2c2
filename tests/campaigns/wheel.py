"""The wheel, as a stranger installs it: ``make wheel-test``.

It is built from a copy of what git tracks, installed into a fresh environment that borrows the other packages from this
one, and makes a sound in an empty folder. Weights, tables and the small corpus have to be in it, and the sound has to
have the bytes that the checkout makes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "An 8-year-old female with a grade II/VI systolic murmur"
LOOK = """
import hldm
from hldm.data import CircorCorpus
from hldm.paths import simulated_folder, weights_folder
print(hldm.__file__, weights_folder())
assert CircorCorpus(simulated_folder()).check().ok
"""


def build(aside: Path) -> Path:
    """The wheel of what git tracks: an old ``build`` folder would smuggle in what is gone."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (aside / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, aside / "tree" / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", aside]
    subprocess.run([*pip, aside / "tree"], check=True)
    (wheel,) = aside.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {name.replace("data/", "hldm/shipped/", 1) if name.startswith("data/") else name
              for name in names if name.startswith(("data/", "hldm/"))}  # fmt: skip
    assert wanted <= inside, f"not in the wheel: {sorted(wanted - inside)}"
    return wheel


def install(wheel: Path, place: Path) -> Path:
    """The Python of a fresh environment with the wheel in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True)
    (site,) = place.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def main() -> int:
    """0 when all is well; otherwise an exception says what is not."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("HLDM_") and k != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as aside:
        place = Path(aside)
        wheel = build(place)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        python = install(wheel, place / "venv")
        sounds = []
        for name, command, environment in (
            ("wheel", [place / "venv/bin/hldm"], bare),
            ("checkout", [sys.executable, "-m", "hldm.cli"], {**bare, "PYTHONPATH": str(ROOT)}),
        ):
            (place / name).mkdir()
            arguments = [*command, "generate", PROMPT, "-o", "x.wav"]
            subprocess.run(arguments, cwd=place / name, env=environment, check=True, stdout=subprocess.DEVNULL)
            sounds.append((place / name / "x.wav").read_bytes())
        look = subprocess.run(
            [python, "-c", LOOK], cwd=place / "wheel", env=bare, check=True, capture_output=True, text=True
        ).stdout
        assert look.count(str(place / "venv")) == 2, look
        assert sounds[0] == sounds[1], "the wheel makes another sound than the checkout"
        book = subprocess.run([place / "venv/bin/hldm", "book"], env=bare, capture_output=True, text=True, check=False)
        assert (book.returncode, book.stderr.count("\n")) == (2, 1), book.stderr
    print("the sound of the wheel is that of the checkout")
    return 0


if __name__ == "__main__":
    sys.exit(main())
