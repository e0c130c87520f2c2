"""g_GNN: a patient's part of the knowledge graph into a vector, by a two-layer heterogeneous GraphSAGE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, SAGEConv, global_mean_pool

from hldm.conditioning.subgraphs import batch_subgraphs
from hldm.data.records import ClinicalRecord
from hldm.knowledge.subgraph import NODE_TYPES, edge_types, node_index
from hldm.pretrained import Pretrained


@dataclass(frozen=True)
class GraphConfig:
    """Size of g_GNN."""

    width: int = 64  # of the embedding
    hidden: int = 64  # of the node states
    hops: int = 2  # how far the patient's subgraph reaches


def _aggregation(kind: tuple[str, str, str]) -> str:
    """A patient's facts add up: their mean would fade each the more of them are known."""
    return "sum" if kind[2] == "patient" else "mean"


class GraphEncoder(Pretrained):
    """GraphSAGE over G_patient (Eq. 1).

    Every node of the knowledge graph has an embedding; two layers of SAGEConv per relation pass messages, so the
    patient hears its facts and what these are connected to. The patient's state beside the mean of its conditions
    is projected to the embedding.

    Parameters
    ----------
    config : GraphConfig
    """

    config_class, weights_name, shared = GraphConfig, "graph_encoder", True

    def __init__(self, config: GraphConfig = GraphConfig()):
        super().__init__()
        self.config, hidden = config, config.hidden
        self.nodes = nn.ModuleDict({kind: nn.Embedding(len(rows), hidden) for kind, rows in node_index().items()})
        self.layers = nn.ModuleList(
            HeteroConv({kind: SAGEConv(hidden, hidden, aggr=_aggregation(kind)) for kind in edge_types()})
            for _ in range(2)
        )
        self.project = nn.Linear(2 * hidden, config.width)

    @property
    def width(self) -> int:
        """Length of a record's vector."""
        return self.config.width

    def states(self, batch: HeteroData) -> dict[str, Tensor]:
        """Node states after both layers: (nodes, hidden) by node type."""
        state = {kind: self.nodes[kind](batch[kind].node_id) for kind in NODE_TYPES}
        for layer in self.layers:
            update = layer(state, batch.edge_index_dict)
            state = {kind: state[kind] + torch.relu(update[kind]) for kind in NODE_TYPES}
        return state

    def readout(self, state: dict[str, Tensor], batch: HeteroData) -> Tensor:
        """The embedding of each patient from the node states: (graphs, width)."""
        patients = state["patient"]
        conditions = global_mean_pool(state["condition"], batch["condition"].batch, size=len(patients))
        return self.project(torch.cat([patients, conditions], dim=-1))

    def forward(self, batch: HeteroData) -> Tensor:
        """Embed a batch of subgraphs.

        Parameters
        ----------
        batch : HeteroData
            As `batch_subgraphs` makes it.

        Returns
        -------
        Tensor (graphs, width)
        """
        return self.readout(self.states(batch), batch)

    def batch(self, records: Sequence[ClinicalRecord]) -> HeteroData:
        """The subgraphs of records, ready for `forward`."""
        return batch_subgraphs(records, self.config.hops)

    def encode(self, records: Sequence[ClinicalRecord]) -> Tensor:
        """Embed records: Tensor (batch, width)."""
        return self(self.batch(records).to(self.project.weight.device))
