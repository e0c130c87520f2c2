"""Training g_GNN: which links of the knowledge graph were hidden, and every field of the record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from hldm.conditioning.graph import GraphConfig, GraphEncoder
from hldm.engine.fit import fit
from hldm.knowledge.sampling import forget
from hldm.knowledge.subgraph import edge_types
from hldm.training.field_heads import FieldHeads
from hldm.training.tellings import draw_records

Edge = tuple[str, str, str]


@dataclass(frozen=True)
class GraphTraining:
    """How GraphSAGE is trained."""

    batch: int = 64
    steps: int = 2000
    learning_rate: float = 3e-3
    hidden_share: float = 0.15  # of the knowledge graph's links, in every step
    link_weight: float = 0.1


class GraphModel(nn.Module):
    """GraphSAGE, a score for links, and the field heads."""

    def __init__(self, config: GraphConfig):
        super().__init__()
        self.graph = GraphEncoder(config)
        self.heads = FieldHeads(config.width, numbers=False)  # a measurement is no node
        self.relations = nn.ParameterDict(
            {"-".join(kind): nn.Parameter(torch.ones(config.hidden) / config.hidden) for kind in edge_types()}
        )

    def link_score(self, state: dict[str, Tensor], kind: Edge, pairs: Tensor) -> Tensor:
        """Logits that nodes are linked, bilinear with a diagonal per relation: (2, pairs) -> (pairs,)."""
        head, tail = state[kind[0]][pairs[0]], state[kind[2]][pairs[1]]
        return (head * self.relations["-".join(kind)] * tail).sum(-1)


def hide_links(batch: HeteroData, share: float, generator: torch.Generator) -> dict[Edge, Tensor]:
    """Take links between facts out of a batch, for the encoder to guess: all between two nodes, in both directions.

    Returns
    -------
    dict of Tensor (2, links)
        What was taken out, by edge type.
    """
    hidden = {}
    for kind in (kind for kind in edge_types() if kind[1] == "knows"):
        pairs, back = batch[kind].edge_index, (kind[2], "rev_knows", kind[0])
        ends = pairs.sort(0).values if kind[0] == kind[2] else pairs
        number = ends.unique(dim=1, return_inverse=True)[1]  # parallel links share one
        out = (torch.rand(pairs.shape[1], generator=generator) < share)[number]
        if out.any():
            hidden[kind] = pairs[:, out]
            batch[kind].edge_index = pairs[:, ~out]
            batch[back].edge_index = pairs[:, ~out].flip(0)
    return hidden


def link_loss(
    model: GraphModel, state: dict[str, Tensor], hidden: dict[Edge, Tensor], generator: torch.Generator
) -> tuple[Tensor, float]:
    """Cross-entropy between hidden links and as many with their ends exchanged, and the share told apart."""
    losses, right = [], []
    for kind, pairs in hidden.items():
        wrong = torch.stack([pairs[0], pairs[1][torch.randperm(pairs.shape[1], generator=generator)]])
        scores = torch.cat([model.link_score(state, kind, p) for p in (pairs, wrong)])
        truth = torch.cat([torch.ones(pairs.shape[1]), torch.zeros(pairs.shape[1])])
        losses.append(F.binary_cross_entropy_with_logits(scores, truth))
        right.append(((scores > 0) == (truth > 0)).float().mean().item())
    return torch.stack(losses).mean(), float(np.mean(right))


def train_graph_encoder(
    steps: int, out: Path, *, runs: Path, config: GraphTraining = GraphTraining(), seed: int = 0
) -> list[dict[str, float]]:
    """Train GraphSAGE, or resume its training, and write its weights.

    Parameters
    ----------
    out : Path
        The weights folder.
    runs : Path
        Keeps the checkpoint.

    Returns
    -------
    list of dict
        The log of `fit`; ``links`` is the share of hidden and of false links recognised.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GraphModel(GraphConfig())

    def step_loss(step: int, generator: torch.Generator):
        draw = np.random.default_rng(generator.initial_seed())
        records = draw_records(config.batch, draw)
        records[::4] = [forget(record, draw) for record in records[::4]]
        batch = model.graph.batch(records)
        hidden = hide_links(batch, config.hidden_share, generator)
        state = model.graph.states(batch)
        field = model.heads.loss(model.heads.scale(model.graph.readout(state, batch)), records)
        link, right = link_loss(model, state, hidden, generator)
        return field + config.link_weight * link, {"field": float(field.detach()), "links": right}

    rate = config.learning_rate
    log = fit(model, step_loss, steps, folder=runs, learning_rate=rate, seed=seed, run={"config": config})
    model.graph.save(out)
    return log
