"""Trained networks on disk: one save and one load for all of them.

``NAME.safetensors`` holds the weights and, in its header, what kind of network it is with its whole configuration, the
front end included. ``NAME.sha256`` beside it holds the SHA-256. What is damaged, or made for another network, is
refused by its name and never loaded in silence. The same holds for the checkpoints of a training.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import types
import typing
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hldm.config import AudioConfig
from hldm.paths import replacing, shared_weights, weights_folder

HEADER = "hldm"  # the one key of a file's metadata: two would come in any order, and the same weights have two sums


class WeightsError(OSError, ValueError):
    """Weights or a checkpoint that are not what was saved under this name, or that do not go together."""


@contextmanager
def refusing(what: object, expected: str) -> Iterator[None]:
    """Turn whatever reading `what` may raise into a `WeightsError` that names it.

    The readers of torch, safetensors and transformers raise errors of a dozen kinds on damaged files.
    """
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{what}: found {type(error).__name__} {reason}, expected {expected}") from error


class Pretrained(nn.Module):
    """A network that is built from a configuration, saved with it, and loaded by it.

    Attributes
    ----------
    config_class : type
        The frozen dataclass that the class is called with. Its `audio`, where it has one, is the front end.
    weights_name : str
        Name of the file within a weights folder, without ``.safetensors``.
    shared : bool
        Whether others build on this network as it is: it is loaded frozen, and the shipped one stands in where a
        folder has none.
    config : dataclass
    hash : str
        SHA-256 of the file that it was loaded from; empty for a network that is in no file.
    folder : path or None
        The weights folder that was asked for.
    """

    config_class: ClassVar[type]
    weights_name: ClassVar[str]
    shared: ClassVar[bool] = False
    config: Any
    hash: str = ""
    folder: str | os.PathLike | None = None

    def save(self, folder: str | os.PathLike, *, half: bool = True) -> Path:
        """Write the weights, in half precision unless ``half=False``, and their SHA-256; returns the weights' path."""
        path = Path(folder) / f"{self.weights_name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {
            name: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
            for name, value in self.state_dict().items()
        }
        header = {"model": type(self).__name__, "config": dataclasses.asdict(self.config)}
        path.with_suffix(".sha256").unlink(missing_ok=True)  # of what is about to be replaced
        with replacing(path) as partial:
            save_file(tensors, partial, metadata={HEADER: json.dumps(header)})
        write_sums(path.with_suffix(".sha256"), [path.name])
        return path

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike | None = None) -> Self:
        """The network of a weights folder, in evaluation mode.

        Parameters
        ----------
        folder : path, optional
            Default: ``HLDM_WEIGHTS``, or the weights that are shipped.

        Raises
        ------
        FileNotFoundError
            Where there are no such weights.
        WeightsError
            Where the file is damaged, or not of this network.
        """
        name = f"{cls.weights_name}.safetensors"
        path = shared_weights(name, folder) if cls.shared else Path(folder or weights_folder()) / name
        config, state = _read(path, cls)
        with (
            refusing(path, f"the weights of a {cls.__name__} with the configuration in the file's header"),
            torch.random.fork_rng(devices=[]),  # weights that are about to be replaced draw from the global generator
        ):
            network = cls(config)
            network.load_state_dict(state)
        network.hash, network.folder = _listed(path.with_suffix(".sha256"))[name], folder
        return network.eval().requires_grad_(not cls.shared)


def same_front_end(**parts: AudioConfig) -> AudioConfig:
    """The front end that all parts were made for.

    Raises
    ------
    WeightsError
        Where two differ: what one calls a log-mel, the other would misread.

    Examples
    --------
    >>> audio = same_front_end(vae=vae.config.audio, vocoder=vocoder.config.audio)
    """
    (first, audio), *others = parts.items()
    for name, other in others:
        fields = [f.name for f in dataclasses.fields(audio) if getattr(audio, f.name) != getattr(other, f.name)]
        if fields:
            differ = ", ".join(f"{f} {getattr(audio, f)} and {getattr(other, f)}" for f in fields)
            raise WeightsError(f"{first} and {name} have different front ends: found {differ}, expected the same")
    return audio


def _read(path: Path, kind: type[Pretrained]) -> tuple[Any, dict[str, Tensor]]:
    """Configuration and state (floating tensors in float32) of a weights file that is what it promises to be."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no weights here; train them, or point HLDM_WEIGHTS at a folder that has them")
    check_sums(path.with_suffix(".sha256"), [path.name])
    with refusing(path, "a safetensors file"), safe_open(path, "pt") as file:
        header = (file.metadata() or {}).get(HEADER)
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    for name, value in state.items():
        if not value.isfinite().all():
            raise WeightsError(f"{path}: {name}: found weights that are not finite, expected numbers")
    if header is None:
        raise WeightsError(f"{path}: found no {HEADER!r} in the metadata, expected weights that this hldm saved")
    with refusing(path, "a model and its configuration in the metadata"):
        header = json.loads(header)
        model, values = header["model"], header["config"]
    if model != kind.__name__:
        raise WeightsError(f"{path}: model: found {model!r}, expected {kind.__name__!r}")
    with refusing(path, f"the fields of {kind.config_class.__name__}"):
        config = read_config(kind.config_class, values, f"{path}: config")
    return config, {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def read_config(kind: Any, value: Any, where: str) -> Any:
    """A value of a configuration, from what JSON made of it: dataclasses, tuples and plain values.

    Parameters
    ----------
    kind : type or annotation
        As a field of a configuration has it.
    where : str
        Names the value in errors.

    Raises
    ------
    WeightsError
        For a field that is unknown or missing, or a value of another type.
    """
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        found = set(value) if isinstance(value, dict) else set()
        for what, names in (("unknown", found - set(hints)), ("missing", set(hints) - found)):
            if names:
                raise WeightsError(
                    f"{where}: {what} {', '.join(sorted(names))}, expected the fields of {kind.__name__}"
                )
        return kind(**{name: read_config(hint, value[name], f"{where}.{name}") for name, hint in hints.items()})
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        return read_config(next(one for one in inner if one is not type(None)), value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(read_config(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise WeightsError(f"{where}: found {value!r}, expected {kind.__name__ if isinstance(kind, type) else kind}")


def sha256(path: str | os.PathLike) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(sums: Path, names: Iterable[str]) -> None:
    """Write the SHA-256 of files beside `sums` into it, as ``sha256sum`` does."""
    lines = [f"{sha256(sums.with_name(name))}  {name}\n" for name in names]
    with replacing(sums) as partial:
        partial.write_text("".join(lines), encoding="utf-8")


def check_sums(sums: Path, names: Iterable[str]) -> None:
    """Check every file that `sums` lists.

    Raises
    ------
    WeightsError
        Where the list is missing or broken, does not list one of `names`, or a file is not as it was listed.
    """
    listed = _listed(sums)
    for name in names:
        if name not in listed:
            raise WeightsError(f"{sums}: found no line for {name}, expected its SHA-256")
    for name, expected in listed.items():
        path = sums.with_name(name)
        found = sha256(path) if path.is_file() else "missing"
        if found != expected:
            raise WeightsError(f"{path}: SHA-256 is {found}, expected {expected}: the file is damaged or was replaced")


def _listed(sums: Path) -> dict[str, str]:
    """SHA-256 by file name."""
    if not sums.is_file():
        raise WeightsError(f"{sums}: missing, expected the SHA-256 of what lies beside it")
    lines = sums.read_bytes().decode("utf-8", "replace").splitlines()
    rows = [re.fullmatch(r"([0-9a-f]{64})  ([^/\\]+)", line) for line in lines]
    if not rows or None in rows:
        wrong = lines[rows.index(None)][:40] if rows else ""
        raise WeightsError(f"{sums}: found {wrong!r}, expected lines of a SHA-256, two spaces and a file name")
    return {row[2]: row[1] for row in rows}


def save_checkpoint(path: Path, run: Mapping[str, object], state: Mapping[str, object]) -> None:
    """Write the state of a training, whole or not at all.

    Parameters
    ----------
    run : mapping
        What tells this run from others: seed, configuration and the like.
    state : mapping
        Tensors and plain values.
    """
    with replacing(path) as partial:
        torch.save({"run": _plain(run), **state}, partial)


def load_checkpoint(path: Path, run: Mapping[str, object], keys: Iterable[str] = ()) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, on the CPU; None where nothing was.

    Raises
    ------
    WeightsError
        For a file that is damaged, lacks one of `keys`, or is of another run.
    """
    if not path.exists():
        return None
    anew = "remove it to begin anew"
    with refusing(path, f"a whole checkpoint: {anew}"):
        with zipfile.ZipFile(path) as archive:  # torch compares no checksums
            if (bad := archive.testzip()) is not None:
                raise WeightsError(f"{path}: {bad} does not have its checksum, expected a whole checkpoint: {anew}")
        saved = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(saved, dict) or not {"run", *keys} <= set(saved) or not isinstance(saved["run"], dict):
        raise WeightsError(f"{path}: found something else, expected a checkpoint of this version of hldm: {anew}")
    for name, wanted in _plain(run).items():
        if (found := saved["run"].get(name)) != wanted:
            raise WeightsError(f"{path}: {name} is {found}, expected {wanted}: use the folder of another run")
    return saved


def _plain(run: Mapping[str, object]) -> dict[str, object]:
    """Configurations as text, field by field, so that they compare and an error can tell which differs."""
    found = {}
    for name, value in run.items():
        if dataclasses.is_dataclass(value):
            found |= {f"{name}.{f.name}": repr(getattr(value, f.name)) for f in dataclasses.fields(value)}
        else:
            found[name] = value
    return found
