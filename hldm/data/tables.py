"""The knowledge tables: facts with a source each, as package data."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import pandas as pd


@cache
def read_table(name: str) -> pd.DataFrame:
    """One knowledge table, every cell a string and every empty cell an empty string.

    Parameters
    ----------
    name : {"attributes", "aux_nodes", "circor_facts", "conditions", "physiology", "relations", "sources", "split"}
    """
    with files("hldm.data").joinpath("tables", f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)
