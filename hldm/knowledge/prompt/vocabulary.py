"""Words of the clinic and what they mean in a record: the tables ``rules.csv`` and ``fragments.csv``, compiled.

Order matters: a pattern consumes what it matches, so longer and more specific ones stand first. Patterns meet text
that `spelling.respell` has evened out: shorthand is spelled out and numbers are figures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from hldm.data.records import Location, Outcome
from hldm.data.tables import rows as data_rows
from hldm.knowledge.tables import rows, words

ROMAN = ("I", "II", "III", "IV", "V", "VI")


class Rule(NamedTuple):
    """What a pattern means.

    Attributes
    ----------
    pattern : re.Pattern
    field : str
        A record's field, ``phase.attribute``, or one of the reader's own words (``age``, ``grade``, ``finding``).
    value : object
        The value, or a function of the match.
    """

    pattern: re.Pattern
    field: str
    value: Any


def step(text: str) -> int:
    """A grade in Roman or Arabic figures."""
    if text.isdigit():
        return int(text[:4])  # no scale is longer
    letters = [{"I": 1, "V": 5, "X": 10}[c] for c in text.upper()]
    return sum(-a if a < b else a for a, b in zip(letters, [*letters[1:], 0], strict=True))


def sites(text: str) -> tuple[Location, ...]:
    """Every site named in a text, in its order."""
    found = {match.start(): site for site, names in _by_site().items() for match in names.finditer(text)}
    return tuple(dict.fromkeys(found[start] for start in sorted(found)))


@cache
def _by_site() -> dict[Location, re.Pattern]:
    return {site: _compiled(f"<<site_{site}>>") for site in Location}


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


def _grade(match: re.Match) -> tuple[int, int | None]:
    scale = match.groupdict().get("scale")
    return step(match["step"]), step(scale) if scale else None


#: Values that a match tells, by their name after ``@`` in the table.
VALUES: dict[str, Callable[[re.Match], Any]] = {
    "age": _age,
    "months": lambda m: (float(m["n"]) * 12 + float(m["months"]), "month"),
    "feet": lambda m: round(2.54 * (12 * float(m["n"]) + float(m["inch"] or 0)), 6),
    "grade": _grade,
    "outcome": _outcome,
    "capital": lambda m: m.group(1).capitalize(),
    "capital_word": lambda m: m.group().split()[0].capitalize(),
    "site": lambda m: sites(m["sites"])[0],
    "sites": lambda m: sites(m["sites"]),
    "sites_but": lambda m: tuple(site for site in ("AV", "MV", "PV", "TV") if site not in sites(m["sites"])),
}


def _value(field: str, text: str) -> Any:
    """A cell of the table as the value of its field."""
    if text.startswith("@times "):
        factor = float(text.removeprefix("@times "))
        return lambda match: round(float(match["n"]) * factor, 6)
    if text.startswith("@"):
        return VALUES[text[1:]]
    if field == "murmur_locations":
        return tuple(map(Location, text.split(";")))
    if field == "loudness":
        return int(text), None
    return {"True": True, "False": False, "": None}.get(text, text)


@cache
def _fragments() -> dict[str, str]:
    return {row["name"]: row["pattern"] for row in rows("fragments")}


def _compiled(pattern: str) -> re.Pattern:
    """A pattern of whole words, with its ``<<fragments>>`` filled in."""
    while "<<" in pattern:
        pattern = re.sub("<<(\\w+)>>", lambda match: _fragments()[match[1]], pattern)
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.I)


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule in its order, names of the conditions first."""
    names = [("conditions", row["id"], re.escape(re.sub(r" \(.*\)", "", row["preferred_term"])))
             for row in data_rows("conditions")]  # fmt: skip
    table = names + [(row["field"], row["value"], row["pattern"]) for row in rows("rules")]
    return tuple(Rule(_compiled(pattern), field, _value(field, value)) for field, value, pattern in table)


#: Sentences that rank explanations or advise; they state no fact about the patient.
ADVICE = re.compile(
    r"\s*(?:(?:the )?differential|likely explanations|(?:the )?recommended evaluation|as evaluation|no differential"
    r"|without a description|no structural lesion|rule out|consider)\b",
    re.I,
)


@cache
def lexicon() -> frozenset[str]:
    """Words that a near miss is taken for."""
    return words("lexicon") | words("filler")


@cache
def standing() -> frozenset[str]:
    """Words that are right as they stand: whatever a rule is made of, and a few that only look like one of ours."""
    patterns = [rule.pattern.pattern for rule in rules()] + [row["pattern"] for row in rows("triggers")]
    literals = re.findall(r"(?<![a-z)\]])[a-z]{4,}(?![a-z(\[?])", " ".join(patterns).lower())
    return frozenset(literals) | words("standing")
