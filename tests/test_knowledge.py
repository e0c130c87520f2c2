"""The graph holds what the tables say, the posterior weighs as Bayes does, a patient's part carries its facts."""

import re
from collections import Counter

import networkx as nx
import numpy as np
import pytest
import rdflib

from hldm.data import ClinicalRecord, DiastolicMurmur, SystolicMurmur, read_table
from hldm.data.ages import age_group, count_age, in_years
from hldm.knowledge import (
    code_status,
    counts,
    differential,
    knowledge_graph,
    patient_subgraph,
    random_record,
    systolic_values,
    to_graphml,
    to_hetero,
    to_turtle,
    verhoeff_ok,
)
from hldm.knowledge.graph import STATUSES
from hldm.knowledge.posterior import RANK_EXPONENT

VSD_LIKE = ClinicalRecord(
    age_group="Infant", murmur="Present", most_audible_location="TV", outcome="Abnormal",
    systolic=SystolicMurmur("Holosystolic", "Plateau", "III/VI", "High", "Harsh"),
)  # fmt: skip


def test_both_readings_of_seventeen():
    conditions = [n for n, kind in knowledge_graph().nodes(data="kind") if kind == "condition"]
    assert len(conditions) == 17
    assert len(systolic_values()) == len(set(systolic_values())) == 17
    assert set(systolic_values()) <= set(knowledge_graph())


def test_every_fact_has_a_known_source():
    sources = set(read_table("sources")["key"])
    for _, _, source in knowledge_graph().edges(data="source"):
        assert {part.strip() for part in source.split(";")} <= sources


def test_counts_add_up_to_the_graph():
    graph, size = knowledge_graph(), counts()
    assert (size["nodes"], size["edges"]) == (len(graph), graph.number_of_edges())
    assert sum(size["kinds"].values()) == size["nodes"]
    assert sum(size["relations"].values()) == sum(size["statuses"].values()) == size["edges"]
    assert set(size["statuses"]) == set(STATUSES)
    general = [source for _, _, source in graph.edges(data="source") if source == "GK"]
    assert size["sourced"] == pytest.approx(1 - len(general) / size["edges"])
    coded = sum(bool(about.get(system)) for _, about in graph.nodes(data=True) for system in ("snomed", "hpo"))
    assert sum(size["codes"].values()) == coded
    assert size["verified"] == pytest.approx(size["codes"]["verified"] / coded)


def test_the_graph_holds_every_kind_of_fact_that_a_record_or_a_diagnosis_needs():
    kinds = counts()["kinds"]
    assert {"value", "location", "condition", "finding", "mechanism", "syndrome", "risk factor", "evaluation"} <= set(
        kinds
    )
    fields = {field for _, field in knowledge_graph().nodes(data="field")}
    assert {"age_group", "sex", "pregnant", "murmur", "outcome", "systolic.timing", "diastolic.grade"} <= fields


@pytest.mark.parametrize(
    ("condition", "relation", "other"),
    [
        ("asd", "has_finding", "wide fixed split S2"), ("mvp", "has_finding", "mid-systolic click"),
        ("vsd", "has_grade", "systolic.grade=V/VI"), ("pda", "has_diastolic_grade", "diastolic.grade=II/IV"),
        ("coarctation", "has_finding", "S4"), ("tof", "has_finding", "single S2"),
    ],
)  # fmt: skip
def test_a_condition_has_the_sounds_and_grades_it_is_known_for(condition, relation, other):
    assert knowledge_graph().has_edge(condition, other, relation)


def test_what_a_picture_denies_is_no_finding_of_it():
    assert not knowledge_graph().has_edge("asd", "systolic thrill")  # "none; no thrill"
    assert not knowledge_graph().has_edge("innocent_still", "ejection click")


def test_no_fact_of_the_relations_table_is_lost():
    graph = knowledge_graph()
    for row in read_table("relations").to_dict("records"):
        edges = graph.get_edge_data(row["head"], row["tail"]).values()
        assert any(e["source"] == row["source"] and e.get("note", "") == row["note"] for e in edges), row


@pytest.mark.parametrize(
    ("remark", "status"),
    [
        ("verified pairing, 3 sources", "verified"), ("verified exact", "verified"),
        ("verified pairing (generic qualifier)", "broader"), ("verified pairing of a broader concept", "broader"),
        ("not verified: only a cross-reference", "unverified"), ("pairing in one low-quality source", "unverified"),
    ],
)  # fmt: skip
def test_a_remark_says_how_far_a_code_is_verified(remark, status):
    assert code_status(remark) == status


@pytest.mark.parametrize("identifier", ["73211009", "22298006", "138875005", "404684003"])
def test_verhoeff_accepts_well_known_concepts_and_no_neighbour(identifier):
    assert verhoeff_ok(identifier)
    for digit in range(10):
        wrong = identifier[:-1] + str(digit)
        assert verhoeff_ok(wrong) == (wrong == identifier)


def test_every_snomed_id_passes_its_check_digit():
    found = [d["snomed"] for _, d in knowledge_graph().nodes(data=True) if d.get("snomed")]
    assert len(found) > 60
    assert all(map(verhoeff_ok, found))


@pytest.fixture(scope="module")
def turtle(tmp_path_factory):
    """The graph as RDF, written and read back."""
    return rdflib.Graph().parse(to_turtle(tmp_path_factory.mktemp("rdf") / "heart.ttl"))


def test_graphml_comes_back_as_it_went(tmp_path):
    graph = knowledge_graph()
    back = nx.read_graphml(to_graphml(tmp_path / "heart.graphml"), force_multigraph=True)
    assert list(back) == list(graph)
    for node, about in graph.nodes(data=True):
        assert back.nodes[node] == {name: value for name, value in about.items() if value}
    edges = [(a, b, {name: value for name, value in about.items() if value}) for a, b, about in graph.edges(data=True)]
    assert [(a, b, {n: v for n, v in about.items() if n != "id"}) for a, b, about in back.edges(data=True)] == edges
    assert all(verhoeff_ok(code) for _, code in back.nodes(data="snomed") if code)


def test_every_edge_of_graphml_has_its_own_identifier(tmp_path):
    """Gephi and yEd may merge edges that share one; what an edge says is its attribute `relation`."""
    text = to_graphml(tmp_path / "heart.graphml").read_text(encoding="utf-8")
    ids = re.findall(r'<edge [^>]*\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) == counts()["edges"]
    back = nx.read_graphml(tmp_path / "heart.graphml", force_multigraph=True)
    assert dict(Counter(back.edges[edge]["relation"] for edge in back.edges)) == counts()["relations"]


def test_turtle_holds_every_node_fact_source_and_code(turtle):
    graph, back = knowledge_graph(), turtle
    names = {str(name): concept for concept, name in back.subject_objects(rdflib.SKOS.notation)}
    assert set(names) == set(graph)
    facts = list(back.subjects(rdflib.RDF.type, rdflib.RDF.Statement))
    assert len(facts) == graph.number_of_edges()
    for fact in facts:  # each states a triple that is there, and where it was read
        triple = [back.value(fact, part) for part in (rdflib.RDF.subject, rdflib.RDF.predicate, rdflib.RDF.object)]
        assert tuple(triple) in back
        assert all(back.value(source, rdflib.RDFS.label) for source in back.objects(fact, rdflib.DCTERMS.source))
    about = rdflib.Namespace("urn:hldm:about:")
    for status, number in counts()["statuses"].items():
        assert len(list(back.subjects(about.status, rdflib.Literal(status)))) == number


def test_codes_in_turtle_are_those_of_the_graph_matched_as_closely_as_their_status_allows(turtle):
    for node, about in knowledge_graph().nodes(data=True):
        [concept] = turtle.subjects(rdflib.SKOS.notation, rdflib.Literal(node))
        close = {str(code).rsplit("/", 1)[-1] for code in turtle.objects(concept, rdflib.SKOS.exactMatch)}
        loose = {str(code).rsplit("/", 1)[-1] for name in ("broadMatch", "relatedMatch")
                 for code in turtle.objects(concept, rdflib.SKOS[name])}  # fmt: skip
        codes = [about.get("snomed", ""), *about.get("hpo", "").replace(":", "_").split(";")]
        assert close | loose == set(filter(None, codes))
        assert all(verhoeff_ok(code) for code in close | loose if code.isdigit())
        if about.get("snomed"):
            assert (about["snomed"] in close) == (about["snomed_status"] == "verified")


def test_a_patient_can_be_exported_too(tmp_path):
    graph = patient_subgraph(VSD_LIKE)
    assert len(nx.read_graphml(to_graphml(tmp_path / "patient.graphml", graph))) == len(graph)
    back = rdflib.Graph().parse(to_turtle(tmp_path / "patient.ttl", graph))
    patient, has = rdflib.URIRef("urn:hldm:node:patient"), rdflib.URIRef("urn:hldm:relation:has")
    assert (patient, has, rdflib.URIRef("urn:hldm:node:outcome%3DAbnormal")) in back


def test_the_same_patient_gives_the_same_turtle(tmp_path):
    graph = patient_subgraph(VSD_LIKE)
    one, two = (to_turtle(tmp_path / name, graph).read_bytes() for name in ("one.ttl", "two.ttl"))
    assert one == two


def test_the_posterior_is_bayes_rule():
    """A septal defect against the innocent vibratory murmur, by hand: shares 0.65, 0.25, 0.10 of the ranks."""
    record = ClinicalRecord(
        age_group="Child", murmur="Present", most_audible_location="TV", outcome="Normal",
        systolic=SystolicMurmur("Early-systolic", "Decrescendo", "II/VI", "Low", "Musical"),
    )  # fmt: skip
    defect = 4**-2.1 * 0.95 * 0.25 * 0.25 / 2 * 0.25 * 0.25 / 2 / 0.9 * 0.10 * 0.95 * 0.65 * 0.15
    innocent = 2 * 2**-2.1 * 0.95 * 0.65 * 0.25 * 0.65 / 0.9 * 0.65 * 0.65 * 0.95 * 0.65 * 0.85  # twice: its peak age
    p = {s.condition: s.probability for s in differential(record)}
    assert p["innocent_still"] / p["vsd"] == pytest.approx(innocent / defect)


def test_no_condition_wins_by_saying_nothing():
    """A diastolic murmur's picture has no systolic timing, shape or pitch; that must not spare it those facts."""
    assert differential(VSD_LIKE)[0].condition == "vsd"
    p = {s.condition: s.probability for s in differential(VSD_LIKE)}
    assert max(p["aortic_regurgitation"], p["pulmonary_regurgitation"], p["mitral_stenosis"]) < 0.01


def test_a_grade_above_three_counts_as_three_or_louder():
    """CirCor's III/VI holds III and louder, and the tables speak on that scale."""
    loud, louder = (
        VSD_LIKE.replace(systolic=SystolicMurmur("Holosystolic", "Plateau", grade)) for grade in ("III/VI", "V/VI")
    )
    assert [s[:3] for s in differential(loud)] == [s[:3] for s in differential(louder)]


def test_an_age_in_years_counts_like_its_class():
    by_years, by_class = (differential(VSD_LIKE.replace(**age)) for age in (
        {"age_group": None, "age_years": 0.5}, {"age_group": "Infant"},
    ))  # fmt: skip
    assert by_years == by_class


def test_the_prior_falls_as_births_with_the_defects_do():
    ranks = read_table("conditions").set_index("id")["prevalence_rank"].astype(float)
    births = {"vsd": 3.3, "asd": 1.7, "pda": 0.78, "pulmonary_stenosis": 0.73, "tof": 0.47}  # per 1,000 (ZHAO)
    slope, _ = np.polyfit(np.log(ranks[list(births)]), np.log(list(births.values())), 1)
    assert pytest.approx(-slope, abs=0.05) == RANK_EXPONENT


def test_real_murmurs_are_not_called_tricuspid_regurgitation_or_a_ductus_too_often(circor):
    records = [p.record for p in circor.patients if p.record.systolic]
    first = [differential(record)[0].condition for record in records]
    assert first.count("tricuspid_regurgitation") < 0.1 * len(records)  # plain matching: 3 in 10
    assert first.count("pda") < 0.05 * len(records)
    diastolic = {"aortic_regurgitation", "pulmonary_regurgitation", "mitral_stenosis"}
    assert sum(name in diastolic for name in first) < 0.02 * len(records)


def test_posterior_prefers_the_common_condition_among_like_pictures():
    ranked = differential(VSD_LIKE)
    assert ranked[0].condition == "vsd"  # tricuspid regurgitation has the same timing, shape and site
    assert sum(s.probability for s in ranked) == pytest.approx(1)
    assert "timing Holosystolic" in ranked[0].support
    assert [s.probability for s in ranked] == sorted((s.probability for s in ranked), reverse=True)


def test_a_ductus_needs_its_diastolic_half():
    systolic = VSD_LIKE.replace(most_audible_location="PV", systolic=SystolicMurmur("Holosystolic", "Crescendo"))
    both = systolic.replace(diastolic=DiastolicMurmur("Early-diastolic", "Decrescendo"))
    alone, together = ({s.condition: s.probability for s in differential(r)} for r in (systolic, both))
    assert together["pda"] > 0.5 > alone["pda"]


def test_diastolic_murmurs_are_never_called_innocent():
    record = ClinicalRecord(age_group="Child", murmur="Present", diastolic=DiastolicMurmur("Early-diastolic"))
    assert not [s for s in differential(record)[:3] if s.condition.startswith("innocent")]


@pytest.mark.parametrize("murmur", ["Absent", "Unknown", None, "Present"])
def test_nothing_is_ranked_without_a_description(murmur):
    assert differential(ClinicalRecord(murmur=murmur)) == ()


@pytest.mark.parametrize(
    ("years", "group"),
    [(0, "Neonate"), (0.07, "Neonate"), (0.5, "Infant"), (1, "Child"), (11.9, "Child"), (12, "Adolescent"),
     (18.9, "Adolescent"), (19, "Young adult"), (21, "Young adult"), (40, None), (None, None)],
)  # fmt: skip
def test_age_classes(years, group):
    assert age_group(years) == group


@pytest.mark.parametrize(("years", "words"), [(0.02, (7, "day")), (1.5, (18, "month")), (8, (8, "year"))])
def test_ages_are_counted_as_clinicians_do(years, words):
    assert count_age(years) == words
    assert in_years(*words) == pytest.approx(years, abs=0.01)


def test_patient_subgraph_holds_every_fact_and_its_neighbours():
    record = VSD_LIKE.replace(location="AV", murmur_locations=("TV",), conditions=("vsd",))
    graph = patient_subgraph(record)
    facts = {(relation, node) for _, node, relation in graph.out_edges("patient", keys=True)}
    assert ("has", "systolic.timing=Holosystolic") in facts
    assert ("hears_no_murmur_at", "AV") in facts
    assert {("murmur_at", "TV"), ("loudest_at", "TV"), ("diagnosed_with", "vsd")} <= facts
    assert "tricuspid_regurgitation" in graph  # a neighbour by its timing
    nearer = patient_subgraph(record, hops=1)
    assert set(nearer) == {"patient"} | {node for _, node in facts}
    assert set(nearer) < set(graph)


def test_an_unknown_condition_is_refused_by_name():
    with pytest.raises(ValueError, match="griffin"):
        patient_subgraph(ClinicalRecord(conditions=("griffin",)))


def test_hetero_data_mirrors_the_subgraph():
    generator = np.random.default_rng(0)
    for _ in range(5):
        graph = patient_subgraph(random_record(generator))
        data = to_hetero(graph)
        assert data.num_nodes == graph.number_of_nodes()
        assert data.num_edges == 2 * graph.number_of_edges()  # each with its reverse
        assert data.validate()
