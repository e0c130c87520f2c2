"""A small untrained model in a folder of weights."""

from pathlib import Path

import torch

from hldm.conditioning import ConditionEncoder
from hldm.config import ConditionConfig, DiffusionConfig, UNetConfig, VAEConfig
from hldm.models import MultiScaleVAE, StructuredUNet


def write_small_weights(folder: Path) -> None:
    """What ``hldm generate`` needs, from one seed."""
    configs = (
        (MultiScaleVAE, VAEConfig(width=16)),
        (StructuredUNet, UNetConfig(condition_width=16, widths=(16, 16, 32), diffusion=DiffusionConfig())),
        (ConditionEncoder, ConditionConfig(width=16, text=False, graph=False, label=True)),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for kind, config in configs:
            kind(config).save(folder)
