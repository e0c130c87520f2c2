"""f_BERT: narratives into vectors, with any model that transformers can load."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hldm.paths import shared_weights
from hldm.pretrained import WeightsError, check_sums, refusing, write_sums

STATISTICS = "standardisation.safetensors"  # beside a model's weights
SUMS = "SHA256SUMS.txt"
READ = (".safetensors", ".json", ".txt", ".bin", ".model")  # what transformers may read in a folder


class TextEncoder:
    """The frozen text encoder of Eq. 1.

    Parameters
    ----------
    name : str or path, optional
        A ``from_pretrained`` folder or the name of a model on the Hugging Face hub, such as
        ``"emilyalsentzer/Bio_ClinicalBERT"`` (the paper's family; 768 wide). Default: the compact BERT of this
        project, which needs no network. A folder that this project has written is checked against its sums.

    Raises
    ------
    OSError
        Where the model is neither here nor can be fetched.
    WeightsError
        Where a folder of this project is not as its sums say, or another one is damaged.
    """

    MAX_LENGTH = 256  # tokens; longer texts are cut

    def __init__(self, name: str | Path | None = None):
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        self.name = str(name or shared_weights("text_encoder"))
        folder = Path(self.name)
        if name is None or (folder / SUMS).exists() or (folder / STATISTICS).exists():
            check_folder(folder)
        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # a bar per load litters notebooks
        expected = (
            "a from_pretrained folder or a model that the Hugging Face hub serves (is the network up?). TextEncoder() "
            "loads the one shipped with the project."
        )
        try:
            with refusing(f"text encoder {self.name!r}", expected):
                self.tokenizer = AutoTokenizer.from_pretrained(self.name)
                self.model = AutoModel.from_pretrained(self.name)
        finally:
            if bars:
                logging.enable_progress_bar()
        self.model.eval().requires_grad_(False)
        self.mean, self.spread = torch.zeros(self.width), torch.ones(self.width)
        if (statistics := folder / STATISTICS).is_file():
            with refusing(statistics, f"mean and spread, {self.width} numbers each"):
                found = load_file(statistics)
                self.mean, self.spread = (found[name].reshape(self.width) for name in ("mean", "spread"))

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike | None = None) -> TextEncoder:
        """The project's own text encoder: that of a weights folder, or the shipped one where that has none."""
        path = shared_weights("text_encoder", folder)
        check_folder(path)
        return cls(path)

    @property
    def width(self) -> int:
        """Length of a text's vector."""
        return self.model.config.hidden_size

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> Tensor:
        """Embed texts: the mean of the last layer over the tokens of each, standardised.

        Returns
        -------
        Tensor (batch, width), float32
        """
        return (self.pooled(texts, batch_size) - self.mean) / self.spread

    def standardise(self, texts: Sequence[str]) -> TextEncoder:
        """Learn from texts the mean and spread that `encode` removes; returns self.

        Narratives share most of their words, so most of every mean over tokens is the same: what tells two records
        apart would be lost in the layer norm of Eq. 1.
        """
        pooled = self.pooled(texts)
        self.mean, self.spread = pooled.mean(0), pooled.std(0) + 1e-6
        return self

    def save_standardisation(self, folder: str | Path) -> None:
        """Write mean and spread beside the model's weights, and the sums of all that lies there."""
        save_file({"mean": self.mean, "spread": self.spread}, Path(folder) / STATISTICS)
        write_sums(Path(folder) / SUMS, readable(Path(folder)))

    def pooled(self, texts: Sequence[str], batch_size: int = 64) -> Tensor:
        """Mean of the last layer over each text's tokens: Tensor (batch, width) on the CPU."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths together: less padding
        pooled = [
            self._pool([texts[i] for i in order[start : start + batch_size]])
            for start in range(0, len(order), batch_size)
        ]
        if not pooled:
            return torch.empty(0, self.width)
        return torch.cat(pooled).cpu()[torch.tensor(order).argsort()]

    @torch.no_grad()
    def _pool(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.MAX_LENGTH, return_tensors="pt"
        ).to(self.model.device)
        return mean_pool(self.model(**tokens).last_hidden_state, tokens["attention_mask"])


def readable(folder: Path) -> list[str]:
    """Names of the files that make a text encoder; notes and hidden files are none."""
    files = (path for path in folder.iterdir() if path.suffix in READ and not path.name.startswith("."))
    return sorted(path.name for path in files if path.name != SUMS)


def check_folder(folder: Path) -> None:
    """Raise `WeightsError` where a text encoder of this project is not whole, or holds a file that nobody listed."""
    if not folder.is_dir():
        raise WeightsError(f"{folder}: missing, expected the folder of a text encoder")
    check_sums(folder / SUMS, {"config.json", "model.safetensors", "tokenizer.json", STATISTICS, *readable(folder)})


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over real tokens: (batch, tokens, width), (batch, tokens) -> (batch, width)."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)
