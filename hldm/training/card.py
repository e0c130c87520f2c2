"""Model cards: what weights were trained on, for how long, and what they reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hldm.paths import replacing
from hldm.pretrained import sha256

CIRCOR_TERMS = (
    "Trained on the CirCor DigiScope Phonocardiogram Dataset 1.0.3 (Oliveira et al. 2022, PhysioNet), "
    "licensed ODC-By 1.0; only on the patients of the project's `train` part."
)
SIMULATED_TERMS = "Trained on recordings simulated by this project; no patient's data."
RECORD_TERMS = "Trained on clinical records drawn at random; no patient's data."
LICENCE = "The weights are under BSD-3-Clause, like the code."


def write_card(
    weights: Path,
    *,
    what: str,
    corpus: str,
    training: Mapping[str, object],
    scores: Mapping[str, object],
    scored_on: str,
) -> Path:
    """Write ``NAME.md`` beside ``NAME.safetensors``.

    Parameters
    ----------
    weights : Path
    what : str
        One sentence on what the model is.
    corpus : str
        As of `hldm.training.corpus.corpus_name`; decides the terms of use.
    training : mapping
        Command, steps, clips, seed, and the like.
    scores : mapping
        What was measured, with units in the names.
    scored_on : str
        The data the scores were measured on.
    """

    def rows(values: Mapping[str, object]) -> str:
        return "\n".join(f"| {k} | {f'{v:.4g}' if isinstance(v, float) else v} |" for k, v in values.items())

    text = f"""# {weights.stem}

{what}

SHA-256: `{sha256(weights)}`

## Training

| | |
| --- | --- |
{rows({"corpus": corpus, **training})}

## Measured on {scored_on}

| | |
| --- | --- |
{rows(scores)}

## Terms

{_terms(corpus)} {LICENCE}

Sounds made with these weights are synthetic: for teaching and research, not for diagnosis.
"""
    path = weights.with_suffix(".md")
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _terms(corpus: str) -> str:
    if corpus.startswith("random records"):
        return RECORD_TERMS
    return CIRCOR_TERMS if corpus.startswith("CirCor") else SIMULATED_TERMS
