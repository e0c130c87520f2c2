"""Linear readouts of a record's fields, under which both encoders are trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hldm.conditioning.fields import CATEGORIES, SCALARS, scalars, targets
from hldm.data.records import ClinicalRecord


class FieldHeads(nn.Module):
    """Classes for the categorical fields, numbers for the scalars.

    Parameters
    ----------
    width : int
        Of the embedding.
    numbers : bool
        Whether the scalars are read as well.
    """

    def __init__(self, width: int, numbers: bool = True):
        super().__init__()
        self.sizes = [len(values) for values in CATEGORIES.values()]
        # A word is a hundredth of a mean over a hundred tokens: unscaled, its gradient would be as small.
        self.scale = nn.BatchNorm1d(width, affine=False)
        self.classes = nn.Linear(width, sum(self.sizes))
        self.numbers = nn.Linear(width, len(SCALARS)) if numbers else None

    def loss(self, standard: Tensor, records: Sequence[ClinicalRecord]) -> Tensor:
        """Mean cross-entropy over the categorical fields plus the mean squared error of the known scalars.

        Parameters
        ----------
        standard : Tensor (batch, width)
            Embeddings after `scale`.
        """
        truth = targets(records).values()
        logits = self.classes(standard).split(self.sizes, dim=-1)
        entropy = torch.stack([F.cross_entropy(z, y) for z, y in zip(logits, truth, strict=True)]).mean()
        if self.numbers is None:
            return entropy
        values, known = scalars(records)
        return entropy + 0.2 * F.mse_loss(self.numbers(standard)[known], values[known])
