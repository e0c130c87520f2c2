"""What training logged, kept beside the weights that it made, for whoever wants to see them learn."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hldm.paths import weights_folder

HISTORY = "diffusion.history.json"


def read_history(folder: str | os.PathLike | None = None) -> list[dict[str, float]]:
    """The log of the training that made a folder's U-Net and fusion.

    Parameters
    ----------
    folder : path, optional
        Default: ``HLDM_WEIGHTS``, or the shipped weights.

    Returns
    -------
    list of dict
        Means over some updates: `stage`, `step` (the last of these updates), `loss`, the squared error of every
        subspace, and `lambda_text` and `lambda_graph` of Eq. 1, as far as the fusion has these parts. Empty for
        weights that came without.
    """
    path = Path(folder or weights_folder()) / HISTORY
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def write_history(
    folder: str | os.PathLike,
    stage: int,
    log: Sequence[Mapping[str, float]],
    start_from: str | os.PathLike | None = None,
) -> None:
    """Write the log of one stage, after those of the earlier stages that it started from."""
    earlier = [row for row in read_history(start_from) if row["stage"] < stage] if start_from else []
    rows = earlier + [{"stage": stage, **row} for row in log]
    short = [{k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    lines = ",\n".join(map(json.dumps, short))
    (Path(folder) / HISTORY).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
