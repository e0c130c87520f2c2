"""The cardiac knowledge graph: tables in, one typed networkx graph out.

A node's identifier is its table's (``"vsd"``, ``"noonan_syndrome"``, ``"AV"``, ``"ejection click"``) or, for the value
of a record's field, ``"field=value"`` (``"systolic.timing=Holosystolic"``). Nodes carry `kind` and `label`, edges
their relation as key and the `source` of the fact.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import networkx as nx

from hldm.data.records import DiastolicMurmur, Sex, SystolicMurmur
from hldm.data.tables import read_table

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
    "circor_grade": ("systolic.grade", "has_grade"),
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
_DIHEDRAL = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
             "5987604321", "6598710432", "7659821043", "8765932104", "9876543210")  # fmt: skip
_PERMUTATION = ("0123456789", "1576283094", "5803796142", "8916043527",
                "9453126870", "4286573901", "2793806415", "7046913258")  # fmt: skip


def verhoeff_ok(identifier: str) -> bool:
    """Whether the last digit of a SNOMED CT identifier is its Verhoeff check digit.

    True catches typing slips; it does not show that the concept exists or means what a table says.
    """
    check = 0
    for place, digit in enumerate(reversed(identifier)):
        check = int(_DIHEDRAL[check][int(_PERMUTATION[place % 8][int(digit)])])
    return check == 0


def split_cell(cell: str) -> list[str]:
    """The values of a cell that separates them by semicolons."""
    return [part.strip() for part in cell.split(";") if part.strip()]


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
            snomed=row["snomed_ct_id"], snomed_status=row["snomed_status"], hpo=row["hpo_id"],
            source=row["definition_source"],
        )  # fmt: skip
    vocabulary = [("sex", Sex)]  # what a record may hold and the table has no row for
    for murmur in (SystolicMurmur, DiastolicMurmur):
        vocabulary += [(f"{murmur.phase}.{name}", kind) for name, kind in murmur.kinds.items()]
    for field, kind in vocabulary:
        for value in kind:
            if f"{field}={value}" not in graph:
                graph.add_node(f"{field}={value}", kind="value", field=field, label=str(value), source="CIRCOR")


def _add_conditions(graph: nx.MultiDiGraph) -> None:
    rows = read_table("conditions").to_dict("records")
    for row in rows:
        graph.add_node(
            row["id"], kind="condition", label=row["preferred_term"], abbreviation=row["abbreviation"],
            definition=row["haemodynamic_mechanism"], snomed=row["snomed_ct_id"],
            snomed_status=row["snomed_status"], hpo=row["hpo_id"], source=row["acoustic_source"],
        )  # fmt: skip
    for row in rows:
        for column, (field, relation) in PICTURE.items():
            for rank, name in ((column, "typical"), (f"{column}_alt", "alternative")):
                for value in split_cell(row.get(rank, "")):
                    node = f"{field}={value}" if field else value
                    if field == "evaluation":
                        graph.add_node(node, kind="evaluation", label=value, source="GK")
                    if node in graph:  # "none" and "all" are not nodes
                        graph.add_edge(row["id"], node, relation, strength=name, source=row["acoustic_source"])
        heard = f"{row['extra_sounds']}; {row['s2_change']}".lower()
        for node in [n for n, kind in graph.nodes(data="kind") if kind == "finding"]:
            if re.search(rf"\b{re.escape(node.lower())}\b", heard) and not heard.startswith("none"):
                graph.add_edge(row["id"], node, "has_finding", strength="typical", source=row["acoustic_source"])


def _add_relations(graph: nx.MultiDiGraph) -> None:
    for row in read_table("aux_nodes").to_dict("records"):
        graph.add_node(
            row["id"], kind=row["type"], label=row["label"], snomed=row["snomed_ct_id"],
            snomed_status=row["snomed_status"], source=row["snomed_source"],
        )  # fmt: skip
    for row in read_table("relations").to_dict("records"):
        for end in ("head", "tail"):
            if row[end] not in graph:  # body sites and manoeuvres live in this table alone
                graph.add_node(row[end], kind=row[f"{end}_type"], label=row[end], source=row["source"])
        relation = row["relation"]
        if graph.has_edge(row["head"], row["tail"], relation):  # the same holds for another condition
            relation = f"{relation} ({row['note']})"
        graph.add_edge(
            row["head"], row["tail"], relation, strength=row["evidence_strength"],
            quantity=row["quantity"], source=row["source"], verified=row["verified"], note=row["note"],
        )  # fmt: skip


@cache
def knowledge_graph() -> nx.MultiDiGraph:
    """The whole graph, built once from the tables; treat it as read-only."""
    graph = nx.MultiDiGraph(name="cardiac knowledge")
    _add_values(graph)
    _add_conditions(graph)
    _add_relations(graph)
    return graph


def counts(graph: nx.Graph | None = None) -> dict[str, int | float | dict[str, int]]:
    """How large a graph is and how much of it is sourced.

    Returns
    -------
    dict
        `nodes`, `edges`, `kinds` and `relations` (counts by name), and `sourced`: the share of edges that rest on
        more than general knowledge (``GK``).
    """
    graph = knowledge_graph() if graph is None else graph
    sources = [source for _, _, source in graph.edges(data="source")]
    return {
        "nodes": graph.number_of_nodes(),
        "edges": graph.number_of_edges(),
        "kinds": dict(Counter(kind for _, kind in graph.nodes(data="kind")).most_common()),
        "relations": dict(Counter(key for _, _, key in graph.edges(keys=True)).most_common()),
        "sourced": sum(set(split_cell(source or "")) - {"GK"} != set() for source in sources) / len(sources),
    }


def systolic_values() -> tuple[str, ...]:
    """The 17 systolic attribute values of CirCor: timing 4, shape 4, grade 3, pitch 3, quality 3.

    One reading of the paper's "17 distinct conditions"; the other is the 17 rows of ``conditions.csv``.
    """
    table = read_table("attributes")
    rows = table[table["field"].isin([name for name, field in FIELDS.items() if field.startswith("systolic.")])]
    return tuple(f"{FIELDS[field]}={value}" for field, value in zip(rows["field"], rows["value"], strict=True))
