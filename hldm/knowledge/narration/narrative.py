"""A record as a clinician would tell it, on three levels.

L1 summarises the patient and the recording, L2 describes the murmur, L3 ranks what could explain it. Nothing is
said that the record does not hold; wordings vary with the seed, facts do not.
"""

from __future__ import annotations

import random
import re
from functools import partial
from typing import NamedTuple

from hldm.data.ages import age_group, count_age, in_years
from hldm.data.records import AgeGroup, ClinicalRecord, Location, Murmur, Sex, SystolicMurmur
from hldm.knowledge.graph import knowledge_graph
from hldm.knowledge.narration.wordings import HELD_OUT, options
from hldm.knowledge.posterior import differential

_say = partial(options, "narrative")


class Narrative(NamedTuple):
    """The three levels; ``str()`` joins them."""

    summary: str
    murmur: str
    differential: str

    def __str__(self) -> str:
        return " ".join(level for level in self if level)


class _Words:
    """Chooses wordings: words among all, frames among the ones in use or among the held-out ones."""

    def __init__(self, seed: int, held_out: bool):
        self.random, self.held_out = random.Random(seed), held_out

    def phrase(self, *options: str) -> str:
        return self.random.choice(options)

    def frame(self, options: tuple[str, ...], **facts: str) -> str:
        some = options[-HELD_OUT:] if self.held_out else options[:-HELD_OUT]
        return self.random.choice(some).format(**facts)


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _article(noun: str) -> str:
    sounds_open = re.match(r"[aeio]|un(?!i)|8|1[18]\b", noun)
    return f"{'an' if sounds_open else 'a'} {noun}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _site(location: Location, words: _Words) -> str:
    return "the " + words.phrase(*_say("sites", location))


def _person(record: ClinicalRecord, words: _Words) -> str:
    sex = {Sex.FEMALE: "female", Sex.MALE: "male", None: ""}[record.sex]
    young = record.age_group in (AgeGroup.NEONATE, AgeGroup.INFANT, AgeGroup.CHILD)
    child = {Sex.FEMALE: "girl", Sex.MALE: "boy", None: "patient"}[record.sex] if young else f"{sex} patient"
    if record.age_years is not None:
        number, unit = count_age(record.age_years)
        age, units = f"{number:g}-{unit}-old", f"{number:g} {unit}{'' if number == 1 else 's'}"
        noun = words.phrase(sex or "patient", child.strip(), f"{sex} patient".strip())
        person = words.frame(_say("aged"), age=age, noun=noun, units=units)
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
        return words.phrase(*_say("silent"))
    if record.murmur != Murmur.PRESENT:
        return ""
    parts = [_murmur_noun(m) for m in (record.systolic, record.diastolic) if m is not None]
    return f" with {_join(parts or ['a heart murmur'])}"


def _summary(record: ClinicalRecord, words: _Words) -> str:
    person = _article(_person(record, words)) + _headline(record, words)
    said = [words.frame(_say("opening"), person=person)]
    if record.pregnant is False:
        said.append(words.frame(_say("not_pregnant")))
    height, weight = (f"{v:g}" if v is not None else None for v in (record.height_cm, record.weight_kg))
    if height or weight:
        frames = _say("height_and_weight") if height and weight else _say("height") if height else _say("weight")
        said.append(words.frame(frames, height=height, weight=weight))
    if record.heart_rate is not None:
        said.append(words.frame(_say("heart_rate"), rate=f"{record.heart_rate:g}"))
    if record.location is not None:
        # "The murmur" is only for who has one.
        here = record.murmur if record.murmur == Murmur.ABSENT else record.murmur_here
        here = words.phrase(*_say("here", here))
        said.append(words.frame(_say("stethoscope"), site=_site(record.location, words), here=here))
    if record.outcome is not None:
        said.append(words.frame(_say("outcome"), outcome=str(record.outcome).lower()))
    if record.conditions:
        said.append("known diagnosis: " + "; ".join(map(condition_name, record.conditions)))
    return " ".join(map(_sentence, said))


def condition_name(condition: str) -> str:
    """A condition's preferred term without its remark in brackets; unknown identifiers stand for themselves."""
    label = knowledge_graph().nodes.get(condition, {}).get("label", condition)
    label = re.sub(r" \(.*\)", "", label)
    return label[0].lower() + label[1:]  # Fallot keeps his capital


def _description(murmur: SystolicMurmur, words: _Words) -> str:
    parts = []
    if murmur.timing:
        parts.append(words.phrase(*_say("timings", murmur.timing)))
    if murmur.shape:
        parts.append(words.phrase(*_say("shapes", murmur.shape)))
    if murmur.grade:
        step, top = list(murmur.kinds["grade"]).index(murmur.grade) + 1, len(murmur.kinds["grade"])
        parts.append(
            words.phrase(*_say("grades")).format(grade=murmur.grade, figures=f"{step}/{top}", step=step, top=top)
        )
    if murmur.pitch:
        parts.append(words.phrase(*_say("pitches")).format(pitch=str(murmur.pitch).lower()))
    if murmur.quality:
        parts.append(words.phrase(*_say("qualities", murmur.quality)))
    if not parts:
        return f"there is a {murmur.phase} murmur"
    words.random.shuffle(parts)
    return words.frame(_say("description"), phase=murmur.phase, parts=_join(parts))


def _places(record: ClinicalRecord, words: _Words) -> list[str]:
    best = record.most_audible_location
    others = _join([_site(v, words) for v in record.murmur_locations if v != best] or [""])
    if best is None:
        return [words.frame(_say("heard"), others=others)] if others else []
    site = _site(best, words)
    if best not in record.murmur_locations:
        heard = [words.frame(_say("heard"), others=others)] if others else []
        return [*heard, words.frame(_say("only_loudest"), site=site)]
    tail = words.phrase(*_say("radiates")).format(others=others) if others else words.phrase(*_say("stays"))
    return [words.frame(_say("loudest"), site=site, tail=tail)]


def _murmur(record: ClinicalRecord, words: _Words) -> str:
    if record.murmur is None:
        return "Whether there is a murmur is not recorded."
    if record.murmur == Murmur.ABSENT:
        return _sentence(words.frame(_say("absent")))
    said = [_description(m, words) for m in (record.systolic, record.diastolic) if m is not None]
    said += _places(record, words)
    if record.murmur == Murmur.UNKNOWN:
        said.insert(0, words.frame(_say("unknown")))
    return " ".join(map(_sentence, said or ["a murmur is present"]))


def _explanations(record: ClinicalRecord, words: _Words) -> str:
    ranked = differential(record)
    if not ranked:
        return _say("no_explanation", record.murmur)[0]
    names = _join([f"{condition_name(s.condition)} ({100 * s.probability:.0f}%)" for s in ranked[:3]])
    graph = knowledge_graph()
    edges = graph.edges(ranked[0].condition, keys=True)
    evaluation = next(tail for _, tail, relation in edges if relation == "evaluated_by")
    evaluation = graph.nodes[evaluation]["label"].lower()
    return _sentence(words.frame(_say("explanations"), names=names, evaluation=evaluation))


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
