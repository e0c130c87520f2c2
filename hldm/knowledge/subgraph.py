"""G_patient: a record's facts and their neighbourhood in the knowledge graph."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import networkx as nx

from hldm.data.ages import typical_age
from hldm.data.records import ClinicalRecord
from hldm.knowledge.graph import knowledge_graph

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

#: Node types of the heterogeneous graph; every kind of the knowledge graph falls into one of them.
NODE_TYPES = ("patient", "value", "location", "condition", "context")
HERE = {True: "hears_murmur_at", False: "hears_no_murmur_at", None: "listens_at"}


def node_type(kind: str) -> str:
    """The type in `NODE_TYPES` of a kind of node; findings, syndromes, mechanisms and so on are context."""
    if kind == "auscultation location":
        return "location"
    return kind if kind in NODE_TYPES else "context"


def facts(record: ClinicalRecord) -> list[tuple[str, str]]:
    """The edges that leave the patient: (relation, node of the knowledge graph) for every known field."""
    fields = ("age_group", "sex", "murmur", "outcome", "pregnant")
    known = [("has", f"{name}={value}") for name in fields if (value := getattr(record, name)) is not None]
    for murmur in (record.systolic, record.diastolic):
        if murmur is not None:
            known.append(("has", f"phase={murmur.phase}"))
            known += [("has", f"{murmur.phase}.{name}={getattr(murmur, name)}")
                      for name in murmur.kinds if getattr(murmur, name) is not None]  # fmt: skip
    if record.location is not None:
        known.append((HERE[record.murmur_here], str(record.location)))
    known += [("murmur_at", str(site)) for site in record.murmur_locations]
    if record.most_audible_location is not None:
        known.append(("loudest_at", str(record.most_audible_location)))
    return known + [("diagnosed_with", condition) for condition in record.conditions]


@cache
def _undirected() -> nx.Graph:
    return nx.Graph(knowledge_graph())


@cache
def neighbourhood(node: str, hops: int) -> frozenset[str]:
    """Nodes within `hops` steps of a fact.

    A walk passes through a condition or a context node only: two conditions are not neighbours because both are
    heard at the mitral area, or both in a child.
    """
    graph, reached, edge = _undirected(), {node}, {node}
    for _ in range(hops):
        edge = {other for this in edge for other in graph[this]} - reached
        reached |= edge
        edge = {n for n in edge if node_type(graph.nodes[n]["kind"]) in ("condition", "context")}
    return frozenset(reached)


def patient_subgraph(record: ClinicalRecord, hops: int = 2) -> nx.MultiDiGraph:
    """G_patient: the node ``"patient"``, its facts, and what lies within `hops` steps of the patient.

    One hop reaches the facts themselves, two the conditions, findings and neighbouring sites they touch.
    """
    graph, edges = knowledge_graph(), facts(record)
    near = set().union(*(neighbourhood(node, hops - 1) for _, node in edges))
    # In the order of the knowledge graph, not of a set: sums over neighbours then repeat to the last bit.
    patient = nx.MultiDiGraph()
    patient.add_nodes_from((node, data) for node, data in graph.nodes(data=True) if node in near)
    edges_near = (e for e in graph.edges(keys=True, data=True) if e[0] in near and e[1] in near)
    patient.add_edges_from(edges_near)
    patient.add_node("patient", kind="patient", label="patient", age=typical_age(record))
    told = {"source": "record", "status": "read in the source"}
    patient.add_edges_from(("patient", node, relation, {"relation": relation} | told) for relation, node in edges)
    return patient


@cache
def node_index() -> dict[str, dict[str, int]]:
    """A number for every node within its type: which row of an embedding table is its own."""
    index: dict[str, dict[str, int]] = {kind: {} for kind in NODE_TYPES}
    index["patient"]["patient"] = 0
    for node, kind in knowledge_graph().nodes(data="kind"):
        members = index[node_type(kind)]
        members[node] = len(members)
    return index


@cache
def edge_types() -> tuple[tuple[str, str, str], ...]:
    """Every (source type, relation, target type) of `to_hetero`: a fact's relation, or ``knows`` between facts.

    Each comes with its reverse, so that messages reach the patient.
    """
    own = {("patient", "has", "value"), ("patient", "diagnosed_with", "condition")}
    own |= {("patient", relation, "location") for relation in (*HERE.values(), "murmur_at", "loudest_at")}
    kinds = knowledge_graph().nodes(data="kind")
    known = {(node_type(kinds[head]), "knows", node_type(kinds[tail])) for head, tail in knowledge_graph().edges()}
    return tuple(sorted(own | known) + sorted((t, f"rev_{r}", s) for s, r, t in own | known))


def to_hetero(graph: nx.MultiDiGraph) -> HeteroData:
    """A patient's subgraph for torch_geometric.

    Returns
    -------
    HeteroData
        For each node type `node_id` (nodes,), rows of `node_index`; for each of `edge_types` an `edge_index`
        (2, edges). All types are present, empty where the subgraph has none, so that any graphs batch together.
    """
    import torch
    from torch_geometric.data import HeteroData

    index, data = node_index(), HeteroData()
    place, members = {}, {kind: [] for kind in NODE_TYPES}
    for node, kind in graph.nodes(data="kind"):
        here = node_type(kind)
        place[node] = (here, len(members[here]))
        members[here].append(index[here][node])
    for kind, rows in members.items():
        data[kind].node_id = torch.tensor(rows, dtype=torch.long)
        data[kind].num_nodes = len(rows)
    links: dict[tuple[str, str, str], list[tuple[int, int]]] = {kind: [] for kind in edge_types()}
    for head, tail, relation in graph.edges(keys=True):
        (source, i), (target, j) = place[head], place[tail]
        name = relation if source == "patient" else "knows"
        links[source, name, target].append((i, j))
        links[target, f"rev_{name}", source].append((j, i))
    for kind, pairs in links.items():
        data[kind].edge_index = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T.contiguous()
    return data
