"""Files are there whole or not at all, and nobody else's is touched: kills, full disks, two processes, no home."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time

import pytest

from hldm import paths
from hldm.paths import MARKER, cache_folder, clean, replacing, workplace


def python(code: str, *arguments, **options) -> subprocess.Popen:
    """A fresh interpreter that runs `code`."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def hold(path) -> subprocess.Popen:
    """A process that has written half of `path`, and writes the rest when it is told to by its stdin."""
    process = python(
        """
        import sys
        from hldm.paths import replacing
        with replacing(sys.argv[1]) as partial:
            partial.write_text("half")
            print("at work", flush=True)
            sys.stdin.readline()
            partial.write_text("whole")
        """,
        path,
        stdin=subprocess.PIPE,
    )
    assert process.stdout.readline() == "at work\n"
    return process


def fail(_) -> None:
    raise ZeroDivisionError


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as partial:
        partial.write_text("one")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), replacing(path) as partial:
        fail(partial.write_text("two"))
    assert path.read_text() == "one"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_is_whole_or_not_there(tmp_path):
    (tmp_path / "made").mkdir()
    with replacing(tmp_path / "made") as partial:
        partial.mkdir()
        (partial / "a.txt").write_text("one")
    assert [p.name for p in tmp_path.rglob("*")] == ["made", "a.txt"]
    with pytest.raises(OSError, match="not empty"), replacing(tmp_path / "made") as partial:
        partial.mkdir()
    assert (tmp_path / "made/a.txt").read_text() == "one"


def test_what_a_kill_left_is_cleaned_up(tmp_path):
    process = hold(tmp_path / "a.txt")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert sorted(os.listdir(tmp_path / ".a.txt.partial")) == [MARKER, "a.txt"]
    with replacing(tmp_path / "a.txt", wait=False) as partial:
        assert not partial.exists()
        partial.write_text("whole")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_others_made_is_in_the_way_and_stays(tmp_path):
    mine = tmp_path / ".a.txt.partial"
    for make in (lambda: mine.write_text("mine"), lambda: (mine.unlink(), mine.mkdir(), (mine / "x").write_text("x"))):
        make()
        with pytest.raises(FileExistsError, match="in the way"), replacing(tmp_path / "a.txt"):
            pass
    (mine / MARKER).write_text("a file of theirs")  # ours is empty
    clean(tmp_path)
    with pytest.raises(FileExistsError, match="in the way"), replacing(tmp_path / "a.txt"):
        pass
    assert (mine / "x").read_text() == "x"
    assert os.listdir(tmp_path) == [mine.name]


def test_two_processes_one_after_the_other_or_one_says_so(tmp_path):
    process = hold(tmp_path / "a.txt")
    with pytest.raises(BlockingIOError, match="another hldm process"), replacing(tmp_path / "a.txt", wait=False):
        pass
    process.stdin.write("\n")
    process.stdin.flush()
    with replacing(tmp_path / "a.txt") as partial:
        assert (tmp_path / "a.txt").read_text() == "whole"
        partial.write_text("second")
    process.communicate()
    assert (tmp_path / "a.txt").read_text() == "second"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_many_at_once_agree(tmp_path):
    code = """
        import sys
        from hldm.paths import replacing
        for i in range(100):
            with replacing(sys.argv[1]) as partial:
                partial.write_text(sys.argv[2] * 1000)
        """
    processes = [python(code, tmp_path / "a.txt", letter) for letter in "xyz"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "a.txt").read_text() in [letter * 1000 for letter in "xyz"]
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_is_kept_outlasts_a_failure(tmp_path):
    with pytest.raises(ZeroDivisionError), workplace(tmp_path / "w", keep=True) as folder:
        fail((folder / "done").touch())
    with workplace(tmp_path / "w", keep=True) as folder:
        assert (folder / "done").exists()
    assert os.listdir(tmp_path) == []


def test_files_and_folders_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a") as partial:
            partial.touch()
        with replacing(tmp_path / "b") as partial:
            partial.mkdir()
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o640, 0o750]


def test_a_folder_that_is_not_there_is_named_at_once(tmp_path):
    began = time.monotonic()
    with pytest.raises(FileNotFoundError, match="absent"), replacing(tmp_path / "absent" / "a.txt"):
        pass
    assert time.monotonic() - began < 5


def test_without_a_home_the_cache_is_in_a_temporary_folder(monkeypatch, tmp_path):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HLDM_CACHE", raising=False)
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(paths.tempfile, "gettempdir", lambda: str(tmp_path))
    for home in (nobody, lambda: tmp_path / "absent"):
        monkeypatch.setattr(paths.Path, "home", home)
        assert cache_folder().is_relative_to(tmp_path)
        assert not cache_folder().is_relative_to(tmp_path / "absent")
    monkeypatch.setattr(paths.Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / ".cache" / "hldm"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_error_whoever_writes(small_disk):
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from hldm.data.wav import write_wav

    large = {"x": torch.zeros(200_000)}
    for write in (
        lambda path: torch.save(large, path),
        lambda path: save_file(large, path),
        lambda path: np.save(path, large["x"].numpy()),
        lambda path: path.write_bytes(bytes(800_000)),
        lambda path: write_wav(path, large["x"].numpy(), 4000, "comment"),
    ):
        with pytest.raises(OSError, match="No space left on device"), replacing(small_disk / "a") as partial:
            write(partial)
        assert os.listdir(small_disk) == []
