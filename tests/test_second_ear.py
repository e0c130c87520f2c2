"""The second ear: trained on a fixed budget, level kept, asked by the final report alone, every reading logged."""

import csv

import numpy as np
import pytest
import torch

from hldm.data.errors import DataError
from hldm.evaluation.second_ear import READINGS, embeddings, hear_sounds, log_reading, score_second_ear, take_reading
from hldm.models.second_ear import SecondEar, SecondEarConfig
from hldm.paths import data_folder
from hldm.training.second_ear import SecondEarTraining, train_second_ear

TINY = SecondEarConfig(widths=(4, 4, 4, 4), hidden=4, embedding=4)
SHIPPED = data_folder() / "weights"


@pytest.fixture(scope="module")
def ear() -> SecondEar:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SecondEar(TINY).eval()


def test_it_hears_level_and_the_whole_band(ear):
    sound = np.random.default_rng(0).normal(0, 0.05, 20480).astype(np.float32)
    hum = (0.0005 * np.sin(2 * np.pi * 1900 * np.arange(20480) / 4000)).astype(np.float32)  # 40 dB below
    same, louder, hummed = embeddings(ear, [sound, 2 * sound, sound + hum])
    assert np.abs(louder - same).max() > 1e-3
    assert np.abs(hummed - same).max() > 1e-5
    verdict = ear(torch.from_numpy(sound)[None])
    assert verdict.states.shape == (1, 4, 20480 // TINY.step)
    assert verdict.embedding.shape == (1, TINY.embedding)


def test_training_is_seeded_resumes_and_leaves_the_global_generator_alone(simulated, tmp_path):
    recordings = [recording for recording, _ in zip(simulated, range(6), strict=False)]
    training = SecondEarTraining(epochs=1, crops=1, batch_size=2)
    before = torch.random.get_rng_state()
    for name in ("one", "two"):
        _, log = train_second_ear(recordings, tmp_path / name, config=TINY, training=training)
    assert torch.equal(before, torch.random.get_rng_state())
    assert [row["step"] for row in log] == [3]
    one, two = (tmp_path / name / "second_ear.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    one.unlink()
    train_second_ear(recordings, tmp_path / "one", config=TINY, training=training)  # from its checkpoint
    assert one.read_bytes() == two.read_bytes()
    scores = score_second_ear(SecondEar.from_pretrained(tmp_path / "one"), list(simulated))
    assert [name.split(",")[0] for name in scores] == [
        "murmur", "heart rate", "Frechet distance", "linear two-sample AUC",
    ]  # fmt: skip


def test_a_reading_has_its_floors_and_is_appended_to_the_log(ear, simulated, tmp_path):
    recordings = list(simulated)
    rows = hear_sounds(recordings[:12], recordings, ear, data="simulated", repeats=5)
    distance, ratio, auc = rows
    assert ratio.value.value == pytest.approx(distance.value.value / distance.real.value)
    assert ratio.real.value == pytest.approx(1)
    assert auc.metric == "linear two-sample AUC"
    log = tmp_path / "log.csv"
    log_reading(log, rows, weights="vae 1234", seed=0)
    first = log.read_text()
    log_reading(log, rows[:1], weights="vae 5678", seed=1)
    assert log.read_text().startswith(first)
    found = list(csv.DictReader(log.open()))
    assert [row["weights"] for row in found] == ["vae 1234"] * 3 + ["vae 5678"]
    assert found[0]["metric"] == "Frechet distance"
    assert float(found[0]["value"]) == pytest.approx(distance.value.value, abs=1e-4)
    assert all(found[0].values())


def test_no_reading_is_wasted(ear, simulated, monkeypatch):
    recordings = list(simulated)
    with pytest.raises(DataError, match=r"9 sounds and .* at least 10 sounds"):
        hear_sounds(recordings[:9], recordings, ear, data="simulated")
    monkeypatch.delenv("HLDM_CIRCOR", raising=False)
    with pytest.raises(DataError, match="real recordings"):
        take_reading(None)


def test_the_shipped_ear_is_logged_and_small():
    ear = SecondEar.from_pretrained(SHIPPED)
    with (SHIPPED / READINGS).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert f"second ear {ear.hash[:8]}" in {row["measured by"] for row in rows}
    assert (SHIPPED / "second_ear.safetensors").stat().st_size < 1 << 20
    assert ear.hash in (SHIPPED / "second_ear.md").read_text(encoding="utf-8")
