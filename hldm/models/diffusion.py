"""The diffusion process in the latent: noising, the training loss, and guided sampling."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from hldm.config import SUBSPACES, DiffusionConfig
from hldm.models.unet import StructuredUNet


class GaussianDiffusion:
    """q(z_t | z_0) and its reversal, on the schedulers of diffusers."""

    def __init__(self, config: DiffusionConfig = DiffusionConfig()):
        self.config = config
        self.scheduler = DDPMScheduler(
            config.train_steps, beta_schedule=config.schedule, prediction_type=config.prediction, clip_sample=False
        )

    def log_snr(self, step: Tensor) -> Tensor:
        """log(alpha_bar / (1 - alpha_bar)) at steps t."""
        alpha_bar = self.scheduler.alphas_cumprod.to(step.device)[step]
        return alpha_bar.log() - (1 - alpha_bar).log()

    def q_sample(self, z: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """z_t = sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) epsilon."""
        return self.scheduler.add_noise(z, noise, step)

    def target(self, z: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """What the network is asked for: epsilon, or v = sqrt(alpha_bar) epsilon - sqrt(1 - alpha_bar) z_0."""
        return noise if self.config.prediction == "epsilon" else self.scheduler.get_velocity(z, noise, step)

    def loss_weight(self, step: Tensor) -> Tensor:
        """Min-SNR weighting (Hang et al. 2023)."""
        snr = self.log_snr(step).exp()
        clipped = snr.clamp_max(self.config.min_snr_gamma)
        return clipped / (snr if self.config.prediction == "epsilon" else snr + 1)

    def errors(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of each subspace, ``(batch, channels, frames)`` to ``(batch, 4)``."""
        return (prediction - target).square().unflatten(1, (len(SUBSPACES), -1)).mean((2, 3))

    @torch.no_grad()
    def sample(
        self,
        unet: StructuredUNet,
        noise: Tensor,
        condition: tuple[Tensor, Tensor],
        null: tuple[Tensor, Tensor],
        beat_position: Tensor,
        *,
        weights: Tensor | None = None,
        guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
    ) -> Tensor:
        """From noise to a latent by DPM-Solver++ (2M), which is deterministic: the noise is the seed.

        Guidance acts on each subspace by itself, our reading of Eq. 5:
        eps_i = eps_i(null) + s w_i(c) (eps_i(c) - eps_i(null)).

        Parameters
        ----------
        noise : Tensor (batch, latent channels, frames)
        condition, null : pairs of Tensor
            Vector (batch, width) and tokens (batch, tokens, width), with the condition and without.
        beat_position : Tensor (batch, frames)
        weights : Tensor (batch, 4), optional
            w_i(c); default: ones.
        guidance_scale : float, optional
            s; 1 is no guidance.
        """
        scale = self.config.guidance_scale if guidance_scale is None else guidance_scale
        solver = DPMSolverMultistepScheduler.from_config(self.scheduler.config, timestep_spacing="linspace")
        solver.set_timesteps(num_inference_steps or self.config.inference_steps, device=noise.device)
        strength = noise.new_full((len(noise), len(SUBSPACES)), scale) if weights is None else scale * weights
        per_channel = strength.repeat_interleave(noise.shape[1] // len(SUBSPACES), dim=1)[:, :, None]
        vector, tokens = (torch.cat(pair) for pair in zip(condition, null, strict=True))
        beats = torch.cat([beat_position, beat_position])
        z = noise
        for step in solver.timesteps:
            steps = step.expand(2 * len(z))
            known, unknown = unet(torch.cat([z, z]), steps, vector, tokens, beats).chunk(2)
            z = solver.step(unknown + per_channel * (known - unknown), step, z).prev_sample
        return z
