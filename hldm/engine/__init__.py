"""Latent diffusion under a condition, whatever the signal: what every system of the book shares."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "condition": ["Condition", "Conditioning"],
        "denoising": ["train_denoiser"],
        "latents": ["Latents"],
        "process": ["GaussianDiffusion"],
    },
)
