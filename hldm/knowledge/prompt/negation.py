"""What a word denies: the scope of negations, doubts, relatives and the past over the facts of a sentence.

After NegEx (Chapman et al. 2001, doi:10.1006/jbin.2001.1029) and ConText (Harkema et al. 2009,
doi:10.1016/j.jbi.2009.05.002): a trigger opens a scope that ends at a border. A sentence falls into *units* at its
commas, its "and" and "or", and its borders ("but", "except", "with", ";"). A scope reaches to the end of its unit and
over the further units of its list. Every word on the way must be understood: "no change in the murmur" denies nothing
that a record could hold, and is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from hldm.data.records import Murmur, Outcome
from hldm.knowledge.prompt.facts import Fact
from hldm.knowledge.tables import rows, words

DENIES = ("no", "not", "nor", "non")
#: What an item of a list of absent things consists of.
LISTED = frozenset((
    "conditions", "finding", "shape", "pitch", "quality", "phase", "murmur_named", "systolic.timing", "diastolic.timing",
))  # fmt: skip
#: Facts that can be denied, put in doubt, or be somebody else's.
DENIABLE = LISTED | {"loudness", "place", "murmur_locations", "most_audible_location", "radiation", "radiates"}
ADJECTIVES = ("shape", "pitch", "quality", "loudness")
#: Facts that a denial turns round, if they come first in its scope.
FLIPPED: dict[str, dict[Any, Any]] = {
    "pregnant": {True: False, False: True},
    "outcome": {Outcome.NORMAL: Outcome.ABNORMAL, Outcome.ABNORMAL: Outcome.NORMAL},
}
#: Beside one of these, a negation that is not understood is a problem.
OF_MURMURS = DENIABLE - {"finding", "place"} | {"grade"}
#: Nobody lists these among what is missing.
NORMAL = ("normal", "normal S2", "regular rhythm")


class Token(NamedTuple):
    """A fact, a word, or a trigger; `kind` is "fact", "word" or the trigger's own."""

    kind: str
    start: int
    end: int
    text: str
    side: str = ""
    fact: Fact | None = None

    @property
    def clear(self) -> bool:
        """Whether a denial passes over it: a word without a meaning of its own, or a verb of finding."""
        return self.kind in ("head", "verb") or self.kind == "word" and self.text.lower() in words("filler") | {""}


@dataclass
class Unit:
    """Part of a sentence; `join` is what stands before it: "and", "or", "comma", "border" or "exception"."""

    join: str = "border"
    tokens: list[Token] = field(default_factory=list)

    @property
    def facts(self) -> list[Fact]:
        return [token.fact for token in self.tokens if token.fact]

    def triggers(self, *kinds: str) -> list[Token]:
        return [token for token in self.tokens if token.kind in kinds]

    @property
    def bare(self) -> bool:
        """Whether it is a mere item of a list: it states no grade, no place, nothing normal, and has no verb."""
        return all(
            token.fact.field in LISTED and token.fact.value not in NORMAL
            if token.fact
            else token.kind in ("word", "verb") and (not token.clear or token.text.lower() in words("listed"))
            for token in self.tokens
        )


@cache
def _scanner() -> re.Pattern:
    triggers = "|".join(rf"(?P<t{i}>(?<!\w)(?:{row['pattern']})(?!\w))" for i, row in enumerate(rows("triggers")))
    return re.compile(rf"{triggers}|(?P<comma>,)|(?P<border>[;)])|(?P<word>[^\s,;:()=\x00/-][^\s,;:()=\x00/]*)|(?P<list>/)",
                      re.I)  # fmt: skip


def _tokens(rest: str) -> list[Token]:
    """Triggers, separators and words in what the rules left of a sentence."""
    found = []
    for match in _scanner().finditer(rest):
        kind, side = match.lastgroup or "", ""
        if kind[1:].isdigit():
            row = rows("triggers")[int(kind[1:])]
            kind, side = row["kind"], row["side"]
        found.append(Token(kind, *match.span(), match.group().rstrip(".!?"), side))
    return found


def _units(tokens: Iterable[Token]) -> list[Unit]:
    units = [Unit()]
    for token in sorted(tokens, key=lambda token: token.start):
        if token.kind in ("comma", "border", "exception", "list", "nor"):
            join = {"list": "or" if token.text.lower() in ("or", "/") else "and", "nor": "or"}.get(token.kind, token.kind)
            if units[-1].tokens:
                units.append(Unit(join))
            elif units[-1].join not in ("border", "exception") or join == "exception":
                units[-1].join = join  # ", or": the last one counts
        if token.kind not in ("comma", "border", "exception", "list", "filler"):
            units[-1].tokens.append(token)
    return units


def scoped(facts: list[Fact], sentence: str, rest: str) -> tuple[list[Fact], str, list[str]]:
    """The facts of a sentence after all that denies them has been heard.

    Parameters
    ----------
    facts : list of Fact
        As the rules found them, whether denied or not.
    sentence, rest : str
        As it was, and with what the rules used blanked out by NUL.

    Returns
    -------
    facts : list of Fact
        Denied ones as ``negated``, ``silent`` (a phase without a murmur), ``murmur`` "Absent", ``silent_here`` (the
        same, but at a site or with an exception) or turned round; others as ``doubted``, ``relative`` or ``past``.
    rest : str
        Without the triggers that were understood.
    problems : list of str
        One for each negation that was not, beside a murmur or a diagnosis.
    """
    tokens = _tokens(rest)
    if all(token.kind in ("word", "comma", "border", "list", "head", "verb") for token in tokens):
        return facts, rest, []
    found = [Token("fact", f.start, f.start + len(f.text), f.text, fact=f) for f in facts]
    scopes = _Scopes(_units(tokens + found), sentence)
    for kinds in (("relative",), DENIES, ("doubt", "past", "pseudo")):
        for index, unit in enumerate(scopes.units):
            for trigger in unit.triggers(*kinds):
                if trigger not in scopes.used:
                    scopes.apply(index, trigger)
    pieces, at = [], 0
    for token in sorted(scopes.used | {t for t in tokens if t.kind == "filler"}, key=lambda token: token.start):
        pieces += [rest[at : token.start], "\x00" * (token.end - token.start)]
        at = token.end
    after = [new for fact in facts for new in scopes.fate.get(fact, [fact])]
    return after, "".join(pieces) + rest[at:], scopes.problems


class _Scopes:
    """The units of one sentence, and what its triggers make of their facts."""

    def __init__(self, units: list[Unit], sentence: str):
        self.units, self.sentence = units, sentence
        self.fate: dict[Fact, list[Fact]] = {}
        self.used: set[Token] = set()
        self.problems: list[str] = []
        self.murmurs = any(fact.field in OF_MURMURS for unit in units for fact in unit.facts)
        self.closed = self._closed()

    def _closed(self) -> list[bool]:
        """For every unit, whether it belongs to the list before it: "A, B or C", "A, B, and C"."""
        closed = [False] * (len(self.units) + 1)
        for i in range(len(self.units) - 1, -1, -1):
            unit = self.units[i]
            if unit.join == "or":
                closed[i] = not unit.triggers(*DENIES) and all(fact.field != "grade" for fact in unit.facts)
            else:
                closed[i] = unit.bare and (unit.join == "and" or unit.join == "comma" and closed[i + 1])
        return closed

    def apply(self, index: int, trigger: Token) -> None:
        """Give the facts in a trigger's scope what it makes of them, or say that it was not understood."""
        if trigger.kind == "not" and (cancelled := self._cancelled(index, trigger)):
            self.used |= {trigger, cancelled}
            return
        reached, targets = self._ahead(index, trigger)
        path = [token for token in reached if not targets or token.start < targets[-1].start]
        behind = self._behind(index, trigger)
        if behind and (trigger.side == "behind" or not targets and trigger.kind in DENIES):
            after = [t for t in self.units[index].tokens if t.start > trigger.start]
            if trigger.side != "behind" and not all(t.clear or t.fact for t in after):
                behind = [] if trigger.kind == "no" else self._unclear(trigger, behind)
            if behind:
                targets, path = behind, after
        if trigger.kind == "pseudo":
            if self.murmurs:
                self._unclear(trigger, targets)
        elif trigger.kind in DENIES:
            self._deny(index, trigger, targets, path, reached)
        elif free := [token.fact for token in targets if token.fact not in self.fate]:
            self._reassign(trigger, free)
            self.used |= {trigger, *(t for t in path if t.kind in (*DENIES, "head", "verb"))}

    def _cancelled(self, index: int, trigger: Token) -> Token | None:
        """The negation that a "not" takes back: "not without", "is not absent"."""
        for token in self.units[index].tokens:
            if token.start > trigger.start and token.kind in DENIES:
                return token
            if token.start > trigger.start and not (token.clear and token.kind == "word"):
                return None
        return None

    def _ahead(self, index: int, trigger: Token) -> tuple[list[Token], list[Token]]:
        """Tokens in a scope, and the facts among them that the trigger understandably speaks of."""
        has = trigger.kind == "relative" and trigger.text.lower().endswith((" with", " has", " had", " have", ":"))
        ends = () if has else (*DENIES, "doubt", "past", "relative", "pseudo")
        reached: list[Token] = []
        for token in self.units[index].tokens:
            if token.start > trigger.start:
                if token.kind in ends:
                    return reached, self._targets(trigger, reached)
                reached.append(token)
        last = next((token.fact for token in reversed(reached) if token.fact), None)
        for i in range(index + 1, len(self.units)):
            unit = self.units[i]
            alike = unit.join == "comma" and unit.bare and unit.facts and last and last.field in ("conditions", "finding") and (
                unit.facts[-1].field == last.field or unit.facts[-1].text.lower().endswith("s")
            )  # fmt: skip
            if not (self.closed[i] or alike):
                break
            start = unit.tokens[0].start
            reached += [Token("comma", start - 1, start, ","), *unit.tokens]
            last = unit.facts[-1] if unit.facts else last
        return reached, self._targets(trigger, reached)

    @staticmethod
    def _targets(trigger: Token, reached: list[Token]) -> list[Token]:
        """The facts that are reached over words which leave a denial as it is.

        After "no" there may be adjectives that are not understood, but no noun to which the fact is a complement:
        "no clinically relevant murmur", but not "no change in the murmur". After "not" there may be none.
        """
        strict, stranger, found = trigger.kind in ("not", "relative"), False, []
        for token in reached:
            if token.kind == "comma":
                stranger = False
            elif token.fact and token.fact.field in FLIPPED and not found and trigger.kind in DENIES:
                return [token]
            elif token.fact and (token.fact.field in DENIABLE or token.fact.field == "grade" and trigger.kind not in DENIES):
                found.append(token)
                if trigger.kind == "non":
                    return found
            elif token.fact or stranger and token.text.lower() in words("complement"):
                break
            elif token.kind == "verb":
                strict = False
            elif not token.clear and token.kind == "word":
                if strict:
                    break
                stranger = True
        return found

    def _behind(self, index: int, trigger: Token) -> list[Token]:
        """Facts before a trigger that it may speak of: those of its unit, and the list that they end."""
        if trigger.kind not in (*DENIES, "doubt") or trigger.kind == "no" and trigger.side == "ahead":
            return []
        before = [token for token in self.units[index].tokens if token.start < trigger.start]
        for k in range(len(before) - 1, -1, -1):
            if before[k].kind in (*DENIES, "doubt", "pseudo"):
                before = before[k + 1 :]
                break
        targets = [t for t in before if t.fact and t.fact.field in DENIABLE | FLIPPED.keys()]
        if not targets or not all(t.clear for t in before if t.start > targets[-1].start):
            return []
        diagnosis = targets[0].fact.field == "conditions"
        while self.units[index].join in ("and", "or") or self.units[index].join == "comma" and self.closed[index]:
            index -= 1
            unit = self.units[index]
            if not (unit.bare and unit.facts and (unit.facts[0].field == "conditions") == diagnosis):
                break
            targets = [t for t in unit.tokens if t.fact] + targets
        return targets

    def _deny(self, index: int, trigger: Token, targets: list[Token], path: list[Token], reached: list[Token]) -> None:
        if not targets:
            self._not_understood(index, trigger, reached)
            return
        facts = [token.fact for token in targets]
        first = next((token for token in reached if not token.clear), None)
        if trigger.kind == "not" and first and first.fact and first.fact.field in ADJECTIVES and any(
            fact.field == "murmur_named" for fact in facts
        ):  # fmt: skip
            self._unclear(trigger, targets)  # "not very loud murmur": is there one?
            return
        everywhere = [f for f in facts if f.field == "murmur_locations" and len(f.value) == 4]
        if everywhere and not any(f.field == "murmur_named" for f in facts):
            self._unclear(trigger, targets)  # "not heard at all sites": at none, or not at each?
            return
        local = any(unit.join == "exception" for unit in self.units[index + 1 : index + 2])
        self.used |= {trigger, *(t for t in (*self.units[index].tokens, *reached) if t.kind in ("head", "verb"))}
        self.used |= _adjectives(path, targets)
        start = min([trigger.start, *(f.start for f in facts)])
        for fact in facts:
            said = _denied(fact, facts, local)
            if any(new.field != "negated" for new in said):
                end = max(trigger.end, fact.start + len(fact.text))
                said = [new._replace(text=self.sentence[start:end]) for new in said]
            self.fate[fact] = said

    def _not_understood(self, index: int, trigger: Token, reached: list[Token]) -> None:
        """A trigger without a fact to deny: a problem, unless what it denies is none of ours ("no fever")."""
        after = [token for token in self.units[index].tokens if token.start > trigger.start]
        object_ = next((token for token in after if not token.clear), None)
        missed = [token for token in reached if token.fact and token.fact.field in DENIABLE]
        if object_ and object_.kind in DENIES:  # "denies no murmur"
            self.used.add(object_)
            missed = self._ahead(index, object_)[1]
        elif object_ and not object_.fact and not missed:
            following = self.units[index + 1] if index + 1 < len(self.units) else Unit()
            if following.join in ("border", "exception") or not following.bare:
                return
            missed = [token for token in following.tokens if token.fact]
            if not missed:
                return
        if self.murmurs:
            self._unclear(trigger, missed)

    def _unclear(self, trigger: Token, targets: list[Token]) -> list[Token]:
        end = max([trigger.end, *(token.end for token in targets)])
        start = min([trigger.start, *(token.start for token in targets)])
        self.problems.append(
            f"negation: found {self.sentence[start:end]!r}, expected to understand what {trigger.text!r} denies"
        )
        self.fate |= {token.fact: [token.fact._replace(field="unclear")] for token in targets}
        return []

    def _reassign(self, trigger: Token, facts: list[Fact]) -> None:
        """Give facts to a doubt, a relative or the past."""
        name = {"doubt": "doubted", "relative": "relative", "past": "past"}[trigger.kind]
        for fact in facts:
            self.fate[fact] = [fact._replace(field=name)]
            if name == "doubted" and fact.field == "murmur_named":
                self.fate[fact] = [fact._replace(field="murmur", value=Murmur.UNKNOWN)]


def _adjectives(path: list[Token], targets: list[Token]) -> set[Token]:
    """Words before a denied fact, in its item of the list: of what is absent, an adjective says nothing more."""
    found: set[Token] = set()
    item: list[Token] = []
    for token in path:
        if token.fact in [target.fact for target in targets]:
            found.update(item)
            item = []
        item = [] if token.kind == "comma" or token.fact else [*item, token]
    return found | set(item)


def _denied(fact: Fact, together: list[Fact], local: bool) -> list[Fact]:
    """What is said by denying a fact together with others.

    "No murmur" is one thing, "no systolic murmur" another: the other phase may have one. "No continuous murmur" leaves
    both open.
    """
    murmur = [f for f in together if f.field == "murmur_named" or f.field.endswith(".timing") and "stol" not in f.text]
    phases = [f for f in together if f.field == "phase" or f.field.endswith(".timing")]
    if fact.field in FLIPPED:
        return [fact._replace(value=FLIPPED[fact.field].get(fact.value, fact.value))]
    if fact.field == "radiates":
        return [fact._replace(field="sole", value=True)]
    if fact.field == "phase" and fact.value == "both":
        return [fact._replace(field="silent", value=phase) for phase in ("systolic", "diastolic")]
    if fact.field == "phase" and fact.value != "continuous":
        return [fact._replace(field="silent")]
    if fact.field.endswith(".timing") and murmur:
        return [fact._replace(field="silent", value=fact.field.split(".")[0])]
    if fact.field == "place" and murmur and not phases:
        return [fact._replace(field="silent_place")]
    if fact.field == "murmur_named" and not phases:
        here = local or any(f.field == "place" for f in together)
        return [fact._replace(field="silent_here" if here else "murmur", value=Murmur.ABSENT)]
    return [fact._replace(field="negated")]
