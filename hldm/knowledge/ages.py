"""The age of a record, and the words for it."""

from __future__ import annotations

from hldm.data.ages import age_limits
from hldm.data.records import ClinicalRecord

DAYS = 365.25  # in a year


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
