"""A record as a clinician types it: telegraphic, abbreviated, facts in any order, silent about what is unknown.

The second teller beside `hldm.knowledge.narration.narrative`: so a text encoder learns notes as well as narratives.
"""

from __future__ import annotations

import random

from hldm.data.ages import age_group
from hldm.data.records import AgeGroup, ClinicalRecord, Location, Murmur, Sex, SystolicMurmur
from hldm.knowledge.ages import count_age
from hldm.knowledge.narration import wordings
from hldm.knowledge.narration.narrative import as_told, condition_name
from hldm.knowledge.prompt.reader import read_prompt

SITES = {
    Location.AV: ("RUSB", "aortic area", "AV", "right upper sternal border", "aortic valve", "2nd RICS"),
    Location.PV: ("LUSB", "pulmonary area", "PV", "left upper sternal border", "pulmonic area", "pulmonary valve"),
    Location.TV: ("LLSB", "tricuspid area", "TV", "left lower sternal border", "lower left sternal border"),
    Location.MV: ("apex", "mitral area", "MV", "cardiac apex", "mitral valve"),
    Location.PHC: ("Phc", "additional site (Phc)", "additional site"),
}
ABBREVIATED = {"Mid-systolic": ("SEM", "ESM"), "Holosystolic": ("HSM", "PSM"), "Late-systolic": ("LSM",),
               "Early-diastolic": ("EDM",), "Mid-diastolic": ("MDM",)}  # fmt: skip
TIMED = {
    "Early-systolic": ("early systolic", "early-systolic", "protosystolic"),
    "Mid-systolic": ("midsystolic", "mid-systolic", "mid systolic", "ejection systolic"),
    "Late-systolic": ("late systolic", "late-systolic"),
    "Holosystolic": ("holosystolic", "pansystolic", "holo-systolic"),
    "Early-diastolic": ("early diastolic", "early-diastolic", "protodiastolic"),
    "Mid-diastolic": ("mid-diastolic", "mid diastolic", "middiastolic"),
    "Holodiastolic": ("holodiastolic", "pandiastolic"),
}
SHAPES = {
    "Crescendo": ("crescendo",), "Decrescendo": ("decrescendo", "fading"), "Plateau": ("plateau", "plateau-shaped"),
    "Diamond": ("crescendo-decrescendo", "diamond-shaped", "diamond"),
}  # fmt: skip
QUALITIES = {"Blowing": ("blowing",), "Harsh": ("harsh", "rough", "coarse", "rasping"),
             "Musical": ("musical", "vibratory")}  # fmt: skip
SEXES = {Sex.FEMALE: ("F", "female", "girl"), Sex.MALE: ("M", "male", "boy")}
GROWN = {Sex.FEMALE: ("F", "female", "woman", "lady"), Sex.MALE: ("M", "male", "man", "gentleman")}
GROUPS = {
    AgeGroup.NEONATE: ("neonate", "newborn"), AgeGroup.INFANT: ("infant", "baby"),
    AgeGroup.CHILD: ("child", "schoolchild", "toddler"), AgeGroup.ADOLESCENT: ("adolescent", "teenager", "teen"),
    AgeGroup.YOUNG_ADULT: ("young adult", "adult"),
}  # fmt: skip
UNITS = {"year": ("{n}yo", "{n} yo", "{n} y/o", "{n}-year-old", "{n} year old", "{n} years old", "aged {n}", "{n} yrs"),
         "month": ("{n} mo", "{n}-month-old", "{n} months old", "{n} month old", "aged {n} months"),
         "day": ("{n}-day-old", "{n} days old", "{n} days", "aged {n} days")}  # fmt: skip
SILENT = ("no murmur", "no murmurs", "without murmur", "murmur absent", "no heart murmur", "murmur: none",
          "no systolic or diastolic murmur", "free of murmurs", "no murmur heard", "murmur not heard")  # fmt: skip
POOR = ("murmur status unknown", "poor quality", "poor recording quality", "uninterpretable", "murmur undetermined")
RATES = ("HR {n}", "HR: {n}", "heart rate {n}", "pulse {n}", "{n} bpm", "HR {n} bpm", "{n}/min",
         "heart rate of {n} bpm", "{n} beats per minute", "heart rate is {n}")  # fmt: skip
OUTCOMES = ("outcome {n}", "outcome: {n}", "{n} outcome", "clinical outcome {n}")
HEIGHTS = ("{n} cm", "height {n} cm", "{n} cm tall", "height: {n} cm")
WEIGHTS = ("{n} kg", "weight {n} kg", "weighs {n} kg", "weight: {n} kg")
AT = ("recorded at {n}", "stethoscope at {n}", "auscultated at {n}", "recorded over {n}", "listening at {n}",
      "stethoscope on {n}", "auscultation site: {n}", "auscultation site {n}")  # fmt: skip
BEST = (
    "loudest at {n}",
    "best heard at {n}",
    "heard best at {n}",
    "max at {n}",
    "most audible at {n}",
    "loudest over {n}",
)
SPREAD = ("radiating to {n}", "radiates to {n}", "-> {n}", "with radiation to {n}", "radiates towards {n}")
STAYS = ("no radiation", "does not radiate", "not heard elsewhere", "without radiation")
ASIDES = ("", "", "", "", "", "normal S1 S2", "no thrill", "no gallop")
NAMES = {"vsd": "VSD", "asd": "ASD", "pda": "PDA", "hocm": "HOCM", "tof": "TOF", "mvp": "MVP"}
OPENINGS = ("", "", "", "", "patient: ", "generate ", "please give me ", "recording of ", "sounds of ")


class _Pen:
    """Picks among abbreviations."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def one(self, options, n: object = "") -> str:
        return self.random.choice(options).format(n=n)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def site(self, location: Location) -> str:
        return self.one(("", "the ")) + self.one(SITES[location])

    def sites(self, locations: list[Location]) -> str:
        names = [self.site(v) for v in self.random.sample(locations, len(locations))]
        last = names.pop()
        return f"{', '.join(names)} {self.one(('and', '&'))} {last}" if names else last


def as_noted(record: ClinicalRecord) -> ClinicalRecord:
    """The record that its note tells: as its narrative does, but a bare diagnosis implies its murmur."""
    record = as_told(record)
    if record.murmur is None and record.conditions:
        implied = read_prompt(condition_name(record.conditions[0])).record
        names = ("murmur", "systolic", "diastolic", "murmur_locations", "most_audible_location")
        return record.replace(**{name: getattr(implied, name) for name in names})
    return record


def note(record: ClinicalRecord, seed: int = 0) -> str:
    """Tell a record in shorthand, such as ``"8yo F, HR 110, 3/6 harsh HSM at LLSB -> apex"``.

    Parameters
    ----------
    record : ClinicalRecord
        Unknown fields are left out; the note of an empty record says only that there is a patient.
    seed : int
        Chooses abbreviations and order.
    """
    record, pen = as_told(record), _Pen(seed)
    parts = [*_patient(record, pen), *_murmur(record, pen)]
    for frames, value in (
        (HEIGHTS, record.height_cm), (WEIGHTS, record.weight_kg), (RATES, record.heart_rate),
    ):  # fmt: skip
        if value is not None:
            parts.append(pen.one(frames, f"{value:g}"))
    if record.outcome is not None:
        parts.append(pen.one(OUTCOMES, str(record.outcome).lower()))
    if record.location is not None:
        parts.append(pen.one(AT, pen.site(record.location)) + _here(record, pen))
    parts += [NAMES[c] if c in NAMES and pen.chance(0.5) else condition_name(c) for c in record.conditions]
    if aside := pen.one(ASIDES):
        parts.append(aside)
    pen.random.shuffle(parts)
    gap = ". " if record.systolic and record.diastolic else pen.one((", ", ", ", "; ", ". "))
    text = pen.one(OPENINGS) + gap.join(parts or ["patient"])
    return text[0].upper() + text[1:] + "." if pen.chance(0.4) else text


def _patient(record: ClinicalRecord, pen: _Pen) -> list[str]:
    words, young = [], record.age_group not in (AgeGroup.YOUNG_ADULT, None)
    if record.age_years is not None:
        number, unit = count_age(record.age_years)
        words.append(pen.one(UNITS[unit], f"{number:g}"))
        if record.age_group != age_group(record.age_years):
            words.append(f"age group {str(record.age_group or 'not recorded').lower()}")
    elif record.age_group is not None:
        words.append(pen.one(GROUPS[record.age_group]))
    if record.sex is not None:
        words.append(pen.one((SEXES if young else GROWN)[record.sex]))
    if pen.chance(0.3):
        words.reverse()
    if record.pregnant is not None:
        words.append(pen.one(("pregnant",) if record.pregnant else ("not pregnant", "non-pregnant")))
    return [pen.one((" ", " ", ", ")).join(words)] if words else []


def _described(murmur: SystolicMurmur, pen: _Pen) -> str:
    """One murmur, its adjectives in any order: ``"grade III/VI harsh crescendo HSM"``."""
    words = []
    if murmur.grade:
        step, top = list(murmur.kinds["grade"]).index(murmur.grade) + 1, len(murmur.kinds["grade"])
        words.append(pen.one((f"{step}/{top}", f"grade {murmur.grade}", f"{murmur.grade}", f"grade {step}/{top}",
                              f"gr {step}/{top}", f"{step} out of {top}")))  # fmt: skip
    if murmur.shape:
        words.append(pen.one(SHAPES[murmur.shape]))
    if murmur.quality:
        words.append(pen.one(QUALITIES[murmur.quality]))
    if murmur.pitch:
        words.append(str(murmur.pitch).lower() + pen.one(("-pitched", " pitched", "-pitch", "-frequency")))
    pen.random.shuffle(words)
    if murmur.timing in ABBREVIATED and pen.chance(0.4):
        return " ".join([*words, pen.one(ABBREVIATED[murmur.timing])])
    noun = (pen.one(TIMED[murmur.timing]) if murmur.timing else murmur.phase) + " murmur"
    if words and pen.chance(0.3):
        return f"{noun}, {', '.join(words)}"
    return " ".join([*words, noun])


def _places(record: ClinicalRecord, pen: _Pen) -> str:
    best, everywhere = record.most_audible_location, list(record.murmur_locations)
    others = [v for v in everywhere if v != best]
    if best is None:
        return f"heard at {pen.sites(others)}" if others else ""
    if best not in everywhere:
        heard = f"heard at {pen.sites(others)}, " if others else ""
        return heard + pen.one(BEST, pen.site(best))
    if others:
        return f"{pen.one(BEST, pen.site(best))} {pen.one(SPREAD, pen.sites(others))}"
    if pen.chance(0.5):
        return f"at {pen.site(best)}"
    return f"{pen.one(BEST, pen.site(best))}, {pen.one(STAYS)}"


def _murmur(record: ClinicalRecord, pen: _Pen) -> list[str]:
    if record.murmur is None:
        return []
    if record.murmur == Murmur.ABSENT:
        return [pen.one(SILENT)]
    said = [pen.one(POOR)] if record.murmur == Murmur.UNKNOWN else []
    murmurs = [_described(m, pen) for m in (record.systolic, record.diastolic) if m is not None]
    places = _places(record, pen)
    if not murmurs and not said:
        murmurs = [pen.one(("murmur", "heart murmur", "murmur present"))]
    if len(murmurs) == 1 and places:
        return [*said, f"{murmurs[0]}{pen.one((' ', ', '))}{places}"]
    return [*said, *murmurs, *([f"murmur {places}"] if places else [])]


def _here(record: ClinicalRecord, pen: _Pen) -> str:
    if record.murmur != Murmur.PRESENT or pen.chance(0.5):
        return ""
    return pen.one(wordings.HERE[record.murmur_here])
