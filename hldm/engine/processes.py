"""One process or several: `accelerate` tells them apart, and averages over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env, reduce
from torch import Tensor, nn


def team() -> PartialState:
    """This process among those that train together: its `process_index`, `num_processes` and `device`.

    On the CPU where there is no CUDA GPU, or ``accelerate launch --cpu`` says so.
    """
    return PartialState(cpu=not torch.cuda.is_available() or parse_flag_from_env("ACCELERATE_USE_CPU"))


def share(batch_size: int) -> slice:
    """The rows of this process in a batch that all processes have drawn alike, `batch_size` for each of them."""
    first = team().process_index * batch_size
    return slice(first, first + batch_size)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes: that of the batch which they share."""
    if team().num_processes == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    mean = reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
    for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def average(figures: Mapping[str, float]) -> dict[str, float]:
    """Mean of every figure over the processes; all must have the same ones."""
    state = team()
    if state.num_processes == 1:
        return dict(figures)
    values: Tensor = reduce(torch.tensor(list(figures.values()), dtype=torch.float64, device=state.device), "mean")
    return dict(zip(figures, values.tolist(), strict=True))
