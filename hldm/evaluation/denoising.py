"""How well a denoiser tells noise from latent, subspace by subspace: figures that do not depend on what it predicts.

Epsilon, v and z_0 say the same once z_t is given, so whatever a network predicts becomes an error of epsilon first.
SNPA, the structured noise prediction accuracy, is ``1 - MSE_i / MSE_linear``: of the error that the linear guess
sqrt(1 - alpha_bar) z_t leaves, the share that the network takes away. (The paper gives no formula; a plain R^2 is near
1 at high noise for nothing.) Errors of v and of z_0 have the same ratio, so a network of any kind has one SNPA.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from hldm.conditioning import ConditionEncoder
from hldm.config import SUBSPACES
from hldm.engine.latents import Latents
from hldm.engine.process import GaussianDiffusion
from hldm.evaluation.resampling import Sample, interval
from hldm.evaluation.result import Row, table
from hldm.models.unet import StructuredUNet

#: Noise levels, log(signal / noise) in power: from nearly all noise to nearly none.
LOG_SNRS = (-4.0, -2.0, 0.0, 2.0, 4.0)


@torch.no_grad()
def epsilon_errors(
    unet: StructuredUNet, condition: ConditionEncoder, clips: Latents, log_snr: float, *, batch_size: int = 64,
    seed: int = 0,
) -> tuple[torch.Tensor, torch.Tensor, float]:  # fmt: skip
    """Mean squared errors of epsilon at one noise level, of the network with the condition and of the linear guess.

    Parameters
    ----------
    clips : Latents
    log_snr : float
        The nearest step is taken.
    seed : int
        Of the noise, which is the same for every network.

    Returns
    -------
    network, linear : Tensor (clips, 4)
    log_snr : float
        Of the step.
    """
    process = GaussianDiffusion(unet.config.diffusion)
    levels = process.log_snr(torch.arange(process.config.train_steps))
    step = int((levels - log_snr).abs().argmin())
    noise = torch.randn(clips.z.shape, generator=torch.Generator().manual_seed(seed))
    network, linear = [], []
    for rows in torch.arange(len(clips)).split(batch_size):
        z, epsilon, t = clips.z[rows], noise[rows], torch.full((len(rows),), step)
        noisy = process.q_sample(z, epsilon, t)
        c = condition({name: value[rows] for name, value in clips.features[0].items()})
        prediction = unet(noisy, t, c._replace(position=clips.position[rows]))
        errors = process.errors(prediction, process.target(z, epsilon, t), len(SUBSPACES))
        network.append(process.epsilon_weight(t)[:, None] * errors)
        linear.append(process.errors((-levels[step]).sigmoid().sqrt() * noisy, epsilon, len(SUBSPACES)))
    return torch.cat(network), torch.cat(linear), float(levels[step])


def denoising_table(
    unet: StructuredUNet, condition: ConditionEncoder, clips: Latents, data: str, *,
    log_snrs: Sequence[float] = LOG_SNRS, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """SNPA of every subspace and of all, means over the noise levels, and the error of z_0 at each level.

    Parameters
    ----------
    clips : Latents
        As `hldm.training.latents.encoded` makes them, with their `patients`; on the CPU, as both models are, and none
        that they were trained on.
    data : str
        How the table names the clips.

    Returns
    -------
    DataFrame
        As of `hldm.evaluation.result.table`, without an index; intervals are by patient.
    """
    found = [epsilon_errors(unet, condition, clips, level, seed=seed) for level in log_snrs]
    errors = torch.stack([torch.stack([network, linear]) for network, linear, _ in found])  # (levels, 2, clips, 4)
    rows = []

    def add(metric: str, better: str, values: torch.Tensor, statistic) -> None:
        estimate = interval(statistic, Sample.of(values, clips.patients), seed=seed)
        rows.append(Row(metric, estimate, better, data=data))

    def accuracy(sample: Sample) -> float:
        """Sample of (clips, levels, 2, subspaces)."""
        network, linear = sample.values.mean(0).swapaxes(0, 1)
        return float((1 - network / linear).mean())

    by_clip = errors.permute(2, 0, 1, 3)
    for i, name in enumerate(SUBSPACES):
        add(f"SNPA of {name}", "higher", by_clip[..., i : i + 1], accuracy)
    add("SNPA of all", "higher", by_clip, accuracy)
    for (network, _, level), asked in zip(found, log_snrs, strict=True):
        for i, name in enumerate(SUBSPACES):
            # z_0 - its estimate = sqrt((1 - alpha_bar) / alpha_bar) (estimate of epsilon - epsilon)
            of_z = network[:, i] / torch.tensor(level).exp()
            add(f"error of z_0, {name}, log SNR {asked:g}", "lower", of_z, lambda sample: float(sample.values.mean()))
    return table(rows, index=())
