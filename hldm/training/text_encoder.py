"""Training f_BERT: masked words first, then every field of the record, and paraphrases against one-fact edits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hldm.conditioning.text import STATISTICS, SUMS, TextEncoder, mean_pool
from hldm.engine.fit import fit
from hldm.knowledge.narration.narrative import narrative
from hldm.training.field_heads import FieldHeads
from hldm.training.tellings import draw_records, draw_triples, tell

LONGEST = 256  # tokens of a text
VOCABULARY_TEXTS, STANDARD_TEXTS = 3000, 1000  # from which the vocabulary, and the standardisation, are made
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


@dataclass(frozen=True)
class TextTraining:
    """The compact BERT and how it is trained."""

    layers: int = 3
    width: int = 160
    heads: int = 5
    feedforward: int = 256
    vocabulary: int = 1200  # word pieces, before numbers are added
    triples: int = 24  # a batch: three texts each
    steps: int = 3200
    masked_share: float = 0.06  # of the steps, at the start
    learning_rate: float = 2e-3
    contrast: float = 0.2  # weight of the paraphrase contrast
    temperature: float = 0.1


class TextModel(nn.Module):
    """BERT with its masked-word head, and the field heads.

    It is BERT as ModernBERT has it (Warner et al. 2024, arXiv:2412.13663): rotary positions know how far two words lie
    apart, which is what binds a number to its unit and a site to its verb.
    """

    def __init__(self, config: TextTraining, tokenizer):
        from transformers import ModernBertConfig, ModernBertForMaskedLM

        super().__init__()
        self.tokenizer = tokenizer
        self.bert = ModernBertForMaskedLM(
            ModernBertConfig(
                vocab_size=len(tokenizer), hidden_size=config.width, num_hidden_layers=config.layers,
                num_attention_heads=config.heads, intermediate_size=config.feedforward,
                max_position_embeddings=LONGEST, global_attn_every_n_layers=1,
                pad_token_id=tokenizer.pad_token_id, cls_token_id=tokenizer.cls_token_id,
                sep_token_id=tokenizer.sep_token_id, bos_token_id=None, eos_token_id=None,
            )
        )  # fmt: skip
        self.heads = FieldHeads(config.width)

    def pooled(self, texts: list[str], chunks: int = 4) -> Tensor:
        """Mean over each text's tokens, (texts, width); texts of like length run together."""
        order = torch.tensor([len(text) for text in texts]).argsort()
        parts = []
        for rows in order.chunk(chunks):
            tokens = self.tokenizer([texts[i] for i in rows], padding=True, truncation=True, return_tensors="pt")
            hidden = self.bert.model(tokens["input_ids"], tokens["attention_mask"]).last_hidden_state
            parts.append(mean_pool(hidden, tokens["attention_mask"]))
        return torch.cat(parts)[order.argsort()]

    def masked_loss(self, texts: list[str], generator: torch.Generator) -> Tensor:
        """Cross-entropy of masked words."""
        tokens = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        real = tokens["attention_mask"].bool() & (tokens["input_ids"] >= len(SPECIAL))
        mask_id, vocabulary = self.tokenizer.mask_token_id, len(self.tokenizer)
        ids, labels = mask_tokens(tokens["input_ids"], real, mask_id, vocabulary, generator)
        return self.bert(input_ids=ids, attention_mask=tokens["attention_mask"], labels=labels).loss


def train_tokenizer(texts: Iterable[str], vocabulary: int = 1200):
    """A WordPiece tokenizer from scratch; every number up to 299 is one token, longer ones are read in pieces.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits()])
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL.values()), show_progress=False,
        initial_alphabet=[chr(c) for c in range(33, 127)],
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    words += [*map(str, range(300)), *(f"##{c}" for c in "0123456789abcdefghijklmnopqrstuvwxyz")]
    vocab = {word: i for i, word in enumerate(dict.fromkeys(words))}
    tokenizer.model = models.WordPiece(vocab, unk_token="[UNK]")
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LONGEST, **SPECIAL)


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


def contrast_loss(anchors: Tensor, paraphrases: Tensor, edits: Tensor, temperature: float) -> Tensor:
    """InfoNCE on cosines: each anchor finds its paraphrase among all paraphrases and all one-fact edits.

    Parameters
    ----------
    anchors, paraphrases, edits : Tensor (batch, width)
    """
    a, p, e = (F.normalize(part, dim=-1) for part in (anchors, paraphrases, edits))
    own = torch.arange(len(a))
    forth = torch.cat([a @ p.T, a @ e.T], dim=1) / temperature  # (batch, 2 batch)
    back = torch.cat([p @ a.T, p @ e.T], dim=1) / temperature
    return (F.cross_entropy(forth, own) + F.cross_entropy(back, own)) / 2


def train_text_encoder(
    steps: int, out: Path, *, runs: Path, config: TextTraining = TextTraining(), seed: int = 0
) -> list[dict[str, float]]:
    """Train the compact BERT, or resume its training, and write it as a ``from_pretrained`` folder.

    Parameters
    ----------
    out : Path
        The folder to write.
    runs : Path
        Keeps tokenizer and checkpoint.

    Returns
    -------
    list of dict
        The log of `fit`.
    """
    from transformers import AutoTokenizer

    if not (runs / "tokenizer.json").is_file():
        generator = np.random.default_rng(seed)
        train_tokenizer(_corpus(generator, VOCABULARY_TEXTS), config.vocabulary).save_pretrained(runs)
    tokenizer = AutoTokenizer.from_pretrained(runs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TextModel(config, tokenizer)

    def step_loss(step: int, generator: torch.Generator):
        triples = draw_triples(config.triples, np.random.default_rng(generator.initial_seed()))
        texts = [*triples.anchors, *triples.paraphrases, *triples.edits]
        if step < config.masked_share * steps:
            masked = model.masked_loss(texts, generator)
            return masked, {"masked": float(masked.detach()), "field": float("nan"), "contrast": float("nan")}
        standard = model.heads.scale(model.pooled(texts))
        field = model.heads.loss(standard, [*triples.records, *triples.records, *triples.changed])
        contrast = contrast_loss(*standard.chunk(3), config.temperature)
        figures = {"masked": float("nan"), "field": float(field.detach()), "contrast": float(contrast.detach())}
        return field + config.contrast * contrast, figures

    rate = config.learning_rate
    log = fit(model, step_loss, steps, folder=runs, learning_rate=rate, seed=seed, run={"config": config})
    for name in (SUMS, STATISTICS):  # of what is about to be replaced
        (out / name).unlink(missing_ok=True)
    model.bert.model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    records = draw_records(STANDARD_TEXTS, np.random.default_rng(seed + 1))
    told = [str(narrative(record, i)) for i, record in enumerate(records)]
    TextEncoder(out).standardise(told).save_standardisation(out)
    return log


def _corpus(generator: np.random.Generator, number: int) -> list[str]:
    return [tell(record, i) for i, record in enumerate(draw_records(number, generator))]
