"""Ages: the classes of CirCor, the years they span, and how a clinician counts."""

from __future__ import annotations

from functools import cache

from hldm.data.records import AgeGroup, ClinicalRecord
from hldm.data.tables import rows

DAYS = 365.25  # in a year


@cache
def age_limits() -> dict[AgeGroup, tuple[float, float]]:
    """From which year up to which (exclusive) each class reaches; the table counts in completed years."""
    by_group = {row["age_group"]: row for row in rows("physiology")}
    starts = {group: float(by_group[group]["age_min_years"]) for group in AgeGroup}
    ends = [*list(starts.values())[1:], float(by_group[AgeGroup.YOUNG_ADULT]["age_max_years"]) + 1]
    return {group: (low, high) for (group, low), high in zip(starts.items(), ends, strict=True)}


def age_group(years: float | None) -> AgeGroup | None:
    """The class of an age; None for an unknown age and above the oldest class."""
    if years is None:
        return None
    return next((group for group, (low, high) in age_limits().items() if low <= years < high), None)


def typical_age(record: ClinicalRecord) -> float | None:
    """Years: the age where it is known, else the middle of the age class; None where both are unknown."""
    if record.age_years is not None or record.age_group is None:
        return record.age_years
    low, high = age_limits()[record.age_group]
    return (low + high) / 2


def count_age(years: float) -> tuple[float, str]:
    """An age as a clinician counts it: days in the first month, months below two years, then years.

    Returns
    -------
    tuple of (float, str)
        Such as ``(18, "month")``; years keep one decimal.
    """
    if round(years * DAYS) < 28:
        return round(years * DAYS), "day"
    if round(years * 12) < 24:
        return max(1, round(years * 12)), "month"
    return round(years, 1), "year"


def in_years(number: float, unit: str) -> float:
    """The inverse of `count_age`; units are day, week, month and year."""
    return number / {"day": DAYS, "week": DAYS / 7, "month": 12, "year": 1}[unit]
