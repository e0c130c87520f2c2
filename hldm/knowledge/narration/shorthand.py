"""A record as a clinician types it: telegraphic, abbreviated, facts in any order, silent about what is unknown.

The second teller beside `hldm.knowledge.narration.narrative`: so a text encoder learns notes as well as narratives.
"""

from __future__ import annotations

import random
from functools import partial

from hldm.data.ages import age_group, count_age
from hldm.data.records import AgeGroup, ClinicalRecord, Location, Murmur, SystolicMurmur
from hldm.knowledge.narration.narrative import as_told, condition_name
from hldm.knowledge.narration.wordings import options, wordings
from hldm.knowledge.prompt.reader import read_prompt

_say = partial(options, "note")


class _Pen:
    """Picks among abbreviations."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def one(self, options, n: object = "") -> str:
        return self.random.choice(options).format(n=n)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def site(self, location: Location) -> str:
        return self.one(("", "the ")) + self.one(_say("sites", location))

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
        (_say("heights"), record.height_cm), (_say("weights"), record.weight_kg), (_say("rates"), record.heart_rate),
    ):  # fmt: skip
        if value is not None:
            parts.append(pen.one(frames, f"{value:g}"))
    if record.outcome is not None:
        parts.append(pen.one(_say("outcomes"), str(record.outcome).lower()))
    if record.location is not None:
        parts.append(pen.one(_say("at"), pen.site(record.location)) + _here(record, pen))
    parts += [
        _say("names", c)[0] if c in wordings("note")["names"] and pen.chance(0.5) else condition_name(c)
        for c in record.conditions
    ]
    if aside := pen.one(_say("asides")):
        parts.append(aside)
    pen.random.shuffle(parts)
    gap = ". " if record.systolic and record.diastolic else pen.one((", ", ", ", "; ", ". "))
    text = pen.one(_say("openings")) + gap.join(parts or ["patient"])
    return text[0].upper() + text[1:] + "." if pen.chance(0.4) else text


def _patient(record: ClinicalRecord, pen: _Pen) -> list[str]:
    words, young = [], record.age_group not in (AgeGroup.YOUNG_ADULT, None)
    if record.age_years is not None:
        number, unit = count_age(record.age_years)
        words.append(pen.one(_say("units", unit), f"{number:g}"))
        if record.age_group != age_group(record.age_years):
            words.append(f"age group {str(record.age_group or 'not recorded').lower()}")
    elif record.age_group is not None:
        words.append(pen.one(_say("groups", record.age_group)))
    if record.sex is not None:
        words.append(pen.one(_say("sexes" if young else "grown", record.sex)))
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
        words.append(pen.one(_say("shapes", murmur.shape)))
    if murmur.quality:
        words.append(pen.one(_say("qualities", murmur.quality)))
    if murmur.pitch:
        words.append(str(murmur.pitch).lower() + pen.one(("-pitched", " pitched", "-pitch", "-frequency")))
    pen.random.shuffle(words)
    if murmur.timing in wordings("note")["abbreviated"] and pen.chance(0.4):
        return " ".join([*words, pen.one(_say("abbreviated", murmur.timing))])
    noun = (pen.one(_say("timed", murmur.timing)) if murmur.timing else murmur.phase) + " murmur"
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
        return heard + pen.one(_say("best"), pen.site(best))
    if others:
        return f"{pen.one(_say('best'), pen.site(best))} {pen.one(_say('spread'), pen.sites(others))}"
    if pen.chance(0.5):
        return f"at {pen.site(best)}"
    return f"{pen.one(_say('best'), pen.site(best))}, {pen.one(_say('stays'))}"


def _murmur(record: ClinicalRecord, pen: _Pen) -> list[str]:
    if record.murmur is None:
        return []
    if record.murmur == Murmur.ABSENT:
        return [pen.one(_say("silent"))]
    said = [pen.one(_say("poor"))] if record.murmur == Murmur.UNKNOWN else []
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
    return pen.one(options("narrative", "here", record.murmur_here))
