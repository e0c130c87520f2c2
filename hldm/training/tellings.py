"""Texts to learn from: random records told in full sentences or in shorthand, whole or in part."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

import numpy as np

from hldm.data.records import ClinicalRecord
from hldm.data.tables import read_table
from hldm.knowledge.narration.narrative import narrative
from hldm.knowledge.narration.shorthand import as_noted, note
from hldm.knowledge.sampling import edit, forget, random_record


class Triples(NamedTuple):
    """Texts that say the same and texts that differ in one fact.

    Attributes
    ----------
    anchors, paraphrases, edits : list of str
        `paraphrases` tell the records of `anchors` again; `edits` tell `changed` as `anchors` tell `records`.
    records, changed : list of ClinicalRecord
    fields : list of str
        Which fact is changed.
    """

    anchors: list[str]
    paraphrases: list[str]
    edits: list[str]
    records: list[ClinicalRecord]
    changed: list[ClinicalRecord]
    fields: list[str]


def draw_records(number: int, generator: np.random.Generator) -> list[ClinicalRecord]:
    """Random records, as many as asked for."""
    return [random_record(generator) for _ in range(number)]


def draw_part(generator: np.random.Generator) -> ClinicalRecord:
    """A random record: whole, or without some of its facts, or with a diagnosis in place of a described murmur."""
    record, kind = random_record(generator), generator.random()
    if kind < 0.4:
        return record
    record = forget(record, generator)
    if kind < 0.95:
        return record
    condition = generator.choice(read_table("conditions")["id"].tolist())
    bare = {"murmur": None, "systolic": None, "diastolic": None, "murmur_locations": (), "most_audible_location": None}
    return record.replace(**bare, conditions=(str(condition),))


def tell(record: ClinicalRecord, seed: int) -> str:
    """Tell a record in a manner chosen by the seed.

    Half of the texts are notes. The others are narratives, some of them without the differential (which states no
    fact) and some with their sentences in any order. One in ten texts holds a typing error.
    """
    chance = random.Random(seed)
    if chance.random() < 0.5:
        text = note(record, seed)
    else:
        told = narrative(as_noted(record), seed)
        text = str(told) if chance.random() < 0.3 else f"{told.summary} {told.murmur}"
        if chance.random() < 0.3:
            sentences = re.split(r"(?<=\.) ", text)
            chance.shuffle(sentences)
            text = " ".join(sentences)
    return _misspell(text, chance) if chance.random() < 0.1 else text


def draw_triples(number: int, generator: np.random.Generator) -> Triples:
    """As many triples as asked for, of parts of random records."""
    rows = []
    while len(rows) < number:
        record = draw_part(generator)
        try:
            field, changed = edit(as_noted(record), generator)
        except ValueError:  # it states nothing
            continue
        seed, other = generator.integers(2**31, size=2).tolist()
        rows.append((tell(record, seed), tell(record, other), tell(changed, seed), as_noted(record), changed, field))
    return Triples(*map(list, zip(*rows, strict=True)))


def _misspell(text: str, chance: random.Random) -> str:
    """Drop, double or swap a letter within a long word."""
    words = list(re.finditer(r"[A-Za-z]{6,}", text))
    if not words:
        return text
    word = chance.choice(words)
    i = chance.randrange(word.start() + 1, word.end() - 1)
    change = chance.choice(("", text[i] * 2, text[i + 1] + text[i]))
    return text[:i] + change + text[i + (2 if len(change) == 2 and change[0] == text[i + 1] else 1) :]
