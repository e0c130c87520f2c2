"""Training resumes in the same bits after a kill, and each stage leaves weights that the next one reads."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hldm.conditioning import ConditionEncoder
from hldm.config import PROFILES, STAGES
from hldm.data import DataError
from hldm.data.records import ClinicalRecord, SystolicMurmur
from hldm.engine import fit as loop
from hldm.engine.fit import fit, moving_average
from hldm.models import StructuredUNet
from hldm.training import read_history, run_folder, train
from hldm.training.latents import rare_class_weights

LOOP = """
import sys, time, torch
from torch import nn
from hldm.engine.fit import fit
folder, pause = sys.argv[1], float(sys.argv[2])
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
def step_loss(step, generator):
    time.sleep(pause)
    x = torch.randn(8, 4, generator=generator)
    return (net(x) - x.sum(1, keepdim=True)).square().mean(), {}
fit(net, step_loss, 60, folder=folder, learning_rate=1e-2, warmup=5, seed=3, save_seconds=0, log_every=2)
torch.save(net.state_dict(), folder + "/final.pt")
"""


def run_loop(folder, pause=0.0):
    command = [sys.executable, "-c", textwrap.dedent(LOOP), str(folder), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_a_killed_run_resumes_to_bit_identical_weights(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    assert run_loop(whole).wait(120) == 0
    process = run_loop(killed, pause=0.1)
    deadline = time.monotonic() + 120
    while not (killed / "checkpoint.pt").is_file():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    assert 0 < torch.load(killed / "checkpoint.pt", weights_only=True)["step"] < 60
    assert run_loop(killed).wait(120) == 0
    expected, found = (torch.load(folder / "final.pt", weights_only=True) for folder in (whole, killed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_loop_learns_and_anneals(tmp_path):
    torch.manual_seed(0)
    net = nn.Linear(3, 1)

    def step_loss(step, generator):
        x = torch.randn(32, 3, generator=generator)
        return (net(x) - 2 * x.sum(1, keepdim=True)).square().mean(), {"x": float(x.mean())}

    log = fit(net, step_loss, 300, folder=tmp_path, learning_rate=0.05, log_every=100)
    assert [row["step"] for row in log] == [100, 200, 300]
    assert log[-1]["loss"] < 1e-2 < log[0]["loss"]
    assert set(log[0]) == {"step", "loss", "x"}


def record(grade=None, murmur="Present"):
    murmur_at = {"murmur_locations": ("AV",), "systolic": SystolicMurmur(grade=grade)} if murmur == "Present" else {}
    return ClinicalRecord(murmur=murmur, location="AV", **murmur_at)


def test_rare_classes_are_drawn_as_often_as_common_ones():
    records = [record(murmur="Absent")] * 70 + [record("I/VI")] * 20 + [record("III/VI")] * 10
    chances = rare_class_weights(records)
    share = chances / chances.sum()
    assert share[:70].sum() == pytest.approx(0.5)
    assert share[70:90].sum() == pytest.approx(0.25)
    assert share[90:].sum() == pytest.approx(0.25)


def test_the_average_of_averages_keeps_its_memory():
    models = nn.ModuleDict({"one": nn.Linear(2, 2)})
    start = models["one"].weight.detach().clone()
    fresh, grown = (moving_average(models, 0.999, grown=grown) for grown in (False, True))
    for value in (1.0, 2.0):
        nn.init.constant_(models["one"].weight, value)
        fresh.update_parameters(models), grown.update_parameters(models)
    torch.testing.assert_close(fresh.module["one"].weight, torch.full((2, 2), 1 + 9 / 11))
    torch.testing.assert_close(grown.module["one"].weight, 0.999 * (0.999 * start + 0.001) + 0.002)


@pytest.fixture(scope="module")
def tiny():
    return dataclasses.replace(PROFILES["smoke"], epochs=(2, 2, 2), max_steps=2, max_patients=6)


def test_the_stages_follow_one_another(tiny, tmp_path_factory, monkeypatch):
    """On the simulated corpus: attribute predictor, VAE, diffusion and fine-tuning; then a sound from these weights."""
    from hldm import Synthesizer

    monkeypatch.delenv("HLDM_CIRCOR", raising=False)
    runs = tmp_path_factory.mktemp("runs")
    logs = {stage: train(stage, profile=tiny, runs=runs, device="cpu") for stage in STAGES[1:]}
    assert logs.pop("attribute_predictor")[-1]["state_accuracy"] > 0
    assert all(log[-1]["step"] == 2 for log in logs.values())
    before = torch.load(runs / "diffusion2" / "checkpoint.pt", weights_only=True)["module"]
    after = torch.load(runs / "diffusion3" / "checkpoint.pt", weights_only=True)["module"]
    assert any(not torch.equal(before[k], after[k]) for k in before)
    history = read_history(runs)
    assert [(row["stage"], row["step"]) for row in history] == [(2, 2), (3, 2)]
    shipped = ConditionEncoder.from_pretrained(runs).lambdas  # an average, stored in half precision
    assert {f"lambda_{k}": v for k, v in shipped.items()} == pytest.approx(
        {k: v for k, v in history[-1].items() if k.startswith("lambda_")}, abs=2e-3
    )
    for phase in ("rhythm", "sounds", "details"):
        assert StructuredUNet.from_pretrained(runs / "curriculum" / phase).config.structured
        assert ConditionEncoder.from_pretrained(runs / "curriculum" / phase).lambdas
    sound = Synthesizer.from_pretrained(runs)("no murmur, HR 90", num_inference_steps=2)
    assert sound.waveform.shape == (20480,)


def test_weights_without_a_history_have_an_empty_one(tmp_path):
    assert read_history(tmp_path) == []


def test_long_runs_are_kept_and_short_ones_start_afresh(monkeypatch, tmp_path):
    monkeypatch.setenv("HLDM_CACHE", str(tmp_path))
    assert run_folder(PROFILES["gpu"]) == run_folder(PROFILES["gpu"]) == tmp_path / "runs"
    first, second = run_folder(PROFILES["smoke"]), run_folder(PROFILES["smoke"])
    assert first != second
    assert list(first.iterdir()) == []


def test_an_unknown_stage_is_named():
    with pytest.raises(ValueError, match="'vea', expected one of encoders, attribute_predictor, vae"):
        train("vea")


def test_a_checkpoint_of_another_seed_is_not_continued(tmp_path):
    net = nn.Linear(1, 1)

    def step_loss(step, generator):
        return net(torch.ones(1, 1)).sum(), {}

    fit(net, step_loss, 2, folder=tmp_path, seed=1)
    with pytest.raises(ValueError, match="seed is 1, expected 2"):
        fit(net, step_loss, 4, folder=tmp_path, seed=2)


@pytest.mark.parametrize(("where", "named"), [("loss", "loss nan, part inf"), ("gradient", "gradient nan")])
def test_training_stops_before_what_is_not_finite_reaches_the_weights(tmp_path, where, named):
    net = nn.Linear(2, 1)

    def step_loss(step, generator):
        loss = net(torch.randn(4, 2, generator=generator)).square().mean()
        if step == 5:  # the square root has no slope at 0
            loss = loss * torch.nan if where == "loss" else loss + (0 * net.weight).abs().sqrt().sum()
        return loss, {"part": float("inf") if step == 5 else 1.0}

    with pytest.raises(DataError, match=rf"^step 6: {named}: expected finite numbers") as stopped:
        fit(net, step_loss, 20, folder=tmp_path, save_seconds=0, log_every=2)
    assert f"{tmp_path / 'checkpoint.pt'} holds what was learnt before" in str(stopped.value)
    assert all(p.isfinite().all() for p in net.parameters())
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 4
    assert all(value.isfinite().all() for value in saved["module"].values())


def test_several_processes_are_refused_where_they_would_do_the_same_work(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "team", lambda: SimpleNamespace(num_processes=2, is_main_process=True))
    with pytest.raises(ValueError, match="processes: found 2, expected one"):
        fit(nn.Linear(1, 1), lambda step, generator: None, 1, folder=tmp_path)
