"""The engine stands on its own: it trains and samples a system of one group, another network and no position."""

import pytest
import torch
from torch import nn

from hldm.config import DiffusionConfig
from hldm.engine import Condition, Conditioning, GaussianDiffusion, Latents, train_denoiser
from hldm.engine.blocks import AdaptiveBlock, CrossAttention, SelfAttention
from hldm.engine.condition import normal
from hldm.engine.windows import Windows

CHANNELS, FRAMES, WIDTH = 8, 12, 16


class Embedding(Conditioning):
    """One of two classes, as a vector and one token."""

    def __init__(self):
        super().__init__()
        self.rows = nn.Parameter(normal(2, WIDTH, seed=0))
        self.add_null(WIDTH, tokens=1, seed=1)

    def forward(self, features):
        vector = self.rows[features["class"]]
        return Condition(vector, vector[:, None])


class Transformer(nn.Module):
    """No U-Net: a block with self- and cross-attention at one resolution."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv1d(CHANNELS, WIDTH, 1)
        self.block = AdaptiveBlock(WIDTH, WIDTH, WIDTH)
        self.attention, self.cross = SelfAttention(WIDTH, heads=2), CrossAttention(WIDTH, WIDTH, heads=2)
        self.head = nn.Conv1d(WIDTH, CHANNELS, 1)

    def forward(self, z, step, condition):
        assert condition.position is None
        embedding = condition.vector + step[:, None] / 1000
        return self.head(self.cross(self.attention(self.block(self.stem(z), embedding)), condition.tokens))


def train(folder, **options):
    classes = torch.arange(20) % 2
    z = normal(20, CHANNELS, FRAMES, seed=3) + 2.0 * classes[:, None, None]
    torch.manual_seed(0)
    return train_denoiser(
        Transformer(), Embedding(), Latents(z, ({"class": classes},), None), 10, GaussianDiffusion(),
        folder=folder, batch_size=4, **options,
    )  # fmt: skip


def test_another_system_trains_and_samples(tmp_path):
    """Ten steps, a loss of its own, a curriculum, and a sound three windows long."""
    seen, kept = [], []

    def smooth(step):
        seen.append(step)
        loss = 0.01 * step.prediction.diff(dim=-1).square().mean()
        return loss, {"smooth": float(loss.detach())}

    averages, log = train(
        tmp_path, added_loss=smooth, group_weights=lambda progress: [progress + 0.5],
        after_update=lambda step, models: kept.append(step),
    )  # fmt: skip
    assert set(log[-1]) == {"step", "loss", "denoising", "all", "smooth"}
    assert log[-1]["loss"] == pytest.approx(log[-1]["denoising"] + log[-1]["smooth"])
    assert kept == list(range(10))
    assert seen[0].errors.shape == (4, 1)
    assert seen[0].cond.position is None
    denoiser, conditioning = averages["denoiser"], averages["conditioning"]
    process = GaussianDiffusion(DiffusionConfig(window_frames=FRAMES, window_hop=8))
    with torch.no_grad():
        cond = conditioning({"class": torch.tensor([0, 1])})
    noise = normal(2, CHANNELS, 2 * FRAMES, seed=5)
    z = process.sample(denoiser, noise, cond, conditioning.null(2), guidance_scale=2.0, num_inference_steps=4)
    assert z.shape == noise.shape
    assert z.isfinite().all()
    assert not torch.equal(z[0], z[1])


def test_as_many_groups_as_there_are_names(tmp_path):
    log = train(tmp_path, groups=("low", "high"), level_weight=GaussianDiffusion().epsilon_weight)[1]
    assert {"low", "high"} <= set(log[-1])


def test_a_finished_training_is_not_repeated(tmp_path):
    first, again = train(tmp_path), train(tmp_path)
    assert first[1] == again[1]
    for name, value in first[0].state_dict().items():
        assert torch.equal(value, again[0].state_dict()[name])


def test_one_group_is_plain_guidance():
    cond, uncond = normal(2, CHANNELS, 4, seed=0), normal(2, CHANNELS, 4, seed=1)
    found = GaussianDiffusion().guide(cond, uncond, torch.full((2, 1), 3.0))
    torch.testing.assert_close(found, uncond + 3.0 * (cond - uncond))


def test_dropout_takes_the_null_condition_and_leaves_the_position():
    conditioning, position = Embedding(), torch.arange(6.0).expand(3, -1)
    cond = conditioning({"class": torch.tensor([0, 1, 1])})._replace(position=position)
    where = torch.tensor([True, False, True])
    dropped, null = conditioning.drop(cond, where), conditioning.null(3)
    assert torch.equal(dropped.vector[where], null.vector[where])
    assert torch.equal(dropped.tokens[1], cond.tokens[1])
    assert dropped.position is position


def test_every_window_knows_the_condition_and_its_own_place():
    cond = Condition(normal(2, 3, seed=0), normal(2, 4, 3, seed=1), torch.arange(20.0).expand(2, -1))
    windows = Windows(20, 8, 6)
    parts = windows.split_condition(cond)
    for window, start in enumerate((0, 6, 12)):
        rows = slice(2 * window, 2 * window + 2)
        assert torch.equal(parts.vector[rows], cond.vector)
        assert torch.equal(parts.tokens[rows], cond.tokens)
        assert torch.equal(parts.position[rows], cond.position[:, start : start + 8])
    assert windows.split_condition(cond._replace(position=None)).position is None
