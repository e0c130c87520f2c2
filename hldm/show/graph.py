"""The knowledge graph to click through: a picture of all of it, and what it says about the node that was chosen.

Everything is on the page: no kernel, no other file. A menu does what a click does, for keyboards and thumbs.
"""

from __future__ import annotations

import html
import json
import re
from math import cos, pi, sin
from typing import TYPE_CHECKING

import networkx as nx

from hldm.data.tables import read_table
from hldm.knowledge.tables import split_cell
from hldm.show.page import output
from hldm.show.plots import COLOURS

if TYPE_CHECKING:
    from IPython.display import HTML

#: What stands together on the outer ring: a name, and the kinds of nodes in it. Conditions stand inside.
GROUPS = {
    "Conditions": ("condition",),
    "Values of a record's fields": ("value",),
    "Other heart sounds": ("finding",),
    "Places": ("location", "auscultation location", "body site"),
    "Causes, mechanisms, related diseases": ("disease", "anatomy", "syndrome", "risk factor", "mechanism", "state"),
    "Tests and manoeuvres": ("evaluation", "manoeuvre"),
}
WIDTH, HEIGHT = 760, 560  # units of the picture; names of neighbours stand left and right of the rings
OUTER, INNER = 190, 96  # radii
GAP = 3  # places left free between two groups


def explore(graph: nx.MultiDiGraph, *, start: str, title: str, alt: str) -> HTML:
    """A picture of a knowledge graph in which a click shows a node's neighbours and every fact about it.

    Parameters
    ----------
    graph : MultiDiGraph
        As `hldm.knowledge.knowledge_graph` returns it.
    start : str
        The node shown first.
    title, alt : str
        What the picture is called, and what there is to see in it.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        If `start` is not in the graph.
    """
    if start not in graph:
        raise ValueError(f"start: found {start!r}, expected a node of the graph")
    number = {node: i for i, node in enumerate(graph)}
    places = _places(graph)
    nodes = [
        {"name": _name(about), "group": _group(about["kind"]), "x": round(places[node][0]), "y": round(places[node][1])}
        | {"kind": about["kind"], "about": about.get("definition", ""), "codes": _codes(about)}
        for node, about in graph.nodes(data=True)
    ]
    facts = [
        {"from": number[head], "to": number[tail], "says": about["relation"].replace("_", " ")}
        | {"more": _more(about), "status": about["status"], "source": about["source"]}
        for head, tail, about in graph.edges(data=True)
    ]
    used = {key for fact in facts for key in split_cell(fact["source"])}
    sources = {row.key: row.source for row in read_table("sources").itertuples() if row.key in used}
    data = json.dumps({"nodes": nodes, "facts": facts, "sources": sources, "start": number[start]})
    safe = data.replace("</", r"<\/")
    return output(
        f'<figure class="hldm-graph"><figcaption>{html.escape(title)}</figcaption>'
        f'<div class="hldm-controls">{_menu(nodes, number[start])}</div>{_legend()}'
        f"{_picture(graph, nodes, number, alt)}"
        f'<div class="hldm-facts" aria-live="polite"></div>'
        f'<script type="application/json">{safe}</script></figure>',
        script="graph.js",
    )


def _group(kind: str) -> int:
    return next(i for i, kinds in enumerate(GROUPS.values()) if kind in kinds)


def _name(about: dict) -> str:
    """A node's name where it stands alone: "Low" becomes "systolic pitch: Low"."""
    if about["kind"] == "value":
        return f"{about['field'].replace('.', ' ').replace('_', ' ')}: {about['label']}"
    return re.sub(r" \(.*\)", "", about["label"]) if about["kind"] == "condition" else about["label"]


def _codes(about: dict) -> str:
    named = {"snomed": "SNOMED CT", "hpo": "HPO"}
    found = [
        f"{name} {code} ({about[f'{system}_status']})"
        for system, name in named.items()
        for code in split_cell(about.get(system, ""))
    ]
    return ", ".join(found)


def _more(about: dict) -> str:
    return "; ".join(filter(None, (about.get("strength"), about.get("quantity"), about.get("note"))))


def _places(graph: nx.MultiDiGraph) -> dict[str, tuple[float, float]]:
    """Conditions on the inner ring, all else on the outer one, group by group."""
    rings: list[list[str | None]] = [[], []]
    for i, kinds in enumerate(GROUPS.values()):
        members = [node for node, kind in graph.nodes(data="kind") if kind in kinds]
        rings[min(i, 1)] += members + [None] * (GAP if i else 0)
    places = {}
    for ring, radius in zip(rings, (INNER, OUTER), strict=True):
        for i, node in enumerate(ring):
            angle = 2 * pi * i / len(ring) - pi / 2
            places[node] = (WIDTH / 2 + radius * cos(angle), HEIGHT / 2 + radius * sin(angle))
    return places


def _menu(nodes: list[dict], start: int) -> str:
    options = ""
    for group, title in enumerate(GROUPS):
        members = "".join(
            f'<option value="{i}"{" selected" * (i == start)}>{html.escape(node["name"])}</option>'
            for i, node in enumerate(nodes)
            if node["group"] == group
        )
        options += f'<optgroup label="{html.escape(title)}">{members}</optgroup>'
    return f"<label>Show <select>{options}</select></label>"


def _legend() -> str:
    keys = (
        f'<li><i style="background:{colour}"></i>{html.escape(title)}</li>'
        for title, colour in zip(GROUPS, COLOURS, strict=True)
    )
    return f'<ul class="hldm-legend">{"".join(keys)}</ul>'


def _picture(graph: nx.MultiDiGraph, nodes: list[dict], number: dict[str, int], alt: str) -> str:
    """Lines below, then dots; conditions are named by their abbreviation."""
    pairs = {tuple(sorted((number[head], number[tail]))) for head, tail in graph.edges()}
    lines = ""
    for a, b in sorted(pairs):
        one, two = nodes[a], nodes[b]
        lines += f'<line data-ends="{a} {b}" x1="{one["x"]}" y1="{one["y"]}" x2="{two["x"]}" y2="{two["y"]}"/>'
    dots = ""
    for (_, about), (i, node) in zip(graph.nodes(data=True), enumerate(nodes), strict=True):
        inner = node["group"] == 0
        place = f'cx="{node["x"]}" cy="{node["y"]}" r="{13 if inner else 3.5}"'
        dot = f'<circle {place} fill="{COLOURS[node["group"]]}"/>'
        short = about["abbreviation"] if inner else ""
        if short:
            long = ' class="hldm-long"' if len(short) > 3 else ""
            short = f'<text x="{node["x"]}" y="{node["y"]}"{long}>{short}</text>'
        dots += f'<g data-node="{i}"><title>{html.escape(node["name"])}</title>{dot}{short}</g>'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(alt)}">'
        f'<g class="hldm-lines">{lines}</g><g class="hldm-names"></g>{dots}</svg>'
    )
