"""Free text evened out before it is read: typography, shorthand spelled out, numbers in figures, typing errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple

from hldm.knowledge.tables import rows

ONES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
""".split()  # noqa: SIM905
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = ("first", "second", "third", "fourth", "fifth")
ENDINGS = ("s", "d", "ed", "r", "er", "ly", "ing")  # another form of a word is no typing error
COUNTS = frozenset([*ONES, *TENS, *ORDINALS])
#: Letters that a pattern without regard to case takes for others of the alphabet.
FOLDED = str.maketrans("\u0130\u0131\u017f\u212a", "IisK")


def _figure(match: re.Match) -> str:
    tens, unit, ones = (word.lower() if word else word for word in match.groups())
    if ones:
        return str(ONES.index(ones))
    return str(20 + 10 * TENS.index(tens) + (ONES.index(unit) if unit else 0))


@cache
def _table(stage: str) -> tuple[tuple[re.Pattern, str | Callable[[re.Match], str]], ...]:
    """Signs and abbreviations, and what stands for them, in order; case counts only inside ``(?-i:...)``.

    The stage "number" comes once the spelling is right.
    """
    chosen = [row for row in rows("spelling") if row["stage"] == stage]
    return tuple(
        (re.compile(row["pattern"], re.I), _figure if row["replacement"] == "@figure" else row["replacement"])
        for row in chosen
    )


def _skeleton(word: str) -> str:
    """A word with all vowels alike and no letter doubled: vowels are what is most often mistaken."""
    return re.sub(r"(?:[aeiou]|y(?=\w))+", "a", re.sub(r"(.)\1", r"\1", word))


class _Index(NamedTuple):
    """A lexicon, arranged by what a near miss has in common with a word of it."""

    forms: frozenset[str]  # right as they stand
    alike: dict[tuple[str, str], str]  # first in the alphabet, by its first letter and skeleton, or letters in order
    lengths: dict[int, list[str]]


@cache
def _index(lexicon: frozenset[str], standing: frozenset[str]) -> _Index:
    words = lexicon | standing
    forms = words | {word + ending for word in words for ending in ENDINGS}
    forms |= {word.removesuffix(ending) for word in words for ending in ENDINGS}
    alike: dict[tuple[str, str], str] = {}
    lengths: dict[int, list[str]] = {}
    for word in sorted(lexicon):
        lengths.setdefault(len(word), []).append(word)
        if len(word) > 3:
            alike.setdefault((word[0], _skeleton(word)), word)
            alike.setdefault((word[0], "".join(sorted(word))), word)
    return _Index(frozenset(forms), alike, lengths)


@lru_cache(maxsize=8192)
def nearest(word: str, lexicon: frozenset[str], standing: frozenset[str] = frozenset()) -> str:
    """The word of `lexicon` that a word nearly is, or the word itself.

    Wrong vowels and doubled letters count as near, as do exchanged letters; so does, from five letters on, whatever
    `difflib` finds alike.
    """
    lower, index = word.lower(), _index(lexicon, standing)
    if lower in index.forms:
        return word
    keys = (_skeleton(lower), "".join(sorted(lower)))
    if found := [index.alike[lower[0], key] for key in keys if (lower[0], key) in index.alike]:
        return min(found)
    if len(word) <= 4:
        return word
    shortest, longest = (round(len(word) * share) for share in (0.7, 1.4))  # others are less than 0.84 alike
    like = [known for length in range(shortest, longest + 1) for known in index.lengths.get(length, ())]
    close = difflib.get_close_matches(lower, like, 1, cutoff=0.84)
    return close[0] if close else word


def respell(text: str, lexicon: frozenset[str], standing: frozenset[str] = frozenset()) -> str:
    """The text as it would stand in a textbook.

    Parameters
    ----------
    text : str
    lexicon : frozenset of str
        Words in lower case; a word of four letters and more that nearly is one of them becomes it. Words in capitals
        are abbreviations and stay.
    standing : frozenset of str
        Further words that are right as they stand, though nothing is corrected to them.
    """
    text = re.sub(r"\s*\n\s*", "\n", re.sub(r"[^\S\n]+|[\x00-\x09\x0b-\x1f\x7f]+", " ", text)).translate(FOLDED)
    for pattern, new in _table("shorthand"):
        text = pattern.sub(new, text)
    right = lexicon | COUNTS
    text = re.sub(r"\b[A-Za-z][a-z]{3,}\b", lambda m: nearest(m[0], right, standing), text)
    for pattern, new in _table("number"):
        text = pattern.sub(new, text)
    return re.sub(r"[ \t]+", " ", text)
