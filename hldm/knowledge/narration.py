"""A record as a clinician would tell it, on three levels.

L1 summarises the patient and the recording, L2 describes the murmur, L3 ranks what could explain it. Nothing is
said that the record does not hold; wordings vary with the seed, facts do not.
"""

from __future__ import annotations

import random
import re
from typing import NamedTuple

from hldm.data.records import AgeGroup, ClinicalRecord, Location, Murmur, Sex, SystolicMurmur
from hldm.knowledge.ages import age_group, count_age, in_years
from hldm.knowledge.graph import knowledge_graph
from hldm.knowledge.posterior import differential

SITES = {
    Location.AV: ("aortic area", "aortic valve area"),
    Location.PV: ("pulmonary area", "pulmonary valve area"),
    Location.TV: ("tricuspid area", "left lower sternal border"),
    Location.MV: ("mitral area", "cardiac apex"),
    Location.PHC: ("unnamed additional site (Phc)",),
}
SHAPES = {
    "Crescendo": ("crescendo", "crescendo in shape"),
    "Decrescendo": ("decrescendo", "of decrescendo shape"),
    "Diamond": ("diamond-shaped", "crescendo-decrescendo in shape"),
    "Plateau": ("plateau-shaped", "of constant loudness like a plateau"),
}
QUALITIES = {
    "Blowing": ("blowing", "blowing in quality"),
    "Harsh": ("harsh", "coarse in quality"),
    "Musical": ("musical", "musical in quality"),
}
TIMINGS = {
    "Early-systolic": ("early-systolic", "confined to early systole"),
    "Mid-systolic": ("mid-systolic", "confined to mid-systole"),
    "Late-systolic": ("late-systolic", "confined to late systole"),
    "Holosystolic": ("holosystolic", "pansystolic"),
    "Early-diastolic": ("early-diastolic", "confined to early diastole"),
    "Mid-diastolic": ("mid-diastolic", "confined to mid-diastole"),
    "Holodiastolic": ("holodiastolic", "pandiastolic"),
}


class Narrative(NamedTuple):
    """The three levels; ``str()`` joins them."""

    summary: str
    murmur: str
    differential: str

    def __str__(self) -> str:
        return " ".join(level for level in self if level)


class _Words:
    """Chooses wordings. The last frame of every set is held out: kept for testing what was trained on the others."""

    def __init__(self, seed: int, held_out: bool):
        self.random, self.held_out = random.Random(seed), held_out

    def phrase(self, *options: str) -> str:
        return self.random.choice(options)

    def frame(self, *options: str) -> str:
        return options[-1] if self.held_out else self.random.choice(options[:-1])


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _article(noun: str) -> str:
    sounds_open = re.match(r"[aeio]|un(?!i)|8|1[18]\b", noun)
    return f"{'an' if sounds_open else 'a'} {noun}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _site(location: Location, words: _Words) -> str:
    return "the " + words.phrase(*SITES[location])


def _person(record: ClinicalRecord, words: _Words) -> str:
    sex = {Sex.FEMALE: "female", Sex.MALE: "male", None: ""}[record.sex]
    young = record.age_group in (AgeGroup.NEONATE, AgeGroup.INFANT, AgeGroup.CHILD)
    child = {Sex.FEMALE: "girl", Sex.MALE: "boy", None: "patient"}[record.sex] if young else f"{sex} patient"
    if record.age_years is not None:
        number, unit = count_age(record.age_years)
        age, units = f"{number:g}-{unit}-old", f"{number:g} {unit}{'' if number == 1 else 's'}"
        noun = words.phrase(sex or "patient", child.strip(), f"{sex} patient".strip())
        person = words.frame(f"{age} {noun}", f"{noun} aged {units}", f"{noun} of {units}")
        if record.age_group != age_group(record.age_years):
            person += f", age group {str(record.age_group or 'not recorded').lower()}"
    elif record.age_group is not None:
        name = str(record.age_group).lower()
        other = "newborn" if record.age_group == AgeGroup.NEONATE else name
        person = f"{sex} {words.phrase(name, other)}".strip()
    else:
        person = f"{sex or 'patient'} of unrecorded age"
    return f"pregnant {person}" if record.pregnant else person


def _murmur_noun(murmur: SystolicMurmur) -> str:
    grade = f"grade {murmur.grade} " if murmur.grade else ""
    return _article(f"{grade}{str(murmur.timing).lower() if murmur.timing else murmur.phase} murmur")


def _headline(record: ClinicalRecord, words: _Words) -> str:
    if record.murmur == Murmur.ABSENT:
        return words.phrase(" without a murmur", " with no heart murmur", " with no audible murmur")
    if record.murmur != Murmur.PRESENT:
        return ""
    parts = [_murmur_noun(m) for m in (record.systolic, record.diastolic) if m is not None]
    return f" with {_join(parts or ['a heart murmur'])}"


def _stethoscope(record: ClinicalRecord, words: _Words) -> str:
    site = _site(record.location, words)
    here = {
        True: words.phrase(", where the murmur is heard", ", where the murmur is audible"),
        False: words.phrase(", where no murmur is heard", ", where no murmur is audible"),
        None: "",
    }[record.murmur_here]
    return words.frame(
        f"the stethoscope lies on {site}{here}",
        f"the sound is recorded at {site}{here}",
        f"the auscultation site is {site}{here}",
    )


def _summary(record: ClinicalRecord, words: _Words) -> str:
    said = [_article(_person(record, words)) + _headline(record, words)]
    if record.pregnant is False:
        said.append(words.phrase("no pregnancy is recorded", "pregnancy status: not pregnant"))
    height, weight = (f"{v:g}" if v is not None else None for v in (record.height_cm, record.weight_kg))
    if height and weight:
        said.append(
            words.frame(
                f"the height is {height} cm and the weight is {weight} kg",
                f"the patient is {height} cm tall and weighs {weight} kg",
                f"measured at {height} cm and {weight} kg",
            )
        )
    elif height:
        said.append(f"the height is {height} cm")
    elif weight:
        said.append(f"the weight is {weight} kg")
    if record.heart_rate is not None:
        rate = f"{record.heart_rate:g}"
        said.append(
            words.frame(
                f"the heart rate is {rate} beats per minute",
                f"the heart beats at {rate} bpm",
                f"the pulse is {rate} per minute",
            )
        )
    if record.location is not None:
        said.append(_stethoscope(record, words))
    if record.outcome is not None:
        outcome = str(record.outcome).lower()
        said.append(
            words.frame(
                f"the clinical outcome is {outcome}",
                f"outcome after cardiac work-up: {outcome}",
                f"overall the outcome was judged {outcome}",
            )
        )
    if record.conditions:
        labels = [_label(c) for c in record.conditions]
        said.append("known diagnosis: " + "; ".join(labels))
    return " ".join(map(_sentence, said))


def _label(condition: str) -> str:
    """A condition's preferred term without its remark in brackets; unknown identifiers stand for themselves."""
    label = knowledge_graph().nodes.get(condition, {}).get("label", condition)
    return re.sub(r" \(.*\)", "", label).lower()


def _description(murmur: SystolicMurmur, words: _Words) -> str:
    parts = []
    if murmur.timing:
        parts.append(words.phrase(*TIMINGS[murmur.timing]))
    if murmur.shape:
        parts.append(words.phrase(*SHAPES[murmur.shape]))
    if murmur.grade:
        parts.append(words.phrase(f"graded {murmur.grade}", f"of grade {murmur.grade}"))
    if murmur.pitch:
        pitch = str(murmur.pitch).lower()
        parts.append(words.phrase(f"{pitch}-pitched", f"of {pitch} pitch"))
    if murmur.quality:
        parts.append(words.phrase(*QUALITIES[murmur.quality]))
    if not parts:
        return f"there is a {murmur.phase} murmur"
    words.random.shuffle(parts)
    return words.frame(
        f"the {murmur.phase} murmur is {_join(parts)}",
        f"on auscultation the {murmur.phase} murmur is {_join(parts)}",
        f"in detail, the {murmur.phase} murmur sounds {_join(parts)}",
    )


def _places(record: ClinicalRecord, words: _Words) -> list[str]:
    best, everywhere = record.most_audible_location, record.murmur_locations
    others = [_site(v, words) for v in everywhere if v != best]
    if best is None:
        return [f"the murmur is heard at {_join(others)}"] if others else []
    site = _site(best, words)
    if best not in everywhere:
        return ([f"the murmur is heard at {_join(others)}"] if others else []) + [f"it is loudest at {site}"]
    tail = f"radiates to {_join(others)}" if others else "is not heard elsewhere"
    return [
        words.frame(
            f"it is loudest at {site} and {tail}",
            f"the murmur is most audible at {site} and {tail}",
            f"best heard at {site}, it {tail}",
        )
    ]


def _murmur(record: ClinicalRecord, words: _Words) -> str:
    if record.murmur is None:
        return "Whether there is a murmur is not recorded."
    if record.murmur == Murmur.ABSENT:
        return words.frame(
            "No murmur is heard at any site.",
            "Systole and diastole are silent, without a murmur.",
            "Auscultation finds no murmur.",
        )
    said = [_description(m, words) for m in (record.systolic, record.diastolic) if m is not None]
    said += _places(record, words)
    if record.murmur == Murmur.UNKNOWN:
        said.insert(0, "the recording is too poor to judge whether there is a murmur")
    return " ".join(map(_sentence, said or ["a murmur is present"]))


def _explanations(record: ClinicalRecord, words: _Words) -> str:
    if record.murmur is None:
        return ""
    if record.murmur == Murmur.ABSENT:
        return "No structural lesion is suggested, though a silent one is not excluded."
    if record.murmur == Murmur.UNKNOWN:
        return "No differential diagnosis is possible; repeating the recording is recommended."
    ranked = differential(record)
    if not ranked:
        return "Without a description of the murmur no differential diagnosis is possible."
    names = _join([f"{_label(s.condition)} ({100 * s.probability:.0f}%)" for s in ranked[:3]])
    graph = knowledge_graph()
    edges = graph.edges(ranked[0].condition, keys=True)
    evaluation = next(tail for _, tail, relation in edges if relation == "evaluated_by")
    evaluation = graph.nodes[evaluation]["label"].lower()
    return words.frame(
        f"Differential diagnosis: {names}. Recommended evaluation: {evaluation}.",
        f"The differential ranks {names}. The recommended evaluation is {evaluation}.",
        f"Likely explanations are {names}. As evaluation, {evaluation} is recommended.",
    )


def as_told(record: ClinicalRecord) -> ClinicalRecord:
    """The record that its narrative tells: what reading the narrative gives back.

    Ages keep the precision of `count_age`, measurements three decimals, heart rate one. The age class follows from
    the age, sites stand in alphabetical order, and a described murmur counts as present.
    """
    changes: dict = {"murmur_locations": tuple(sorted(set(record.murmur_locations)))}
    if record.age_years is not None:
        years = in_years(*count_age(record.age_years))
        changes |= {"age_years": years, "age_group": record.age_group or age_group(years)}
    for name, digits in {"height_cm": 3, "weight_kg": 3, "heart_rate": 1}.items():
        if (value := getattr(record, name)) is not None:
            changes[name] = round(value, digits)
    described = record.systolic or record.diastolic or record.murmur_locations or record.most_audible_location
    if record.murmur is None and described:
        changes["murmur"] = Murmur.PRESENT
    if record.murmur == Murmur.ABSENT:
        changes["most_audible_location"] = None
    return record.replace(**changes)


def narrative(record: ClinicalRecord, seed: int = 0, held_out: bool = False) -> Narrative:
    """Tell a record on three levels.

    Parameters
    ----------
    record : ClinicalRecord
        Any record, also an empty one.
    seed : int
        Chooses among the wordings.
    held_out : bool
        Tell it in sentence frames that are used for nothing else, to test an encoder on sentences new to it.
    """
    record, words = as_told(record), _Words(seed, held_out)
    return Narrative(_summary(record, words), _murmur(record, words), _explanations(record, words))
