"""Every ablation by name, each a `dataclasses.replace` of the default: ``hldm train STAGE --experiment NAME``.

A title with a letter is a row of the paper's Table III. What an experiment leaves as it is comes from the shipped
weights, so a denoiser needs no VAE of its own.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from hldm.conditioning import ConditionEncoder
from hldm.config import ConditionConfig, UNetConfig, VAEConfig
from hldm.data.errors import DataError
from hldm.models import MultiScaleVAE, StructuredUNet
from hldm.synthesis import Synthesizer
from hldm.training.recipe import Recipe
from hldm.training.stages import built

DEFAULT = Recipe()

#: The terms of L_disentangle, as `VAEConfig` spells their weights.
TERMS = ("reading", "correlation", "leakage", "component", "rendered", "beat", "measured")


def _vae(title: str, **changes) -> Recipe:
    return replace(DEFAULT, title=title, vae=replace(VAEConfig(), **changes))


def _only(title: str, *terms: str) -> Recipe:
    """No other term of L_disentangle than these."""
    return _vae(title, **{f"{term}_weight": 0.0 for term in TERMS if term not in terms})


def _unet(title: str, **changes) -> Recipe:
    return replace(DEFAULT, title=title, unet=replace(UNetConfig(), **changes))


def _condition(title: str, **changes) -> Recipe:
    """Without the measurements: Eq. 1 as the paper has it, or less."""
    return replace(DEFAULT, title=title, condition=replace(ConditionConfig(), scalars=False, **changes))


EPSILON = replace(UNetConfig().diffusion, prediction="epsilon")

#: Experiments of the VAE: what each term of L_disentangle is worth.
VAES: dict[str, Recipe] = {
    "no-disentangle": _vae("no L_disentangle", delta=0.0),
    "correlation-only": _only("correlation penalty alone", "correlation"),
    "probes": _only("probes", "reading"),
    "probes-correlation": _only("probes + correlation", "reading", "correlation"),
    "probes-correlation-leakage": _only("probes + correlation + leakage", "reading", "correlation", "leakage"),
    "probes-measured": _only("probes + measured swaps", "reading", "measured", "beat"),
    "probes-rendered": _only("probes + rendered swaps", "reading", "component", "rendered"),
    "no-leakage": _vae("all but leakage", leakage_weight=0.0),
    "no-rendered": _vae("all but rendered swaps", component_weight=0.0, rendered_weight=0.0),
    "no-measured": _vae("all but measured swaps", measured_weight=0.0, beat_weight=0.0),
    "one-decoder": _vae("all, one decoder", superposition=False),
    "real-only": _vae("all, real recordings alone", simulated_pairs=0),
}

#: Experiments of the denoiser: what each of its parts is worth.
DENOISERS: dict[str, Recipe] = {
    "plain-attention": _unet("(a) plain self-attention", medical_attention=False),
    "one-head": _unet("(d) one head", structured=False),
    "epsilon": _unet("epsilon, as in the paper", diffusion=replace(EPSILON, min_snr_gamma=None)),
    "epsilon-min-snr": _unet("epsilon with min-SNR", diffusion=EPSILON),
    "no-curriculum": replace(DEFAULT, title="no curriculum", curriculum=None),
}

#: Experiments of the condition: which parts of Eq. 1 are heard.
CONDITIONS: dict[str, Recipe] = {
    "text-and-graph": _condition("text and graph"),
    "text-only": _condition("text only", graph=False),
    "graph-only": _condition("graph only", text=False),
    "label-only": _condition("label only", text=False, graph=False, label=True),
}

EXPERIMENTS: dict[str, Recipe] = {"default": DEFAULT, **VAES, **DENOISERS, **CONDITIONS}


def experiment(name: str) -> Recipe:
    """The recipe of an experiment.

    Raises
    ------
    DataError
        For a name that is not in `EXPERIMENTS`.
    """
    if name not in EXPERIMENTS:
        raise DataError(f"one of {', '.join(EXPERIMENTS)}", field="experiment", value=name)
    return EXPERIMENTS[name]


def load(name: str, runs: str | os.PathLike = "runs") -> Synthesizer:
    """The model of an experiment that ``hldm train --experiment`` has trained; the parts it left are the shipped ones.

    Raises
    ------
    DataError
        For an unknown experiment, or one of which nothing was trained.
    """
    recipe, folder = experiment(name), Path(runs) / name
    parts = (MultiScaleVAE, StructuredUNet, ConditionEncoder)
    places = [built(folder, f"{part.weights_name}.safetensors") for part in parts]
    if folder not in places:
        raise DataError(f"weights of {recipe.title!r}: hldm train STAGE --experiment {name} makes them", file=folder)
    return Synthesizer(*(part.from_pretrained(place) for part, place in zip(parts, places, strict=True)))
