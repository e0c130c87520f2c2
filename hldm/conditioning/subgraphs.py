"""Subgraphs of many patients at once: what `to_hetero` makes of each, joined, without a loop over nodes or edges."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from hldm.data.records import ClinicalRecord
from hldm.knowledge.graph import knowledge_graph
from hldm.knowledge.subgraph import NODE_TYPES, edge_types, facts, neighbourhood, node_index, node_type


class _World(NamedTuple):
    """The knowledge graph as tensors; nodes are numbered in its order."""

    number: dict[str, int]
    kinds: dict[str, Tensor]  # node type -> numbers of its nodes
    near: Tensor  # (nodes, nodes), float: 1 where the second lies within reach of the first
    edges: dict[tuple[str, str, str], Tensor]  # ("a", "knows", "b") -> (2, edges)


@cache
def _world(hops: int) -> _World:
    graph = knowledge_graph()
    number = {node: i for i, node in enumerate(graph)}
    kinds = {kind: torch.tensor([number[node] for node in rows if node in number], dtype=torch.long)
             for kind, rows in node_index().items()}  # fmt: skip
    near = torch.zeros(len(number), len(number), dtype=torch.float32)
    for node, i in number.items():
        near[i, [number[other] for other in neighbourhood(node, hops - 1)]] = 1
    links: dict[tuple[str, str, str], list] = {kind: [] for kind in edge_types() if kind[1] == "knows"}
    types = {node: node_type(kind) for node, kind in graph.nodes(data="kind")}
    for head, tail in graph.edges():
        links[types[head], "knows", types[tail]].append((number[head], number[tail]))
    return _World(number, kinds, near, {kind: torch.tensor(pairs).T for kind, pairs in links.items()})


def batch_subgraphs(records: Sequence[ClinicalRecord], hops: int = 2) -> HeteroData:
    """The subgraphs of records as one disconnected graph.

    Parameters
    ----------
    records : sequence of ClinicalRecord
    hops : int
        As of `hldm.knowledge.patient_subgraph`.

    Returns
    -------
    HeteroData
        As ``Batch.from_data_list`` makes of each record's ``to_hetero(patient_subgraph(record, hops))``: `node_id` and
        `batch` of every node type, `edge_index` of every edge type; edges may stand in another order.
    """
    world = _world(hops)
    said = [(i, relation, node) for i, record in enumerate(records) for relation, node in facts(record)]
    owner = torch.tensor([i for i, _, _ in said], dtype=torch.long)
    fact = torch.tensor([world.number[node] for _, _, node in said], dtype=torch.long)
    reached = torch.zeros(len(records), len(world.number), dtype=torch.float32).index_add_(0, owner, world.near[fact])
    member = reached > 0  # (graphs, nodes)

    data, place = HeteroData(), torch.full(member.shape, -1)
    for kind in NODE_TYPES:
        nodes = world.kinds[kind]
        mine = member[:, nodes]
        data[kind].batch, data[kind].node_id = mine.nonzero().T
        data[kind].num_nodes = int(mine.sum())
        place[:, nodes] = (mine.flatten().cumsum(0) - 1).unflatten(0, mine.shape)
    patients = torch.arange(len(records))
    data["patient"].batch, data["patient"].node_id = patients, torch.zeros_like(patients)
    data["patient"].num_nodes = len(records)

    for source, relation, target in edge_types():
        if (source, relation, target) in world.edges:
            head, tail = world.edges[source, relation, target]
            graph, edge = (member[:, head] & member[:, tail]).nonzero().T
            pairs = torch.stack([place[graph, head[edge]], place[graph, tail[edge]]])
        elif source == "patient":
            rows = torch.tensor([j for j, (_, name, _) in enumerate(said) if name == relation], dtype=torch.long)
            pairs = torch.stack([owner[rows], place[owner[rows], fact[rows]]])
        else:
            continue
        data[source, relation, target].edge_index = pairs
        data[target, f"rev_{relation}", source].edge_index = pairs.flip(0)
    return data
