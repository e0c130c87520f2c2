"""From free text to a `ClinicalRecord`, saying what was understood, what was not, and what cannot be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from hldm.data.errors import DataError
from hldm.data.records import (
    AgeGroup,
    ClinicalRecord,
    DiastolicGrade,
    DiastolicMurmur,
    Murmur,
    SystolicGrade,
    SystolicMurmur,
)
from hldm.data.tables import read_table
from hldm.knowledge.ages import age_group, in_years
from hldm.knowledge.graph import split_cell
from hldm.knowledge.vocabulary import ADVICE, DOUBTED, FILLER, NEGATED, ROMAN, lexicon, rules

ATTRIBUTES = ("timing", "shape", "grade", "pitch", "quality")
#: Years within which a word for an age is taken to agree with a number.
SPOKEN_AGES = {
    AgeGroup.NEONATE: (0, 0.25), AgeGroup.INFANT: (0, 2), AgeGroup.CHILD: (0, 18),
    AgeGroup.ADOLESCENT: (10, 20), AgeGroup.YOUNG_ADULT: (18, 120),
}  # fmt: skip


class Fact(NamedTuple):
    """One thing understood: the field it speaks of, its value, and the words that say it."""

    field: str
    value: Any
    text: str
    start: int = 0


class Reading(NamedTuple):
    """What `read_prompt` made of a text.

    Attributes
    ----------
    record : ClinicalRecord
        None in every field that the text leaves open or contradicts.
    understood : tuple of Fact
        In order of appearance. Fields outside the record (``finding``, ``advice``, ``negated``) were recognised but
        change nothing in it.
    unknown : tuple of str
        Words that mean nothing here.
    problems : tuple of str
        Contradictions and impossible values; nothing was guessed for them.
    """

    record: ClinicalRecord
    understood: tuple[Fact, ...]
    unknown: tuple[str, ...]
    problems: tuple[str, ...]


@lru_cache(maxsize=4096)
def _nearest(word: str) -> str:
    """The word of the vocabulary that a long word nearly is, or the word itself."""
    if word.lower() in lexicon() | FILLER or any(rule.pattern.fullmatch(word) for rule in rules()):
        return word
    return next(iter(difflib.get_close_matches(word.lower(), lexicon(), 1, cutoff=0.84)), word)


def _correct(text: str) -> str:
    """Even out typography, and put typing errors right."""
    text = re.sub(r"[\u2010-\u2015\u2212]", "-", text).replace("\u2019", "'")
    text = re.sub(r"\s*(?:->|=>|\u2192)\s*", " radiating to ", text)
    return re.sub(r"[A-Za-z]{6,}", lambda m: _nearest(m.group()), text)


def _consume(sentence: str) -> tuple[list[Fact], str]:
    """Apply the rules in order; returns the facts and the sentence with what they used blanked out."""
    facts, rest = [], sentence
    for rule in rules():
        if not (matches := list(rule.pattern.finditer(rest))):
            continue
        for match in matches:
            before, words = sentence[: match.start()], match.group().strip()
            value = rule.value(match) if callable(rule.value) else rule.value
            fact = Fact(rule.field, value, words, match.start())
            deniable = rule.field in ("conditions", "finding", "shape", "pitch", "quality")
            if deniable and (NEGATED.search(before) or DOUBTED.search(before)):
                fact = fact._replace(field="negated" if NEGATED.search(before) else "doubted")
            facts.append(fact)
        rest = rule.pattern.sub(lambda m: "\x00" * len(m.group()), rest)
    return sorted(facts, key=lambda fact: fact.start), rest


def _assign_phases(facts: list[Fact], sentence: str, phase: str | None) -> tuple[list[Fact], str | None]:
    """Give every murmur attribute of a sentence to the systolic or the diastolic murmur.

    A sentence about both is cut at the last "and" (or comma) before the second is named; one that names neither
    continues with `phase`.
    """
    named = [(f.start, f.field.split(".")[0] if "." in f.field else f.value) for f in facts
             if f.field == "phase" or f.field.endswith(".timing")]  # fmt: skip
    borders = [(0, named[0][1] if named else phase)]
    for (left, was), (right, now) in pairwise(named):
        if was != now:
            gap = sentence[left:right]
            cuts = list(re.finditer(r"\b(?:and|plus|with|but|then)\b|;", gap)) or list(re.finditer(",", gap))
            borders.append((left + cuts[-1].start() if cuts else right, now))
    assigned = []
    for fact in facts:
        if fact.field in ("grade", "shape", "pitch", "quality"):
            own = [name for start, name in borders if start <= fact.start][-1]
            if fact.field == "grade" and own is None and fact.value[1] == 4:
                own = "diastolic"
            fact = fact._replace(field=f"{own or 'systolic'}.{fact.field}")
        assigned.append(fact)
    return assigned, borders[-1][1]


def _grade(fact: Fact, problems: list[str]) -> Any:
    """A grade on its murmur's own scale; systolic murmurs are graded out of VI, diastolic ones out of IV."""
    kind, top = (SystolicGrade, 6) if fact.field.startswith("systolic") else (DiastolicGrade, 4)
    step, scale = fact.value
    if not 1 <= step <= top or scale not in (None, top):
        phase = fact.field.split(".")[0]
        problems.append(
            f"{phase} grade: found {fact.text!r}, expected I/{ROMAN[top - 1]} to {ROMAN[top - 1]}/{ROMAN[top - 1]}"
        )
        return None
    return kind(f"{ROMAN[step - 1]}/{ROMAN[top - 1]}")


def _single(facts: Iterable[Fact], field: str, problems: list[str]) -> Any:
    """The one value that a text gives for a field; a contradiction is a problem and yields None."""
    said = {fact.value: fact.text for fact in facts if fact.field == field}
    if len(said) > 1:
        problems.append(f"{field}: found both " + " and ".join(repr(t) for t in said.values()) + ", expected one value")
        return None
    return next(iter(said), None)


def _read_age(facts: list[Fact], problems: list[str]) -> dict[str, Any]:
    years = [f._replace(field="age_years", value=in_years(*f.value)) for f in facts if f.field == "age"]
    said, found = _single(years, "age_years", problems), {}
    group = _single(facts, "age_class", problems)
    word = _single(facts, "age_group", problems) if group is None else None
    if said is not None and not said <= 120:
        problems.append(f"age_years: found {years[0].text!r}, expected 0 to 120 years")
        return found
    if said is not None and word is not None and not SPOKEN_AGES[word][0] <= said <= SPOKEN_AGES[word][1]:
        problems.append(f"age: found {years[0].text!r} beside {str(word).lower()!r}, expected them to agree")
        return found
    if said is not None:
        found = {"age_years": said, "age_group": group or age_group(said)}
    elif group or word:
        found = {"age_group": group or word}
    return found


def _read_murmurs(facts: list[Fact], problems: list[str]) -> dict[str, dict[str, Any]]:
    """Attributes by phase; a phase that is named without any is there with none."""
    murmurs: dict[str, dict[str, Any]] = {}
    for phase in ("systolic", "diastolic"):
        mine = [fact for fact in facts if fact.field.startswith(f"{phase}.")]
        if mine or any(fact.field == "phase" and fact.value == phase for fact in facts):
            graded = [f._replace(value=_grade(f, problems)) if f.field.endswith(".grade") else f for f in mine]
            values = {name: _single([f for f in graded if f.value], f"{phase}.{name}", problems) for name in ATTRIBUTES}
            murmurs[phase] = {name: value for name, value in values.items() if value is not None}
    return murmurs


def _read_places(facts: list[Fact], problems: list[str], about_murmur: bool) -> dict[str, Any]:
    """Stethoscope, loudest site, and every site of the murmur."""
    found = {name: _single(facts, name, problems) for name in ("location", "most_audible_location")}
    heard = {site for fact in facts if fact.field == "murmur_locations" for site in fact.value}
    for fact in facts:
        if fact.field != "place":
            continue
        if not about_murmur:
            found["location"] = found["location"] or fact.value[0]
        else:
            heard |= set(fact.value)
            if len(fact.value) == 1 and found["most_audible_location"] is None:
                found["most_audible_location"] = fact.value[0]
    radiation = {site for fact in facts if fact.field == "radiation" for site in fact.value}
    if radiation or any(fact.field == "sole" for fact in facts):
        heard |= radiation | ({found["most_audible_location"]} - {None})
    found["murmur_locations"] = tuple(sorted(heard))
    return {name: value for name, value in found.items() if value}


def _implied(conditions: tuple[str, ...]) -> dict[str, Any]:
    """The murmur that a diagnosis brings with it, from the condition's row in the knowledge tables."""
    row = read_table("conditions").set_index("id").loc[conditions[0]]
    if row["phase"] == "none":
        return {"murmur": Murmur.ABSENT}
    found: dict[str, Any] = {"murmur": Murmur.PRESENT, "most_audible_location": row["max_location"]}
    if row["phase"] != "diastolic":
        values = {n: split_cell(row[n])[0] for n in ("timing", "shape", "pitch", "quality") if row[n]}
        found["systolic"] = SystolicMurmur(**values, grade=row["circor_grade"] or None)
    if row["phase"] in ("diastolic", "continuous"):
        values = {n: row[f"dia_{n}"] or None for n in ("timing", "shape", "pitch", "quality")}
        found["diastolic"] = DiastolicMurmur(**values, grade=f"{ROMAN[int(row['dia_grade_of_IV']) - 1]}/IV")
    return found


def _merge_murmur(base: ClinicalRecord, facts: list[Fact], changes: dict, problems: list[str]) -> None:
    """Murmur status and attributes into `changes`, with the base record's where the text leaves them alone."""
    murmurs = _read_murmurs(facts, problems)
    status = {fact.value for fact in facts if fact.field == "murmur"}
    described = bool(murmurs or changes.get("murmur_locations") or changes.get("most_audible_location"))
    if Murmur.ABSENT in status and (described or len(status) > 1):
        problems.append("murmur: found both none and a described one, expected one of them; the murmur is left open")
        for name in ("murmur_locations", "most_audible_location"):
            changes.pop(name, None)
        return
    for fact in facts:
        if fact.field == "silent":
            changes[fact.value] = None
    for phase, kind in {"systolic": SystolicMurmur, "diastolic": DiastolicMurmur}.items():
        if phase in murmurs:
            old = getattr(base, phase)
            kept = {name: getattr(old, name) for name in ATTRIBUTES} if old else {}
            changes[phase] = kind(**kept | murmurs[phase])
    if status:
        changes["murmur"] = next(iter(status))
    elif described or any(fact.field == "murmur_named" for fact in facts):
        changes["murmur"] = Murmur.PRESENT
    if Murmur.ABSENT in status:
        changes |= {"systolic": None, "diastolic": None, "murmur_locations": (), "most_audible_location": None}


def read_prompt(text: str, base: ClinicalRecord | None = None) -> Reading:
    """Read a clinical sentence, a note in shorthand, or a generated narrative.

    Parameters
    ----------
    text : str
        Such as ``"8yo F, 3/6 SEM at LLSB, HR 110"``. An attribute whose phase is not said counts as systolic.
    base : ClinicalRecord, optional
        A record that the text edits: fields it does not mention are kept.

    Returns
    -------
    Reading
        A diagnosis in a text that describes no murmur brings the murmur which the knowledge tables give it; such
        facts read "implied by" it.
    """
    facts, unknown, problems, phase = [], [], [], None
    if base is not None and base.diastolic and not base.systolic:
        phase = "diastolic"
    for sentence in re.split(r"(?<=[.!?])\s+|\n", _correct(text)):
        if ADVICE.match(sentence):
            facts.append(Fact("advice", None, sentence))
            continue
        found, rest = _consume(sentence)
        found, phase = _assign_phases(found, sentence, phase)
        if re.search(r"\bmurmurs?\b", rest, re.I):
            found.append(Fact("murmur_named", True, "murmur"))
        facts += found
        words = re.findall(r"[^\s,.;:()\x00]+", rest)
        unknown += [word for word in words if word.lower().strip("-/+") not in FILLER | {""}]
    problems += [f"grade: found the range {f.text!r}, expected one grade" for f in facts if f.field == "grade_range"]
    changes = _changes(base or ClinicalRecord(), facts, problems)
    return Reading(_record(base or ClinicalRecord(), changes, problems), tuple(facts), tuple(unknown), tuple(problems))


def _changes(base: ClinicalRecord, facts: list[Fact], problems: list[str]) -> dict[str, Any]:
    """Every field that the facts set."""
    changes = _read_age(facts, problems)
    for name in ("sex", "pregnant", "height_cm", "weight_kg", "heart_rate", "outcome"):
        if (value := _single(facts, name, problems)) is not None:
            changes[name] = value
    murmur_fields = ("murmur", "murmur_named", "phase", "systolic", "diastolic")
    about_murmur = any(fact.field.split(".")[0] in murmur_fields and fact.value != Murmur.ABSENT for fact in facts)
    changes |= _read_places(facts, problems, about_murmur)
    _merge_murmur(base, facts, changes, problems)
    conditions = tuple(dict.fromkeys(fact.value for fact in facts if fact.field == "conditions"))
    if conditions:
        changes["conditions"] = conditions
        if "murmur" not in changes and not any(fact.field == "murmur_unsaid" for fact in facts) and not problems:
            implied = _implied(conditions)
            changes = implied | changes
            facts += [Fact(name, value, f"implied by {conditions[0]}") for name, value in implied.items()]
    return changes


def _record(base: ClinicalRecord, changes: dict[str, Any], problems: list[str]) -> ClinicalRecord:
    """The base with the changes, one impossible value at a time set aside."""
    while True:
        try:
            return base.replace(**changes)
        except DataError as error:
            problems.append(str(error))
            if error.field not in changes:
                raise
            del changes[error.field]
