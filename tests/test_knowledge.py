"""The graph holds what the tables say, the posterior weighs as Bayes does, a patient's part carries its facts."""

import numpy as np
import pytest

from hldm.data import ClinicalRecord, DiastolicMurmur, SystolicMurmur, read_table
from hldm.knowledge import (
    counts,
    differential,
    knowledge_graph,
    patient_subgraph,
    random_record,
    systolic_values,
    to_hetero,
    verhoeff_ok,
)
from hldm.knowledge.ages import age_group, count_age, in_years

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
    assert counts()["sourced"] > 0.85
    assert counts()["edges"] == knowledge_graph().number_of_edges()


def test_no_fact_of_the_relations_table_is_lost():
    graph = knowledge_graph()
    for row in read_table("relations").to_dict("records"):
        edges = graph.get_edge_data(row["head"], row["tail"]).values()
        assert any(e["source"] == row["source"] and e.get("note", "") == row["note"] for e in edges), row


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
