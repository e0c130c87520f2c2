"""Training the encoders, what the measurements of an encoder mean, and what the shipped ones keep."""

import json
from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from hldm.conditioning import GraphEncoder, TextEncoder, targets
from hldm.conditioning.fields import CATEGORIES
from hldm.conditioning.graph import GraphConfig
from hldm.conditioning.subgraphs import batch_subgraphs
from hldm.config import PROFILES
from hldm.data import ClinicalRecord, SystolicMurmur
from hldm.knowledge import narrative, note, patient_subgraph, random_record, read_prompt, to_hetero
from hldm.knowledge.subgraph import edge_types
from hldm.paths import data_folder
from hldm.training import text_encoder
from hldm.training.encoder_probes import Probe, measure_negation, measure_phrases, measure_triples
from hldm.training.encoders import train_encoders
from hldm.training.graph_encoder import hide_links, train_graph_encoder
from hldm.training.tellings import draw_triples, tell
from hldm.training.text_encoder import contrast_loss, mask_tokens

SHIPPED = data_folder() / "weights"


def drawn(number, seed=0):
    generator = np.random.default_rng(seed)
    return [random_record(generator) for _ in range(number)]


class Oracle:
    """Embeds a text as what the prompt reader makes of it: every field one-hot, the heart rate as it is."""

    def encode(self, texts):
        records = [read_prompt(text).record for text in texts]
        fields = [
            torch.nn.functional.one_hot(values, len(CATEGORIES[name])) for name, values in targets(records).items()
        ]
        rates = torch.tensor([[r.heart_rate or 0.0] for r in records])
        return torch.cat([*fields, 0.001 * rates], dim=1).float()


class Dice:
    """Embeds a text as noise."""

    def encode(self, texts):
        rows = [torch.randn(16, generator=torch.Generator().manual_seed(crc32(text.encode()))) for text in texts]
        return torch.stack(rows)


def told(record, seed):
    return str(narrative(record, seed))


@pytest.fixture(scope="module")
def oracle_probe():
    records = drawn(400)
    return Probe(Oracle().encode([told(r, i) for i, r in enumerate(records)]), records)


def test_a_probe_reads_what_is_there_and_nothing_else(oracle_probe):
    records = drawn(150, seed=1)
    texts = [told(r, i) for i, r in enumerate(records)]
    assert min(oracle_probe.balanced_accuracy(Oracle().encode(texts), records).values()) > 0.97
    rate = oracle_probe.heart_rate(Oracle().encode(texts), records)
    assert rate["r2"] > 0.99
    assert rate["mae"] < 2
    blind, others = Probe(Dice().encode(texts), records), drawn(150, seed=2)
    noise = Dice().encode([told(r, i) for i, r in enumerate(others)])
    scores = blind.balanced_accuracy(noise, others)
    assert np.mean(list(scores.values())) < 0.6
    assert len(scores) == len(CATEGORIES)
    assert blind.heart_rate(noise, others)["r2"] < 0.3


def test_phrases_are_measured_field_by_field(oracle_probe):
    phrases = [
        ("3/6 HSM at LLSB", read_prompt("3/6 HSM at LLSB").record),
        ("boy, no murmur", ClinicalRecord(sex="Male", murmur="Absent")),
    ]
    found = measure_phrases(Oracle(), phrases, oracle_probe)
    assert found["phrases"] == 2
    assert found["accuracy"] == found["accuracy_told"] == 1
    wrong = [(text, record.replace(sex="Female")) for text, record in phrases]
    assert measure_phrases(Oracle(), wrong, oracle_probe)["by_field"]["sex"] == 0


def test_triples_and_negation_reward_facts_alone(oracle_probe):
    tellers = [told, note]
    assert measure_triples(Oracle(), tellers, number=60)["all"] == 1
    assert measure_triples(Dice(), tellers, number=200)["all"] == pytest.approx(0.5, abs=0.12)
    assert set(measure_negation(Oracle(), oracle_probe, told, number=20).values()) == {1.0}


def test_triples_say_the_same_and_differ_in_one_fact():
    triples = draw_triples(40, np.random.default_rng(3))
    for anchor, paraphrase, edited in zip(triples.anchors, triples.paraphrases, triples.edits, strict=True):
        assert anchor != edited
        assert anchor
        assert paraphrase
    assert len(set(triples.fields)) > 5
    assert triples == draw_triples(40, np.random.default_rng(3))


def test_tellings_vary_in_manner():
    record = drawn(1, seed=5)[0]
    texts = [tell(record, seed) for seed in range(60)]
    assert sum(text[0].isupper() and text.endswith(".") for text in texts) < 60
    assert any("iagnosis" in text or "xplanation" in text or "differential" in text for text in texts)
    assert len(set(texts)) > 55


def test_mlm_masks_as_bert_does():
    tokens = torch.randint(5, 100, (200, 50), generator=torch.Generator().manual_seed(0))
    real = torch.ones_like(tokens, dtype=torch.bool)
    real[:, 40:] = False
    corrupted, labels = mask_tokens(tokens, real, 4, 100, torch.Generator().manual_seed(1))
    chosen = labels != -100
    assert not chosen[~real].any()
    assert chosen[real].float().mean() == pytest.approx(0.15, abs=0.01)
    assert (corrupted[chosen] == 4).float().mean() == pytest.approx(0.8, abs=0.03)
    assert torch.equal(corrupted[~chosen], tokens[~chosen])
    assert torch.equal(labels[chosen], tokens[chosen])


def test_contrast_by_hand():
    a, p, e = torch.eye(3)[:2], torch.eye(3)[:2] * 5, torch.eye(3)[[2, 2]]
    rest = np.exp(1 / 0.5) + 3  # own paraphrase, the other's, two edits
    assert contrast_loss(a, p, e, 0.5).item() == pytest.approx(-np.log(np.exp(1 / 0.5) / rest), rel=1e-5)
    assert contrast_loss(a, p.flip(0), e, 0.5) > contrast_loss(a, p, e, 0.5)


def test_batches_of_subgraphs_are_the_subgraphs_joined():
    records = drawn(24, seed=2)
    torch.manual_seed(0)
    for hops in (1, 2, 3):
        encoder = GraphEncoder(GraphConfig(hops=hops))
        single = Batch.from_data_list([to_hetero(patient_subgraph(record, hops)) for record in records])
        joined = batch_subgraphs(records, hops)
        torch.testing.assert_close(encoder(joined), encoder(single))
        for kind in edge_types():
            assert joined[kind].edge_index.shape == single[kind].edge_index.shape
    with pytest.raises(ValueError, match=r"'nonsense'.*knowledge graph"):
        batch_subgraphs([ClinicalRecord(conditions=("nonsense",))])


def test_hidden_links_are_gone_in_both_directions():
    batch = batch_subgraphs(drawn(8))
    before = {kind: batch[kind].edge_index.shape[1] for kind in edge_types()}
    hidden = hide_links(batch, 0.3, torch.Generator().manual_seed(0))
    assert sum(pairs.shape[1] for pairs in hidden.values()) > 50
    for kind, pairs in hidden.items():
        left, back = batch[kind].edge_index, batch[kind[2], "rev_knows", kind[0]].edge_index
        assert left.shape[1] == back.shape[1] == before[kind] - pairs.shape[1]
        told_apart = frozenset if kind[0] == kind[2] else tuple
        assert not {told_apart(p) for p in pairs.T.tolist()} & {told_apart(p) for p in left.T.tolist()}


def test_a_killed_training_resumes(tmp_path, capsys):
    train_graph_encoder(2, tmp_path, runs=tmp_path / "runs")
    log = train_graph_encoder(4, tmp_path, runs=tmp_path / "runs")
    assert [row["step"] for row in log] == [2, 4]
    assert GraphEncoder.from_pretrained(tmp_path).width == 64


def test_training_writes_what_loads_and_keeps_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(text_encoder, "VOCABULARY_TEXTS", 150)
    monkeypatch.setattr(text_encoder, "STANDARD_TEXTS", 60)
    profile = replace(PROFILES["smoke"], max_steps=2)
    report = train_encoders(profile, tmp_path, probe_records=60)
    assert 0 <= min(report["text_probe"].values()) <= max(report["graph_probe"].values()) <= 1
    assert TextEncoder(tmp_path / "text_encoder").mean.any()
    assert report["sha256"]["graph_encoder.safetensors"] in (tmp_path / "graph_encoder.md").read_text()
    assert report["sha256"]["text_encoder/model.safetensors"] in (tmp_path / "text_encoder" / "README.md").read_text()
    before = (tmp_path / "graph_encoder.safetensors").read_bytes()
    train_encoders(profile, tmp_path, probe_records=60)
    assert (tmp_path / "graph_encoder.safetensors").read_bytes() == before


def test_an_unreachable_model_is_named(monkeypatch, tmp_path):
    with pytest.raises(OSError, match=r"nowhere.*from_pretrained"):
        TextEncoder(tmp_path / "nowhere")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        OSError, match=r"emilyalsentzer/Bio_ClinicalBERT.*network.*TextEncoder\(\) loads the one shipped"
    ):
        TextEncoder("emilyalsentzer/Bio_ClinicalBERT")


def test_the_shipped_text_encoder_is_a_small_ordinary_folder():
    from transformers import AutoModel, AutoTokenizer

    folder = SHIPPED / "text_encoder"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10e6
    assert AutoModel.from_pretrained(folder).config.hidden_size == TextEncoder(folder).width
    assert AutoTokenizer.from_pretrained(folder).tokenize("HR 110, 8yo") == ["hr", "110", ",", "8", "yo"]


def test_the_shipped_encoders_hold_what_their_report_says():
    report = json.loads((SHIPPED / "encoders.json").read_text())
    text, graph = TextEncoder(), GraphEncoder.from_pretrained()
    triples = measure_triples(text, [told], number=150, seed=9)
    assert triples["all"] > report["triples"]["narratives"]["all"] - 0.05
    train, test = drawn(300, seed=7), drawn(200, seed=8)
    with torch.no_grad():
        scores = Probe(graph.encode(train), train).balanced_accuracy(graph.encode(test), test)
    assert np.mean(list(scores.values())) > np.mean(list(report["graph_probe"].values())) - 0.05


def test_one_changed_word_moves_the_shipped_text_encoder_further_than_a_paraphrase():
    base = ClinicalRecord(
        age_group="Child", sex="Male", murmur="Present", murmur_locations=("AV", "TV"), most_audible_location="TV",
        location="TV", systolic=SystolicMurmur("Holosystolic", "Plateau", "II/VI", "Low", "Harsh"),
    )  # fmt: skip
    edits = [
        base.replace(location="MV"),
        base.replace(sex="Female"),
        base.replace(systolic=SystolicMurmur("Early-systolic", "Plateau", "II/VI", "Low", "Harsh")),
        base.replace(systolic=SystolicMurmur("Holosystolic", "Plateau", "II/VI", "High", "Harsh")),
        base.replace(murmur="Absent", systolic=None, murmur_locations=(), most_audible_location=None),
    ]
    encoder, wins = TextEncoder(), []
    for seed in range(10):
        anchor, paraphrase, *changed = encoder.encode(
            [told(base, seed), told(base, 100 + seed), *(told(e, seed) for e in edits)]
        )
        wins += [
            torch.cosine_similarity(anchor, paraphrase, 0) > torch.cosine_similarity(anchor, c, 0) for c in changed
        ]
    assert np.mean(wins) > 0.95
