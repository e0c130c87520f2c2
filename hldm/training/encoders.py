"""Training f_BERT and g_GNN on records drawn at random, before and apart from the three stages.

Both learn to recover every field of a record from their vector; the text encoder learns its language at the same
time, by masked-language modelling on the narratives.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from hldm.conditioning.fields import CATEGORIES, SCALARS, scalars, targets
from hldm.conditioning.graph import GraphEncoder
from hldm.conditioning.text import STATISTICS, TextEncoder, mean_pool
from hldm.config import PROFILES, Profile, weights_folder
from hldm.data.records import ClinicalRecord
from hldm.knowledge.narration import narrative
from hldm.knowledge.sampling import random_record
from hldm.weights import sha256

STEPS = {"text": 1500, "graph": 900}  # where the profile sets no cap
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


class FieldHeads(nn.Module):
    """Linear readouts of every field of a record: classes for the categorical ones, numbers for the scalars."""

    def __init__(self, width: int, numbers: bool = True):
        super().__init__()
        self.sizes = [len(values) for values in CATEGORIES.values()]
        # A word is a hundredth of a mean over a hundred tokens: unscaled, its gradient would be as small.
        self.scale = nn.BatchNorm1d(width, affine=False)
        self.classes = nn.Linear(width, sum(self.sizes))
        self.numbers = nn.Linear(width, len(SCALARS)) if numbers else None

    def loss(self, embedding: Tensor, records: list[ClinicalRecord]) -> Tensor:
        """Mean cross-entropy over the categorical fields plus the mean squared error of the known scalars."""
        truth, embedding = targets(records).values(), self.scale(embedding)
        logits = self.classes(embedding).split(self.sizes, dim=-1)
        entropy = torch.stack([F.cross_entropy(z, y) for z, y in zip(logits, truth, strict=True)]).mean()
        if self.numbers is None:
            return entropy
        values, known = scalars(records)
        return entropy + 0.2 * F.mse_loss(self.numbers(embedding)[known], values[known])


def draw_records(number: int, generator: np.random.Generator) -> list[ClinicalRecord]:
    """Random records, as many as asked for."""
    return [random_record(generator) for _ in range(number)]


def train_tokenizer(texts: Iterator[str], vocab_size: int = 1000):
    """A WordPiece tokenizer from scratch; digits stand alone, so that any number can be read.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL.values()), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=256, **SPECIAL)


def mask_tokens(tokens: Tensor, real: Tensor, mask_id: int, vocab: int, generator: torch.Generator):
    """BERT's corruption: of 15 % of the real tokens, 80 % masked, 10 % exchanged, 10 % left.

    Returns
    -------
    corrupted : Tensor (batch, tokens)
    labels : Tensor (batch, tokens)
        The original token where chosen, -100 elsewhere.
    """
    chance = torch.rand(tokens.shape, generator=generator)
    chosen = (chance < 0.15) & real
    kind = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(chosen & (kind < 0.8), mask_id, tokens)
    random_tokens = torch.randint(len(SPECIAL), vocab, tokens.shape, generator=generator)
    corrupted = torch.where(chosen & (kind >= 0.9), random_tokens, corrupted)
    return corrupted, tokens.masked_fill(~chosen, -100)


def train_text_encoder(steps: int, out: Path, *, batch_size: int = 32, lr: float = 2e-3, seed: int = 0) -> float:
    """Train the compact BERT and write it as a ``from_pretrained`` folder.

    Every fourth step is masked-language modelling, the others predict the fields from the pooled vector.

    Returns
    -------
    float
        The last field loss.
    """
    from transformers import BertConfig, BertForMaskedLM, BertModel

    generator, noise = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    corpus = (str(narrative(r, i)) for i, r in enumerate(draw_records(4000, generator)))
    tokenizer = train_tokenizer(corpus)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=128, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=384, max_position_embeddings=256, pad_token_id=tokenizer.pad_token_id,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        model, heads = BertForMaskedLM(config), FieldHeads(config.hidden_size)
    parameters = [*model.parameters(), *heads.parameters()]
    state = {"field": float("nan")}

    def loss(step: int) -> Tensor:
        records = draw_records(batch_size, generator)
        texts = [str(narrative(r, int(generator.integers(2**31)))) for r in records]
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        if step % 4 == 0:
            real = tokens["attention_mask"].bool() & (tokens["input_ids"] >= len(SPECIAL))
            ids, labels = mask_tokens(tokens["input_ids"], real, tokenizer.mask_token_id, len(tokenizer), noise)
            return model(input_ids=ids, attention_mask=tokens["attention_mask"], labels=labels).loss
        hidden = model.bert(tokens["input_ids"], tokens["attention_mask"]).last_hidden_state
        value = heads.loss(mean_pool(hidden, tokens["attention_mask"]), records)
        state["field"] = value.item()
        return value

    optimise(parameters, loss, steps, lr, report=lambda: f"text: field loss {state['field']:.4f}")
    encoder = BertModel(config)  # what AutoModel loads: it has a pooler, which stays unused
    encoder.load_state_dict(model.bert.state_dict(), strict=False)
    encoder.save_pretrained(out)
    tokenizer.save_pretrained(out)
    texts = [str(narrative(r, i)) for i, r in enumerate(draw_records(1000, generator))]
    TextEncoder(out).standardise(texts).save_standardisation(out)
    return state["field"]


def train_graph_encoder(steps: int, out: Path, *, batch_size: int = 64, lr: float = 3e-3, seed: int = 0) -> float:
    """Train GraphSAGE to recover the fields from a patient's subgraph and write its weights.

    Returns
    -------
    float
        The last loss.
    """
    generator = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GraphEncoder()
        heads = FieldHeads(model.width, numbers=False)  # a measurement is no node
    state = {"loss": float("nan")}

    def loss(step: int) -> Tensor:
        records = draw_records(batch_size, generator)
        value = heads.loss(model.encode(records), records)
        state["loss"] = value.item()
        return value

    optimise([*model.parameters(), *heads.parameters()], loss, steps, lr, report=lambda: f"graph: {state['loss']:.4f}")
    save_file(model.state_dict(), out)
    return state["loss"]


def optimise(parameters: list[Tensor], loss: Callable[[int], Tensor], steps: int, lr: float, report: Callable[[], str]):
    """AdamW under a one-cycle schedule; prints `report` now and then."""
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps + 1, pct_start=0.1)
    start = time.perf_counter()
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49 or step == steps - 1:
            print(f"step {step + 1}/{steps}  {time.perf_counter() - start:.0f} s  {report()}", flush=True)


def probe(
    embed: Callable[[list[ClinicalRecord]], Tensor], train: list[ClinicalRecord], test: list[ClinicalRecord]
) -> dict[str, float]:
    """How well a linear classifier reads each field from an embedding.

    Returns
    -------
    dict of float
        Balanced accuracy by field (the mean over its values of how often each is recognised), fitted on `train`
        and measured on `test`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.preprocessing import StandardScaler

    x, x_test = embed(train).numpy(), embed(test).numpy()
    scaler = StandardScaler().fit(x)
    x, x_test = scaler.transform(x), scaler.transform(x_test)
    truth, truth_test = targets(train), targets(test)
    readers = {name: LogisticRegression(max_iter=300).fit(x, truth[name]) for name in CATEGORIES}
    return {name: balanced_accuracy_score(truth_test[name], reader.predict(x_test)) for name, reader in readers.items()}


def train_encoders(
    profile: Profile | str = "gpu", out: str | Path | None = None, seed: int = 0, probe_records: int = 1500
) -> dict:
    """Train both encoders and write them with their measurements; what is there already is kept.

    Parameters
    ----------
    profile : Profile or str
        Its `max_steps` caps the optimiser steps of each encoder.
    out : path, optional
        A weights folder; default ``HLDM_WEIGHTS`` or the project's own. Receives ``text_encoder/`` and
        ``graph_encoder.safetensors``, which `TextEncoder` and `GraphEncoder.from_pretrained` load, and
        ``encoders.json``: steps, probes, embeddings per second and SHA-256 sums.
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
    text, graph, summary = out / "text_encoder", out / "graph_encoder.safetensors", out / "encoders.json"
    if summary.is_file():  # written last: both are there
        return json.loads(summary.read_text(encoding="utf-8"))
    if not (text / STATISTICS).is_file():
        train_text_encoder(steps["text"], text, seed=seed)
    if not graph.is_file():
        train_graph_encoder(steps["graph"], graph, seed=seed)
    report = {"steps": steps, "seed": seed} | measure_encoders(out, records=probe_records, seed=seed + 1)
    weights = [*sorted(text.glob("*.safetensors")), graph]
    report["sha256"] = {str(path.relative_to(out)): sha256(path) for path in weights}
    summary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def measure_encoders(folder: Path, *, records: int = 1500, seed: int = 1) -> dict:
    """Probes on records never trained on, and speed, of the encoders in a weights folder.

    Returns
    -------
    dict
        Balanced accuracy by field in `text_probe` (the wordings of `narrative`), `text_probe_held_out` (sentence
        frames never seen, neither in training nor by the probe) and `graph_probe`; `text_per_second` and
        `graph_per_second`; and `records` per side of the split.
    """
    generator = np.random.default_rng(seed)
    train, test = draw_records(records, generator), draw_records(records, generator)
    text = TextEncoder(folder / "text_encoder")
    graph = GraphEncoder.from_pretrained(folder / "graph_encoder.safetensors")

    def told(some: list[ClinicalRecord]) -> Tensor:
        return text.encode([str(narrative(record, i)) for i, record in enumerate(some)])

    def told_anew(some: list[ClinicalRecord]) -> Tensor:
        return text.encode([str(narrative(record, i, some is test)) for i, record in enumerate(some)])

    @torch.no_grad()
    def drawn(some: list[ClinicalRecord]) -> Tensor:
        return torch.cat([graph.encode(some[i : i + 100]) for i in range(0, len(some), 100)])

    found: dict = {"records": records}
    for name, embed in {"text_probe": told, "text_probe_held_out": told_anew, "graph_probe": drawn}.items():
        found[name] = {field: round(score, 4) for field, score in probe(embed, train, test).items()}
    for name, embed in {"text": told, "graph": drawn}.items():
        start = time.perf_counter()
        embed(test)
        found[f"{name}_per_second"] = round(records / (time.perf_counter() - start))
    return found
