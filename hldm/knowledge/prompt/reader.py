"""From free text to a `ClinicalRecord`, saying what was understood, what was not, and what cannot be."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from hldm.data.errors import DataError
from hldm.data.records import ClinicalRecord
from hldm.knowledge.prompt.facts import MURMURS, Fact, record_of
from hldm.knowledge.prompt.negation import scoped
from hldm.knowledge.prompt.spelling import respell
from hldm.knowledge.prompt.vocabulary import ADVICE, lexicon, rules, standing
from hldm.knowledge.tables import words

#: What divides sentences. "VSD? No." is one.
_SENTENCES = re.compile(r"(?<=[.!])\s+|(?<=\?)\s+(?!(?:no|none|not|nil|negative|absent|never)(?:[.!,;]|$))|\n", re.I)


class NotUnderstood(UserWarning):
    """Words of a prompt mean nothing to the reader, and the sound is made without them."""


class Reading(NamedTuple):
    """What `read_prompt` made of a text.

    Attributes
    ----------
    record : ClinicalRecord
        None in every field that the text leaves open or contradicts.
    understood : tuple of Fact
        What the text says, in order of appearance. Fields outside the record (``finding``, ``advice``, ``negated``,
        ``doubted``, ``past``, and ``relative`` for what somebody else has) were recognised but change nothing in it;
        ``silent`` is a phase without a murmur, ``silent_here`` a site without one.
    unknown : tuple of str
        Words that mean nothing here.
    problems : tuple of str
        Contradictions, impossible values, and negations beside a murmur or a diagnosis that were not understood;
        nothing was guessed for them.
    implied : tuple of Fact
        What the text does not say but the knowledge graph adds to its diagnosis.
    """

    record: ClinicalRecord
    understood: tuple[Fact, ...]
    unknown: tuple[str, ...]
    problems: tuple[str, ...]
    implied: tuple[Fact, ...] = ()

    def require(self, text: str) -> Reading:
        """This reading, where something can be made of it.

        Raises
        ------
        DataError
            For problems, and where a text says something and nothing of it was understood.
        """
        if self.problems:
            raise DataError("a prompt without contradictions: " + "; ".join(self.problems), value=text)
        if self.unknown and not self.understood:
            raise DataError("a prompt in words of the clinic; nothing in it was understood", value=text)
        return self


@lru_cache(maxsize=4096)
def _consume(sentence: str) -> tuple[tuple[Fact, ...], str, tuple[str, ...]]:
    """The facts of a sentence, what the rules left of it, and the negations that were not understood."""
    facts, rest = [], sentence
    for rule in rules():

        def take(match: re.Match, rule=rule) -> str:
            value = rule.value(match) if callable(rule.value) else rule.value
            facts.append(Fact(rule.field, value, match.group(), match.start()))
            return "\x00" * len(match.group())

        rest = rule.pattern.sub(take, rest)
    facts, rest, problems = scoped(sorted(facts, key=lambda fact: fact.start), sentence, rest)
    named = [fact for fact in facts if fact.field == "murmur_named"]
    kept = [
        fact for fact in facts if fact.field != "unclear" and (fact.field != "murmur_named" or fact is named[0])
    ]  # one mention is enough
    return tuple(kept), rest, tuple(problems)


def _assign_phases(facts: tuple[Fact, ...], sentence: str, phase: str | None) -> tuple[list[Fact], str | None]:
    """Give every murmur attribute of a sentence to the systolic or the diastolic murmur, or to both.

    A sentence about both is cut at the last "and" (or comma) before the second is named; one that names neither
    continues with `phase`. A continuous murmur is one in both phases: pitch and quality are heard in both.
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
        if fact.field in ("grade", "loudness", "shape", "pitch", "quality"):
            own = borders[bisect_right(borders, fact.start, key=lambda border: border[0]) - 1][1]
            if own is None and fact.field == "grade" and fact.value[1] == 4:
                own = "diastolic"
            both = own in ("continuous", "both") and fact.field in ("pitch", "quality")
            phases = MURMURS if both else (own if own in MURMURS else "systolic",)
            assigned += [fact._replace(field=f"{name}.{fact.field}") for name in phases]
        elif fact.field == "phase" and fact.value == "continuous":
            timings = {"systolic.timing": "Holosystolic", "diastolic.timing": "Holodiastolic"}
            assigned += [fact._replace(field=name, value=value) for name, value in timings.items()]
        elif fact.field == "phase" and fact.value == "both":
            assigned += [fact._replace(value=name) for name in MURMURS]
        else:
            assigned.append(fact)
    return assigned, borders[-1][1]


def _unknown(rest: str) -> list[str]:
    """The words that no rule consumed and that are not mere filling."""
    left = (word.strip(".?!-/+='\"") for word in re.findall(r"[^\s,;:()\x00]+", rest))
    return [word for word in left if word and word.lower() not in words("filler")]


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
        facts stand in `implied`.

    Raises
    ------
    DataError
        Where `text` is no text, such as the NaN of an empty cell.
    """
    if not isinstance(text, str):
        raise DataError("a text", field="prompt", value=text)
    base, facts, unknown, unclear = base or ClinicalRecord(), [], [], []
    phase = "diastolic" if base.diastolic and not base.systolic else None
    for sentence in _SENTENCES.split(respell(text, lexicon(), standing())):
        if ADVICE.match(sentence):
            facts.append(Fact("advice", None, sentence))
            continue
        found, rest, puzzles = _consume(sentence)
        found, phase = _assign_phases(found, sentence, phase)
        facts += found
        unknown += _unknown(rest)
        unclear += puzzles
    problems = unclear + [
        f"{f.value}: found the range {f.text!r}, expected one value" for f in facts if f.field == "range"
    ]
    record, implied = record_of(facts, base, problems)
    return Reading(record, tuple(facts), tuple(unknown), tuple(problems), implied)
