"""What the stages are trained with: one value for every configuration that an experiment may change."""

from __future__ import annotations

from dataclasses import dataclass

from hldm.config import ConditionConfig, UNetConfig, VAEConfig
from hldm.training.curriculum import Curriculum


@dataclass(frozen=True)
class Recipe:
    """The configurations of the stages; the defaults are those of the shipped weights.

    Attributes
    ----------
    title : str
        Of a row in a table.
    curriculum : Curriculum or None
        None: every subspace counts the same throughout stage 2.
    """

    title: str = "default"
    vae: VAEConfig = VAEConfig()
    unet: UNetConfig = UNetConfig()
    condition: ConditionConfig = ConditionConfig()
    curriculum: Curriculum | None = Curriculum()
