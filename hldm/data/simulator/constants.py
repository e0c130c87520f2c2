"""Where the simulator's numbers come from: calibrated on recordings where that was possible, else tabulated."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np

from hldm.data.records import AgeGroup, ClinicalRecord
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
def calibrated(quantity: str, group: str) -> float | None:
    """A number of ``calibration.csv``, measured on real recordings; None where too few were measured."""
    table = read_table("calibration")
    row = table[(table["quantity"] == quantity) & (table["group"] == group)]
    return float(row["value"].iloc[0]) if len(row) else None


def constant(quantity: str, group: str, otherwise: float | None = None) -> float:
    """The calibrated value of a quantity, or `otherwise` where none was measured.

    Raises
    ------
    KeyError
        If it was not measured and there is nothing to fall back on.
    """
    value = calibrated(quantity, group)
    if value is None and otherwise is None:
        raise KeyError(f"{quantity} of {group}: not in calibration.csv")
    return otherwise if value is None else value


@cache
def attribute(field: str, value: str) -> dict[str, str]:
    """The row of ``attributes.csv`` for one value of one attribute."""
    table = read_table("attributes")
    return table[(table["field"] == field) & (table["value"] == value)].iloc[0].to_dict()


@cache
def marginal(field: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Values of a CirCor field and their probabilities among those who have one."""
    table = read_table("circor_facts")
    rows = table[(table["scope"] == "public training set") & (table["field"] == field)]
    rows = rows[rows["value"] != "nan"]
    counts = rows["count"].astype(float).to_numpy()
    return tuple(rows["value"]), counts / counts.sum()


#: The age groups that the physiology table covers.
AGE_GROUPS = tuple(AgeGroup)
