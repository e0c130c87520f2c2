"""The knowledge tables: facts with a source each, as package data."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """The rows of one knowledge table by its columns, as `read_table` has them, without pandas."""
    with files("hldm.data").joinpath("tables", f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@cache
def read_table(name: str) -> pd.DataFrame:
    """One knowledge table, every cell a string and every empty cell an empty string.

    Parameters
    ----------
    name : {"attributes", "aux_nodes", "circor_facts", "conditions", "physiology", "relations", "sources", "split"}
    """
    import pandas as pd

    with files("hldm.data").joinpath("tables", f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)
