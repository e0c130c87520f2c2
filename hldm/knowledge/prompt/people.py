"""Who the patient is: patterns of age, sex, pregnancy, size, heart rate and outcome."""

from __future__ import annotations

import re
from typing import Any

from hldm.data.records import AgeGroup, Outcome, Sex

_N = r"(?P<n>(?<![\w.-])-?\d+(?:\.\d+)?)"
_UNIT = r"(?P<unit>hours?|hrs?|h|days?|d|weeks?|wks?|w|months?|mos?|mths?|years?|yrs?|y)"


def _age(match: re.Match) -> tuple[float, str]:
    number, unit = float(match["n"]), (match.groupdict().get("unit") or "year").lower()
    if unit[0] == "h":
        return number / 24, "day"
    return number, {"d": "day", "w": "week", "m": "month", "y": "year"}[unit[0]]


def _outcome(match: re.Match) -> str:
    """The last word of an assessment; "outcome not normal" says the other one."""
    said = match.group(1).capitalize()
    if re.search(r"\b(?:not|never)\b", match.group(), re.I):
        return {"Normal": Outcome.ABNORMAL, "Abnormal": Outcome.NORMAL}.get(said, said)
    return said


def _times(factor: float):
    return lambda match: round(float(match["n"]) * factor, 6)


def person_patterns() -> list[tuple[str, str, Any]]:
    """Pattern, field and value of every fact about the patient."""
    rate = (
        r"(?:(?:raise|increase|lower|reduce|set|change) (?:the )?)?(?:(?:fast|slow)(?:er)? |resting |ventricular )?"
        r"(?:heart rate|HR|pulse(?: rate)?|heart beats|rate|bpm)"
    )
    per_minute = r" ?(?:bpm|beats? ?(?:per |/|an? )min(?:ute)?|(?:times )?(?:per|a) min(?:ute)?|/ ?min(?:ute)?)"
    about = r"(?: (?:is|of|at|about|around|to|up|down|was)|:|=)*\s*"
    height = "(?:height|length|stature)"
    kin = r"(?= (?:son|daughter|child|baby|boy|girl|doctor|mother|father))"
    judged = r"(?:(?:judged |was |is |as |: ?|the )*)"
    return [
        (rf"birth ?weight{about}{_N} ?\w+", "remark", None),
        (r"\d+ ?weeks?[- ]pregnant|G\d+P\d+(?:,? at)? \d+ weeks?|\d+ ?weeks? of pregnancy", "pregnant", True),
        (r"\d+ ?weeks?(?: of)? gestation|gestation(?:al age)? (?:of )?\d+ weeks?", "gestation", True),
        (r"pregnancy status:? (?:not pregnant|false|no)|pregnancy: ?(?:no|false)", "pregnant", False),
        (r"pregnancy status:? (?:pregnant|true|yes)|pregnancy: ?(?:yes|true)|expecting(?: a (?:baby|child))?"
         r"|expectant(?= mother)|pregnan(?:t|cy)|gravid", "pregnant", True),
        (r"(?:between )?\d+(?:\.\d+)? ?(?:-|to|and) ?\d+(?:\.\d+)?[\s-]*(?:years?|months?|weeks?|days?|yo)(?:[- ]old)?",
         "range", "age"),
        (rf"{_N}[\s-]*(?:years?|yrs?|y)(?:,? and|,)?[\s-]*(?P<months>\d+)[\s-]*(?:months?|mos?|mths?|m)(?:[\s-]*old)?",
         "age", lambda m: (float(m["n"]) * 12 + float(m["months"]), "month")),
        (rf"{_N}[\s-]*{_UNIT}[\s/.-]*(?:o(?:ld)?|of age)\b\.?", "age", _age),
        (rf"\bage[ds]?(?::| of)? ?(?:about )?{_N}[\s-]*{_UNIT}?\b", "age", _age),
        (rf"{_N}[\s-]*(?P<unit>years?|yrs?|months?|mos?|mths?|weeks?|wks?|days?|y)(?=\b|[MF]\b)", "age", _age),
        (r"age group:? (neonate|infant|child|adolescent|young adult)", "age_class",
         lambda m: AgeGroup(m.group(1).capitalize())),
        (r"neonat(?:e|al)|newborn", "age_group", AgeGroup.NEONATE),
        (r"infants?|bab(?:y|ies)", "age_group", AgeGroup.INFANT),
        (r"(?:pre-?)?school ?child|child|kid|toddlers?|preschooler", "age_group", AgeGroup.CHILD),
        (r"adolescents?|(?:(?:early|mid|late)[- ])?teen(?:s|agers?|aged?)?", "age_group", AgeGroup.ADOLESCENT),
        (r"(?:young )?adult", "age_group", AgeGroup.YOUNG_ADULT),
        (rf"(?<=\x00 )mother|females?|(?:school)?girls?|wom[ae]n|lady|daughter|sister|she|her(?!{kin})", "sex",
         Sex.FEMALE),
        (rf"males?|(?:school)?boys?|m[ae]n|gentleman|son|brother|he|his(?!{kin})", "sex", Sex.MALE),
        (r"(?-i:F)", "sex", Sex.FEMALE),
        (r"(?-i:M)", "sex", Sex.MALE),
        (rf"(?:{height}{about}|measured at )?{_N} ?(?:cm|centimet\w+)(?: tall)?", "height_cm", _times(1)),
        (rf"{height}{about}{_N} ?(?:m|met(?:er|re)s?)", "height_cm", _times(100)),
        (rf"{_N} ?(?:m|met(?:er|re)s?) tall", "height_cm", _times(100)),
        (rf"(?:{height}{about})?{_N} ?(?:ft|feet|foot|')\.?(?: ?(?P<inch>\d+) ?(?:in|inch(?:es)?|\"))?(?: tall)?",
         "height_cm", lambda m: 2.54 * (12 * float(m["n"]) + float(m["inch"] or 0))),
        *[(rf"(?:weigh(?:s|t|ing)?{about})?{_N} ?(?:{unit})", "weight_kg", _times(kg)) for unit, kg in {
            r"kgs?|kilograms?|kilos?": 1, r"g|grams?|gm": 0.001, r"lbs?|pounds?": 0.45359237}.items()],
        (rf"{height}: ?{_N}", "height_cm", _times(1)),  # the units of CirCor's table
        (rf"weight: ?{_N}", "weight_kg", _times(1)),
        (rf"{rate}{about}\d+ ?(?:-|to) ?\d+(?:{per_minute})?", "range", "heart_rate"),
        (rf"{rate}{about}{_N}(?:{per_minute})?", "heart_rate", _times(1)),
        (rf"{_N}{per_minute}", "heart_rate", _times(1)),
        (rf"(?:outcome|assessment|verdict|evaluation)(?:(?!normal)[^.;,]){{0,40}}?\b{judged}"
         r"((?:ab)?normal(?: (?:and|or) (?:ab)?normal)?)", "outcome", _outcome),
        (r"(?:ab)?normal outcome", "outcome", lambda m: m.group().split()[0].capitalize()),
        (r"healthy", "outcome", Outcome.NORMAL),
        (rf"(?:is|of|turn(?:s|ed)|aged|now) {_N}(?=\s*(?:$|[,.;]|(?:and|with|who|now|has|but)\b))", "age", _age),
    ]  # fmt: skip
