"""Short trainings in processes of their own, which may be killed or train together.

A fork server imports what they need once; each process that it forks has one thread, so that sums add up in one order.
"""

import dataclasses
import multiprocessing
import os
import signal
import socket
import threading
from functools import partial
from pathlib import Path

import torch

from hldm.config import PROFILES, ConditionConfig, UNetConfig, VAEConfig

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["hldm.training.diffusion", "hldm.training.vae"])

STEPS = 12
PROFILE = dataclasses.replace(PROFILES["smoke"], max_steps=STEPS, max_patients=6, epochs=(50, 50, 50))
VAE = VAEConfig(width=16, component_width=16, anneal_steps=2, simulated_pairs=4)
UNET = UNetConfig(widths=(16, 16, 16), heads=2)
CONDITION = ConditionConfig(text=False, graph=False, label=True)


def spawn(stage: str, folder: Path, cache: Path, *, death=None, batch_size: int = 8, environment=None):
    """Start one training; `death` is a step and the seconds after its start at which the process kills itself."""
    arguments = (stage, folder, cache, death, batch_size, environment or {})
    process = CONTEXT.Process(target=work, args=arguments)
    process.start()
    return process


def spawn_two(stage: str, folder: Path, cache: Path, *, death=None, batch_size: int = 4):
    """Start two processes that share one training, over gloo."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
              "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}  # fmt: skip
    ranks = [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    return [spawn(stage, folder, cache, death=death, batch_size=batch_size, environment=rank) for rank in ranks]


def ended(*processes) -> list[int]:
    """Exit codes, once all have ended."""
    for process in processes:
        process.join(300)
    return [process.exitcode for process in processes]


def work(stage: str, folder: Path, cache: Path, death, batch_size: int, environment: dict[str, str]) -> None:
    """Train `stage` on the simulated corpus, saving every second step."""
    from hldm.engine import denoising
    from hldm.models import MultiScaleVAE
    from hldm.training import diffusion, vae

    os.environ.update(environment, HLDM_CACHE=str(cache))
    os.environ.pop("HLDM_CIRCOR", None)
    torch.set_num_threads(1)
    short = partial(fit, death=death)
    if stage == "vae":
        vae.fit = short
        vae.train_vae(PROFILE, folder, config=VAE, batch_size=batch_size, hop_seconds=5.12)
    else:
        denoising.fit = short
        torch.manual_seed(0)
        diffusion.train_diffusion(
            PROFILE, folder, MultiScaleVAE(VAE).eval(), config=UNET, condition_config=CONDITION, batch_size=batch_size,
            hop_seconds=5.12,
        )  # fmt: skip


def fit(module, step_loss, steps, *, death=None, **settings):
    """`hldm.engine.fit.fit` that saves every second step, and may be the death of its process."""
    from hldm.engine import fit as loop

    def mortal(step, generator):
        if death and step == death[0]:
            threading.Timer(death[1], os.kill, (os.getpid(), signal.SIGKILL)).start()
        return step_loss(step, generator)

    return loop.fit(module, mortal, steps, warmup=2, save_seconds=0, log_every=2, **settings)


def checkpoint(folder: Path) -> dict:
    """What a run has kept."""
    (path,) = folder.glob("*/checkpoint.pt")
    return torch.load(path, weights_only=True)
