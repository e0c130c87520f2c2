"""Trained weights on disk: safetensors with the configuration in the header and a SHA-256 beside them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file


class WeightsError(OSError, ValueError):
    """Weights that are not the ones that were saved under this name."""


def sha256(path: str | os.PathLike) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_weights(path: str | os.PathLike, state: dict[str, torch.Tensor], config: object, *, half: bool = True) -> str:
    """Write a state dict, its configuration, and a ``.sha256`` file beside it.

    Parameters
    ----------
    state : dict of Tensor
        As from ``module.state_dict()``; floating tensors are stored in half precision unless ``half=False``.
    config : dataclass
        What is needed to build the module again.

    Returns
    -------
    str
        The SHA-256 of the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for name, value in state.items()
    }
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file(tensors, partial, metadata={"config": json.dumps(dataclasses.asdict(config))})
    os.replace(partial, path)
    return write_sha256(path)


def write_sha256(path: Path) -> str:
    """Write ``NAME.sha256`` beside a file; returns the sum."""
    digest = sha256(path)
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n")
    return digest


def check_sha256(path: Path) -> None:
    """Raise `WeightsError` where a file is not the one its ``.sha256`` was written for."""
    expected = path.with_suffix(".sha256").read_text().split()[0]
    if (found := sha256(path)) != expected:
        raise WeightsError(f"{path}: SHA-256 is {found}, expected {expected}: the file is damaged or was replaced")


def load_weights(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict]:
    """Read what `save_weights` wrote, after checking its SHA-256.

    Returns
    -------
    state : dict of Tensor, floating tensors in float32
    config : dict

    Raises
    ------
    FileNotFoundError
        Where there are no such weights.
    WeightsError
        Where the file is not the one its ``.sha256`` was written for.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no weights here; train them, or point HLDM_WEIGHTS at a folder that has them")
    check_sha256(path)
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, config
