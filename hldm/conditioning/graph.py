"""g_GNN: a patient's part of the knowledge graph into a vector, by a two-layer heterogeneous GraphSAGE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch_geometric.data import Batch, HeteroData
from torch_geometric.nn import HeteroConv, SAGEConv, global_mean_pool

from hldm.config import shared_weights
from hldm.data.records import ClinicalRecord
from hldm.knowledge.subgraph import NODE_TYPES, edge_types, node_index, patient_subgraph, to_hetero


def _aggregation(kind: tuple[str, str, str]) -> str:
    """A patient's facts add up: their mean would fade each the more of them are known."""
    return "sum" if kind[2] == "patient" else "mean"


class GraphEncoder(nn.Module):
    """GraphSAGE over G_patient (Eq. 1).

    Every node of the knowledge graph has an embedding; two layers of SAGEConv per relation pass messages, so the
    patient hears its facts and what these are connected to. The patient's state beside the mean of its conditions
    is projected to the embedding.

    Parameters
    ----------
    width : int
        Of the embedding.
    hidden : int
        Of the node states.
    hops : int
        How far the patient's subgraph reaches.
    """

    def __init__(self, width: int = 64, hidden: int = 64, hops: int = 2):
        super().__init__()
        self.width, self.hops = width, hops
        self.nodes = nn.ModuleDict({kind: nn.Embedding(len(rows), hidden) for kind, rows in node_index().items()})
        self.layers = nn.ModuleList(
            HeteroConv({kind: SAGEConv(hidden, hidden, aggr=_aggregation(kind)) for kind in edge_types()})
            for _ in range(2)
        )
        self.project = nn.Linear(2 * hidden, width)

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None) -> GraphEncoder:
        """The shipped encoder, or one from a safetensors file, frozen and in evaluation mode."""
        encoder = cls()
        encoder.load_state_dict(load_file(path or shared_weights("graph_encoder.safetensors")))
        return encoder.eval().requires_grad_(False)

    def forward(self, batch: HeteroData) -> Tensor:
        """Embed a batch of subgraphs.

        Parameters
        ----------
        batch : Batch of HeteroData
            As `to_hetero` makes them.

        Returns
        -------
        Tensor (graphs, width)
        """
        state = {kind: self.nodes[kind](batch[kind].node_id) for kind in NODE_TYPES}
        for layer in self.layers:
            update = layer(state, batch.edge_index_dict)
            state = {kind: state[kind] + torch.relu(update[kind]) for kind in NODE_TYPES}
        conditions = global_mean_pool(state["condition"], batch["condition"].batch, size=batch.num_graphs)
        return self.project(torch.cat([state["patient"], conditions], dim=-1))

    def batch(self, records: Sequence[ClinicalRecord]) -> Batch:
        """The subgraphs of records, ready for `forward`."""
        return Batch.from_data_list([to_hetero(patient_subgraph(record, self.hops)) for record in records])

    def encode(self, records: Sequence[ClinicalRecord]) -> Tensor:
        """Embed records: Tensor (batch, width)."""
        return self(self.batch(records).to(self.project.weight.device))
