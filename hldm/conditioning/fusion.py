"""The clinical condition c (Eq. 1): text and graph in one vector, with the measurements as a third term.

    c = lambda_text LN(P_t f_BERT(text)) + lambda_graph LN(P_g g_GNN(G_patient)) + lambda_scalars LN(sum_k s_k)

LN removes the mean over the components and divides by their spread; it has no gain of its own, which could take over
the work of lambda. So each term has a root mean square of exactly |lambda|, and the learnt lambdas compare. The s_k are
embeddings of the `SCALARS`, each with a learnt one for "unknown"; a learnt null condition stands for "no condition" in
classifier-free guidance.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hldm.conditioning.fields import CATEGORIES, SCALARS, scalars, targets
from hldm.config import ConditionConfig
from hldm.data.priors.loudness import murmur_level
from hldm.data.records import ClinicalRecord
from hldm.engine.condition import Condition, Conditioning, normal
from hldm.knowledge.narration.narrative import narrative
from hldm.pretrained import Pretrained

if TYPE_CHECKING:
    from hldm.conditioning.graph import GraphEncoder
    from hldm.conditioning.text import TextEncoder


class ConditionEncoder(Conditioning, Pretrained):
    """Fusion of Eq. 1, in two steps: `features` once a record, `forward` at every training step.

    Parameters
    ----------
    config : ConditionConfig
        Widths and ablations.
    text_encoder, graph_encoder : optional
        Frozen encoders for `features`. They are no part of this module's parameters.
    folder : path, optional
        Where encoders that are not given are looked for when first needed, before the shipped ones.
    """

    config_class, weights_name = ConditionConfig, "condition"

    def __init__(
        self,
        config: ConditionConfig = ConditionConfig(),
        text_encoder: TextEncoder | None = None,
        graph_encoder: GraphEncoder | None = None,
        folder: str | os.PathLike | None = None,
    ):
        super().__init__()
        self.config, self.folder = config, folder
        self._given = (text_encoder, graph_encoder)  # in a tuple, out of nn.Module's sight
        width = config.width
        tokens = {"text": config.text_tokens, "graph": config.graph_tokens, "label": 1, "scalars": len(SCALARS)}
        self.parts = {name: count for name, count in tokens.items() if getattr(config, name)}
        widths = {"text": config.text_width, "graph": config.graph_width, "label": len(CATEGORIES["murmur_here"])}
        inputs = {name: value for name, value in widths.items() if name in self.parts}
        self.weight = nn.ParameterDict({name: nn.Parameter(torch.ones(())) for name in self.parts})
        self.project = nn.ModuleDict({name: nn.Linear(value, width) for name, value in inputs.items()})
        self.views = nn.ModuleDict({name: nn.Linear(value, tokens[name] * width) for name, value in inputs.items()})
        self.slope = nn.Parameter(0.5 * normal(len(SCALARS), width, seed=1))
        self.offset = nn.Parameter(normal(len(SCALARS), width, seed=2))
        self.unknown = nn.Parameter(normal(len(SCALARS), width, seed=3))
        self.add_null(width, self.num_tokens, seed=4)

    @property
    def num_tokens(self) -> int:
        """Length of `Condition.tokens`."""
        return sum(self.parts.values())

    @property
    def lambdas(self) -> dict[str, float]:
        """The learnt weights of Eq. 1 by part: `text`, `graph`, `label`, `scalars`, as the configuration has them."""
        return {name: value.item() for name, value in self.weight.items()}

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """f_BERT."""
        from hldm.conditioning.text import TextEncoder

        name = self.config.text_encoder
        return self._given[0] or (TextEncoder(name) if name else TextEncoder.from_pretrained(self.folder))

    @cached_property
    def _graph_encoder(self) -> tuple[GraphEncoder]:
        from hldm.conditioning.graph import GraphEncoder

        return (self._given[1] or GraphEncoder.from_pretrained(self.folder),)  # in a tuple, out of nn.Module's sight

    @property
    def graph_encoder(self) -> GraphEncoder:
        """g_GNN."""
        return self._graph_encoder[0]

    @torch.no_grad()
    def features(
        self,
        records: Sequence[ClinicalRecord],
        seed: int | Sequence[int] = 0,
        murmur_levels: Sequence[float] | None = None,
    ) -> dict[str, Tensor]:
        """What the frozen encoders make of records; keep it, it never changes.

        Parameters
        ----------
        records : sequence of ClinicalRecord
        seed : int or sequence of int
            Chooses the wording of the narratives: one number for each record, or for record i ``seed + i``.
        murmur_levels : sequence of float, optional
            Where they were measured, dB; default: drawn with the seeds by `hldm.data.priors.loudness.murmur_level`.

        Returns
        -------
        dict of Tensor
            `text` (batch, text width), `graph` (batch, graph width), `label` (batch, 3) one-hot murmur_here,
            `scalars` and `known` (batch, len(SCALARS)); what the configuration leaves out is missing. On the CPU.
        """
        found: dict[str, Tensor] = {}
        seeds = seed if isinstance(seed, Sequence) else range(seed, seed + len(records))
        if "text" in self.parts:
            texts = [str(narrative(record, k)) for record, k in zip(records, seeds, strict=True)]
            found["text"] = self.text_encoder.encode(texts).cpu()
        if "graph" in self.parts:
            found["graph"] = self.graph_encoder.encode(records).cpu()
        if "label" in self.parts:
            classes = targets(records)["murmur_here"]
            found["label"] = nn.functional.one_hot(classes, len(CATEGORIES["murmur_here"])).float()
        if murmur_levels is None:
            murmur_levels = [murmur_level(record, k) for record, k in zip(records, seeds, strict=True)]
        found["scalars"], found["known"] = scalars(records, murmur_levels)
        return found

    def forward(self, features: Mapping[str, Tensor]) -> Condition:
        """Fuse features into a condition by Eq. 1; every token is a view of one part, weighed by the same lambda.

        Parameters
        ----------
        features : mapping of Tensor
            From `features`, on this module's device.
        """
        vector, tokens = features["scalars"].new_zeros(()), []
        for name in self.parts:
            term, views = self._embed(name, features)
            vector = vector + self.weight[name] * self._norm(term)
            tokens.append(self.weight[name] * self._norm(views))
        return Condition(vector, torch.cat(tokens, dim=1))

    def _embed(self, name: str, features: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """One part before the norm: as a term (batch, width) and as tokens (batch, count, width)."""
        if name == "scalars":
            value = features["scalars"].unsqueeze(-1) * self.slope + self.offset
            value = torch.where(features["known"].unsqueeze(-1), value, self.unknown)
            return value.sum(1), value
        views = self.views[name](features[name])
        return self.project[name](features[name]), views.unflatten(-1, (self.parts[name], self.config.width))

    def _norm(self, x: Tensor) -> Tensor:
        """LN of Eq. 1 over the last axis."""
        return nn.functional.layer_norm(x, x.shape[-1:])
