"""SIGKILL and full disks, again and again: ``make campaign``; ``--runs N`` says how often.

Each job is run once in peace. Then it is killed at random moments, or run on a file system that is too small, and run
again until it ends. Then every file has to be what it was in peace, what others put beside it untouched, and nothing
left over. A job ends in a process that a fork server makes, so that no kill is spent on imports.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["hldm.cli", "hldm.synthesis", "hldm.generation.corpus", "hldm.data.download", "hldm.training.vae", "librosa"]
)
PROMPTS = "a child, no murmur\nan 8-year-old girl, grade II/VI systolic murmur\nheart rate 90\nneonate\nadult\n"
#: What a user keeps beside what we write, under names that look like ours.
FOREIGN = ("mine.wav", "mine.partial/thesis.txt", ".mine.wav.partial/a.wav", "mine.json", "out/mine.wav")


def command(arguments: list[str], folder: Path) -> int:
    """``hldm`` in this process."""
    from hldm.cli import main

    return main([argument.format(folder=folder) for argument in arguments])


def fetch(url: str, folder: Path) -> int:
    """Download a small data set from a server on this machine."""
    from hldm.cli import _fail
    from hldm.data.download import Source, download

    try:
        download(Source("small", url, size=1), folder / "set", progress=False, retries=0)
    except OSError as error:
        return _fail(error)
    return 0


def work(job: Callable[[Path], int], folder: Path, said: Path, cache: Path) -> None:
    """The child: one job, with its output in a file."""
    import torch

    os.environ["HLDM_CACHE"] = str(cache)
    os.environ.pop("HLDM_CIRCOR", None)
    torch.set_num_threads(1)
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(file, 2)
    status = job(folder)
    sys.stdout.flush()
    os._exit(status)


def run(job, folder: Path, aside: Path, *, death: float | None = None) -> int:
    """Exit status; negative for the signal that ended it."""
    process = CONTEXT.Process(target=work, args=(job, folder, aside / "stderr", aside / "cache"))
    process.start()
    process.join(death)
    if process.is_alive() and death is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode


def content(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that is not a checkpoint, which holds times and pickles."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pt"
    }


def plant(folder: Path) -> dict[str, str]:
    """The files of somebody else."""
    for name in FOREIGN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"not ours: {name}")
    return content(folder)


def judged(folder: Path, whole: dict[str, str], foreign: dict[str, str]) -> tuple[bool, bool, int]:
    """Whether ours is equal to `whole` and theirs to `foreign`, and how many files or folders were left over."""
    found = content(folder)
    left = [path for path in folder.rglob("*") if "partial" in path.name and not path.name.endswith("mine.wav.partial")]
    left = [path for path in left if path.name != "mine.partial"]
    ours = {name: value for name, value in found.items() if name not in foreign}
    return ours == whole, {name: found.get(name) for name in foreign} == foreign, len(left)


def killed(job, whole, seconds: float, aside: Path, chance: random.Random) -> dict[str, int]:
    """Kill up to three times at random moments, then let it end."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        foreign = plant(folder)
        deaths = [chance.uniform(0, seconds) for _ in range(chance.randint(1, 3))]
        ends = [run(job, folder, aside, death=death) for death in deaths]
        kills = ends.count(-signal.SIGKILL)
        status = run(job, folder, aside) if 0 not in ends else 0  # a finished corpus is not written again
        equal, intact, left = judged(folder, whole, foreign)
    return {"kills": kills, "resumed equal": equal and not status, "foreign intact": intact, "leftovers": left}


@contextmanager
def small_disk(kilobytes: int) -> Iterator[Callable[[], None]]:
    """A file system of a size; yields its folder, and what makes it large."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place], check=True)
        try:
            yield Path(place), partial(subprocess.run, ["mount", "-o", "remount,size=1g", "tmpfs", place], check=True)
        finally:
            subprocess.run(["umount", place], check=True)


def full(job, whole, size: int, aside: Path, chance: random.Random) -> dict[str, int]:
    """Run on a disk that is too small, look at what is there, make it larger, let it end."""
    with small_disk(32 + int(chance.uniform(0, size) / 1024)) as (folder, enlarge):
        foreign = plant(folder)
        status = run(job, folder, aside)
        lines = (aside / "stderr").read_text().splitlines()
        told = status == 2 and len(lines) == 1 and lines[0].startswith("hldm: ") and "No space left" in lines[0]
        final = {
            name: value for name, value in content(folder).items() if name not in foreign and "partial" not in name
        }
        half = sum(whole.get(name) not in (value, None) for name, value in final.items() if "run.json" not in name)
        enlarge()
        again = run(job, folder, aside)
        equal, intact, left = judged(folder, whole, foreign)
    return {
        "fitted": status == 0, "one line, status 2": told, "half files": half, "resumed equal": equal and not again,
        "foreign intact": intact, "leftovers": left,
    }  # fmt: skip


def mountable() -> bool:
    """Whether this user may mount a small file system."""
    try:
        with small_disk(64):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def small_weights(folder: Path) -> None:
    """A small untrained model: how it sounds does not matter here."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from small import write_small_weights

    write_small_weights(folder)


@contextmanager
def mirror(folder: Path) -> Iterator[str]:
    """A server with a small data set."""
    for k in range(40):
        (folder / f"data/{k}.bin").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"data/{k}.bin").write_bytes(random.Random(k).randbytes(20_000))
    sums = "".join(f"{digest} {name}\n" for name, digest in content(folder).items())
    (folder / "SHA256SUMS.txt").write_text(sums)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def main() -> int:
    """Run the campaigns and print their tables; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runs", type=int, default=10, help="of each job and campaign")
    parser.add_argument("--jobs", nargs="*", help="names of jobs; default: all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, broken = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as place, mirror(Path(place) / "set") as url:
        aside = Path(place)
        small_weights(aside / "weights")
        (aside / "p.txt").write_text(PROMPTS)
        how = ["--weights", str(aside / "weights"), "--steps", "1", "--duration", "1"]
        jobs = {
            "generate": ["generate", "--prompts", str(aside / "p.txt"), "-o", "{folder}/out", *how],
            "generate corpus": ["generate", "--corpus", "{folder}/corpus", "--patients", "2", *how],
            "simulate": ["simulate", "{folder}/corpus", "--patients", "3"],
            "graph": ["graph", "{folder}/heart.ttl"],
            "train": ["train", "attribute_predictor", "--profile", "smoke", "--runs", "{folder}/runs"],
        }
        jobs = {name: partial(command, arguments) for name, arguments in jobs.items()} | {
            "download": partial(fetch, url)
        }
        disks = mountable()
        if not disks:
            print("full disks: skipped, this user may not mount a file system")
        for name in options.jobs or jobs:
            with tempfile.TemporaryDirectory() as peace:
                run(jobs[name], Path(peace), aside)  # warms the caches up
            with tempfile.TemporaryDirectory() as peace:
                began = time.monotonic()
                assert run(jobs[name], Path(peace), aside) == 0, (aside / "stderr").read_text()
                seconds, whole = time.monotonic() - began, content(Path(peace))
                size = sum(path.stat().st_size for path in Path(peace).rglob("*") if path.is_file())
            campaigns = {"kill": partial(killed, jobs[name], whole, seconds)}
            if disks:
                campaigns["full disk"] = partial(full, jobs[name], whole, size)
            for campaign, once in campaigns.items():
                rows = [once(aside, chance) for _ in range(options.runs)]
                counts = {key: sum(int(row[key]) for row in rows) for key in rows[0]}
                print(f"{name}, {campaign}: runs {options.runs}, " + ", ".join(f"{k} {v}" for k, v in counts.items()))
                sys.stdout.flush()
                told = counts.get("fitted", 0) + counts.get("one line, status 2", options.runs)
                broken += (
                    counts["resumed equal"] < options.runs or counts["foreign intact"] < options.runs
                    or counts["leftovers"] > 0 or counts.get("half files", 0) > 0 or told < options.runs
                )  # fmt: skip
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
