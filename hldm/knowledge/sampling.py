"""Random records: every field varied, every combination possible in the clinic allowed, known or unknown."""

from __future__ import annotations

import numpy as np

from hldm.data.records import (
    AgeGroup,
    ClinicalRecord,
    DiastolicMurmur,
    Location,
    Murmur,
    Outcome,
    Sex,
    SystolicMurmur,
)  # fmt: skip
from hldm.data.tables import read_table
from hldm.knowledge.ages import age_limits
from hldm.knowledge.narration import as_told

UNKNOWN_SHARE = 0.15  # of every optional field


def random_record(generator: np.random.Generator) -> ClinicalRecord:
    """Draw a record in which fields vary independently, so that no attribute can be guessed from another.

    Real records correlate (grade III is never low-pitched); an encoder trained on them alone may read one word for
    another. Here each value is equally likely.
    """

    def known(share: float = UNKNOWN_SHARE) -> bool:
        return generator.random() >= share

    def pick(kind):
        return kind[generator.integers(len(kind))]

    def murmur_of(kind: type[SystolicMurmur]) -> SystolicMurmur:
        return kind(**{name: pick(list(values)) for name, values in kind.kinds.items() if known()})

    group = pick(list(AgeGroup)) if known() else None
    sex = pick(list(Sex)) if known() else None
    fields: dict = {"age_group": group, "sex": sex}
    if group is not None and generator.random() < 0.5:
        fields |= {"age_years": generator.uniform(*age_limits()[group]), "age_group": None}  # the years tell it
    if known():
        fields["pregnant"] = (
            sex != Sex.MALE and group in (None, AgeGroup.YOUNG_ADULT, AgeGroup.ADOLESCENT) and known(0.5)
        )
    if known(0.3):
        fields["height_cm"] = round(generator.uniform(40, 190), 1)
    if known(0.3):
        fields["weight_kg"] = round(generator.uniform(2, 100), 1)
    if known(0.2):
        fields["heart_rate"] = float(round(generator.uniform(45, 200)))
    if known(0.3):
        fields["outcome"] = pick(list(Outcome))
    if known(0.2):
        fields["location"] = pick(list(Location)[:4]) if known(0.05) else Location.PHC
    if known(0.95):
        fields["conditions"] = (pick(read_table("conditions")["id"].tolist()),)
    fields["murmur"] = generator.choice([Murmur.PRESENT, Murmur.ABSENT, Murmur.UNKNOWN, None], p=[0.65, 0.2, 0.1, 0.05])
    if fields["murmur"] == Murmur.PRESENT:
        phases = generator.choice([1, 2, 3], p=[0.75, 0.1, 0.15])  # systolic, diastolic, both
        fields["systolic"] = murmur_of(SystolicMurmur) if phases & 1 else None
        fields["diastolic"] = murmur_of(DiastolicMurmur) if phases & 2 else None
        sites = [site for site in Location if generator.random() < (0.02 if site == Location.PHC else 0.6)]
        if known():
            fields["murmur_locations"] = tuple(sorted(sites))
        if sites and known():
            fields["most_audible_location"] = pick(sites)
    return as_told(ClinicalRecord(**fields))
