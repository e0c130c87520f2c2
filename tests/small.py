"""A small untrained model in a folder of weights."""

from pathlib import Path

import torch

from hldm.conditioning import ConditionEncoder
from hldm.config import ConditionConfig, DiffusionConfig, UNetConfig, VAEConfig
from hldm.models import MultiScaleVAE, StructuredUNet
from hldm.pretrained import save_weights


def write_small_weights(folder: Path) -> None:
    """What ``hldm generate`` needs, from one seed."""
    configs = {
        "vae": (MultiScaleVAE, VAEConfig(width=16)),
        "unet": (StructuredUNet, UNetConfig(condition_width=16, widths=(16, 16, 32), diffusion=DiffusionConfig())),
        "condition": (ConditionEncoder, ConditionConfig(width=16, text=False, graph=False, label=True)),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, (kind, config) in configs.items():
            save_weights(folder / f"{name}.safetensors", kind(config).state_dict(), config)
