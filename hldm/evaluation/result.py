"""One row and one table for every evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hldm.evaluation.resampling import Estimate


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes
    ----------
    metric : str
        With its unit.
    value : Estimate
    better : {"lower", "higher", ""}
    real : Estimate or None
        The same figure for real sounds: the floor of a distance (`real_vs_real`), the ceiling of a score.
    floor : float or Estimate
        What no skill would score; NaN where that means nothing.
    ceiling : float or Estimate
        What could be reached at best on these data, by these measurers.
    measured_by : str
        The measurer and, where it has weights, the start of their SHA-256.
    data : str
        What it was computed on.
    of : mapping of str
        What is compared within a table, such as ``{"method": "vocoder"}``: a column each.
    """

    metric: str
    value: Estimate
    better: str = ""
    real: Estimate | None = None
    floor: float | Estimate = np.nan
    ceiling: float | Estimate = np.nan
    measured_by: str = ""
    data: str = ""
    of: Mapping[str, str] = field(default_factory=dict)

    def cells(self) -> dict[str, object]:
        """The row as columns of a table; None where it says nothing."""
        value, real = self.value, self.real
        limits = {name: float(getattr(x, "value", x)) for name, x in (("floor", self.floor), ("ceiling", self.ceiling))}
        return {
            **self.of, "metric": self.metric, "better": self.better or None,
            "value": value.value, "low": value.low, "high": value.high,
            "real": real and real.value, "real low": real and real.low, "real high": real and real.high, **limits,
            "N": value.n, "N real": real and real.n, "patients": (real or value).groups,
            "measured by": self.measured_by or None, "data": self.data or None,
        }  # fmt: skip


def table(rows: Iterable[Row], index: Sequence[str] = ("metric",)) -> pd.DataFrame:
    """Rows as a DataFrame, without the columns that no row fills.

    Parameters
    ----------
    index : sequence of str
        Columns that become the index.
    """
    frame = pd.DataFrame([row.cells() for row in rows])
    kept = [name for name in frame if name in ("value", "low", "high") or frame[name].notna().any()]
    return frame[kept].set_index(list(index)) if index else frame[kept]
