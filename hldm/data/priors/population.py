"""Who is heard: fields that a record leaves open are drawn from CirCor's own distributions."""

from __future__ import annotations

import numpy as np

from hldm.data.ages import age_group
from hldm.data.priors.constants import age_key, constant, count, marginal, physiology, stream
from hldm.data.records import (
    AgeGroup,
    ClinicalRecord,
    DiastolicMurmur,
    Location,
    Murmur,
    SystolicMurmur,
)  # fmt: skip

MAIN_SITES = (Location.AV, Location.PV, Location.TV, Location.MV)


def complete_record(record: ClinicalRecord, seed: int) -> ClinicalRecord:
    """The record with every field known that shapes the sound.

    Each field has a random stream of its own, so that stating one does not change how another is drawn.
    Adult pregnant women keep an age group of None, as CirCor has them.
    """
    known: dict = {}

    def rng(name: str) -> np.random.Generator:
        return stream(seed, f"record {name}")

    def draw(field: str, name: str, given: str = "") -> str:
        return _draw(field, rng(name), given)

    if record.age_group is None and not record.pregnant:
        if record.age_years is not None:
            known["age_group"] = age_group(record.age_years) or AgeGroup.YOUNG_ADULT  # the oldest with a row
        else:
            known["age_group"] = draw("Age", "age")
    if record.pregnant is None:
        known["pregnant"] = False
    if record.sex is None:
        known["sex"] = "Female" if record.pregnant else draw("Sex", "sex")
    murmur = record.murmur
    if murmur is None:
        hinted = record.systolic or record.diastolic or record.murmur_locations or record.most_audible_location
        murmur = Murmur.PRESENT if hinted else draw("Murmur", "murmur")
        known["murmur"] = murmur
    if record.outcome is None:
        known["outcome"] = draw("Murmur x Outcome", "outcome", given=murmur)
    if murmur == Murmur.PRESENT:
        known |= _complete_murmurs(record, rng)
        known |= _complete_sites(record, rng)
    elif record.location is None:
        known["location"] = rng("location").choice(MAIN_SITES)
    record = record.replace(**known)
    if record.heart_rate is None:
        record = record.replace(heart_rate=_heart_rate(record, rng("heart rate")))
    return _complete_body(record, rng("body"))


def draw_patient(seed: int) -> ClinicalRecord:
    """A patient as CirCor's are distributed: age and pregnancy together, the murmur by age, and so on."""
    pregnant, age = _draw_pair("Pregnancy status x Age", stream(seed, "patient age"))
    record = ClinicalRecord(
        age_group=None if age == "nan" else age,
        pregnant=pregnant == "True",
        murmur=_draw("Age x Murmur", stream(seed, "patient murmur"), given=age),
    )
    if record.murmur == Murmur.PRESENT:
        # Of the subjects with a murmur nearly all have a systolic one, a few a diastolic one, some of those both.
        subjects, systolic, diastolic = (
            count(field) for field in ("Murmur locations", "Systolic murmur timing", "Diastolic murmur timing")
        )
        draw = stream(seed, "patient phase").uniform() * subjects
        record = record.replace(
            systolic=SystolicMurmur() if draw < systolic else None,
            diastolic=DiastolicMurmur() if draw >= subjects - diastolic else None,
        )
    return complete_record(record, seed)


def _draw_pair(field: str, rng: np.random.Generator) -> list[str]:
    """Both values of a field ``A x B``."""
    values, weights = marginal(field)
    return str(rng.choice(values, p=weights)).split("|")


def _draw(field: str, rng: np.random.Generator, given: str = "") -> str:
    """A value of a field from CirCor's counts; of ``A x B``, a value of B given A."""
    values, weights = marginal(field)
    if " x " in field:
        pairs = [value.split("|") for value in values]
        usable = np.array([a == given and b != "nan" for a, b in pairs])
        if not usable.any():
            usable = np.array([b != "nan" for _, b in pairs])
        values = [b for _, b in pairs]
        weights = weights * usable
    return str(rng.choice(values, p=weights / weights.sum()))


def _complete_murmurs(record: ClinicalRecord, rng) -> dict:
    """All five attributes of every murmur; a systolic one where the record names none."""
    known = {}
    if record.systolic or not record.diastolic:
        murmur = record.systolic or SystolicMurmur()
        name = "Systolic murmur"
        timing = murmur.timing or _draw(f"{name} timing", rng("timing"))
        pitch = murmur.pitch or _draw(f"{name} timing x {name} pitch", rng("pitch"), timing)
        known["systolic"] = SystolicMurmur(
            timing=timing,
            shape=murmur.shape or _draw(f"{name} timing x {name} shape", rng("shape"), timing),
            grade=murmur.grade or _draw(f"{name} timing x {name} grading", rng("grade"), timing),
            pitch=pitch,
            quality=murmur.quality or _draw(f"{name} pitch x {name} quality", rng("quality"), pitch),
        )
    if record.diastolic:
        columns = {"timing": "timing", "shape": "shape", "grade": "grading", "pitch": "pitch", "quality": "quality"}
        known["diastolic"] = DiastolicMurmur(**{
            name: getattr(record.diastolic, name)
            or _draw(f"Diastolic murmur {column}", rng(f"diastolic {name}"))
            for name, column in columns.items()
        })  # fmt: skip
    return known


def _complete_sites(record: ClinicalRecord, rng) -> dict:
    """Where the murmur is heard, where it is loudest, and where to listen: there, unless told otherwise."""
    heard, loudest, here = record.murmur_locations, record.most_audible_location, record.location
    if not heard:
        must = {site for site in (loudest, here) if site}
        values, weights = marginal("Murmur locations")
        sets = [tuple(Location(site) for site in value.split("+")) for value in values]
        usable = weights * [must <= set(sites) for sites in sets]
        heard = sets[rng("sites").choice(len(sets), p=usable / usable.sum())]
    if loudest is None:
        values, weights = marginal("Most audible location")
        usable = weights * [value in heard for value in values]
        loudest = rng("loudest").choice(values, p=usable / usable.sum()) if usable.any() else heard[0]
    return {"murmur_locations": heard, "most_audible_location": loudest, "location": here or loudest}


def _heart_rate(record: ClinicalRecord, rng: np.random.Generator) -> float:
    """Log-normal around the age group's median, within the extremes of the physiology table."""
    age = age_key(record)
    median = constant("heart_rate_bpm", age, otherwise=physiology(age, "hr_median_bpm"))
    if record.age_group == AgeGroup.CHILD and record.age_years:
        median += -19.0 * np.log(record.age_years / 6.0)  # slope of the Fleming medians; about 6 y is typical
    rate = median * np.exp(rng.normal(0, constant("heart_rate_log_sd", age, otherwise=0.15)))
    low, high = physiology(age, "hr_extreme_low_bpm"), physiology(age, "hr_extreme_high_bpm")
    return round(float(np.clip(rate, low, high)), 1)


def _complete_body(record: ClinicalRecord, rng: np.random.Generator) -> ClinicalRecord:
    """Height and weight, which go together; left open for pregnant women, as in CirCor."""
    size = rng.normal()
    if record.age_group is None:
        return record
    height = physiology(record.age_group, "height_median_cm") * np.exp(0.08 * size)
    weight = physiology(record.age_group, "weight_median_kg") * np.exp(0.22 * size)
    return record.replace(
        height_cm=record.height_cm or round(float(height), 1),
        weight_kg=record.weight_kg or round(float(weight), 1),
    )
