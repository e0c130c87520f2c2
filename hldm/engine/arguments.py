"""What may be asked of a sampler: an argument that means nothing is refused before any work, and named."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from numbers import Integral, Real

import torch

from hldm.data.errors import DataError

SEEDS = 2**63  # how many there are: more would not fit every generator


def seed_of(value: int) -> int:
    """A seed as Python's own int: 5 and ``np.int64(5)`` are one seed.

    Raises
    ------
    DataError
        For what is no whole number, bool too, or lies outside 0 to 2**63 - 1.
    """
    return whole_number(value, "seed", 0, SEEDS - 1, "2**63 - 1")


def whole_number(value: int, field: str, low: int, high: int, named: str = "") -> int:
    """`value` as an int, or a `DataError` that names `field` and the range."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= value <= high:
        raise DataError(f"a whole number from {low} to {named or high}", field=field, value=value)
    return int(value)


def real_number(value: float, field: str, low: float, high: float, unit: str = "") -> float:
    """`value` as a float, or a `DataError` that names `field` and the range; NaN is in none."""
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    if not low <= number <= high:
        raise DataError(f"{low:g} to {high:g}{unit}", field=field, value=value)
    return number


@contextmanager
def single_precision() -> Iterator[None]:
    """Arithmetic in float32, whatever default dtype or autocast the caller has set: the same seed, the same bits.

    A context, or a decorator of what draws and computes.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with ExitStack() as off:
            for device in ("cpu", "cuda", "mps"):
                off.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        torch.set_default_dtype(before)
