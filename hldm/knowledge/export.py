"""The knowledge graph for other programs: GraphML for graph tools, RDF in Turtle for the semantic web.

A third form, torch_geometric's, is made by `hldm.knowledge.to_hetero`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import networkx as nx

from hldm.data.tables import read_table
from hldm.knowledge.codes import hpo_uri, snomed_uri
from hldm.knowledge.graph import knowledge_graph
from hldm.knowledge.tables import split_cell
from hldm.paths import replacing

if TYPE_CHECKING:
    from rdflib import Graph, URIRef

#: What our own concepts, relations and facts are called in RDF.
NAMESPACE = "urn:hldm:"
#: How close a concept of another vocabulary is to ours, by the status of the code, as SKOS spells it.
MATCHES = {"verified": "exactMatch", "broader": "broadMatch", "unverified": "relatedMatch"}


def to_graphml(path: str | Path, graph: nx.MultiDiGraph | None = None) -> Path:
    """Write a graph as GraphML, with every attribute of its nodes and edges.

    Parameters
    ----------
    path : str or Path
    graph : MultiDiGraph, optional
        The whole knowledge graph by default; a `patient_subgraph` works too.

    Returns
    -------
    Path
        ``networkx.read_graphml(path, force_multigraph=True)`` returns the graph. Every edge has its own identifier,
        ``e1``, ``e2`` and so on, and its relation as an attribute; attributes without a value are left out.
    """
    graph = knowledge_graph() if graph is None else graph
    known = nx.MultiDiGraph(**graph.graph)  # GraphML has no word for "unknown"
    known.add_nodes_from((node, _known(about)) for node, about in graph.nodes(data=True))
    for number, (head, tail, about) in enumerate(graph.edges(data=True), start=1):
        known.add_edge(head, tail, f"e{number}", **_known(about))  # Gephi and yEd merge edges that share an identifier
    with replacing(Path(path)) as file:
        nx.write_graphml(known, file, named_key_ids=True)
    return Path(path)


def _known(about: dict) -> dict:
    return {name: value for name, value in about.items() if value not in (None, "")}


def to_turtle(path: str | Path, graph: nx.MultiDiGraph | None = None) -> Path:
    """Write a graph as RDF in Turtle; the same graph gives the same bytes.

    Parameters
    ----------
    path : str or Path
    graph : MultiDiGraph, optional
        The whole knowledge graph by default.

    Returns
    -------
    Path
        Read it with ``rdflib.Graph().parse(path)``; `to_rdf` says what is in it.
    """
    with replacing(Path(path)) as file:
        to_rdf(graph).serialize(file, format="turtle", encoding="utf-8")
    return Path(path)


def to_rdf(graph: nx.MultiDiGraph | None = None) -> Graph:
    """A graph as RDF triples.

    Every node is a ``skos:Concept`` with its kind as a second class, tied to SNOMED CT and HPO by the property in
    `MATCHES` that its code's status allows. Every fact stands twice: as a plain triple, for queries, and as an
    ``rdf:Statement`` that names its sources, its status and its strength.

    Returns
    -------
    rdflib.Graph
    """
    import rdflib

    graph = knowledge_graph() if graph is None else graph
    triples = rdflib.Graph()
    for part in ("node", "kind", "relation", "fact", "about", "source"):
        triples.bind(part, f"{NAMESPACE}{part}:")
    for node, about in graph.nodes(data=True):
        _add_concept(triples, node, about)
    for number, (head, tail, about) in enumerate(graph.edges(data=True), start=1):
        _add_statement(triples, _name("fact", number), (head, about["relation"], tail), about)
    for row in read_table("sources").itertuples():
        if (None, rdflib.DCTERMS.source, _name("source", row.key)) in triples:
            triples.add((_name("source", row.key), rdflib.RDFS.label, rdflib.Literal(row.source, lang="en")))
    return triples


def _name(part: str, identifier: object) -> URIRef:
    """What something of ours is called in RDF: ``urn:hldm:node:vsd``."""
    from rdflib import URIRef

    return URIRef(f"{NAMESPACE}{part}:{quote(str(identifier).replace(' ', '_'), safe='')}")


def _add_concept(triples: Graph, node: str, about: dict) -> None:
    from rdflib import RDF, SKOS, Literal, URIRef

    concept = _name("node", node)
    triples.add((concept, RDF.type, SKOS.Concept))
    triples.add((concept, RDF.type, _name("kind", about["kind"])))
    triples.add((concept, SKOS.notation, Literal(node)))
    triples.add((concept, SKOS.prefLabel, Literal(about["label"], lang="en")))
    if about.get("definition"):
        triples.add((concept, SKOS.definition, Literal(about["definition"], lang="en")))
    for system, uri in {"snomed": snomed_uri, "hpo": hpo_uri}.items():
        for code in split_cell(about.get(system, "")):
            triples.add((concept, SKOS[MATCHES[about[f"{system}_status"]]], URIRef(uri(code))))
    _add_sources(triples, concept, about)


def _add_statement(triples: Graph, fact: URIRef, said: tuple[str, str, str], about: dict) -> None:
    from rdflib import RDF, RDFS, Literal

    parts = [_name(part, name) for part, name in zip(("node", "relation", "node"), said, strict=True)]
    triples.add(tuple(parts))
    triples.add((fact, RDF.type, RDF.Statement))
    for role, part in zip((RDF.subject, RDF.predicate, RDF.object), parts, strict=True):
        triples.add((fact, role, part))
    for name in ("status", "strength", "quantity"):
        if about.get(name):
            triples.add((fact, _name("about", name), Literal(about[name])))
    if about.get("note"):
        triples.add((fact, RDFS.comment, Literal(about["note"], lang="en")))
    _add_sources(triples, fact, about)


def _add_sources(triples: Graph, thing: URIRef, about: dict) -> None:
    from rdflib import DCTERMS

    for key in split_cell(about.get("source", "")):
        triples.add((thing, DCTERMS.source, _name("source", key)))
