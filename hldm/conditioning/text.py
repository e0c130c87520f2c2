"""f_BERT: narratives into vectors, with any model that transformers can load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hldm.paths import shared_weights
from hldm.pretrained import check_sha256

STATISTICS = "standardisation.safetensors"  # beside a model's weights


class TextEncoder:
    """The frozen text encoder of Eq. 1.

    Parameters
    ----------
    name : str or path, optional
        A ``from_pretrained`` folder or the name of a model on the Hugging Face hub, such as
        ``"emilyalsentzer/Bio_ClinicalBERT"`` (the paper's family; 768 wide). Default: the compact BERT of this
        project, which needs no network.
    frozen : bool
        Whether `encode` runs without gradients.
    device : str or torch.device
    max_length : int
        Longer texts are cut to this many tokens.

    Raises
    ------
    OSError
        Where the model is neither here nor can be fetched.
    WeightsError
        Where a weight file is not the one that the ``.sha256`` beside it was written for.
    """

    def __init__(
        self,
        name: str | Path | None = None,
        *,
        frozen: bool = True,
        device: str | torch.device = "cpu",
        max_length: int = 256,
    ):
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        self.name = str(name or shared_weights("text_encoder"))
        for sums in Path(self.name).glob("*.sha256"):
            check_sha256(sums.with_suffix(".safetensors"))
        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # a bar per load litters notebooks
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(self.name)
            self.model = AutoModel.from_pretrained(self.name).to(device)
        except (OSError, ValueError) as error:
            raise OSError(
                f"text encoder: found no model {self.name!r}, expected a from_pretrained folder or a model that the "
                "Hugging Face hub serves (is the network up?). TextEncoder() loads the one shipped with the project."
            ) from error
        finally:
            if bars:
                logging.enable_progress_bar()
        self.frozen, self.max_length = frozen, max_length
        self.model.eval().requires_grad_(not frozen)
        self.mean, self.spread = torch.zeros(self.width), torch.ones(self.width)
        if (statistics := Path(self.name) / STATISTICS).is_file():
            self.mean, self.spread = (load_file(statistics)[name] for name in ("mean", "spread"))

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
        with torch.no_grad():
            pooled = self.pooled(texts)
        self.mean, self.spread = pooled.mean(0), pooled.std(0) + 1e-6
        return self

    @property
    def standardised(self) -> bool:
        """Whether `standardise` has been called, here or before the model was saved."""
        return bool(self.mean.any())

    def save_standardisation(self, folder: str | Path) -> None:
        """Write mean and spread beside the model's weights."""
        save_file({"mean": self.mean, "spread": self.spread}, Path(folder) / STATISTICS)

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

    def _pool(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        ).to(self.model.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return mean_pool(self.model(**tokens).last_hidden_state, tokens["attention_mask"])


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over real tokens: (batch, tokens, width), (batch, tokens) -> (batch, width)."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)
