"""Free text evened out before it is read: typography, shorthand spelled out, numbers in figures, typing errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple

ONES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
""".split()  # noqa: SIM905
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBER_WORD = (
    rf"\b(?:({'|'.join(TENS)})(?:[- ]({'|'.join(ONES[1:10])}))?"
    rf"|({'|'.join(o for o in ONES if o != 'one')}|one(?=[- /](?:year|month|week|day|hour|of|out|over|six|and))))\b"
)
ORDINALS = {"first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th"}
ENDINGS = ("s", "d", "ed", "r", "er", "ly", "ing")  # another form of a word is no typing error
COUNTS = frozenset([*ONES, *TENS, *ORDINALS])
SIDES = {"L": "left", "R": "right"}
#: Letters that a pattern without regard to case takes for others of the alphabet.
FOLDED = str.maketrans("\u0130\u0131\u017f\u212a", "IisK")
STEPS = r"[1-6]|[IV]{1,3}"


def _figure(match: re.Match) -> str:
    tens, unit, ones = (word.lower() if word else word for word in match.groups())
    if ones:
        return str(ONES.index(ones))
    return str(20 + 10 * TENS.index(tens) + (ONES.index(unit) if unit else 0))


#: Signs and abbreviations, and what stands for them, in order; case counts only inside ``(?-i:...)``.
SHORTHAND = (
    (r"[\u2010-\u2015\u2212]", "-"),
    (r"[\u2018\u2019]", "'"),
    (r"\bcan't\b", "cannot"),
    (r"(?<=\w)n't\b", " not"),
    (r"(?<=\d),(?=\d{1,2} ?(?:kg|cm|mm?|years?|months?|weeks?|days?)\b)", "."),
    (r"(?<=\d),(?=\d{3} ?(?:g|grams?)\b)", ""),
    (r"\s*(?:(?<![-=])[-=]+>|\u2192|\s>\s)\s*", " radiating to "),
    (r"\(\s*-\s*\)|[\u00d8\u2205]|\b(?:neg|negative)\b(?: for)?(?=\s+(?:a |any )?murmur)", "no"),
    (r"\(\s*\+\s*\)", "present"),
    (r"(?<!\w)w/o(?!\w)", "without"),
    (r"(?<!\w)w/(?=\s|\w)|\bc/o\b|\bc(?= (?:[1-6]/|grade))", "with "),
    (r"@", " at "),
    (r"&", " and "),
    (r"\bc/w\b", "consistent with"),
    (r"\bs/o\b", "suspected"),
    (r"\bDOL ?(\d+)", r"\1-day-old"),
    (r"(?<![\w.])(\d{1,3})(?-i:(?=[MF]\b))|^(\d{1,3}) ?(?-i:(?=[MF]\b))", lambda m: f"{m[1] or m[2]}-year-old "),
    (r"\b(boy|girl|female|male|man|woman), (\d{1,3})(?=\s*(?:$|[,;]|\.(?!\d)))", r"\1 aged \2"),
    (r"\bm/?r/?g(?:'?s)?\b", "murmur, rub or gallop"),
    (r"\bnl\b", "normal"),
    (r"\breg\.", "regular"),
    (r"\bmax\.", "max"),
    (r"\bp\.\s?m\.", "loudest"),
    (r"\b(holo|pan|mid|early|late)?-?syst?\b\.?(?! ?bp)", r"\1systolic"),
    (r"\bdiast?\b\.?", "diastolic"),
    (r"(?<=stolic )m\b\.?|\bmurm\b\.?|(?<=\bno )m\b", "murmur"),
    (r"\b([SD])M(?= (?:[1-6]/|grade|at))", lambda m: {"S": "systolic", "D": "diastolic"}[m[1].upper()] + " murmur"),
    (r"\b(de)?cr(?:esc)?\b\.?", r"\1crescendo"),
    (r"\bmurmurs?\? (?=no)", "murmur: "),
    (r"\bmurmurs?\? yes\b", "murmur present"),
    (r"\brad\b\.?(?: to)?", "radiating to"),
    (rf"\bgr\b\.?\s?(?=(?:{STEPS})\b)|\bG(?=(?:{STEPS})/)", "grade "),
    (r"\bwt\b\.?", "weight"),
    (r"\bht\b\.?", "height"),
    (r"(?<!\w)(?-i:P)(?=[ :=]+\d)", "pulse"),
    (r"\b([1-5])\. ?(?=[LR]?ICS|intercostal)", r"\1th "),
    (r"\b([LR])ICS\b", lambda m: f"{SIDES[m[1].upper()]} intercostal space"),
    (r"\b(?-i:([LR])) (?=axilla|upper|lower|sternal|carotid|clavic|infracl)", lambda m: f"{SIDES[m[1]]} "),
    (r"\bICS\b", "intercostal space"),
)  # fmt: skip
#: Numbers in words, once their spelling is right.
NUMBERS = (
    (NUMBER_WORD, _figure),
    (r"\b(\d+)[ -](?:and[ -](?:a|1)[ -]half|1/2)(?!\w)|\b(\d+) ?\u00bd", lambda m: f"{m[1] or m[2]}.5"),
    (r"(?<!\w)half (?:a )?(?=(?:year|month|week|day)\b)", "0.5 "),
    (r"\ban? (?=(?:year|month|week|day)[- ]old\b)", "1 "),
    (r"\b(\d)[ -]sixths?\b", r"\1/6"),
    (rf"\b({'|'.join(ORDINALS)})(?= (?:left|right|intercostal|heart sound))", lambda m: ORDINALS[m[1].lower()]),
    (r"\b([1-5])th(?= (?:left|right|intercostal))", lambda m: list(ORDINALS.values())[int(m[1]) - 1]),
    (r"\b([1-4])[a-z]{2} heart sound", r"S\1"),
    (r"\bs1\W{0,3}s2\b", "S1 S2"),
)  # fmt: skip


@cache
def _compiled(table: tuple) -> tuple[tuple[re.Pattern, str | Callable[[re.Match], str]], ...]:
    return tuple((re.compile(pattern, re.I), new) for pattern, new in table)


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
    for pattern, new in _compiled(SHORTHAND):
        text = pattern.sub(new, text)
    right = lexicon | COUNTS
    text = re.sub(r"\b[A-Za-z][a-z]{3,}\b", lambda m: nearest(m[0], right, standing), text)
    for pattern, new in _compiled(NUMBERS):
        text = pattern.sub(new, text)
    return re.sub(r"[ \t]+", " ", text)
