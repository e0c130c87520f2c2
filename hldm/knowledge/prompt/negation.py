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
from functools import cache, cached_property
from typing import Any, NamedTuple

from hldm.data.records import Murmur, Outcome
from hldm.knowledge.prompt.facts import Fact
from hldm.knowledge.tables import rows, words

DENIES = ("no", "not", "nor", "non")
ENDS = (*DENIES, "doubt", "past", "relative", "pseudo")  # a scope ends where the next trigger stands
#: What an item of a list of absent things consists of.
LISTED = frozenset(
    "conditions finding shape pitch quality phase murmur_named systolic.timing diastolic.timing".split()  # noqa: SIM905
)
#: Facts that can be denied, put in doubt, or be somebody else's.
DENIABLE = LISTED | {"loudness", "place", "murmur_locations", "most_audible_location", "radiation", "radiates"}
ADJECTIVES = ("shape", "pitch", "quality", "loudness")
#: Facts that a denial turns round, if they come first in its scope.
FLIPPED: dict[str, dict[Any, Any]] = {
    "pregnant": {True: False, False: True},
    "outcome": {Outcome.NORMAL: Outcome.ABNORMAL, Outcome.ABNORMAL: Outcome.NORMAL},
}
#: Beside one of these, a negation that is not understood is a problem.
OF_MURMURS = DENIABLE - {"finding", "place"} | {"grade"} | FLIPPED.keys()
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
        return self.kind in ("head", "verb") or (self.kind == "word" and self.text.lower() in words("filler"))


@dataclass
class Unit:
    """Part of a sentence, filled before it is asked.

    Attributes
    ----------
    join : {"and", "or", "comma", "border", "exception"}
        What stands before it.
    start : int
    tokens : list of Token
    """

    join: str = "border"
    start: int = 0
    tokens: list[Token] = field(default_factory=list)

    @property
    def facts(self) -> list[Fact]:
        return [token.fact for token in self.tokens if token.fact]

    @property
    def listable(self) -> bool:
        """Whether it may go on with a list after "or"."""
        return not any(t.kind in ENDS or (t.fact and t.fact.field == "grade") for t in self.tokens)

    @cached_property
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
    others = r"(?P<comma>,)|(?P<border>[;)])|(?P<colon>:)|(?P<list>/)|(?P<word>[^\s,;:()=\x00/-][^\s,;:()=\x00/]*)"
    return re.compile(f"{triggers}|{others}", re.I)


def _tokens(rest: str) -> list[Token]:
    """Triggers, separators and words in what the rules left of a sentence."""
    found = []
    for match in _scanner().finditer(rest):
        kind, side = match.lastgroup or "", ""
        if kind[1:].isdigit():
            row = rows("triggers")[int(kind[1:])]
            kind, side = row["kind"], row["side"]
        if text := match.group().rstrip(".!?"):
            found.append(Token(kind, *match.span(), text, side))
    # A colon is a border, but not beside a trigger: "murmur: none", "ruled out: VSD".
    near = [None, *(token.kind for token in found), None]
    return [
        token._replace(kind="border") if token.kind == "colon" else token
        for before, token, after in zip(near, found, near[2:], strict=False)
        if token.kind != "colon" or (before not in DENIES and after not in DENIES)
    ]


def _units(tokens: Iterable[Token]) -> list[Unit]:
    units = [Unit()]
    for token in sorted(tokens, key=lambda token: token.start):
        if token.kind in ("comma", "border", "exception", "list", "nor"):
            join = {"list": "or" if token.text.lower() in ("or", "/") else "and", "nor": "or"}.get(
                token.kind, token.kind
            )
            if units[-1].tokens:
                units.append(Unit(join, token.end))
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
    scopes.apply_all()
    pieces, at = [], 0
    for token in tokens:
        if token in scopes.used or token.kind == "filler":
            pieces += [rest[at : token.start], "\x00" * (token.end - token.start)]
            at = token.end
    after = [scopes.fate.get(fact, fact) for fact in facts]
    return after, "".join(pieces) + rest[at:], scopes.problems


class _Scopes:
    """The units of one sentence, and what its triggers make of their facts: the `fate` of each."""

    def __init__(self, units: list[Unit], sentence: str):
        self.units, self.sentence = units, sentence
        self.fate: dict[Fact, Fact] = {}
        self.used: set[Token] = set()
        self.problems: list[str] = []
        self.murmurs = any(fact.field in OF_MURMURS for unit in units for fact in unit.facts)
        #: For every unit, whether it belongs to the list before it: "A, B or C", "A, B, and C".
        self.closed = [False] * (len(units) + 1)
        for i in range(len(units) - 1, -1, -1):
            bare, join = units[i].bare, units[i].join
            self.closed[i] = units[i].listable if join == "or" else bare and (
                join == "and" or (join == "comma" and self.closed[i + 1])
            )  # fmt: skip

    def apply_all(self) -> None:
        """Relatives first, whose murmurs are denied in vain; then denials; what is left is doubted or past."""
        for kinds in (("relative",), DENIES, ("doubt", "past", "pseudo")):
            for index, unit in enumerate(self.units):
                for k, token in enumerate(unit.tokens):
                    if token.kind in kinds and token not in self.used:
                        self._apply(index, k)

    def _apply(self, index: int, k: int) -> None:
        """Give the facts in a trigger's scope what it makes of them, or say that it was not understood."""
        trigger = self.units[index].tokens[k]
        if trigger.kind == "not" and (cancelled := self._cancelled(index, k)):
            self.used |= {trigger, cancelled}
            return
        path = self._ahead(index, k)
        targets = _targets(trigger, path)
        if trigger.side == "behind" or (not targets and (trigger.kind in DENIES or trigger.side == "either")):
            before, behind = self._behind(index, k)
            verb = next((i for i, token in enumerate(path) if token.kind == "verb"), len(path))
            after = [] if trigger.side == "behind" else path[:verb]  # "not heard": what follows cannot change it
            if behind and trigger.kind == "not" and not all(token.clear or token.fact for token in after):
                self._unclear(trigger, behind)  # "murmur not treated"
                return
            if behind and all(token.clear or token.fact for token in after):
                targets, path = behind, [*before, *path]
        if trigger.kind == "pseudo":
            if self.murmurs:
                self._unclear(trigger, targets)
        elif trigger.kind in DENIES:
            self._deny(index, k, targets, path)
        elif free := [token.fact for token in targets if token.fact not in self.fate]:
            self.used |= {trigger, *(token for token in path if token.kind in (*DENIES, "head", "verb"))}
            for fact in free:
                self.fate[fact] = fact._replace(field={"doubt": "doubted"}.get(trigger.kind, trigger.kind))
                if trigger.kind == "doubt" and fact.field == "murmur_named":
                    self.fate[fact] = fact._replace(field="murmur", value=Murmur.UNKNOWN)

    def _cancelled(self, index: int, k: int) -> Token | None:
        """The negation that a "not" takes back: "not without", "is not absent"."""
        tokens = self.units[index].tokens
        rest = (tokens[j] for j in range(k + 1, len(tokens)))
        following = next((token for token in rest if token.kind != "word" or not token.clear), None)
        return following if following and following.kind in DENIES else None

    def _ahead(self, index: int, k: int) -> list[Token]:
        """The tokens that a trigger reaches: to the end of its unit, and over the further units of its list."""
        unit, trigger = self.units[index], self.units[index].tokens[k]
        has = trigger.kind == "relative" and trigger.text.lower().endswith((" with", " has", " had", " have", ":"))
        reached: list[Token] = []
        for j in range(k + 1, len(unit.tokens)):
            if unit.tokens[j].kind in (("relative",) if has else ENDS):
                return reached
            reached.append(unit.tokens[j])
        last = next((token.fact for token in reversed(reached) if token.fact), None)
        for i in range(index + 1, len(self.units)):
            unit = self.units[i]
            if not (self.closed[i] or _continues(last, unit)):
                break
            reached += [Token("comma", unit.start - 1, unit.start, ","), *unit.tokens]
            last = unit.facts[-1] if unit.facts else last
        return reached

    def _behind(self, index: int, k: int) -> tuple[list[Token], list[Token]]:
        """The tokens before a trigger, and the facts among them that it may speak of: with the list that they end."""
        unit, trigger = self.units[index], self.units[index].tokens[k]
        if trigger.kind not in (*DENIES, "doubt") or (trigger.kind == "no" and trigger.side == "ahead"):
            return [], []
        start = next((j + 1 for j in range(k - 1, -1, -1) if unit.tokens[j].kind in ENDS), 0)
        before = unit.tokens[start:k]
        targets = [t for t in before if t.fact and t.fact.field in DENIABLE | FLIPPED.keys()]
        if not targets or not all(token.clear for token in before if token.start > targets[-1].start):
            return [], []
        diagnosis = targets[0].fact.field == "conditions"
        while index and (unit.join in ("and", "or") or (unit.join == "comma" and self.closed[index])):
            index -= 1
            unit = self.units[index]
            if not (unit.bare and unit.facts and (unit.facts[0].field == "conditions") == diagnosis):
                break
            targets = [token for token in unit.tokens if token.fact] + targets
        return [token for token in before if token.start < targets[-1].start or token.clear], targets

    def _deny(self, index: int, k: int, targets: list[Token], path: list[Token]) -> None:
        trigger = self.units[index].tokens[k]
        if not targets:
            self._not_understood(index, k, path)
            return
        facts = [token.fact for token in targets]
        if any(fact in self.fate and self.fate[fact].field != "relative" for fact in facts):
            self._unclear(trigger, targets)  # "no murmur can be ruled out"
            return
        fields = {fact.field for fact in facts}
        first = next((token.fact for token in path if not token.clear), None)
        adjective = (
            trigger.kind == "not" and first and first.field in ADJECTIVES
        )  # "not very loud murmur": is there one?
        everywhere = any(
            fact.field == "murmur_locations" and len(fact.value) == 4 for fact in facts
        )  # "not at all sites"
        if (adjective and "murmur_named" in fields) or (everywhere and "murmur_named" not in fields):
            self._unclear(trigger, targets)
            return
        self.used |= {trigger, *(token for token in path if token.kind in ("head", "verb")), *_adjectives(path, facts)}
        start = min(trigger.start, facts[0].start)
        for fact, said in zip(facts, _denied(facts, self._excepted(index, targets)), strict=True):
            end = max(trigger.end, fact.start + len(fact.text))
            self.fate[fact] = said if said.field == "negated" else said._replace(text=self.sentence[start:end])

    def _excepted(self, index: int, targets: list[Token]) -> bool:
        """Whether an exception follows what is denied."""
        while index + 1 < len(self.units) and self.units[index + 1].start <= targets[-1].start:
            index += 1
        return index + 1 < len(self.units) and self.units[index + 1].join == "exception"

    def _not_understood(self, index: int, k: int, path: list[Token]) -> None:
        """A trigger without a fact to deny: a problem, unless what it denies is none of ours ("no fever")."""
        tokens = self.units[index].tokens
        place, thing = next(((j, tokens[j]) for j in range(k + 1, len(tokens)) if not tokens[j].clear), (k, None))
        missed = [token for token in path if token.fact and token.fact.field in DENIABLE | FLIPPED.keys()]
        subject = any(not token.clear for token in tokens[:k])
        of_before = (
            tokens[k].kind == "not" and not subject and any(token.kind == "verb" for token in tokens[k + 1 :][:1])
        )
        if thing and thing.kind in DENIES:  # "denies no murmur"
            self.used.add(thing)
            missed = _targets(thing, self._ahead(index, place))
        elif thing and not thing.fact and not missed and not of_before:  # "3/6 murmur, not heard today"
            following = self.units[index + 1] if index + 1 < len(self.units) else Unit()
            missed = [token for token in following.tokens if token.fact]
            if following.join in ("border", "exception") or not following.bare or not missed:
                return
        if self.murmurs:
            self._unclear(tokens[k], missed)

    def _unclear(self, trigger: Token, targets: list[Token]) -> None:
        start = min([trigger.start, *(token.start for token in targets)])
        end = max([trigger.end, *(token.end for token in targets)])
        self.problems.append(
            f"negation: found {self.sentence[start:end]!r}, expected to understand what {trigger.text!r} denies"
        )
        self.fate |= {token.fact: token.fact._replace(field="unclear") for token in targets}


def _continues(last: Fact | None, unit: Unit) -> bool:
    """Whether a unit after a comma goes on with a list that no "or" closes: "no VSD, ASD", "no rubs, murmurs"."""
    if (
        unit.join != "comma"
        or not unit.bare
        or not unit.facts
        or not last
        or last.field not in ("conditions", "finding")
    ):
        return False
    return unit.facts[-1].field == last.field or unit.facts[-1].text.lower().endswith("s")


def _targets(trigger: Token, path: list[Token]) -> list[Token]:
    """The facts that a trigger reaches over words which leave it as it is.

    After "no" there may be adjectives that are not understood, but no noun to which the fact is a complement: "no
    clinically relevant murmur", but not "no change in the murmur". After "not" there may be none.
    """
    strict, stranger, found = trigger.kind in ("not", "relative"), False, []
    for token in path:
        if token.kind == "comma":
            stranger = False
        elif token.fact and token.fact.field in FLIPPED and not found and trigger.kind in DENIES:
            return [token]
        elif token.fact and (
            token.fact.field in DENIABLE or (token.fact.field == "grade" and trigger.kind not in DENIES)
        ):
            found.append(token)
            if trigger.kind == "non":
                break
        elif token.fact or (stranger and token.text.lower() in words("complement")):
            break
        elif token.kind in ("verb", *DENIES):  # "mother has no murmur" is one statement about the mother
            strict = False
        elif not token.clear:
            if strict:
                break
            stranger = True
    return found


def _adjectives(path: list[Token], denied: list[Fact]) -> set[Token]:
    """Words before a denied fact, in its item of the list: of what is absent, an adjective says nothing more."""
    found: set[Token] = set()
    item: list[Token] = []
    facts = set(denied)
    for token in path:
        if token.fact in facts:
            found.update(item)
        if token.fact or token.kind == "comma":
            item = []
        else:
            item.append(token)
    return found


def _denied(facts: list[Fact], excepted: bool) -> list[Fact]:
    """What each of some facts says when they are denied together.

    "No murmur" is one thing, "no systolic murmur" another: the other phase may have one. "No continuous murmur" leaves
    both open.
    """
    timings = [fact for fact in facts if fact.field.endswith(".timing")]
    phases = timings + [fact for fact in facts if fact.field == "phase"]
    murmur = any(fact.field == "murmur_named" for fact in facts) or any("stol" not in fact.text for fact in timings)
    here = excepted or any(fact.field == "place" for fact in facts)

    def one(fact: Fact) -> Fact:
        if fact.field in FLIPPED:
            return fact._replace(value=FLIPPED[fact.field].get(fact.value, fact.value))
        if fact.field == "radiates":
            return fact._replace(field="sole", value=True)
        if fact.field == "phase" and fact.value != "continuous":
            return fact._replace(field="silent")
        if fact.field.endswith(".timing") and murmur:
            return fact._replace(field="silent", value=fact.field.split(".")[0])
        if fact.field == "place" and murmur and not phases:
            return fact._replace(field="silent_place")
        if fact.field == "murmur_named" and not phases:
            return fact._replace(field="silent_here" if here else "murmur", value=Murmur.ABSENT)
        return fact._replace(field="negated")

    return [one(fact) for fact in facts]
