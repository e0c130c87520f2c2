"""Nothing damaged, foreign or mismatched loads: every network against every damage."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save_file

from hldm.conditioning import ConditionEncoder, GraphEncoder, TextEncoder
from hldm.conditioning.text import STATISTICS, SUMS, readable
from hldm.config import AudioConfig, UNetConfig, VAEConfig
from hldm.models import MultiScaleVAE, StructuredUNet, Vocoder
from hldm.models.attribute_predictor import AttributePredictor
from hldm.models.judge import JudgeNet
from hldm.paths import data_folder
from hldm.pretrained import (
    WeightsError,
    load_checkpoint,
    read_config,
    same_front_end,
    save_checkpoint,
    write_sums,
)
from hldm.synthesis import Synthesizer

SHIPPED = data_folder() / "weights"
NETWORKS = [MultiScaleVAE, StructuredUNet, ConditionEncoder, GraphEncoder, AttributePredictor, Vocoder, JudgeNet]


def header(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["hldm"])


def rewritten(change):
    """A damage that changes what the file's header says, with sums that agree."""

    def damage(path):
        found, state = header(path), load(path.read_bytes())
        change(found, state)
        save_file(state, path, metadata={"hldm": json.dumps(found)})
        write_sums(path.with_suffix(".sha256"), [path.name])

    return damage


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])
    write_sums(path.with_suffix(".sha256"), [path.name])


def pickled(path):
    torch.save(load(path.read_bytes()), path)
    write_sums(path.with_suffix(".sha256"), [path.name])


def nameless(path):
    save_file(load(path.read_bytes()), path)
    write_sums(path.with_suffix(".sha256"), [path.name])


def wider(found, state):
    name = next(name for name in found["config"] if "width" in name or name == "channels")
    value = found["config"][name]
    found["config"][name] = [2 * one for one in value] if isinstance(value, list) else 2 * value


def a_key_less(found, state):
    del found["config"][next(iter(found["config"]))]


def a_tensor_less(found, state):
    del state[next(iter(state))]


def not_finite(found, state):
    state[next(name for name, value in state.items() if value.is_floating_point())].fill_(float("nan"))


DAMAGES = {
    "no sum": (lambda p: p.with_suffix(".sha256").unlink(), r"sha256: missing"),
    "empty sum": (lambda p: p.with_suffix(".sha256").write_text(""), r"sha256: found ''"),
    "binary sum": (lambda p: p.with_suffix(".sha256").write_bytes(bytes(range(128, 256))), r"sha256: found"),
    "wrong sum": (lambda p: p.with_suffix(".sha256").write_text(f"{64 * '0'}  {p.name}\n"), r"SHA-256 is"),
    "sum of another file": (lambda p: write_sums(p.with_suffix(".sha256"), []), r"sha256: found ''"),
    "flipped byte": (flipped, r"SHA-256 is"),
    "truncated": (cut, r"expected a safetensors file"),
    "pickle": (pickled, r"expected a safetensors file"),
    "empty": (lambda p: (p.write_bytes(b""), write_sums(p.with_suffix(".sha256"), [p.name])), r"a safetensors file"),
    "no metadata": (nameless, r"found no 'hldm' in the metadata"),
    "unknown key": (rewritten(lambda h, s: h["config"].update(colour=1)), r"config: unknown colour"),
    "missing key": (rewritten(a_key_less), r"config: missing"),
    "wrong type": (rewritten(lambda h, s: h["config"].update({next(reversed(h["config"])): {}})), r"config.*expected"),
    "config is a list": (rewritten(lambda h, s: h.update(config=[1])), r"config: missing"),
    "no config": (rewritten(lambda h, s: h.pop("config")), r"expected a model and its configuration"),
    "another width": (rewritten(wider), r"expected the weights of a"),
    "another model": (rewritten(lambda h, s: h.update(model="Other")), r"model: found 'Other'"),
    "a tensor less": (rewritten(a_tensor_less), r"expected the weights of a"),
    "not finite": (rewritten(not_finite), r"not finite"),
}


@pytest.fixture
def copy(tmp_path):
    """Copies the shipped weights of a network; returns the path of the copy."""

    def copy(kind):
        for suffix in ("safetensors", "sha256"):
            shutil.copy(SHIPPED / f"{kind.weights_name}.{suffix}", tmp_path)
        return tmp_path / f"{kind.weights_name}.safetensors"

    return copy


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: kind.__name__)
def test_every_damage_of_every_network_is_refused_by_name(kind, damage, copy, tmp_path):
    spoil, message = DAMAGES[damage]
    path = copy(kind)
    assert kind.from_pretrained(tmp_path).hash
    spoil(path)
    with pytest.raises(WeightsError, match=message) as caught:
        kind.from_pretrained(tmp_path)
    assert path.stem in str(caught.value)


@pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: kind.__name__)
def test_what_is_saved_comes_back_bit_for_bit_and_draws_nothing(kind, tmp_path):
    network, before = kind.from_pretrained(), torch.random.get_rng_state()
    path = network.save(tmp_path, half=False)
    again = kind.from_pretrained(tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())
    assert again.config == network.config
    assert not again.training
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in network.state_dict().items())
    first = path.read_bytes()
    assert network.save(tmp_path, half=False).read_bytes() == first  # the same weights have one sum


def test_one_network_under_the_name_of_another_is_refused(tmp_path):
    shutil.copy(SHIPPED / "unet.safetensors", tmp_path / "vae.safetensors")
    write_sums(tmp_path / "vae.sha256", ["vae.safetensors"])
    with pytest.raises(WeightsError, match=r"vae\.safetensors: model: found 'StructuredUNet', expected 'Multi"):
        MultiScaleVAE.from_pretrained(tmp_path)


def test_what_others_build_on_is_frozen_and_what_is_fine_tuned_is_not():
    for kind in NETWORKS:
        assert all(p.requires_grad is not kind.shared for p in kind.from_pretrained().parameters()), kind


def test_a_configuration_comes_back_with_its_tuples_and_dataclasses():
    config = UNetConfig(widths=(8, 16), audio=AudioConfig(n_mels=32))
    values = json.loads(json.dumps({**vars(config), "diffusion": vars(config.diffusion), "audio": vars(config.audio)}))
    assert read_config(UNetConfig, values, "config") == config
    values["diffusion"]["guidance_interval"] = [0.5, "inf"]
    with pytest.raises(WeightsError, match=r"config\.diffusion\.guidance_interval\[1\]: found 'inf', expected float"):
        read_config(UNetConfig, values, "config")


# Front ends


def test_parts_with_other_front_ends_do_not_work_together(tmp_path):
    coarse = AudioConfig(hop_length=80)
    with pytest.raises(WeightsError, match=r"vae and vocoder have different front ends: found hop_length 64 and 80"):
        same_front_end(vae=AudioConfig(), judge=AudioConfig(), vocoder=coarse)
    for name in ("unet", "condition"):
        for suffix in ("safetensors", "sha256"):
            shutil.copy(SHIPPED / f"{name}.{suffix}", tmp_path)
    vae = MultiScaleVAE.from_pretrained()
    vae.config = replace(vae.config, audio=coarse)
    vae.save(tmp_path)
    with pytest.raises(WeightsError, match=r"vae and unet have different front ends: found hop_length 80 and 64"):
        Synthesizer.from_pretrained(tmp_path)


def test_parts_of_other_widths_do_not_work_together():
    narrow = MultiScaleVAE(VAEConfig(width=16, component_width=16, group_channels=4))
    unet, condition = StructuredUNet.from_pretrained(), ConditionEncoder.from_pretrained()
    with pytest.raises(WeightsError, match=r"unet and vae do not go together: latent_channels: found 32, expected 16"):
        Synthesizer(narrow, unet, condition)


# The text encoder: a folder of transformers


def edited(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def spoilt(name):
    return lambda folder: flipped(folder / name)


def summed(damage):
    """The damage, with sums that agree: transformers itself must be kept from a traceback."""

    def both(folder):
        damage(folder)
        write_sums(folder / SUMS, readable(folder))

    return both


TEXT_DAMAGES = {
    "no sums, flipped byte": lambda f: ((f / SUMS).unlink(), spoilt("model.safetensors")(f)),
    "empty sums": edited(SUMS, b""),
    "binary sums": edited(SUMS, bytes(range(128, 256))),
    "flipped model": spoilt("model.safetensors"),
    "flipped standardisation": spoilt(STATISTICS),
    "flipped config": spoilt("config.json"),
    "flipped tokenizer": spoilt("tokenizer.json"),
    "no standardisation": lambda f: (f / STATISTICS).unlink(),
    "no tokenizer": lambda f: (f / "tokenizer.json").unlink(),
    "a file nobody listed": edited("added_tokens.json", b'{"x": 5}'),
    "broken tokenizer": summed(edited("tokenizer.json", b'{"model": ')),
    "broken config": summed(edited("config.json", b"{}")),
    "pickled model": summed(lambda f: torch.save({}, f / "model.safetensors")),
    "another standardisation": summed(lambda f: save_file({"mean": torch.zeros(3)}, f / STATISTICS)),
    "no folder": lambda f: shutil.rmtree(f),
}


@pytest.mark.parametrize("damage", TEXT_DAMAGES)
def test_every_damage_of_the_text_encoder_is_refused_by_name(damage, tmp_path):
    folder = shutil.copytree(SHIPPED / "text_encoder", tmp_path / "text_encoder")
    (folder / ".DS_Store").write_bytes(b"note")
    (folder / "NOTES.md").write_text("mine")
    assert TextEncoder.from_pretrained(tmp_path).mean.any()
    TEXT_DAMAGES[damage](folder)
    with pytest.raises(WeightsError, match="text_encoder"):
        TextEncoder(folder)


def test_a_folder_without_sums_is_no_encoder_of_this_project(tmp_path):
    """One of transformers' own loads when it is named; in a weights folder it does not pass for the project's."""
    folder = shutil.copytree(SHIPPED / "text_encoder", tmp_path / "text_encoder")
    for name in (SUMS, STATISTICS):
        (folder / name).unlink()
    assert not TextEncoder(folder).mean.any()
    with pytest.raises(WeightsError, match=r"SHA256SUMS\.txt: missing"):
        TextEncoder.from_pretrained(tmp_path)


# Checkpoints

RUN = {"seed": 1, "config": VAEConfig()}
CHECKPOINT_DAMAGES = {
    "empty": lambda p: p.write_bytes(b""),
    "truncated": lambda p: p.write_bytes(p.read_bytes()[:-200]),
    "flipped byte": lambda p: p.write_bytes(p.read_bytes().replace(b"\x00\x00\x80?", b"\x00\x01\x80?", 1)),
    "text": lambda p: p.write_text("not a checkpoint"),
    "a list": lambda p: torch.save([1], p),
    "of nothing": lambda p: torch.save({}, p),
    "code": lambda p: torch.save({"run": print}, p),
    "a folder": lambda p: (p.unlink(), p.mkdir()),
    "of another seed": lambda p: save_checkpoint(p, RUN | {"seed": 2}, {"step": 3}),
    "of another config": lambda p: save_checkpoint(p, RUN | {"config": VAEConfig(delta=0.0)}, {"step": 3}),
    "without its step": lambda p: save_checkpoint(p, RUN, {}),
}


@pytest.mark.parametrize("damage", CHECKPOINT_DAMAGES)
def test_every_damage_of_a_checkpoint_is_refused_by_name(damage, tmp_path):
    path = tmp_path / "checkpoint.pt"
    assert load_checkpoint(path, RUN) is None
    save_checkpoint(path, RUN, {"step": 3, "x": torch.ones(500)})
    assert load_checkpoint(path, RUN, ["step"])["step"] == 3
    CHECKPOINT_DAMAGES[damage](path)
    with pytest.raises(WeightsError, match=r"checkpoint\.pt"):
        load_checkpoint(path, RUN, ["step"])


def test_a_refusal_says_which_field_of_the_run_differs(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, RUN, {})
    with pytest.raises(WeightsError, match=r"config\.delta is 0\.1, expected 0\.0: use the folder of another run"):
        load_checkpoint(path, {"seed": 1, "config": VAEConfig(delta=0.0)})
