"""Where the simulator's numbers come from: calibrated on recordings where that was possible, else tabulated."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import numpy as np

from hldm.data.records import ClinicalRecord
from hldm.data.tables import read_table

#: Edges in Hz of the octave bands in which background noise is measured and made.
OCTAVES = (15.625, 31.25, 62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0)


def stream(seed: int, name: str) -> np.random.Generator:
    """The random stream of one component.

    Components draw from streams of their own, so that changing one factor leaves every other draw as it was.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),)))


def age_key(record: ClinicalRecord) -> str:
    """The row of the physiology table that fits: pregnant women have one of their own."""
    if record.pregnant or record.age_group is None:
        return "nan"
    return str(record.age_group)


@cache
def physiology(age: str, quantity: str) -> float:
    """A number of ``physiology.csv`` for an age group (or "nan": pregnant, or age not known)."""
    table = read_table("physiology").set_index("age_group")
    return float(table.loc[age, quantity])


@cache
def _shipped_calibration() -> Mapping[tuple[str, str], float]:
    rows = read_table("calibration").itertuples(index=False)
    return {(row.quantity, row.group): float(row.value) for row in rows}


_trial: ContextVar[Mapping[tuple[str, str], float] | None] = ContextVar("trial calibration", default=None)


@contextmanager
def calibration(values: Mapping[tuple[str, str], float]) -> Iterator[None]:
    """Simulate with other values, by quantity and group, than those of ``calibration.csv``."""
    token = _trial.set(values)
    try:
        yield
    finally:
        _trial.reset(token)


def constant(quantity: str, group: str, otherwise: float | None = None) -> float:
    """The calibrated value of a quantity, or `otherwise` where too few recordings were there to measure it.

    Raises
    ------
    KeyError
        If it was not measured and there is nothing to fall back on.
    """
    trial = _trial.get()
    value = (_shipped_calibration() if trial is None else trial).get((quantity, group), otherwise)
    if value is None:
        raise KeyError(f"{quantity} of {group}: not in calibration.csv")
    return value


@cache
def attribute(field: str, value: str) -> dict[str, str]:
    """The row of ``attributes.csv`` for one value of one attribute."""
    table = read_table("attributes")
    fields = (field, f"{field} (KG only)")  # values that CirCor does not have
    return table[table["field"].isin(fields) & (table["value"] == value)].iloc[0].to_dict()


@cache
def _counts(field: str) -> dict[str, float]:
    table = read_table("circor_facts")
    rows = table[(table["scope"] == "public training set") & (table["field"] == field) & (table["value"] != "nan")]
    return dict(zip(rows["value"], rows["count"].astype(float), strict=True))


def count(field: str) -> float:
    """How many of CirCor's subjects have a value in a field."""
    return sum(_counts(field).values())


@cache
def marginal(field: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Values of a CirCor field and their probabilities among those who have one."""
    counts = _counts(field)
    return tuple(counts), np.array(list(counts.values())) / count(field)
