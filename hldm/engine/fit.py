"""One training loop for every stage: seeded by the step, so that a resumed run repeats the one that was not killed."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hldm.data.errors import DataError
from hldm.engine.processes import average, average_gradients, team
from hldm.pretrained import load_checkpoint, refusing, save_checkpoint


def fit(
    module: nn.Module,
    step_loss: Callable[[int, torch.Generator], tuple[Tensor, dict[str, float]]],
    steps: int,
    *,
    folder: str | os.PathLike,
    learning_rate: float = 3e-4,
    warmup: int = 100,
    seed: int = 0,
    save_seconds: float = 60,
    log_every: int = 50,
    after_step: Callable[[int], None] | None = None,
    shared: bool = False,
    run: Mapping[str, object] | None = None,
) -> list[dict[str, float]]:
    """AdamW with linear warm-up and cosine annealing, with checkpoints.

    A loss or a gradient that is not finite ends the training before it reaches the weights; the last checkpoint stays.

    All randomness of step k comes from a generator seeded with ``(seed, k)``. Nothing else is drawn, so resuming needs
    no state but weights and moments, and ends in the same bits.

    Several processes (see `hldm.engine.processes`) train together: gradients and the log are their means, and the first
    process alone writes and prints. All have the same generator. `step_loss` draws the whole batch from it and takes
    the rows of `hldm.engine.processes.share`: so the loss is that of one process with the whole batch.

    Parameters
    ----------
    module : nn.Module
        Everything that is trained or must be kept (an EMA copy may be a submodule without gradients).
    step_loss : callable
        ``(step, generator) -> (loss, what to log)``.
    folder : path
        ``checkpoint.pt`` is kept here, replaced whole; an existing one is resumed.
    after_step : callable, optional
        Called after every update, for an EMA.
    shared : bool
        Whether `step_loss` shares its batch between processes.
    run : mapping, optional
        What, beside the seed, tells this run from others: configurations, as of `hldm.pretrained.save_checkpoint`.

    Returns
    -------
    list of dict
        The log: mean of every figure over `log_every` steps.

    Raises
    ------
    DataError
        Where several processes were started for what is not shared; where a loss or a gradient is not finite.
    WeightsError
        Where the checkpoint is damaged, or of another run.
    """
    processes = team()
    if processes.num_processes > 1 and not shared:
        raise DataError(
            "one: this training does not share its batches", field="processes", value=processes.num_processes
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.pt"
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, betas=(0.9, 0.99), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: _rate(k, steps, warmup))
    start, log = 0, []
    kept, run = {"module": module, "optimizer": optimizer, "schedule": schedule}, {"seed": seed, **(run or {})}
    if (saved := load_checkpoint(path, run, [*kept, "step", "log"])) is not None:
        with refusing(path, "the checkpoint of the model that is trained: use the folder of another run"):
            for name, part in kept.items():
                part.load_state_dict(saved[name])
        start, log = saved["step"], saved["log"]

    def save(step: int) -> None:
        state = {name: part.state_dict() for name, part in kept.items()}
        save_checkpoint(path, run, state | {"step": step, "log": log})

    recent: list[dict[str, float]] = []
    saved_at = time.monotonic()
    for step in range(start, steps):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        loss, figures = step_loss(step, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(trained)
        gradient = float(nn.utils.clip_grad_norm_(trained, 1.0))
        figures = {"loss": float(loss.detach()), **figures}
        if not (math.isfinite(figures["loss"]) and math.isfinite(gradient)):
            raise _not_finite(path, step, figures, gradient)
        optimizer.step()
        schedule.step()
        if after_step is not None:
            after_step(step)
        recent.append(figures)
        if (step + 1) % log_every == 0 or step + 1 == steps:
            means = {k: sum(r[k] for r in recent) / len(recent) for k in recent[0]}
            log.append({"step": step + 1, **average(means)})
            recent = []
            if processes.is_main_process:
                print("  ".join(f"{k} {v:.4g}" for k, v in log[-1].items()), flush=True)
        due = time.monotonic() - saved_at > save_seconds and (step + 1) % log_every == 0
        if processes.is_main_process and (due or step + 1 == steps):
            save(step + 1)
            saved_at = time.monotonic()
    return log


def _not_finite(path: Path, step: int, figures: Mapping[str, float], gradient: float) -> DataError:
    """Names the step, and the loss with those of its figures that are not finite, or else the gradient."""
    bad = figures if not math.isfinite(figures["loss"]) else {"gradient": gradient}
    names = ", ".join(f"{name} {value}" for name, value in bad.items() if not math.isfinite(value))
    kept = f"{path} holds what was learnt before" if path.is_file() else "nothing was kept"
    return DataError(
        f"finite numbers; the weights are left as they were, and {kept}", field=f"step {step + 1}: {names}"
    )


def _rate(step: int, steps: int, warmup: int) -> float:
    """Learning rate over its maximum: linear up, cosine down to a twentieth."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, progress)))


def moving_average(module: nn.Module, decay: float, *, grown: bool) -> AveragedModel:
    """Exponential moving average of weights.

    Its memory grows with its age, so that short runs have one too. The average of a module that was an average before
    is `grown`: it keeps its full memory, and moves away from those weights slowly.
    """

    @torch.no_grad()
    def update(averaged, current, count):
        torch._foreach_lerp_(averaged, list(current), 1 - min(decay, (1 + float(count)) / (10 + float(count))))

    ema = AveragedModel(module, multi_avg_fn=update).requires_grad_(False)
    if grown:
        ema.n_averaged.fill_(round((10 * decay - 1) / (1 - decay)))  # the age at which the memory is full
    return ema
