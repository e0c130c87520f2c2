"""What an encoder keeps: linear probes, paraphrases against one-fact edits, negation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional as F

from hldm.conditioning.fields import CATEGORIES, targets
from hldm.conditioning.text import TextEncoder
from hldm.data.records import ClinicalRecord, Location, Murmur
from hldm.knowledge.narration.narrative import narrative
from hldm.knowledge.narration.shorthand import as_noted, note
from hldm.knowledge.sampling import BEARS, edit, random_record
from hldm.training.tellings import draw_part, draw_records

Embed = Callable[[list[str]], Tensor]


class Probe:
    """A linear classifier for every categorical field of a record and a linear regression of the heart rate.

    Parameters
    ----------
    embeddings : Tensor (records, width)
    records : sequence of ClinicalRecord
        What the embeddings were made from.
    """

    def __init__(self, embeddings: Tensor, records: Sequence[ClinicalRecord]):
        self.scaler = StandardScaler().fit(embeddings.numpy())
        x, truth = self.scaler.transform(embeddings.numpy()), targets(records)
        self.probes = {name: LogisticRegression(max_iter=300).fit(x, truth[name].numpy()) for name in CATEGORIES}
        rates = [r.heart_rate for r in records]
        known = [rate is not None for rate in rates]
        self.rate = make_pipeline(Ridge()).fit(x[known], [rate for rate in rates if rate is not None])

    def right(self, embeddings: Tensor, records: Sequence[ClinicalRecord]) -> dict[str, np.ndarray]:
        """Whether each field of each record was recognised: bool (records,) by field."""
        x, truth = self.scaler.transform(embeddings.numpy()), targets(records)
        return {name: reader.predict(x) == truth[name].numpy() for name, reader in self.probes.items()}

    def balanced_accuracy(self, embeddings: Tensor, records: Sequence[ClinicalRecord]) -> dict[str, float]:
        """By field, the mean over the values in `records` of how often each is recognised."""
        truth = targets(records)
        return {
            name: float(np.mean([hits[truth[name].numpy() == value].mean() for value in truth[name].unique().numpy()]))
            for name, hits in self.right(embeddings, records).items()
        }

    def heart_rate(self, embeddings: Tensor, records: Sequence[ClinicalRecord]) -> dict[str, float]:
        """``r2`` and ``mae`` (bpm) over the records that state a heart rate."""
        known = np.array([r.heart_rate is not None for r in records])
        true = np.array([r.heart_rate for r in records if r.heart_rate is not None])
        found = self.rate.predict(self.scaler.transform(embeddings.numpy()[known]))
        residual = np.square(true - found).sum() / np.square(true - true.mean()).sum()
        return {"r2": float(1 - residual), "mae": float(np.abs(true - found).mean())}


def text_probe(encoder: TextEncoder, records: int = 2000, seed: int = 1) -> Probe:
    """A probe of a text encoder, fitted on random records told as narratives, and on as many parts of some in notes."""
    generator = np.random.default_rng(seed)
    told = draw_records(records, generator)
    noted = [draw_part(generator) for _ in range(records)]
    texts = [str(narrative(r, i)) for i, r in enumerate(told)] + [note(r, i) for i, r in enumerate(noted)]
    return Probe(encoder.encode(texts), [*told, *map(as_noted, noted)])


def measure_phrases(
    encoder: TextEncoder, phrases: Sequence[tuple[str, ClinicalRecord]], probe: Probe | None = None
) -> dict[str, Any]:
    """What a linear probe, fitted on narratives and notes, reads off the embeddings of other people's phrases.

    Parameters
    ----------
    phrases : sequence of (str, ClinicalRecord)
        Texts, and what each states.
    probe : Probe, optional
        Default: that of `text_probe`.

    Returns
    -------
    dict
        ``accuracy``, over all phrases and fields; ``accuracy_told``, over the fields that a phrase states;
        ``by_field``: balanced accuracy of each; ``phrases``: how many.
    """
    texts, records = [text for text, _ in phrases], [record for _, record in phrases]
    probe, embeddings = probe or text_probe(encoder), encoder.encode(texts)
    right = np.array(list(probe.right(embeddings, records).values()))  # (fields, phrases)
    told = np.array([values.numpy() > 0 for values in targets(records).values()])
    return {
        "phrases": len(records),
        "accuracy": float(right.mean()),
        "accuracy_told": float(right[told].mean()),
        "by_field": probe.balanced_accuracy(embeddings, records),
    }


def measure_triples(
    encoder: TextEncoder, tellers: Sequence[Callable[[ClinicalRecord, int], str]], number: int = 2000, seed: int = 2
) -> dict[str, float]:
    """How often a paraphrase lies nearer, by cosine, than the same record with one fact changed.

    Parameters
    ----------
    tellers : sequence of callable
        ``(record, seed) -> text``. Anchor and edit are told by one of them with the same seed, hence in the same
        words; the paraphrase by any of them with another.

    Returns
    -------
    dict of float
        Share of triples, for ``all`` and by the field that was changed.
    """
    generator = np.random.default_rng(seed)
    fields, texts = [], [[], [], []]
    while len(fields) < number:
        record = random_record(generator)
        field, changed = edit(record, generator) if record.murmur == Murmur.PRESENT else (None, record)
        if field is None:
            continue
        tell, tell_again = (tellers[i] for i in generator.integers(len(tellers), size=2))
        own, other = generator.integers(2**31, size=2).tolist()
        for kind, text in zip(texts, (tell(record, own), tell_again(record, other), tell(changed, own)), strict=True):
            kind.append(text)
        fields.append(field)
    anchors, paraphrases, edits = (F.normalize(encoder.encode(kind), dim=-1) for kind in texts)
    nearer = ((anchors * paraphrases).sum(-1) > (anchors * edits).sum(-1)).numpy()
    by_field = {name: float(nearer[[f == name for f in fields]].mean()) for name in sorted(set(fields))}
    return {"all": float(nearer.mean()), **by_field}


def measure_negation(
    encoder: TextEncoder, probe: Probe, tell: Callable[[ClinicalRecord, int], str], number: int = 500, seed: int = 3
) -> dict[str, float]:
    """How often a probe tells both of a pair right: a statement and, in the same words else, its negation.

    Returns
    -------
    dict of float
        For ``murmur`` (present, absent), ``murmur_here`` (heard or not where the stethoscope lies) and ``pregnant``.
    """
    generator = np.random.default_rng(seed)
    pairs: dict[str, list] = {"murmur": [], "murmur_here": [], "pregnant": []}
    while min(map(len, pairs.values())) < number:
        record = random_record(generator)
        for field, pair in _negations(record).items():
            pairs[field].append(pair)
    found = {}
    for field, both in pairs.items():
        right = []
        for side in zip(*both[:number], strict=True):
            texts = [tell(record, i) for i, record in enumerate(side)]
            right.append(probe.right(encoder.encode(texts), side)[field])
        found[field] = float(np.logical_and(*right).mean())
    return found


def _negations(record: ClinicalRecord) -> dict[str, tuple[ClinicalRecord, ClinicalRecord]]:
    found = {}
    if record.murmur == Murmur.PRESENT:
        found["murmur"] = record, record.without_murmur()
        quiet = [site for site in Location if site not in record.murmur_locations]
        if quiet and record.murmur_locations:
            here, there = record.murmur_locations[0], quiet[0]
            found["murmur_here"] = record.replace(location=here), record.replace(location=there)
    if BEARS[record.sex]:
        found["pregnant"] = record.replace(pregnant=True), record.replace(pregnant=False)
    return found
