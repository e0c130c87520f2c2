"""Eq. 1 by hand, unknowns and the null condition, ablations, and what the shipped encoders know."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hldm.conditioning import SCALARS, ConditionEncoder, GraphEncoder, TextEncoder, scalars, targets
from hldm.config import ConditionConfig
from hldm.data import ClinicalRecord, SystolicMurmur
from hldm.data.priors.loudness import TYPICAL_DB, murmur_level
from hldm.data.records import SystolicGrade
from hldm.experiments import CONDITIONS
from hldm.knowledge import random_record
from hldm.paths import data_folder, shared_weights

RECORD = ClinicalRecord(
    age_years=8, sex="Female", murmur="Present", heart_rate=122, systolic=SystolicMurmur(grade="II/VI")
)


@pytest.fixture(scope="module")
def text_encoder():
    return TextEncoder()


@pytest.fixture(scope="module")
def graph_encoder():
    return GraphEncoder.from_pretrained()


@pytest.fixture(scope="module")
def encoder(text_encoder, graph_encoder):
    return ConditionEncoder(text_encoder=text_encoder, graph_encoder=graph_encoder)


def test_a_run_without_encoders_of_its_own_uses_the_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("HLDM_WEIGHTS", str(tmp_path))
    assert shared_weights("text_encoder") == data_folder() / "weights" / "text_encoder"
    (tmp_path / "text_encoder").mkdir()
    assert shared_weights("text_encoder") == tmp_path / "text_encoder"
    assert not GraphEncoder.from_pretrained().training


def drawn(number, seed=0):
    generator = np.random.default_rng(seed)
    return [random_record(generator) for _ in range(number)]


def test_scalars_are_standardised_and_mark_the_unknown():
    values, known = scalars([RECORD, ClinicalRecord(age_group="Child", weight_kg=24)])
    names = list(SCALARS)
    assert values[0, names.index("heart_rate")] == 1  # 122 bpm: one spread above the mean
    assert values[0, names.index("age_years")] == pytest.approx((np.log(9) - 1.5) / 0.75)
    assert values[0, names.index("sex")] == -1
    assert known.tolist() == [[True, True, False, False, True, False], [False, True, False, True, False, False]]
    assert (values[~known] == 0).all()
    values, known = scalars([RECORD, RECORD], [14.0, float("nan")])
    assert values[:, -1].tolist() == [1, 0]
    assert known[:, -1].tolist() == [True, False]


HEARD = ClinicalRecord(murmur="Present", murmur_locations=("MV",), most_audible_location="MV", location="MV")


@given(seed=st.integers(0, 2**32 - 1))
def test_a_louder_grade_is_louder_whatever_the_seed(seed):
    levels = [murmur_level(HEARD.replace(systolic=SystolicMurmur(grade=g)), seed) for g in SystolicGrade]
    assert (np.diff(levels) > 0).all()
    assert levels[0] > 0
    assert levels[2] - levels[0] > 4


def test_the_level_of_a_murmur_is_unknown_where_none_is_heard():
    loud = HEARD.replace(systolic=SystolicMurmur(grade="III/VI"))
    assert np.mean([murmur_level(loud, k) for k in range(200)]) == pytest.approx(TYPICAL_DB, abs=0.5)
    silent = [loud.replace(location="AV"), HEARD, ClinicalRecord(murmur="Absent"), ClinicalRecord()]
    assert np.isnan([murmur_level(record, 0) for record in silent]).all()


def test_targets_follow_the_murmur_at_the_stethoscope():
    heard = ClinicalRecord(murmur="Present", murmur_locations=("MV",), location="MV")
    silent = heard.replace(location="AV")
    assert targets([heard, silent, ClinicalRecord()])["murmur_here"].tolist() == [2, 1, 0]
    assert targets([heard])["murmur_at_MV"].item() == 1
    assert targets([heard])["systolic.grade"].item() == 0


def normalised(x):
    """LN of Eq. 1, written out."""
    x = x - x.mean(1, keepdim=True)
    return x / (x.square().mean(1, keepdim=True) + 1e-5).sqrt()


def test_equation_1_by_hand(encoder):
    fusion = ConditionEncoder()
    lambdas = {"text": 0.7, "graph": -1.3, "scalars": 0.4}
    with torch.no_grad():
        for name, value in lambdas.items():
            fusion.weight[name].fill_(value)
    features = encoder.features(drawn(4))
    terms = {n: features[n] @ fusion.project[n].weight.T + fusion.project[n].bias for n in ("text", "graph")}
    terms["scalars"] = 0
    for k in range(len(SCALARS)):
        said = features["scalars"][:, k, None] * fusion.slope[k] + fusion.offset[k]
        known = features["known"][:, k, None].float()
        terms["scalars"] = terms["scalars"] + known * said + (1 - known) * fusion.unknown[k]
    expected = sum(value * normalised(terms[name]) for name, value in lambdas.items())
    torch.testing.assert_close(fusion(features).vector, expected)
    assert fusion.lambdas == pytest.approx(lambdas)


def test_a_lambda_of_zero_is_an_ablation(encoder):
    """Text and graph then move neither the vector nor their tokens."""
    fusion = ConditionEncoder(CONDITIONS["text-and-graph"].condition)
    with torch.no_grad():
        fusion.weight["graph"].zero_()
    features = encoder.features(drawn(2))
    other = features | {"graph": features["graph"].flip(0)}
    for found, expected in zip(fusion(other), fusion(features), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", CONDITIONS)
def test_an_ablation_hears_what_it_is_called_after(encoder, name):
    fusion = ConditionEncoder(CONDITIONS[name].condition, *encoder._given)
    assert set(fusion.parts) == set(CONDITIONS[name].title.removesuffix(" only").split(" and "))
    assert set(fusion.lambdas) == set(fusion.parts)
    cond = fusion(fusion.features([RECORD, ClinicalRecord(murmur="Absent")]))
    assert not torch.allclose(cond.vector[0], cond.vector[1])


def test_an_impossible_measurement_does_not_drown_the_rest(encoder):
    """The heaviest record that is accepted weighs no more in c than any other."""
    light, heavy = ClinicalRecord(weight_kg=24), ClinicalRecord(weight_kg=400, height_cm=250, heart_rate=300)
    size = encoder(encoder.features([light, heavy])).tokens.detach().square().mean((1, 2))
    assert size[1].item() == pytest.approx(size[0].item(), rel=0.01)


@settings(max_examples=12, deadline=None)
@given(st.floats(-3, 3), st.floats(1e-2, 1e2), st.integers(0, 99))
def test_lambda_alone_sets_how_much_a_term_weighs(weight, scale, seed):
    """Whatever the encoder's scale: the term's root mean square is |lambda|."""
    fusion = ConditionEncoder(ConditionConfig(graph=False, scalars=False))
    with torch.no_grad():
        fusion.weight["text"].fill_(weight)
    text = scale * torch.randn(3, fusion.config.text_width, generator=torch.Generator().manual_seed(seed))
    vector = fusion({"text": text, "scalars": torch.zeros(3, len(SCALARS))}).vector
    torch.testing.assert_close(vector.square().mean(1).sqrt(), torch.full((3,), abs(weight)), rtol=0.06, atol=1e-3)


@settings(max_examples=12, deadline=None)
@given(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.integers(1, 5))
def test_shapes_of_every_ablation(encoder, text, graph, label, with_scalars, batch):
    if not (text or graph or label or with_scalars):
        return
    config = ConditionConfig(text=text, graph=graph, label=label, scalars=with_scalars, width=32)
    fusion = ConditionEncoder(config, *encoder._given)
    features = fusion.features(drawn(batch))
    condition = fusion(features)
    assert condition.vector.shape == (batch, 32)
    assert condition.tokens.shape == (batch, fusion.num_tokens, 32)
    assert ("text" in features, "graph" in features, "label" in features) == (text, graph, label)


def test_label_only_distinguishes_three_classes_and_nothing_else():
    fusion = ConditionEncoder(CONDITIONS["label-only"].condition)
    records = [RECORD, RECORD.replace(sex="Male"), ClinicalRecord(murmur="Absent"), ClinicalRecord()]
    vector = fusion(fusion.features(records)).vector
    torch.testing.assert_close(vector[0], vector[1])
    assert not torch.allclose(vector[0], vector[2])
    assert not torch.allclose(vector[2], vector[3])


def test_an_unknown_scalar_is_not_an_average_one(encoder):
    features = encoder.features([ClinicalRecord(heart_rate=102), ClinicalRecord()])
    tokens = encoder(features).tokens[:, -len(SCALARS)]
    assert features["scalars"][:, 0].tolist() == [0, 0]
    assert not torch.allclose(tokens[0], tokens[1])


def test_dropping_gives_the_null_condition_whatever_the_record(encoder):
    features = encoder.features(drawn(3))
    drop = torch.tensor([True, False, True])
    cond, null = encoder(features), encoder.null(3)
    condition = encoder.drop(cond, drop)
    torch.testing.assert_close(condition.vector[drop], null.vector[drop])
    torch.testing.assert_close(condition.tokens[drop], null.tokens[drop])
    torch.testing.assert_close(condition.tokens[1], cond.tokens[1])


def test_tokens_are_distinct_views(encoder):
    tokens = encoder(encoder.features([RECORD])).tokens[0]
    distance = torch.cdist(tokens, tokens) + torch.eye(len(tokens)) * 1e6
    assert distance.min() > 0.1


def test_only_the_fusion_learns(encoder):
    names = {name.split(".")[0] for name, _ in encoder.named_parameters()}
    assert not names & {"text_encoder", "graph_encoder"}
    encoder(encoder.features([RECORD])).vector.sum().backward()
    assert all(p.grad is None for p in encoder.text_encoder.model.parameters())
    assert encoder.weight["text"].grad is not None
    encoder.zero_grad()


def test_features_do_not_depend_on_the_company(encoder):
    records = drawn(6)
    together, alone = encoder.features(records, seed=4), encoder.features(records[2:3], seed=6)
    for name in ("text", "graph"):
        torch.testing.assert_close(together[name][2], alone[name][0], atol=1e-4, rtol=1e-4)


def test_every_record_may_have_a_wording_of_its_own(encoder):
    records = drawn(3)
    counted, given = encoder.features(records, seed=7), encoder.features(records, seed=[7, 8, 1])
    torch.testing.assert_close(counted["text"][:2], given["text"][:2], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(counted["text"][2], given["text"][2], atol=1e-2)
    with pytest.raises(ValueError, match="zip"):
        encoder.features(records, seed=[7, 8])
