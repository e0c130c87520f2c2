"""Training f_BERT and g_GNN on records drawn at random, before and apart from the three stages."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch

from hldm.conditioning.graph import GraphEncoder
from hldm.conditioning.text import SUMS, TextEncoder
from hldm.config import PROFILES, Profile
from hldm.knowledge.narration.narrative import narrative
from hldm.knowledge.narration.shorthand import as_noted, note
from hldm.paths import replacing, weights_folder
from hldm.pretrained import sha256
from hldm.training.card import write_card
from hldm.training.encoder_probes import Probe, measure_negation, measure_triples, text_probe
from hldm.training.graph_encoder import GraphTraining, train_graph_encoder
from hldm.training.tellings import draw_part, draw_records
from hldm.training.text_encoder import TextTraining, train_text_encoder

STEPS = {"text": TextTraining().steps, "graph": GraphTraining().steps}  # where the profile sets no cap
CORPUS = "random records of hldm.knowledge.random_record"


def train_encoders(
    profile: Profile | str = "gpu", out: str | Path | None = None, seed: int = 0, probe_records: int = 1500
) -> dict:
    """Train both encoders and write them with their measurements; what is there already is kept, the rest resumed.

    Parameters
    ----------
    profile : Profile or str
        Its `max_steps` caps the optimiser steps of each encoder.
    out : path, optional
        A weights folder; default ``HLDM_WEIGHTS`` or the project's own. Receives ``text_encoder/`` and
        ``graph_encoder.safetensors``, which `TextEncoder` and `GraphEncoder.from_pretrained` load, their model cards,
        and ``encoders.json``: steps, what `measure_encoders` found, and SHA-256 sums. Checkpoints are kept in
        ``encoders/``.
    seed : int
    probe_records : int
        Records on each side of the probes.

    Returns
    -------
    dict
        What ``encoders.json`` holds.
    """
    profile = PROFILES[profile] if isinstance(profile, str) else profile
    out = Path(out or weights_folder())
    out.mkdir(parents=True, exist_ok=True)
    steps = {name: min(full, profile.max_steps or full) for name, full in STEPS.items()}
    text, graph, summary = out / "text_encoder", out / f"{GraphEncoder.weights_name}.safetensors", out / "encoders.json"
    if summary.is_file():  # written last: both are there
        return json.loads(summary.read_text(encoding="utf-8"))
    if not (text / SUMS).is_file():
        train_text_encoder(steps["text"], text, runs=out / "encoders" / "text", seed=seed)
    if not graph.with_suffix(".sha256").is_file():
        train_graph_encoder(steps["graph"], out, runs=out / "encoders" / "graph", seed=seed)
    report = {"steps": steps, "seed": seed} | measure_encoders(out, records=probe_records, seed=seed + 1)
    weights = [*sorted(text.glob("*.safetensors")), graph]
    report["sha256"] = {str(path.relative_to(out)): sha256(path) for path in weights}
    _write_cards(out, report)
    with replacing(summary) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def measure_encoders(folder: Path, *, records: int = 1500, seed: int = 1) -> dict:
    """What the encoders in a weights folder keep of records never trained on, and their speed.

    Returns
    -------
    dict
        Balanced accuracy by field of linear probes in `text_probe` (narratives), `text_probe_held_out` (narratives in
        sentence frames seen neither in training nor by the probe), `text_probe_notes` (shorthand) and `graph_probe`;
        the keys of `Probe.heart_rate` by wording in `heart_rate`; `measure_triples` by wording in `triples`;
        `measure_negation` on held-out frames in `negation`; `text_per_second` and `graph_per_second`; `records` of
        each test.
    """
    generator = np.random.default_rng(seed)
    train, test = draw_records(records, generator), draw_records(records, generator)
    parts = [draw_part(generator) for _ in range(records)]
    text = TextEncoder.from_pretrained(folder)
    graph = GraphEncoder.from_pretrained(folder)
    tests = {
        "text_probe": ([str(narrative(r, i)) for i, r in enumerate(test)], test),
        "text_probe_held_out": ([_told_anew(r, i) for i, r in enumerate(test)], test),
        "text_probe_notes": ([note(r, i) for i, r in enumerate(parts)], list(map(as_noted, parts))),
    }
    found: dict = {"records": records, "heart_rate": {}}
    probe = text_probe(text, records, seed + 1)
    for name, (texts, told) in tests.items():
        embeddings = text.encode(texts)
        found[name] = probe.balanced_accuracy(embeddings, told)
        found["heart_rate"][name] = probe.heart_rate(embeddings, told)
    found["triples"] = {
        "narratives": measure_triples(text, [_told], records),
        "held out": measure_triples(text, [_told_anew], records),
        "narratives and notes": measure_triples(text, [_told, note], records),
    }
    found["negation"] = measure_negation(text, probe, _told_anew, max(20, records // 4))
    with torch.no_grad():
        seen, new = graph.encode(train), graph.encode(test)
    found["graph_probe"] = Probe(seen, train).balanced_accuracy(new, test)
    for name, embed in {
        "text": lambda: text.encode(tests["text_probe"][0]),
        "graph": lambda: graph.encode(test),
    }.items():
        start = time.perf_counter()
        embed()
        found[f"{name}_per_second"] = round(records / (time.perf_counter() - start))
    return _rounded(found)


def _told(record, seed: int) -> str:
    return str(narrative(record, seed))


def _told_anew(record, seed: int) -> str:
    return str(narrative(record, seed, held_out=True))


def _rounded(found: dict) -> dict:
    return {
        name: _rounded(value) if isinstance(value, dict) else round(value, 4) if isinstance(value, float) else value
        for name, value in found.items()
    }


def _write_cards(out: Path, report: dict) -> None:
    """``text_encoder/README.md`` and ``graph_encoder.md``; the fields one by one stand in ``encoders.json``."""

    def summary(name: str) -> dict[str, float | str]:
        scores = report[name]
        worst = min(scores, key=scores.get)
        return {f"{name}, mean of fields": float(np.mean(list(scores.values()))),
                f"{name}, worst field": f"{scores[worst]} ({worst})"}  # fmt: skip

    scored_on = f"{report['records']} new records, by balanced accuracy of linear probes (all fields: encoders.json)"
    training = {"command": "hldm train encoders --profile gpu", "seed": report["seed"]}
    scores: dict = {}
    for name in ("text_probe", "text_probe_held_out", "text_probe_notes"):
        scores |= summary(name) | {f"heart rate, {name}, MAE in bpm": report["heart_rate"][name]["mae"]}
    scores |= {f"paraphrase nearer than edit, {name}": shares["all"] for name, shares in report["triples"].items()}
    scores |= {f"negation told apart, {name}": share for name, share in report["negation"].items()}
    text = TextTraining()
    card = write_card(
        out / "text_encoder" / "model.safetensors",
        what=f"Compact clinical BERT (f_BERT of Eq. 1): {text.layers} layers, {text.width} wide, WordPiece vocabulary "
        "of its own, in which a number is one token; `hldm.conditioning.TextEncoder` averages its last layer over the "
        "tokens. It knows the wordings of `hldm.knowledge.narrative` and `hldm.knowledge.note`, not English.",
        corpus=CORPUS, scored_on=scored_on,
        training=training | {"steps": report["steps"]["text"], "texts a step": 3 * text.triples},
        scores=scores | {"narratives per second": report["text_per_second"]},
    )  # fmt: skip
    card.rename(card.with_name("README.md"))
    write_card(
        out / "graph_encoder.safetensors",
        what="Heterogeneous GraphSAGE (g_GNN of Eq. 1) over the patient's part of the knowledge graph. It fits the "
        "tables it was trained with; measurements (heart rate, height, weight) are no nodes and not in its embedding.",
        corpus=CORPUS, scored_on=scored_on,
        training=training | {"steps": report["steps"]["graph"], "records a step": GraphTraining().batch},
        scores=summary("graph_probe") | {"records per second": report["graph_per_second"]},
    )  # fmt: skip
