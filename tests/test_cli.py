"""The command line as a user meets it; the rooms behind it have tests of their own."""

import dataclasses
import fcntl
import hashlib
import importlib
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import hldm
from hldm import cli
from hldm.cli.progress import working
from hldm.cli.train import TRAININGS
from hldm.config import STAGES
from hldm.knowledge import counts
from hldm.paths import weights_folder, workplace


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
    assert not modules & {"numpy", "pandas", "torch", "scipy", "librosa", "transformers", "requests"}


@pytest.mark.parametrize("name", ["heart.graphml", "heart.ttl"])
def test_a_graph_replaces_itself_and_nothing_else(tmp_path, capsys, name):
    for _ in range(2):
        assert cli.main(["graph", str(tmp_path / name)]) == 0
    (tmp_path / name).write_text("mine")
    capsys.readouterr()
    assert f"{name}: expected no file, or this graph" in error_line(capsys, "graph", tmp_path / name)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


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
    monkeypatch.setattr(importlib.import_module("hldm.data.download"), "sleep", lambda seconds: None)
    line = error_line(capsys, "download", "circor", "--to", tmp_path / "c", "--mirror", "http://127.0.0.1:9/c")
    assert "SHA256SUMS.txt from http://127.0.0.1:9/c/SHA256SUMS.txt" in line


def test_a_missing_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "hldm.book.__main__", None)  # import raises ModuleNotFoundError for hldm itself
    with pytest.raises(ModuleNotFoundError):
        cli.main(["book"])

    def absent(options):
        raise ModuleNotFoundError("No module named 'papermill'", name="papermill")

    monkeypatch.setattr(cli.book, "book", absent)
    assert "papermill is not installed" in error_line(capsys, "book")


@pytest.mark.parametrize("task", ["build", "render", "links", "check", "serve"])
def test_every_task_of_the_book_exists(monkeypatch, task):
    from hldm.book import __main__ as book

    done = []
    monkeypatch.setitem(book.TASKS, task, lambda options: done.append((options.task, options.profile)))
    assert cli.main(["book", task, "--profile", "gpu"]) == 0
    assert done == [(task, "gpu")]


def test_damaged_weights_are_one_line(capsys, tmp_path, monkeypatch):
    for name in ("vae", "unet", "condition"):
        for kind in ("safetensors", "sha256"):
            shutil.copy(weights_folder() / f"{name}.{kind}", tmp_path)
    (tmp_path / "vae.safetensors").write_bytes(b"other")
    monkeypatch.setenv("HLDM_WEIGHTS", str(tmp_path))
    assert cli.main(["generate", "a child", "-o", str(tmp_path / "a.wav")]) == 2
    assert re.fullmatch(r"hldm: \S+vae\.safetensors: SHA-256 is .*\n", capsys.readouterr().err)


@pytest.fixture
def trained(monkeypatch):
    """Every training writes its files at once; the list of those that were run."""
    runs = []

    def run(options):
        runs.append((options.stage, options.profile, options.epochs, options.seed))
        for name in TRAININGS[options.stage].makes:
            (options.runs / name).parent.mkdir(exist_ok=True)
            (options.runs / name).write_text(f"{runs[-1]}")

    for name, training in TRAININGS.items():
        monkeypatch.setitem(TRAININGS, name, dataclasses.replace(training, run=run))
    return runs


@pytest.mark.parametrize(("name", "seed"), [("judge", 3), ("second_ear", 1003)])
def test_measuring_networks_are_trained_as_asked(name, seed, monkeypatch, tmp_path):
    """With one seed on the command line, the two ears have different ones."""
    from hldm.experiments import instruments

    asked = []

    def make(folder, training):
        asked.append((folder, training))
        (folder / f"{name}.safetensors").touch()

    monkeypatch.setattr(instruments, f"make_{name}", make)
    assert cli.main(["train", name, "--epochs", "2", "--seed", "3", "--runs", str(tmp_path)]) == 0
    ((folder, training),) = asked
    assert (folder, training.epochs, training.seed) == (tmp_path, 2, seed)


def test_the_second_ear_compares_no_ablations(capsys):
    assert "no --experiment" in error_line(capsys, "evaluate", "--second-ear", "--experiment", "one-head")


def test_every_stage_can_be_trained():
    assert set(STAGES) <= set(TRAININGS)


@pytest.mark.parametrize("stage", TRAININGS)
def test_the_last_line_says_what_was_made_and_what_for_and_a_second_run_has_nothing_to_do(
    stage, trained, tmp_path, capsys
):
    runs = tmp_path / "runs"
    command = ["train", stage, "--runs", str(runs)]
    assert cli.main(command) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert all(str(runs / name) in last for name in TRAININGS[stage].makes)
    assert re.search(r"hldm \w+|Synthesizer", last)
    for line in re.findall(r"(?<=next: hldm )train .*", last):
        cli._parser().parse_args(line.split())
    assert cli.main(command) == 0
    assert capsys.readouterr().out == f"{stage}: finished before, nothing to do\n{last}\n"
    assert trained == [(stage, "smoke", None, 0)]
    for changed in (["--seed", "1"], ["--epochs", "2"], ["--profile", "laptop"]):
        cli.main([*command, *changed])
    (runs / TRAININGS[stage].makes[0]).write_text("damaged")
    cli.main(command)
    assert len(trained) == 5
    assert not [path for path in runs.iterdir() if "partial" in path.name]


def test_a_training_that_has_nothing_to_do_loads_nothing(tmp_path):
    asked = {"stage": "vae", "profile": "smoke", "epochs": None, "seed": 0, "corpus": "simulated"}
    (tmp_path / "vae.safetensors").touch()
    made = {"vae.safetensors": hashlib.sha256(b"").hexdigest()}
    (tmp_path / "vae.run.json").write_text(json.dumps({**asked, "version": hldm.__version__, "made": made}))
    code = (
        "import os; os.environ.pop('HLDM_CIRCOR', None)\n"
        f"from hldm.cli import main; assert main(['train', 'vae', '--runs', {str(tmp_path)!r}]) == 0"
    )
    _, modules = imported(code)
    assert not modules & {"numpy", "torch"}


def test_weights_that_no_training_made_here_stay(trained, tmp_path, capsys):
    (tmp_path / "unet.safetensors").write_text("mine")
    assert cli.main(["train", "diffusion", "--runs", str(tmp_path)]) == 2
    assert "unet.safetensors: expected no weights, or those of a training in this folder" in capsys.readouterr().err
    assert (tmp_path / "unet.safetensors").read_text() == "mine"
    assert trained == []
    (tmp_path / "unet.safetensors").unlink()
    assert cli.main(["train", "diffusion", "--runs", str(tmp_path)]) == 0
    assert cli.main(["train", "finetune", "--runs", str(tmp_path)]) == 0


def test_two_trainings_of_a_stage_in_one_folder(trained, tmp_path, capsys):
    with workplace(tmp_path / ".vae.partial"):
        assert cli.main(["train", "vae", "--runs", str(tmp_path)]) == 2
        assert cli.main(["train", "diffusion", "--runs", str(tmp_path)]) == 0
    assert "another hldm process" in capsys.readouterr().err


def test_interrupted(capsys, monkeypatch):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.data, "check", interrupt)
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


def test_simulate_leaves_what_is_there(capsys, tmp_path):
    for name in ("corpus", ".corpus.partial"):
        (tmp_path / name).mkdir()
    (tmp_path / "corpus/mine").touch()
    assert "is not empty" in error_line(capsys, "simulate", tmp_path / "corpus", "--patients", "1")
    (tmp_path / ".corpus.partial/mine").touch()
    (tmp_path / "corpus/mine").unlink()
    assert "in the way" in error_line(capsys, "simulate", tmp_path / "corpus", "--patients", "1")
    assert (tmp_path / ".corpus.partial/mine").exists()


def test_without_data_the_evaluation_is_on_simulated_recordings_and_says_so(capsys, monkeypatch):
    from hldm import Synthesizer
    from hldm.evaluation import commands

    monkeypatch.delenv("HLDM_CIRCOR", raising=False)
    monkeypatch.setattr(Synthesizer, "from_pretrained", lambda: SimpleNamespace(batch=lambda records, **_: records))
    asked = []
    monkeypatch.setattr(commands, "evaluate", lambda *given, **named: asked.append((given, named)) or pd.DataFrame())
    assert cli.main(["evaluate"]) == 0
    ((records, reference),), names = zip(*asked, strict=True)
    assert (len(records), len(reference)) == (16, 48)
    assert names == ({"data": "simulated corpus", "cnn": False},)
    assert "says nothing of real hearts" in capsys.readouterr().err


def test_help_says_the_least_numbers(capsys):
    for name, said in {
        "evaluate": "at least 20 annotated clips.*at least 3", "generate": "at least 1,.*from 1 to 60",
        "simulate": "at least 1", "train": "at least 1",
    }.items():  # fmt: skip
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        assert re.search(said, " ".join(capsys.readouterr().out.split()))


def shell(*arguments, **environment) -> subprocess.CompletedProcess:
    """``hldm`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hldm.cli", *map(str, arguments)],
        capture_output=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_a_pipe_that_knows_fewer_letters(tmp_path):
    done = shell("generate", "a child \N{HEAVY BLACK HEART}, no murmur, grade III/VI murmur", "-o", tmp_path / "a.wav",
                 PYTHONIOENCODING="cp1252")  # fmt: skip
    assert done.returncode == 2
    assert b"\\u2764" in done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_output_that_cannot_be_written_is_one_line(simulated):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hldm.cli", "check", str(simulated.root)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"hldm: .*No space left on device\n", done.stderr)


def test_nobody_reads_the_output(simulated):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "hldm.cli", "check", str(simulated.root)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_progress_is_for_terminals(capsys):
    with working("counting"):
        print("one")
    assert capsys.readouterr() == ("one\n", "")


def test_progress_says_what_and_lets_others_print():
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    code = (
        "import time; from hldm.cli.progress import working\n"
        "with working('counting hearts'): time.sleep(1.5); print('one', flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=follower, text=True, check=True)
    said = os.read(leader, 10_000).decode()
    os.close(follower)
    os.close(leader)
    assert done.stdout == "one\n"
    assert re.search(r"counting hearts \.\.\. 00:01", said)


def test_check_takes_the_corpus_from_the_environment(monkeypatch, capsys, simulated):
    monkeypatch.setenv("HLDM_CIRCOR", str(simulated.root))
    assert cli.main(["check"]) == 0
    from_environment = capsys.readouterr().out.split("\n", 1)[1]  # less the line with the seconds it took
    assert cli.main(["check", str(simulated.root)]) == 0
    assert capsys.readouterr().out.split("\n", 1)[1] == from_environment != ""


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
