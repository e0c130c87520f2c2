"""Every ablation by name, trained and evaluated from the command line."""

import dataclasses

import pytest

from hldm import cli
from hldm.config import PROFILES, UNetConfig, VAEConfig
from hldm.data.errors import DataError
from hldm.experiments import CONDITIONS, DEFAULT, DENOISERS, EXPERIMENTS, TERMS, VAES, experiment, load
from hldm.models import MultiScaleVAE, StructuredUNet


def changed(recipe):
    """What a recipe has otherwise than the default, by the name of its configuration."""
    return {
        part: {f.name: getattr(getattr(recipe, part), f.name) for f in dataclasses.fields(getattr(DEFAULT, part))
               if getattr(getattr(recipe, part), f.name) != getattr(getattr(DEFAULT, part), f.name)}
        for part in ("vae", "unet", "condition")
        if getattr(recipe, part) != getattr(DEFAULT, part)
    }  # fmt: skip


def test_every_experiment_changes_what_it_is_called_after_and_has_a_title_of_its_own():
    assert len({recipe.title for recipe in EXPERIMENTS.values()}) == len(EXPERIMENTS) == 22
    for part, recipes in (("vae", VAES), ("condition", CONDITIONS)):
        assert all(set(changed(recipe)) == {part} for recipe in recipes.values())
    assert changed(experiment("one-head")) == {"unet": {"structured": False}}
    assert changed(experiment("plain-attention")) == {"unet": {"medical_attention": False}}
    assert set(changed(experiment("probes"))["vae"]) == {f"{term}_weight" for term in TERMS if term != "reading"}
    assert [name for name, recipe in DENOISERS.items() if recipe.curriculum is None] == ["no-curriculum"]


def test_the_terms_are_all_weights_of_the_vae():
    weights = {f.name.removesuffix("_weight") for f in dataclasses.fields(VAEConfig) if f.name.endswith("_weight")}
    assert set(TERMS) == weights


def test_an_unknown_experiment_and_one_that_nobody_trained_are_named(tmp_path, capsys):
    with pytest.raises(DataError, match=r"experiment: found 'nonsense', expected one of default, no-disentangle"):
        experiment("nonsense")
    with pytest.raises(DataError, match=r"one-head: expected weights of '\(d\) one head': hldm train STAGE"):
        load("one-head", tmp_path)
    assert cli.main(["train", "vae", "--experiment", "nonsense", "--runs", str(tmp_path)]) == 2
    assert "expected one of default" in capsys.readouterr().err


def test_an_experiment_loads_what_it_trained_and_the_shipped_rest(tmp_path):
    StructuredUNet(dataclasses.replace(UNetConfig(), structured=False)).save(tmp_path / "one-head")
    synth = load("one-head", tmp_path)
    assert not synth.unet.config.structured
    assert synth.vae.hash == MultiScaleVAE.from_pretrained().hash


def test_the_command_line_trains_an_experiment_in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.delenv("HLDM_CIRCOR", raising=False)
    tiny = dataclasses.replace(PROFILES["smoke"], max_steps=2, max_patients=3)
    monkeypatch.setitem(PROFILES, "smoke", tiny)
    assert cli.main(["train", "vae", "--experiment", "no-disentangle", "--runs", str(tmp_path)]) == 0
    assert load("no-disentangle", tmp_path).vae.config == VAES["no-disentangle"].vae
