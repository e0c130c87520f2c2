"""From facts found in a text to the fields of a record: contradictions are told, nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hldm.data.ages import age_group, in_years
from hldm.data.errors import DataError
from hldm.data.records import (
    AgeGroup,
    ClinicalRecord,
    DiastolicGrade,
    DiastolicMurmur,
    Murmur,
    Sex,
    SystolicGrade,
    SystolicMurmur,
)
from hldm.data.tables import rows
from hldm.knowledge.prompt.vocabulary import ROMAN
from hldm.knowledge.tables import split_cell

MURMURS = {"systolic": SystolicMurmur, "diastolic": DiastolicMurmur}
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


def record_of(facts: list[Fact], base: ClinicalRecord, problems: list[str]) -> tuple[ClinicalRecord, tuple[Fact, ...]]:
    """The record that facts make of `base`, and the facts that a diagnosis adds to them.

    What is contradictory or impossible stays as it is in `base` and is described in `problems`.
    """
    facts = _silence(facts)
    changes, implied = _read_person(facts, base, problems), ()
    changes |= _read_places(facts, base, problems)
    _read_murmur(facts, base, changes, problems)
    if conditions := tuple(dict.fromkeys(fact.value for fact in facts if fact.field == "conditions")):
        changes["conditions"] = conditions
        if "murmur" not in changes and not _any(facts, "murmur_unsaid") and not problems:
            added = _implied(conditions[0])
            implied = tuple(Fact(name, value, f"implied by {conditions[0]}") for name, value in added.items())
            changes = added | changes
    while True:  # one impossible value at a time is set aside
        try:
            return base.replace(**changes), implied
        except DataError as error:
            problems.append(str(error))
            if error.field not in changes:
                raise
            del changes[error.field]


def _silence(facts: list[Fact]) -> list[Fact]:
    """Resolve what only the whole text tells: whether a murmur is absent at one site or altogether.

    A murmur that is absent at a site, or with an exception, is there if the text describes one; with both phases
    silent there is none.
    """
    described = {
        fact.field for fact in facts
        if fact.field in ("murmur_named", "phase", "grade", "radiation", "most_audible_location")
        or fact.field.split(".")[0] in MURMURS
    }  # fmt: skip
    here = {"silent_here": "negated", "silent_place": "negated"} if described else {
        "silent_here": "murmur", "silent_place": "place"}  # fmt: skip
    facts = [fact._replace(field=here.get(fact.field, fact.field)) for fact in facts]
    silent = [fact for fact in facts if fact.field == "silent"]
    if not described - {"murmur_named"} and all(
        any(fact.value in (phase, "both") for fact in silent) for phase in MURMURS
    ):
        facts.append(silent[-1]._replace(field="murmur", value=Murmur.ABSENT))
    return facts


def _any(facts: Iterable[Fact], *fields: str) -> bool:
    return any(fact.field in fields for fact in facts)


def _single(facts: Iterable[Fact], field: str, problems: list[str]) -> Any:
    """The one value that a text gives for a field; a contradiction is a problem and yields None."""
    said = {fact.value: fact.text for fact in facts if fact.field == field}
    if len(said) > 1:
        problems.append(f"{field}: found both " + " and ".join(repr(t) for t in said.values()) + ", expected one value")
        return None
    return next(iter(said), None)


def _read_person(facts: list[Fact], base: ClinicalRecord, problems: list[str]) -> dict[str, Any]:
    changes = _read_age(facts, base, problems)
    young = AgeGroup.NEONATE, AgeGroup.INFANT, AgeGroup.CHILD
    if _any(facts, "gestation") and changes.get("age_group", base.age_group) not in young:
        changes["pregnant"] = True  # of a young child it tells how early it was born
    for name in ("sex", "pregnant", "height_cm", "weight_kg", "heart_rate", "outcome"):
        if (value := _single(facts, name, problems)) is not None:
            changes[name] = value
    if changes.get("pregnant") and changes.get("sex") == Sex.MALE:
        problems.append("pregnant: found a pregnancy beside the sex Male, expected one of them")
        del changes["pregnant"], changes["sex"]
    return changes


def _read_age(facts: list[Fact], base: ClinicalRecord, problems: list[str]) -> dict[str, Any]:
    ages = [f._replace(field="age_years", value=in_years(*f.value)) for f in facts if f.field == "age"]
    years, told = _single(ages, "age_years", problems), _single(facts, "age_class", problems)
    word = _single(facts, "age_group", problems) if told is None else None
    low, high = SPOKEN_AGES.get(word, (0, 120))
    if years is None:
        if not (group := told or word):
            return {}
        agrees = base.age_years is None or SPOKEN_AGES[group][0] <= base.age_years <= SPOKEN_AGES[group][1]
        return {"age_group": group} | ({} if agrees else {"age_years": None})
    if not 0 <= years <= 120:
        problems.append(f"age_years: found {ages[0].text!r}, expected 0 to 120 years")
    elif not low <= years <= high:
        problems.append(f"age: found {ages[0].text!r} beside {str(word).lower()!r}, expected them to agree")
    else:
        return {"age_years": years, "age_group": told or age_group(years)}
    return {}


def _grade(fact: Fact, problems: list[str]) -> Any:
    """A grade on its murmur's own scale; systolic murmurs are graded out of VI, diastolic ones out of IV."""
    phase = fact.field.split(".")[0]
    kind, top = (SystolicGrade, 6) if phase == "systolic" else (DiastolicGrade, 4)
    step, scale = fact.value
    if not 1 <= step <= top or scale not in (None, top):
        last = ROMAN[top - 1]
        problems.append(f"{phase} grade: found {fact.text!r}, expected I/{last} to {last}/{last}")
        return None
    return kind(f"{ROMAN[step - 1]}/{ROMAN[top - 1]}")


def _read_attributes(facts: list[Fact], problems: list[str]) -> dict[str, dict[str, Any]]:
    """Attributes by phase; a phase that is named without any is there with none."""
    murmurs: dict[str, dict[str, Any]] = {}
    for phase, kind in MURMURS.items():
        mine = [fact for fact in facts if fact.field.startswith(f"{phase}.")]
        if mine or any(fact.field == "phase" and fact.value == phase for fact in facts):
            graded = [f._replace(value=_grade(f, problems)) if f.field.endswith(".grade") else f for f in mine]
            if not _any(graded, f"{phase}.grade"):  # a number says more than "loud"
                loud = [f for f in graded if f.field == f"{phase}.loudness"]
                graded += [f._replace(field=f"{phase}.grade", value=_grade(f, problems)) for f in loud]
            values = {name: _single([f for f in graded if f.value], f"{phase}.{name}", problems) for name in kind.kinds}
            murmurs[phase] = {name: value for name, value in values.items() if value is not None}
    return murmurs


def _read_places(facts: list[Fact], base: ClinicalRecord, problems: list[str]) -> dict[str, Any]:
    """Stethoscope, loudest site, and every site of the murmur.

    A bare place is the murmur's where there is one, and the stethoscope's otherwise. Being loudest at one site does
    not tell where else a murmur is heard; radiating does.
    """
    found = {name: _single(facts, name, problems) for name in ("location", "most_audible_location")}
    heard = {site for fact in facts if fact.field == "murmur_locations" for site in fact.value}
    silent = any(fact.field == "murmur" and fact.value == Murmur.ABSENT for fact in facts)
    described = any(
        fact.field in ("murmur", "murmur_named", "phase", "most_audible_location", "radiation")
        or fact.field.split(".")[0] in MURMURS for fact in facts
    )  # fmt: skip
    placed: set = set()
    for fact in facts:
        if fact.field == "place" and not silent and (described or base.murmur == Murmur.PRESENT):
            placed |= set(fact.value)
        elif fact.field == "place":
            found["location"] = found["location"] or fact.value[0]
    heard |= placed
    if len(placed) == 1 and not found["most_audible_location"]:
        found["most_audible_location"] = next(iter(placed))
    radiation = {site for fact in facts if fact.field == "radiation" for site in fact.value}
    sole, best = _any(facts, "sole"), found["most_audible_location"]
    if not heard and not sole and (radiation or best):
        heard |= set(base.murmur_locations)
    heard |= radiation
    if heard or sole:
        heard |= {best or base.most_audible_location} - {None}
    found["murmur_locations"] = tuple(sorted(heard))
    return {name: value for name, value in found.items() if value}


def _read_murmur(facts: list[Fact], base: ClinicalRecord, changes: dict, problems: list[str]) -> None:
    """Murmur status and attributes into `changes`, with the base record's where the text leaves them alone."""
    murmurs = _read_attributes(facts, problems)
    status = {fact.value for fact in facts if fact.field == "murmur"}
    places = ("murmur_locations", "most_audible_location")
    described = bool(murmurs) or any(name in changes for name in places)
    if Murmur.ABSENT in status and (described or len(status) > 1):
        problems.append("murmur: found both none and a described one, expected one of them; the murmur is left open")
        for name in places:
            changes.pop(name, None)
        return
    for fact in facts:
        if fact.field == "silent":
            changes |= {phase: None for phase in MURMURS if fact.value in (phase, "both")}
    for phase, values in murmurs.items():
        old = getattr(base, phase)
        kept = {name: getattr(old, name) for name in old.kinds} if old else {}
        changes[phase] = MURMURS[phase](**kept | values)
    if status:
        changes["murmur"] = _single(facts, "murmur", problems)
    elif described or _any(facts, "murmur_named"):
        changes["murmur"] = Murmur.PRESENT
    if Murmur.ABSENT in status:
        changes |= {"systolic": None, "diastolic": None, "murmur_locations": (), "most_audible_location": None}


def _implied(condition: str) -> dict[str, Any]:
    """The murmur that a diagnosis brings with it, from the condition's row in the knowledge tables."""
    row = next(row for row in rows("conditions") if row["id"] == condition)
    found: dict[str, Any] = {"systolic": None, "diastolic": None, "murmur_locations": (), "most_audible_location": None}
    if row["phase"] == "none":
        return {"murmur": Murmur.ABSENT} | found
    if row["phase"] != "diastolic":
        values = {n: split_cell(row[n])[0] for n in ("timing", "shape", "pitch", "quality") if row[n]}
        found["systolic"] = SystolicMurmur(**values, grade=row["circor_grade"] or None)
    if row["phase"] in ("diastolic", "continuous"):
        values = {n: row[f"dia_{n}"] or None for n in ("timing", "shape", "pitch", "quality")}
        found["diastolic"] = DiastolicMurmur(**values, grade=f"{ROMAN[int(row['dia_grade_of_IV']) - 1]}/IV")
    best = row["max_location"]
    found |= {
        "most_audible_location": best,
        "murmur_locations": tuple(sorted({best, *split_cell(row["radiation_locations"])})),
    }
    return {"murmur": Murmur.PRESENT} | found
