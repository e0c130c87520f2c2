"""SNPA: 0 for the linear guess, 1 for who knows the noise, the same whatever a network predicts."""

import pytest
import torch
from torch import nn

from hldm.conditioning import ConditionEncoder
from hldm.conditioning.fields import SCALARS
from hldm.config import SUBSPACES, ConditionConfig, DiffusionConfig, UNetConfig
from hldm.engine.process import GaussianDiffusion
from hldm.evaluation.denoising import LOG_SNRS, denoising_table, epsilon_errors
from hldm.training.latents import EncodedClips

CONDITION = ConditionConfig(text=False, graph=False)


class Guess(nn.Module):
    """Knows z and says epsilon or v of a share of it: 1 is the truth, 0 the linear guess."""

    def __init__(self, prediction: str, z: torch.Tensor, shares: list[float]):
        super().__init__()
        self.config = UNetConfig(diffusion=DiffusionConfig(prediction=prediction))
        self.process, self.z = GaussianDiffusion(self.config.diffusion), z
        self.shares = torch.tensor(shares).repeat_interleave(8)[:, None]

    def forward(self, noisy, t, condition):
        alpha_bar = self.process.log_snr(t).sigmoid()[:, None, None]
        noise = (noisy - alpha_bar.sqrt() * self.z) / (1 - alpha_bar).sqrt()
        linear = (1 - alpha_bar).sqrt() * noisy
        epsilon = linear + self.shares * (noise - linear)
        v = (epsilon - (1 - alpha_bar).sqrt() * noisy) / alpha_bar.sqrt()
        return epsilon if self.config.diffusion.prediction == "epsilon" else v


@pytest.fixture(scope="module")
def clips():
    z = torch.randn(6, 32, 8, generator=torch.Generator().manual_seed(1))
    known = {"scalars": torch.zeros(6, len(SCALARS)), "known": torch.zeros(6, len(SCALARS), dtype=torch.bool)}
    return EncodedClips(z, (known,), torch.zeros(6, 8), [None] * 6, list("aabbcc"))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_accuracy_is_the_share_of_the_linear_error_that_is_taken_away(prediction, clips):
    condition = ConditionEncoder(CONDITION)
    table = denoising_table(Guess(prediction, clips.z, [0.0, 0.5, 1.0, -1.0]), condition, clips, "nothing")
    value = table.set_index("metric")["value"]
    accuracies = [1 - (1 - share) ** 2 for share in (0.0, 0.5, 1.0, -1.0)]
    assert value[[f"SNPA of {name}" for name in SUBSPACES]].tolist() == pytest.approx(accuracies, abs=1e-3)
    assert value["SNPA of all"] == pytest.approx(sum(accuracies) / 4, abs=1e-3)
    assert len(table) == 5 + 4 * len(LOG_SNRS)
    assert set(table["N"]) == {6}
    assert set(table["patients"]) == {3}


def test_the_error_of_z_is_measured_in_latents(clips):
    """Where all is noise, the linear guess of z is nearly 0."""
    table = denoising_table(
        Guess("epsilon", clips.z, [0.0] * 4), ConditionEncoder(CONDITION), clips, "x", log_snrs=[-9]
    )
    expected = clips.z[:, :8].square().mean()
    value = table.set_index("metric").loc["error of z_0, rhythm, log SNR -9", "value"]
    assert value == pytest.approx(float(expected), rel=0.05)


def test_the_nearest_step_is_taken(clips):
    network, linear, level = epsilon_errors(
        Guess("epsilon", clips.z, [1.0] * 4), ConditionEncoder(CONDITION), clips, 0.0
    )
    assert level == pytest.approx(0.0, abs=0.01)
    assert network.shape == linear.shape == (6, 4)
    assert network.max() < 1e-8 < linear.min()


def test_an_error_of_v_becomes_that_of_epsilon():
    """eps = sqrt(alpha_bar) v + sqrt(1 - alpha_bar) z_t."""
    process = GaussianDiffusion(DiffusionConfig())
    z, noise, guess = torch.randn(3, 5, 32, 8, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([1, 200, 500, 800, 990])
    noisy, v = process.q_sample(z, noise, t), process.target(z, noise, t)
    alpha_bar = process.scheduler.alphas_cumprod[t][:, None, None]
    epsilon = alpha_bar.sqrt() * guess + (1 - alpha_bar).sqrt() * noisy
    share = process.epsilon_weight(t)
    torch.testing.assert_close(share[:, None] * process.errors(guess, v, 4), process.errors(epsilon, noise, 4))
    assert GaussianDiffusion(DiffusionConfig(prediction="epsilon")).epsilon_weight(t).tolist() == [1.0] * 5
