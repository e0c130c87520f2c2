"""The command line as a user meets it; the rooms behind it have tests of their own."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import hldm
from hldm import cli
from hldm.knowledge import counts
from hldm.paths import weights_folder


def imported(code: str) -> tuple[float, set[str]]:
    """The least processor time of three fresh interpreters that run `code`, in seconds, and the modules it loaded."""
    times = []
    for _ in range(3):
        before = os.times()
        command = [sys.executable, "-X", "importtime", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(times), {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize(
    ("code", "limit"),
    [("import hldm", 0.5), ("from hldm.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass", 0.7)],
)
def test_starts_at_once(code, limit):
    seconds, modules = imported(code)
    assert seconds < limit
    assert not modules & {"numpy", "pandas", "torch", "scipy", "librosa", "transformers", "pooch"}


@pytest.mark.parametrize("name", ["heart.graphml", "heart.ttl"])
def test_the_graph_is_written(tmp_path, capsys, name):
    assert cli.main(["graph", str(tmp_path / name)]) == 0
    assert f"{counts()['edges']} edges" in capsys.readouterr().out
    assert "Ventricular septal defect" in (tmp_path / name).read_text(encoding="utf-8")


def test_a_graph_in_another_format_is_refused_by_name(tmp_path, capsys):
    assert cli.main(["graph", str(tmp_path / "heart.docx")]) == 2
    assert "heart.docx" in capsys.readouterr().err


def test_every_command_has_help(capsys):
    for name in ("download", "simulate", "check", "graph", "train", "generate", "evaluate", "book"):
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "--help"])
        assert ended.value.code == 0
        assert f"hldm {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["download", "nothing"], "invalid choice: 'nothing'"),
        (["generate", "a child"], "-o/--output"),
        (["generate", "a child", "-o", "a.wav", "--seed", "-1"], "invalid seed from 0"),
        (["train", "everything"], "invalid choice: 'everything'"),
        (["train", "vae", "--epochs", "0"], "invalid number above 0"),
        (["simulate", "corpus", "--patients", "-1"], "invalid number above 0"),
    ],
)
def test_a_wrong_command_line_ends_with_usage(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def error_line(capsys, *arguments) -> str:
    assert cli.main([str(a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hldm: ")
    assert err.count("\n") == 1
    return err


def test_errors_are_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("HLDM_CIRCOR", raising=False)
    assert "HLDM_CIRCOR" in error_line(capsys, "check")
    assert str(tmp_path / "absent") in error_line(capsys, "check", tmp_path / "absent")
    assert "existing folder" in error_line(capsys, "generate", "a child", "-o", tmp_path / "absent" / "a.wav")
    assert "http" in error_line(capsys, "download", "circor", "--to", tmp_path / "c", "--mirror", "/media/usb")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_says_which_address(capsys, tmp_path, monkeypatch):
    import pooch.core

    monkeypatch.setattr(pooch.core, "time", SimpleNamespace(sleep=lambda seconds: None))
    line = error_line(capsys, "download", "circor", "--to", tmp_path / "c", "--mirror", "http://127.0.0.1:9/c")
    assert "SHA256SUMS.txt from http://127.0.0.1:9/c/SHA256SUMS.txt" in line


def test_a_missing_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "hldm.book.__main__", None)  # import raises ModuleNotFoundError for hldm itself
    with pytest.raises(ModuleNotFoundError):
        cli.main(["book"])

    def absent(options):
        raise ModuleNotFoundError("No module named 'papermill'", name="papermill")

    monkeypatch.setattr(cli, "_book", absent)
    assert "papermill is not installed" in error_line(capsys, "book")


@pytest.mark.parametrize("task", ["build", "render", "links", "check", "serve"])
def test_every_task_of_the_book_exists(monkeypatch, task):
    from hldm.book import __main__ as book

    done = []
    monkeypatch.setitem(book.TASKS, task, lambda options: done.append((options.task, options.profile)))
    assert cli.main(["book", task, "--profile", "gpu"]) == 0
    assert done == [(task, "gpu")]


def test_damaged_weights_are_one_line(capsys, tmp_path, monkeypatch):
    for name in ("vae.safetensors", "vae.sha256"):
        shutil.copy(weights_folder() / name, tmp_path)
    (tmp_path / "vae.safetensors").write_bytes(b"other")
    monkeypatch.setenv("HLDM_WEIGHTS", str(tmp_path))
    assert cli.main(["generate", "a child", "-o", str(tmp_path / "a.wav")]) == 2
    assert re.fullmatch(r"hldm: \S+vae\.safetensors: SHA-256 is .*\n", capsys.readouterr().err)


def test_the_judge_is_trained_as_asked(monkeypatch, tmp_path):
    from hldm.evaluation import judge_card

    asked = []
    monkeypatch.setattr(judge_card, "make_judge", lambda folder, training: asked.append((folder, training)))
    assert cli.main(["train", "judge", "--epochs", "2", "--seed", "3", "--runs", str(tmp_path)]) == 0
    ((folder, training),) = asked
    assert (folder, training.epochs, training.seed) == (tmp_path, 2, 3)


def test_interrupted(capsys, monkeypatch):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_check", interrupt)
    assert cli.main(["check"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_simulate_then_check(capsys, tmp_path):
    assert cli.main(["simulate", str(tmp_path / "corpus"), "--patients", "2", "--seed", "3"]) == 0
    assert cli.main(["check", str(tmp_path / "corpus")]) == 0
    wav = next((tmp_path / "corpus" / "training_data").glob("*.wav"))
    wav.write_bytes(wav.read_bytes()[:100])
    capsys.readouterr()
    assert cli.main(["check", str(tmp_path / "corpus")]) == 1
    assert wav.name in capsys.readouterr().out


def test_check_takes_the_corpus_from_the_environment(monkeypatch, capsys, simulated):
    monkeypatch.setenv("HLDM_CIRCOR", str(simulated.root))
    assert cli.main(["check"]) == 0
    from_environment = capsys.readouterr().out
    assert cli.main(["check", str(simulated.root)]) == 0
    assert capsys.readouterr().out == from_environment != ""


def test_generate_says_what_it_understood_and_writes_the_same_bytes_for_a_seed(capsys, tmp_path):
    prompt = "An 8-year-old female with a grade II/VI systolic murmur and a purple hat"
    paths = [tmp_path / f"{i}.wav" for i in range(3)]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        assert cli.main(["generate", prompt, "-o", str(path), "--seed", str(seed)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"understood: .*8-year-old; female; grade II/VI", said)
    assert re.search(r"unknown: +purple; hat", said)
    assert re.search(r"problems: +nothing", said)
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again
    assert first != other

    from scipy.io import wavfile

    rate, samples = wavfile.read(paths[0])
    assert rate == 4000
    assert np.abs(samples.astype(float)).max() > 0


def test_generate_refuses_a_contradiction_after_naming_it(capsys, tmp_path):
    assert cli.main(["generate", "no murmur, grade III/VI systolic murmur", "-o", str(tmp_path / "a.wav")]) == 2
    out, err = capsys.readouterr()
    assert re.search(r"problems: +(?!nothing)", out)
    assert err.count("\n") == 1
    assert not (tmp_path / "a.wav").exists()


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"hldm {hldm.__version__}\n"


def test_python_minus_m():
    done = subprocess.run(
        [sys.executable, "-m", "hldm.cli", "check", os.devnull], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_generate_refuses_a_prompt_of_which_it_understands_nothing(capsys, tmp_path):
    assert cli.main(["generate", "Un enfant avec un souffle", "-o", str(tmp_path / "a.wav")]) == 2
    assert "nothing in it was understood" in capsys.readouterr().err
    assert not (tmp_path / "a.wav").exists()
