"""Records as numbers: the scalars that fusion reads, and the targets that the encoders are trained to recover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hldm.data.ages import typical_age
from hldm.data.records import (
    AgeGroup,
    ClinicalRecord,
    DiastolicMurmur,
    Location,
    Murmur,
    Outcome,
    Sex,
    SystolicMurmur,
)

#: Order of the scalar tokens, each with the mean and spread that standardise it.
SCALARS = {
    "heart_rate": (102.0, 20.0),  # bpm; mean and SD of the full CirCor set as published
    "age_years": (1.5, 0.75),  # of log(1 + years): half of the set is below six years
    "height_cm": (111.0, 29.0),
    "weight_kg": (24.0, 15.0),
    "sex": (0.0, 1.0),  # female -1, male +1
    "murmur_level": (8.0, 6.0),  # dB of systole over diastole, 100 to 400 Hz; no field of a record
}


def _scalar(record: ClinicalRecord, name: str) -> float | None:
    if name == "murmur_level":
        return None
    if name == "sex":
        return {Sex.FEMALE: -1.0, Sex.MALE: 1.0, None: None}[record.sex]
    if name == "age_years":
        years = typical_age(record)
        return None if years is None else float(np.log1p(years))
    return getattr(record, name)


def scalars(records: Sequence[ClinicalRecord], murmur_levels: Sequence[float] | None = None) -> tuple[Tensor, Tensor]:
    """Standardised scalars and which of them are known.

    An age is that of `hldm.data.ages.typical_age`: CirCor publishes classes, prompts give years.

    Parameters
    ----------
    records : sequence of ClinicalRecord
    murmur_levels : sequence of float, optional
        dB, NaN where unknown; default: all unknown. Records don't hold them.

    Returns
    -------
    values : Tensor (batch, len(SCALARS)), float32
        0 where unknown.
    known : Tensor (batch, len(SCALARS)), bool
    """
    rows = [[_scalar(record, name) for name in SCALARS] for record in records]
    raw = torch.tensor([[np.nan if v is None else v for v in row] for row in rows]).reshape(-1, len(SCALARS))
    if murmur_levels is not None:
        raw[:, list(SCALARS).index("murmur_level")] = torch.as_tensor(murmur_levels, dtype=raw.dtype)
    mean, spread = torch.tensor(list(SCALARS.values())).T
    known = ~raw.isnan()
    return ((raw - mean) / spread).nan_to_num(0.0).float(), known


def _categories() -> dict[str, tuple]:
    """For every categorical field its values; None, the unknown, comes first."""
    fields: dict[str, tuple] = {
        "age_group": tuple(AgeGroup), "sex": tuple(Sex), "pregnant": (False, True), "murmur": tuple(Murmur),
        "murmur_here": (False, True), "location": tuple(Location), "most_audible_location": tuple(Location),
        "outcome": tuple(Outcome), **{f"murmur_at_{site}": (True,) for site in Location},
    }  # fmt: skip
    for murmur in (SystolicMurmur, DiastolicMurmur):
        fields[murmur.phase] = (True,)
        fields |= {f"{murmur.phase}.{name}": tuple(kind) for name, kind in murmur.kinds.items()}
    return {name: (None, *values) for name, values in fields.items()}


CATEGORIES = _categories()


def _category(record: ClinicalRecord, name: str):
    if name.startswith("murmur_at_"):
        return Location(name.removeprefix("murmur_at_")) in record.murmur_locations or None
    value = record.value_of(name)
    return (value is not None or None) if name in (SystolicMurmur.phase, DiastolicMurmur.phase) else value


def targets(records: Sequence[ClinicalRecord]) -> dict[str, Tensor]:
    """Class numbers of every categorical field.

    Returns
    -------
    dict of Tensor (batch,), int64
        Positions in `CATEGORIES`; 0 stands for unknown. `murmur_here` is what a recording at `location` is labelled
        by.
    """
    return {
        name: torch.tensor([values.index(_category(record, name)) for record in records])
        for name, values in CATEGORIES.items()
    }
