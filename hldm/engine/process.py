"""The diffusion process in the latent: noising, the training loss, and guided sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from torch import Tensor, nn

from hldm.config import DiffusionConfig
from hldm.engine.arguments import real_number, whole_number
from hldm.engine.condition import Condition
from hldm.engine.windows import Windows

#: The reverse processes, as settings of one solver. Of first order it is DDIM, and with noise DDPM (Lu et al. 2022),
#: on the same grid of steps; diffusers' own DDIM and DDPM misplace steps whose number does not divide 1,000.
SCHEDULERS = {
    "dpm": {"algorithm_type": "dpmsolver++", "solver_order": 2},
    "ddim": {"algorithm_type": "dpmsolver++", "solver_order": 1},
    "ddpm": {"algorithm_type": "sde-dpmsolver++", "solver_order": 1},
}

#: The largest scale of guidance: far beyond it, latents leave all that a decoder has seen.
MOST_GUIDANCE = 100.0

#: Sampling begins at this log(signal / noise): below it epsilon tells next to nothing of z_0 (.6 % of the amplitude).
FIRST_LOG_RATIO = -5.1


class GaussianDiffusion:
    """q(z_t | z_0) and its reversal, on the schedulers of diffusers."""

    def __init__(self, config: DiffusionConfig = DiffusionConfig()):
        self.config = config
        self.scheduler = DDPMScheduler(
            config.train_steps, beta_schedule=config.schedule, prediction_type=config.prediction, clip_sample=False
        )
        ratios = 0.5 * self.log_snr(torch.arange(config.train_steps))
        #: Of the reverse process: with more, a step would be visited twice, and the solver divide by nothing.
        self.most_steps = int((ratios > FIRST_LOG_RATIO).sum()) - 1

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
        """Min-SNR weighting (Hang et al. 2023), or ones where `min_snr_gamma` is None."""
        if self.config.min_snr_gamma is None:
            return torch.ones_like(step, dtype=torch.float32)
        snr = self.log_snr(step).exp()
        clipped = snr.clamp_max(self.config.min_snr_gamma)
        return clipped / (snr if self.config.prediction == "epsilon" else snr + 1)

    def epsilon_weight(self, step: Tensor) -> Tensor:
        """What a squared error of the network's target has to be multiplied with to be that of epsilon, ``(batch,)``.

        For v it is alpha_bar: z_t is given, so eps - eps_hat = sqrt(alpha_bar) (v - v_hat).
        """
        log_snr = self.log_snr(step)
        return torch.ones_like(log_snr) if self.config.prediction == "epsilon" else log_snr.sigmoid()

    def errors(self, prediction: Tensor, target: Tensor, groups: int = 1) -> Tensor:
        """Mean squared error of each group of channels, ``(batch, channels, frames)`` to ``(batch, groups)``."""
        return (prediction - target).square().unflatten(1, (groups, -1)).mean((2, 3))

    def solver(self, scheduler: str | None = None, steps: int | None = None) -> DPMSolverMultistepScheduler:
        """A fresh solver of the reverse process with its steps set; default: the configuration's.

        Parameters
        ----------
        scheduler : {"dpm", "ddim", "ddpm"}, optional
            DPM-Solver++ (2M), DDIM, or the paper's DDPM. The last draws noise at every step.
        steps : int, optional

        Raises
        ------
        ValueError
            For another scheduler, or steps that `checked` refuses.
        """
        name = scheduler or self.config.scheduler
        if name not in SCHEDULERS:
            raise ValueError(f"scheduler is {name!r}, expected one of {', '.join(SCHEDULERS)}")
        solver = DPMSolverMultistepScheduler.from_config(
            self.scheduler.config, timestep_spacing="linspace", lambda_min_clipped=FIRST_LOG_RATIO, **SCHEDULERS[name]
        )
        solver.set_timesteps(self.checked(steps, None)[0])
        return solver

    def guide(self, cond: Tensor, uncond: Tensor, strength: Tensor) -> Tensor:
        """Predictions with the condition and without to the guided one, each group of channels by itself.

        eps_i = eps_i(null) + s w_i (eps_i(c) - eps_i(null)), which with one group and w = 1 is classifier-free
        guidance (Ho and Salimans 2022), and with w_i(c) our reading of Eq. 5. Where `guidance_rescale` is not 0, that
        share of the excess over the standard deviation of eps_i(c) is taken back (Lin et al. 2024).

        Parameters
        ----------
        cond, uncond : Tensor (batch, latent channels, frames)
        strength : Tensor (batch, groups)
            s w_i.
        """
        cond, uncond = (part.unflatten(1, (strength.shape[1], -1)) for part in (cond, uncond))
        guided = uncond + strength[:, :, None, None] * (cond - uncond)
        if rescale := self.config.guidance_rescale:
            excess = cond.std((2, 3), keepdim=True) / guided.std((2, 3), keepdim=True)
            guided = guided * (rescale * excess + 1 - rescale)
        return guided.flatten(1, 2)

    def checked(self, num_inference_steps: int | None, guidance_scale: float | None) -> tuple[int, float]:
        """What a sampler is asked for, the configuration's where that is None.

        Raises
        ------
        DataError
            For steps that are no whole number from 1 to `most_steps`, or a scale outside 0 to `MOST_GUIDANCE`.
        """
        steps = self.config.inference_steps if num_inference_steps is None else num_inference_steps
        scale = self.config.guidance_scale if guidance_scale is None else guidance_scale
        return (
            whole_number(steps, "num_inference_steps", 1, self.most_steps),
            real_number(scale, "guidance_scale", 0.0, MOST_GUIDANCE),
        )

    @torch.no_grad()
    def sample(
        self,
        denoiser: nn.Module,
        noise: Tensor,
        cond: Condition,
        uncond: Condition,
        *,
        weights: Tensor | None = None,
        guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
        scheduler: str | None = None,
        generators: Sequence[torch.Generator] | None = None,
        on_step: Callable[[int, Tensor, Tensor], None] | None = None,
    ) -> Tensor:
        """From noise to a latent. "dpm" and "ddim" are deterministic: the noise is the seed.

        Guidance (see `guide`) acts between the two noise levels of `guidance_interval` (Kynkaanniemi et al. 2024);
        elsewhere only the prediction with the condition is computed, at half the cost.

        A latent longer than `window_frames` is predicted in overlapping windows at every step (see
        `hldm.engine.windows`), each with its part of the condition's position.

        Parameters
        ----------
        denoiser : nn.Module
            ``(z_t, t, condition) -> prediction``.
        noise : Tensor (batch, latent channels, frames)
        cond, uncond : Condition
            With the condition and without; the latter gets the position of the former.
        weights : Tensor (batch, groups), optional
            w_i(c) of each group of channels; default: one group, 1.
        guidance_scale : float, optional
            s; 1 is no guidance.
        num_inference_steps, scheduler : optional
            As of `solver`.
        generators : sequence of torch.Generator, optional
            One a sample, on the CPU: what "ddpm" draws its noise from, so that no sample depends on its batch.
        on_step : callable, optional
            Called at every step with t, z_t, and the estimate of z_0 that is made there.

        Raises
        ------
        DataError
            As of `checked`.
        """
        num_inference_steps, scale = self.checked(num_inference_steps, guidance_scale)
        solver = self.solver(scheduler, num_inference_steps)
        drawn = solver.config.algorithm_type.startswith("sde")
        if drawn and len(generators or ()) != len(noise):
            raise ValueError(f"found {len(generators or ())} generators for {len(noise)} samples, expected one each")
        strength = noise.new_full((len(noise), 1), scale) if weights is None else scale * weights
        windows = Windows(noise.shape[-1], self.config.window_frames, self.config.window_hop, noise.device)
        cond, uncond = (windows.split_condition(c) for c in (cond, uncond._replace(position=cond.position)))
        both = cond.map(lambda *parts: torch.cat(parts), uncond)
        z = noise
        for t in solver.timesteps:
            parts = windows.split(z)
            steps = t.to(z.device).expand(len(parts))
            if self._guided(t, strength):
                out = denoiser(parts.repeat(2, 1, 1), steps.repeat(2), both)
                prediction = self.guide(*(windows.merge(part) for part in out.chunk(2)), strength)
            else:
                prediction = windows.merge(denoiser(parts, steps, cond))
            fresh = torch.stack([torch.randn(z.shape[1:], generator=g) for g in generators]) if drawn else None
            before, z = z, solver.step(prediction, t, z, variance_noise=fresh).prev_sample
            if on_step:
                on_step(int(t), before, solver.model_outputs[-1])
        return z

    def _guided(self, t: Tensor, strength: Tensor) -> bool:
        low, high = self.config.guidance_interval
        noise_over_signal = math.exp(-0.5 * float(self.log_snr(t)))
        return low < noise_over_signal <= high and bool((strength != 1).any())
