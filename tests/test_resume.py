"""A training that is killed again and again ends in the same bits; two processes learn what one learns."""

import random
import signal

import pytest
import workers


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """Runs of both stages that nobody disturbed."""
    folders = {stage: tmp_path_factory.mktemp(stage) for stage in ("vae", "diffusion")}
    for stage, folder in folders.items():
        assert workers.ended(workers.spawn(stage, folder, cache)) == [0]
    return folders


def bits(state):
    """Every tensor as bytes: what is not a number equals itself, too."""
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


@pytest.mark.parametrize("stage", ["vae", "diffusion"])
def test_a_stage_killed_at_random_moments_ends_in_the_same_bits(stage, whole, cache, tmp_path):
    chance = random.Random(stage)
    reached = 0
    for first in (3, 7):
        death = (chance.randrange(first, first + 3), chance.uniform(0, 0.03))
        assert workers.ended(workers.spawn(stage, tmp_path, cache, death=death)) == [-signal.SIGKILL]
        step = workers.checkpoint(tmp_path)["step"]
        assert reached < step < workers.STEPS
        reached = step
    assert workers.ended(workers.spawn(stage, tmp_path, cache)) == [0]
    expected, found = workers.checkpoint(whole[stage]), workers.checkpoint(tmp_path)
    assert found["log"] == expected["log"]
    assert bits(found["module"]) == bits(expected["module"])
    weights = sorted(path.relative_to(whole[stage]) for path in whole[stage].rglob("*.safetensors"))
    assert len(weights) == {"vae": 1, "diffusion": 8}[stage]
    assert all((whole[stage] / path).read_bytes() == (tmp_path / path).read_bytes() for path in weights)


def test_two_processes_learn_what_one_learns_from_the_whole_batch(whole, cache, tmp_path):
    """Also after both were killed."""
    assert workers.ended(*workers.spawn_two("diffusion", tmp_path, cache, death=(5, 0.0))) == 2 * [-signal.SIGKILL]
    assert 0 < workers.checkpoint(tmp_path)["step"] < workers.STEPS
    assert workers.ended(*workers.spawn_two("diffusion", tmp_path, cache)) == [0, 0]
    expected, found = workers.checkpoint(whole["diffusion"]), workers.checkpoint(tmp_path)
    assert [row["step"] for row in found["log"]] == list(range(2, workers.STEPS + 1, 2))
    for one, two in zip(expected["log"], found["log"], strict=True):
        assert two == pytest.approx(one, rel=1e-5, abs=1e-5)
    assert (tmp_path / "unet.safetensors").is_file()
