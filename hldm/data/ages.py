"""Age classes of CirCor and the years they span."""

from __future__ import annotations

from functools import cache

from hldm.data.records import AgeGroup
from hldm.data.tables import read_table


@cache
def age_limits() -> dict[AgeGroup, tuple[float, float]]:
    """From which year up to which (exclusive) each class reaches; the table counts in completed years."""
    rows = read_table("physiology").set_index("age_group")
    starts = {group: float(rows.loc[group, "age_min_years"]) for group in AgeGroup}
    ends = [*list(starts.values())[1:], float(rows.loc[AgeGroup.YOUNG_ADULT, "age_max_years"]) + 1]
    return {group: (low, high) for (group, low), high in zip(starts.items(), ends, strict=True)}


def age_group(years: float | None) -> AgeGroup | None:
    """The class of an age; None for an unknown age and above the oldest class."""
    if years is None:
        return None
    return next((group for group, (low, high) in age_limits().items() if low <= years < high), None)
