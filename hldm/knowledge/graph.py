"""The cardiac knowledge graph: tables in, one typed networkx graph out.

A node's identifier is its table's (``"vsd"``, ``"noonan_syndrome"``, ``"AV"``, ``"ejection click"``) or, for the value
of a record's field, ``"field=value"`` (``"systolic.timing=Holosystolic"``). Nodes carry `kind` and `label`; an edge is
one fact: its `relation`, the `source` it was read in, and its `status`, one of `STATUSES`.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import networkx as nx

from hldm.data.records import DiastolicGrade, DiastolicMurmur, Sex, SystolicGrade, SystolicMurmur
from hldm.data.tables import read_table
from hldm.knowledge.codes import code_status
from hldm.knowledge.tables import split_cell

#: Fields of ``attributes.csv`` by their name in a record; the others become findings and evaluations.
FIELDS = {
    "Murmur": "murmur",
    "Outcome": "outcome",
    "phase": "phase",
    "Age": "age_group",
    "Pregnancy status": "pregnant",
    **{
        f"{phase} murmur {column}": f"{phase.lower()}.{name}"
        for phase in ("Systolic", "Diastolic")
        for name, column in {
            "timing": "timing", "shape": "shape", "grade": "grading", "pitch": "pitch", "quality": "quality",
        }.items()
    },
}  # fmt: skip

#: Columns of ``conditions.csv`` that hold one value or several: (field of the value's node, relation).
PICTURE = {
    "phase": ("phase", "heard_in"),
    **{name: (f"systolic.{name}", f"has_{name}") for name in ("timing", "shape", "pitch", "quality")},
    "dia_timing": ("diastolic.timing", "has_diastolic_timing"),
    "dia_shape": ("diastolic.shape", "has_diastolic_shape"),
    "dia_pitch": ("diastolic.pitch", "has_diastolic_pitch"),
    "dia_quality": ("diastolic.quality", "has_diastolic_quality"),
    "max_location": ("", "loudest_at"),
    "radiation_locations": ("", "radiates_to"),
    "age_groups": ("age_group", "seen_in"),
    "outcome_label": ("outcome", "has_outcome"),
    "differential_ids": ("", "differential_of"),
    "recommended_evaluation": ("evaluation", "evaluated_by"),
}

#: Relations of ``conditions.csv`` that its column `acoustic_source` speaks for; no source was noted for the others.
ACOUSTIC = {relation for _, relation in PICTURE.values()} - {
    "seen_in", "has_outcome", "differential_of", "evaluated_by",
}  # fmt: skip
#: Whether a fact was found in what its source says, found only in part, or rests on general medical knowledge.
STATUSES = ("read in the source", "partly", "general knowledge")


def _status(source: str) -> str:
    """The status of a fact whose sources are known and whose table does not state one."""
    sources = set(split_cell(source))
    return STATUSES[0] if "GK" not in sources else STATUSES[1] if sources > {"GK"} else STATUSES[2]


def _codes(row: dict) -> dict[str, str]:
    """What a table's row says about the identifiers of its concept in other vocabularies."""
    codes = {"snomed": row["snomed_ct_id"], "hpo": row.get("hpo_id", "")}
    if codes["snomed"]:
        codes["snomed_status"] = code_status(f"{row['snomed_status']} {row.get('snomed_map_type', '')}")
        codes["snomed_source"] = row["snomed_source"]
    if codes["hpo"]:
        several = ";" in codes["hpo"]  # each of them names a part of the concept, or one kind of it
        codes["hpo_status"] = "broader" if several else code_status(row["hpo_label"])
    return codes


def _add_values(graph: nx.MultiDiGraph) -> None:
    for row in read_table("attributes").to_dict("records"):
        field = row["field"].removesuffix(" (KG only)")
        if row["value"] == "nan":  # CirCor's filler for a missing value is no fact
            continue
        if field in FIELDS:
            node, kind = f"{FIELDS[field]}={row['value']}", "value"
        elif field in ("location", "evaluation"):
            node, kind = row["value"], field
        else:
            node, kind = row["value"], "finding"
        graph.add_node(
            node, kind=kind, field=FIELDS.get(field, field), label=row["value"], definition=row["definition"],
            source=row["definition_source"], **_codes(row),
        )  # fmt: skip
    vocabulary = [("sex", Sex)]  # what a record may hold and the table has no row for
    for murmur in (SystolicMurmur, DiastolicMurmur):
        vocabulary += [(f"{murmur.phase}.{name}", kind) for name, kind in murmur.kinds.items()]
    for field, kind in vocabulary:
        for value in kind:
            if f"{field}={value}" not in graph:
                graph.add_node(f"{field}={value}", kind="value", field=field, label=str(value), source="CIRCOR")


def _add_fact(graph: nx.MultiDiGraph, head: str, relation: str, tail: str, *, source: str, **about: str) -> None:
    """Add an edge; what two sources say, or what holds for two conditions, stays two facts."""
    said = sum(data["relation"] == relation for data in (graph.get_edge_data(head, tail) or {}).values())
    key = f"{relation} ({said + 1})" if said else relation
    graph.add_edge(head, tail, key, **{"relation": relation, "source": source, "status": _status(source)} | about)


def _add_conditions(graph: nx.MultiDiGraph) -> None:
    rows = read_table("conditions").to_dict("records")
    for row in rows:
        graph.add_node(
            row["id"], kind="condition", label=row["preferred_term"], abbreviation=row["abbreviation"],
            definition=row["haemodynamic_mechanism"], source=row["acoustic_source"], **_codes(row),
        )  # fmt: skip
    for row in rows:
        for column, (field, relation) in PICTURE.items():
            for rank, name in ((column, "typical"), (f"{column}_alt", "alternative")):
                for value in split_cell(row.get(rank, "")):
                    node = f"{field}={value}" if field else value
                    if field == "evaluation":
                        graph.add_node(node, kind="evaluation", label=value, source="GK")
                    if node in graph:  # "none" and "all" are not nodes
                        source = row["acoustic_source"] if relation in ACOUSTIC else "GK"
                        _add_fact(graph, row["id"], relation, node, strength=name, source=source)
        for node, rank in _grades(row).items():
            relation = "has_grade" if node.startswith("systolic") else "has_diastolic_grade"
            _add_fact(graph, row["id"], relation, node, strength=rank, source=row["acoustic_source"])
        for node in _findings(row, [n for n, kind in graph.nodes(data="kind") if kind == "finding"]):
            _add_fact(graph, row["id"], "has_finding", node, strength="typical", source=row["acoustic_source"])
    for node, about in list(graph.nodes(data=True)):  # "transthoracic echocardiography with provocation" is one
        if about["kind"] == "evaluation" and "echocardiography" in node.lower() and node != "echocardiography":
            _add_fact(graph, node, "involves", "echocardiography", source="GK")


def _grades(row: dict) -> dict[str, str]:
    """Grades that a condition's murmur may have, with their rank: systolic ones out of VI, diastolic ones out of IV."""
    systolic, diastolic = list(SystolicGrade), list(DiastolicGrade)
    phase, steps = ("diastolic", diastolic) if row["phase"] == "diastolic" else ("systolic", systolic)
    usual = steps[int(row["grade_min"]) - 1 : int(row["grade_max"])] if row["phase"] != "none" else []
    ranks = {f"{phase}.grade={step}": "alternative" for step in usual}
    if row["circor_grade"]:
        ranks[f"systolic.grade={row['circor_grade']}"] = "typical"
    if row["dia_grade_of_IV"]:
        ranks[f"diastolic.grade={diastolic[int(row['dia_grade_of_IV']) - 1]}"] = "typical"
    return ranks


def _findings(row: dict, known: list[str]) -> list[str]:
    """The sounds beside the murmur that a condition's row names; "no click, no thrill" names none."""
    parts = re.split(r"[;,]", ";".join(row[column] for column in ("s1_change", "s2_change", "extra_sounds")).lower())
    named = [part for part in parts if not re.match(r"\s*(?:none|no)\b", part)]
    return [node for node in known if any(re.search(rf"\b{re.escape(node.lower())}\b", part) for part in named)]


def _add_relations(graph: nx.MultiDiGraph) -> None:
    for row in read_table("aux_nodes").to_dict("records"):
        graph.add_node(
            row["id"], kind=row["type"], label=row["label"], source=row["snomed_source"] or "GK", **_codes(row),
        )  # fmt: skip
    for row in read_table("relations").to_dict("records"):
        for end in ("head", "tail"):
            if row[end] not in graph:  # body sites and manoeuvres live in this table alone
                graph.add_node(row[end], kind=row[f"{end}_type"], label=row[end], source=row["source"])
        _add_fact(
            graph, row["head"], row["relation"], row["tail"], strength=row["evidence_strength"],
            quantity=row["quantity"], source=row["source"], status=row["verified"], note=row["note"],
        )  # fmt: skip


@cache
def knowledge_graph() -> nx.MultiDiGraph:
    """The whole graph, built once from the tables; treat it as read-only."""
    graph = nx.MultiDiGraph(name="cardiac knowledge")
    _add_values(graph)
    _add_conditions(graph)
    _add_relations(graph)
    return graph


def counts(graph: nx.MultiDiGraph | None = None) -> dict[str, int | float | dict[str, int]]:
    """How large a graph is, how much of it is sourced, and how many of its codes are verified.

    Returns
    -------
    dict
        `nodes`, `edges`; `kinds`, `relations` and `statuses` (counts of nodes by kind, of edges by relation and by
        whether they were read in their source); `codes` (counts of SNOMED CT and HPO codes by `code_status`);
        `sourced`: the share of edges that rest on more than general knowledge (``GK``), in part at least; `verified`:
        the share of codes that are.
    """
    graph = knowledge_graph() if graph is None else graph

    def tally(values) -> dict[str, int]:
        return dict(Counter(value for value in values if value is not None).most_common())

    def of_edges(name: str) -> dict[str, int]:
        return tally(value for _, _, value in graph.edges(data=name))

    statuses = of_edges("status")
    codes = tally(about.get(f"{system}_status") for _, about in graph.nodes(data=True) for system in ("snomed", "hpo"))
    return {
        "nodes": graph.number_of_nodes(),
        "edges": graph.number_of_edges(),
        "kinds": tally(kind for _, kind in graph.nodes(data="kind")),
        "relations": of_edges("relation"),
        "statuses": statuses,
        "codes": codes,
        "sourced": 1 - statuses.get("general knowledge", 0) / max(sum(statuses.values()), 1),
        "verified": codes.get("verified", 0) / max(sum(codes.values()), 1),
    }


def systolic_values() -> tuple[str, ...]:
    """The 17 systolic attribute values of CirCor: timing 4, shape 4, grade 3, pitch 3, quality 3.

    One reading of the paper's "17 distinct conditions"; the other is the 17 rows of ``conditions.csv``.
    """
    table = read_table("attributes")
    rows = table[table["field"].isin([name for name, field in FIELDS.items() if field.startswith("systolic.")])]
    return tuple(f"{FIELDS[field]}={value}" for field, value in zip(rows["field"], rows["value"], strict=True))
