"""The diffusion process: noising, solvers, guidance, and sounds longer than a training clip."""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from hldm.config import DiffusionConfig, UNetConfig
from hldm.data import DataError
from hldm.engine import Condition, GaussianDiffusion
from hldm.engine.windows import Windows
from hldm.models import StructuredUNet, split_subspaces


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def generators(*seeds):
    return [generator(seed) for seed in seeds]


def randn(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed))


def saying(value, position):
    """A condition of one number, over positions (batch, frames)."""
    batch = len(position)
    return Condition(torch.full((batch, 1), value), torch.zeros(batch, 1, 1), position)


def nothing(position):
    """A condition that says nothing."""
    return saying(0.0, position)


def test_noising_is_the_formula_and_the_end_is_pure_noise():
    process = GaussianDiffusion()
    z, noise, step = randn(2, 32, 8), randn(2, 32, 8, seed=1), torch.tensor([10, 999])
    alpha_bar = process.scheduler.alphas_cumprod[step][:, None, None]
    torch.testing.assert_close(process.q_sample(z, noise, step), alpha_bar.sqrt() * z + (1 - alpha_bar).sqrt() * noise)
    torch.testing.assert_close(process.target(z, noise, step), alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * z)
    assert alpha_bar[1].sqrt() < 0.01


def test_min_snr_weights_by_hand():
    process = GaussianDiffusion()
    step = torch.tensor([0, 500, 999])
    snr = process.scheduler.alphas_cumprod[step] / (1 - process.scheduler.alphas_cumprod[step])
    torch.testing.assert_close(process.loss_weight(step), snr.clamp_max(5) / (snr + 1), rtol=1e-3, atol=1e-6)
    epsilon = GaussianDiffusion(DiffusionConfig(prediction="epsilon"))
    torch.testing.assert_close(epsilon.loss_weight(step), snr.clamp_max(5) / snr, rtol=1e-3, atol=1e-6)
    plain = GaussianDiffusion(DiffusionConfig(min_snr_gamma=None))
    assert torch.equal(plain.loss_weight(step), torch.ones(3))


class Oracle(torch.nn.Module):
    """The ideal denoiser of a point mass at `mean`: it depends on the condition only through `vector`."""

    def __init__(self, process):
        super().__init__()
        self.process = process

    def forward(self, z, step, condition):
        alpha_bar = self.process.scheduler.alphas_cumprod[step][:, None, None]
        mean = condition.vector[:, :1, None].expand_as(z)
        noise = (z - alpha_bar.sqrt() * mean) / (1 - alpha_bar).sqrt()
        return (
            noise
            if self.process.config.prediction == "epsilon"
            else alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * mean
        )


@pytest.mark.parametrize("scheduler", ["dpm", "ddim", "ddpm"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_sampling_reaches_what_an_ideal_network_knows(prediction, scheduler):
    process = GaussianDiffusion(DiffusionConfig(prediction=prediction))
    cond, uncond = (saying(value, torch.zeros(2, 8)) for value in (3.0, 0.0))
    z = process.sample(
        Oracle(process), randn(2, 32, 8), cond, uncond, guidance_scale=1.0, scheduler=scheduler,
        generators=generators(1, 2),
    )  # fmt: skip
    torch.testing.assert_close(z, torch.full_like(z, 3.0), atol=0.05, rtol=0)


def test_guidance_moves_each_subspace_by_its_weight():
    process = GaussianDiffusion(DiffusionConfig(guidance_rescale=0.0, guidance_interval=(0.0, math.inf)))
    cond, uncond = (saying(value, torch.zeros(1, 8)) for value in (1.0, 0.0))
    weights = torch.tensor([[0.5, 1.0, 2.0, 0.0]])
    z = process.sample(Oracle(process), randn(1, 32, 8), cond, uncond, weights=weights, guidance_scale=2.0)
    means = [part.mean().item() for part in split_subspaces(z).values()]
    assert means == pytest.approx([1.0, 2.0, 4.0, 0.0], abs=0.05)


class Network(torch.nn.Module):
    """Some smooth function of what it is given; counts how many samples it was asked for at each step."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, z, step, condition):
        self.asked.append(len(z))
        said = condition.vector[:, :1, None] + torch.sin(condition.position)[:, None]
        return 0.8 * torch.tanh(z + said) + 0.1 * z.roll(1, -1)


def test_ddpm_is_that_of_diffusers():
    process, noise, beats = GaussianDiffusion(), randn(2, 32, 8), torch.zeros(2, 8)
    steps = process.solver("ddpm", 25).timesteps.tolist()
    theirs = DDPMScheduler.from_config(process.scheduler.config)
    theirs.set_timesteps(timesteps=steps)
    z = process.sample(
        Network(), noise, nothing(beats), nothing(beats), guidance_scale=1.0, num_inference_steps=25,
        scheduler="ddpm", generators=generators(3, 4),
    )  # fmt: skip
    expected, draws = noise, generators(3, 4)
    for t in steps:
        prediction = Network()(expected, None, nothing(beats))
        expected = theirs.step(prediction, t, expected, generator=draws).prev_sample
    torch.testing.assert_close(z, expected, atol=1e-3, rtol=1e-3)


def test_ddim_by_hand():
    process, noise, beats = GaussianDiffusion(), randn(2, 32, 8), torch.zeros(2, 8)
    solver = process.solver("ddim", 10)
    z = noise
    for t, before in zip(solver.timesteps, [*solver.timesteps[1:], None], strict=True):
        now = process.scheduler.alphas_cumprod[t]
        then = torch.ones(()) if before is None else process.scheduler.alphas_cumprod[before]
        v = Network()(z, None, nothing(beats))
        z_0, epsilon = now.sqrt() * z - (1 - now).sqrt() * v, now.sqrt() * v + (1 - now).sqrt() * z
        z = then.sqrt() * z_0 + (1 - then).sqrt() * epsilon
    found = process.sample(
        Network(), noise, nothing(beats), nothing(beats), guidance_scale=1.0, num_inference_steps=10, scheduler="ddim"
    )
    torch.testing.assert_close(found, z, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("scheduler", ["dpm", "ddim", "ddpm"])
def test_a_sample_does_not_depend_on_its_batch(scheduler):
    process, noise, beats = GaussianDiffusion(), randn(3, 32, 12), randn(3, 12, seed=1)

    def sample(chosen):
        return process.sample(
            Network(), noise[chosen], nothing(beats[chosen]), nothing(beats[chosen]),
            num_inference_steps=6, scheduler=scheduler, generators=generators(*chosen),
        )  # fmt: skip

    torch.testing.assert_close(sample([0, 1, 2])[[2]], sample([2]))
    torch.testing.assert_close(sample([0, 1, 2]), sample([0, 1, 2]), rtol=0, atol=0)


def test_what_cannot_be_sampled_is_said():
    process, noise = GaussianDiffusion(), randn(2, 32, 8)
    arguments = (Network(), noise, nothing(torch.zeros(2, 8)), nothing(torch.zeros(2, 8)))
    with pytest.raises(ValueError, match="scheduler is 'euler', expected one of dpm, ddim, ddpm"):
        process.sample(*arguments, scheduler="euler")
    with pytest.raises(ValueError, match="found 1 generators for 2 samples"):
        process.sample(*arguments, scheduler="ddpm", generators=generators(0))


@pytest.mark.parametrize("steps", [0, -1, 996, 1001, 2.5, True, "8", math.nan])
def test_steps_that_mean_nothing_are_refused(steps):
    network, silent = Network(), nothing(torch.zeros(2, 8))
    with pytest.raises(DataError, match=r"num_inference_steps: found .*, expected a whole number from 1 to 995"):
        GaussianDiffusion().sample(network, randn(2, 32, 8), silent, silent, num_inference_steps=steps)
    assert not network.asked


@pytest.mark.parametrize("scale", [math.nan, math.inf, 1e30, -1.0, True, "3"])
def test_guidance_that_means_nothing_is_refused(scale):
    network, silent = Network(), nothing(torch.zeros(2, 8))
    with pytest.raises(DataError, match=r"guidance_scale: found .*, expected 0 to 100"):
        GaussianDiffusion().sample(network, randn(2, 32, 8), silent, silent, guidance_scale=scale)
    assert not network.asked


@pytest.mark.parametrize("steps", [1, 995])
def test_the_fewest_and_the_most_steps_give_numbers(steps):
    """995: so many of the 1,000 steps have a signal to begin from."""
    silent = nothing(torch.zeros(1, 4))
    assert GaussianDiffusion().most_steps == 995
    z = GaussianDiffusion().sample(Network(), randn(1, 32, 4), silent, silent, num_inference_steps=steps)
    assert z.isfinite().all()


def test_rescaled_guidance_keeps_the_deviation_of_the_conditional_prediction():
    cond, uncond = randn(3, 32, 8), randn(3, 32, 8, seed=1)
    strength = torch.tensor([[3.0, 1.0, 2.0, 0.5]]).expand(3, -1)

    def deviations(share):
        z = GaussianDiffusion(DiffusionConfig(guidance_rescale=share)).guide(cond, uncond, strength)
        return z.unflatten(1, (4, 8)).std((2, 3))

    target = cond.unflatten(1, (4, 8)).std((2, 3))
    torch.testing.assert_close(deviations(1.0), target)
    torch.testing.assert_close(deviations(0.5), (target + deviations(0.0)) / 2)


def test_guidance_is_paid_for_only_within_its_interval():
    process = GaussianDiffusion(DiffusionConfig(guidance_interval=(0.5, 2.0)))
    network, ratios = Network(), []
    process.sample(
        network, randn(2, 32, 8), saying(1.0, torch.zeros(2, 8)), nothing(torch.zeros(2, 8)), num_inference_steps=20,
        on_step=lambda t, z, z_0: ratios.append(math.exp(-0.5 * float(process.log_snr(torch.tensor(t))))),
    )  # fmt: skip
    assert network.asked == [4 if 0.5 < ratio <= 2.0 else 2 for ratio in ratios]
    assert network.asked.count(4) == pytest.approx(20 * 0.41, abs=1)  # atan 2 - atan .5 over a right angle


@pytest.mark.parametrize("scheduler", ["dpm", "ddim", "ddpm"])
def test_every_step_can_be_watched(scheduler):
    process, seen, noise = GaussianDiffusion(), [], randn(1, 32, 8)
    cond, uncond = (saying(value, torch.zeros(1, 8)) for value in (2.0, 0.0))
    z = process.sample(
        Oracle(process), noise, cond, uncond, guidance_scale=1.0, num_inference_steps=7,
        scheduler=scheduler, generators=generators(0), on_step=lambda *step: seen.append(step),
    )  # fmt: skip
    assert [t for t, _, _ in seen] == process.solver(scheduler, 7).timesteps.tolist()
    assert torch.equal(seen[0][1], noise)
    for _, _, z_0 in seen[1:]:
        torch.testing.assert_close(z_0, torch.full_like(z_0, 2.0), atol=0.02, rtol=0)
    torch.testing.assert_close(z, seen[-1][2])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 600), st.integers(1, 90), st.data())
def test_windows_cover_every_frame_and_their_weights_sum_to_one(frames, width, data):
    hop = data.draw(st.integers(1, width))
    windows = Windows(frames, width, hop)
    total = torch.zeros(frames).index_add(0, windows.index.flatten(), windows.weights.flatten())
    torch.testing.assert_close(total, torch.ones(frames))
    assert (windows.weights > 0).all()
    assert windows.index[0, 0] == 0
    assert windows.index[-1, -1] == frames - 1
    assert (windows.index[1:, 0] - windows.index[:-1, 0] <= hop).all()
    x = randn(2, 3, frames)
    torch.testing.assert_close(windows.merge(windows.split(x)), x, atol=1e-5, rtol=1e-5)


def test_a_window_carries_its_own_part_of_the_beat_grid():
    beats = torch.stack([torch.arange(200) * 0.08, torch.arange(200) * 0.13])
    parts = Windows(200, 80, 60).split(beats)
    assert parts.shape == (6, 80)
    for window, start in enumerate((0, 60, 120)):
        assert torch.equal(parts[2 * window : 2 * window + 2], beats[:, start : start + 80])
    with pytest.raises(ValueError, match="hop is 81, expected 1 to 80"):
        Windows(200, 80, 81)


def test_one_window_is_the_plain_path():
    wide = GaussianDiffusion(DiffusionConfig(window_frames=1000))
    narrow = GaussianDiffusion(DiffusionConfig(window_frames=80))
    beats = torch.rand(2, 80)
    arguments = (randn(2, 32, 80), saying(1.0, beats), nothing(beats))
    assert torch.equal(wide.sample(Network(), *arguments), narrow.sample(Network(), *arguments))


def test_a_network_that_knows_a_constant_gives_it_at_any_length():
    process = GaussianDiffusion()
    cond, uncond = (saying(value, torch.zeros(2, 300)) for value in (3.0, 0.0))
    z = process.sample(Oracle(process), randn(2, 32, 300), cond, uncond, guidance_scale=1.0)
    torch.testing.assert_close(z, torch.full_like(z, 3.0), atol=0.05, rtol=0)


def test_there_is_no_seam():
    """Steps from frame to frame are no larger where windows begin, end or cross than elsewhere."""
    torch.manual_seed(0)
    unet = StructuredUNet(UNetConfig(condition_width=16, widths=(16, 16, 32))).eval()
    process = GaussianDiffusion(DiffusionConfig(window_frames=40, window_hop=30))
    cond = Condition(randn(8, 16), randn(8, 3, 16), torch.arange(220)[None].expand(8, -1) * 0.08)
    z = process.sample(unet, randn(8, 32, 220), cond, cond.map(torch.zeros_like), num_inference_steps=6)
    windows = Windows(220, 40, 30)
    size = z.diff(dim=-1).square().mean((0, 1)).sqrt()  # (219,), over 256 steps each
    seams = torch.zeros(219, dtype=torch.bool)
    seams[torch.cat([windows.index[1:, 0] - 1, windows.index[:-1, -1]])] = True
    elsewhere = size[~seams]
    assert abs(size[seams].mean() - elsewhere.mean()) < 3 * elsewhere.std() / seams.sum() ** 0.5
    assert size[seams].max() < elsewhere.mean() + 5 * elsewhere.std()
