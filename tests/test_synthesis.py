"""The shipped model: same seed, same sound; what is asked for is in the record; an edit moves only its subspace."""

import dataclasses
import functools
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hldm import Synthesizer
from hldm.config import SUBSPACES
from hldm.data import ClinicalRecord, DataError, Location
from hldm.evaluation.physiology import s1_s2_envelope_correlation
from hldm.knowledge import NotUnderstood

PROMPT = "An 8-year-old female with a grade II/VI systolic murmur"


@pytest.fixture(scope="module")
def synth():
    return Synthesizer.from_pretrained()


@pytest.fixture(scope="module")
def base(synth):
    return synth(PROMPT, seed=0)


def test_a_sentence_becomes_a_sound(base):
    assert base.waveform.shape == (20480,)
    assert base.waveform.dtype == np.float32
    assert base.sampling_rate == 4000
    assert np.isfinite(base.waveform).all()
    assert 0.005 < base.waveform.std() < 0.5
    assert base.log_mel.shape == (64, 320)
    assert {name: part.shape for name, part in base.latent.items()} == dict.fromkeys(SUBSPACES, (8, 80))


def test_the_record_is_what_was_asked_and_no_field_is_left_open(base):
    assert (base.asked.age_years, base.asked.sex, base.asked.systolic.grade) == (8, "Female", "II/VI")
    assert base.asked.heart_rate is None
    record = base.record
    assert (record.age_years, record.sex, record.systolic.grade, record.murmur_here) == (8, "Female", "II/VI", True)
    assert None not in (record.heart_rate, record.location, record.systolic.timing, record.systolic.pitch)


def test_same_seed_same_bytes(synth, base, tmp_path):
    synth(PROMPT, seed=0).save(tmp_path / "a.wav")
    base.save(tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert not np.array_equal(synth(PROMPT, seed=1).waveform, base.waveform)


def test_same_seed_same_bytes_in_another_process(tmp_path):
    """Whatever the order in which a set of strings is walked through there."""
    code = (
        f"from hldm import Synthesizer; Synthesizer.from_pretrained()({PROMPT!r}, num_inference_steps=2).save('{{}}')"
    )
    for hashing in ("1", "2"):
        path = tmp_path / f"{hashing}.wav"
        environment = {**os.environ, "PYTHONHASHSEED": hashing}
        subprocess.run([sys.executable, "-c", code.format(path)], env=environment, check=True, timeout=300)
    assert (tmp_path / "1.wav").read_bytes() == (tmp_path / "2.wav").read_bytes()


def test_the_file_is_a_4_khz_wav_that_says_it_is_synthetic(base, tmp_path):
    base.save(tmp_path / "a.wav")
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert (file.samplerate, file.channels, file.subtype, file.frames) == (4000, 1, "PCM_16", 20480)
        assert "ynthetic" in file.comment
        np.testing.assert_allclose(file.read(), base.waveform / max(1, abs(base.waveform).max()), atol=1 / 32767)


def test_a_sound_beyond_full_scale_is_turned_down_not_clipped(base, tmp_path):
    dataclasses.replace(base, waveform=base.waveform * 100).save(tmp_path / "loud.wav")
    loud, _ = soundfile.read(tmp_path / "loud.wav")
    assert abs(loud).max() == pytest.approx(1, abs=1e-3)
    assert np.corrcoef(loud, base.waveform)[0, 1] > 0.9999


def test_a_batch_gives_what_single_calls_give(synth, base):
    batch = synth.batch([PROMPT, "no murmur, HR 70"], seeds=[0, 5])
    # The same computation in another shape of matrix product: equal up to rounding.
    assert np.corrcoef(batch[0].waveform, base.waveform)[0, 1] > 0.99
    assert batch[1].record.heart_rate == 70


def test_a_batch_is_described_at_once_each_record_in_its_own_wording(synth, monkeypatch):
    seen, features = [], synth.condition.features
    monkeypatch.setattr(synth.condition, "features", lambda *given: seen.append(features(*given)) or seen[-1])
    seeds = [3, 11, 4]
    sounds = synth.batch(["no murmur", PROMPT, "no murmur"], seeds, num_inference_steps=1)
    assert len(seen) == 1
    for i, (sound, seed) in enumerate(zip(sounds, seeds, strict=True)):
        alone = features([sound.record], seed)
        for name in alone:
            torch.testing.assert_close(seen[0][name][i], alone[name][0], atol=1e-4, rtol=1e-4)


def test_the_learnt_vocoder_is_a_switch(synth, base):
    """The same log-mel, another phase; the same heart."""
    other = Synthesizer.from_pretrained(vocoder="learned")(PROMPT, seed=0)
    torch.testing.assert_close(other.log_mel, base.log_mel)
    assert not np.array_equal(other.waveform, base.waveform)
    assert s1_s2_envelope_correlation(other.waveform, base.waveform, 4000) > 0.95
    with pytest.raises(ValueError, match="'wavenet', expected 'griffin_lim' or 'learned'"):
        Synthesizer.from_pretrained(vocoder="wavenet")


def test_the_beat_grid_has_the_heart_rate_asked_for(synth):
    for rate in (60, 100, 150):
        sound = synth(ClinicalRecord(murmur="Absent", heart_rate=rate), seed=rate, duration=10, num_inference_steps=2)
        assert 60 / np.diff(sound.beats).mean() == pytest.approx(rate, rel=0.06)
        assert sound.duration == 10


@settings(max_examples=8, deadline=None)
@given(st.floats(1, 8), st.sampled_from(list(Location)[:4]), st.integers(0, 2**40))
def test_any_length_site_and_seed(duration, location, seed):
    synth = _shared()
    record = ClinicalRecord(murmur="Absent", location=location, heart_rate=90)
    sound = synth(record, seed=seed, duration=duration, num_inference_steps=2)
    assert len(sound.waveform) == round(duration * 4000)
    assert np.isfinite(sound.waveform).all()
    assert sound.record.location == location


@functools.cache
def _shared():
    """Loaded once: hypothesis takes no fixture of a smaller scope."""
    return Synthesizer.from_pretrained()


def test_an_edit_of_the_murmur_keeps_the_rest(synth, base):
    edited = synth.what_if(base, "grade III/VI systolic murmur")
    assert edited.record == base.record.replace(systolic=dataclasses.replace(base.record.systolic, grade="III/VI"))
    np.testing.assert_array_equal(edited.beats, base.beats)
    for name in SUBSPACES:
        assert torch.equal(edited.latent[name], base.latent[name]) == (name != "murmur")


def test_an_edit_removes_the_murmur(synth, base):
    silent = synth.what_if(base, "remove the murmur").record
    assert (silent.murmur, silent.systolic, silent.murmur_locations) == ("Absent", None, ())
    assert (silent.age_years, silent.sex, silent.heart_rate) == (8, "Female", base.record.heart_rate)


def test_an_edit_of_the_heart_rate_moves_the_beats(synth, base):
    edited = synth.what_if(base, "heart rate 150")
    assert edited.record == base.record.replace(heart_rate=150)
    assert len(edited.beats) > len(base.beats) or base.record.heart_rate > 140
    assert all(not torch.equal(edited.latent[name], base.latent[name]) for name in SUBSPACES)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"prompt": "grade VII/VI systolic murmur"}, "VII"),
        ({"prompt": PROMPT, "duration": 100}, "duration"),
        ({"prompt": PROMPT, "duration": float("nan")}, "duration: found nan, expected 1 to 60 s"),
        ({"prompt": PROMPT, "num_inference_steps": 0}, "num_inference_steps: found 0, expected a whole number from 1"),
        ({"prompt": PROMPT, "guidance_scale": 1e30}, "guidance_scale: found 1e.30, expected 0 to 100"),
        ({"prompt": PROMPT, "seed": -1}, r"seed: found -1, expected a whole number from 0 to 2\*\*63 - 1"),
        ({"prompt": PROMPT, "seed": 2**63}, "seed: found 9223372036854775808"),
        ({"prompt": PROMPT, "seed": True}, "seed: found True"),
        ({"prompt": PROMPT, "seed": 1.0}, "seed: found 1.0"),
        ({"prompt": PROMPT, "seed": "1"}, "seed: found '1'"),
        ({"prompt": float("nan")}, "prompt: found nan, expected a text"),  # an empty cell of pandas
    ],
)
def test_what_can_not_be_made_is_refused_and_named(synth, arguments, named):
    with pytest.raises(DataError, match=named):
        synth(**arguments)


def test_nonsense_is_refused_before_any_work(synth, base, monkeypatch):
    monkeypatch.setattr(synth, "_read", lambda *given: pytest.fail("a prompt was read"))
    for wrong in ({"num_inference_steps": -1}, {"guidance_scale": float("nan")}):
        with pytest.raises(DataError, match=next(iter(wrong))):
            synth(PROMPT, **wrong)
        with pytest.raises(DataError, match=next(iter(wrong))):
            synth.what_if(base, "no murmur", **wrong)
    with pytest.raises(DataError, match=r"prompts: found .*, expected a list"):
        synth.batch(PROMPT)
    with pytest.raises(DataError, match="seed: found -3"):
        synth.batch([PROMPT, PROMPT], seeds=[0, -3])


def test_the_callers_arithmetic_changes_no_bit(synth):
    """A seed of numpy, another default dtype, autocast: the same sound."""
    few = {"duration": 1.0, "num_inference_steps": 2}
    expected = synth(PROMPT, seed=5, **few)
    assert type(expected.seed) is int
    found = [synth(PROMPT, seed=np.int64(5), **few)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found.append(synth(PROMPT, seed=5, **few))
    torch.set_default_dtype(torch.float64)
    try:
        found += [made(PROMPT, seed=5, **few) for made in (synth, Synthesizer.from_pretrained())]
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    for sound in found:
        assert np.array_equal(sound.waveform, expected.waveform)
        assert sound.seed == 5


def test_as_many_seeds_as_prompts(synth):
    with pytest.raises(ValueError, match="1 seeds for 2 prompts"):
        synth.batch(["no murmur"] * 2, seeds=[1])
    assert synth.batch([]) == []


@pytest.mark.parametrize("words", ["Un enfant avec un souffle", "hello"])
def test_a_prompt_of_which_nothing_is_understood_makes_no_sound(synth, base, words):
    with pytest.raises(DataError, match="nothing in it was understood"):
        synth(words)
    with pytest.raises(DataError, match="nothing in it was understood"):
        synth.what_if(base, words)


def test_words_that_are_not_understood_are_named(synth):
    with pytest.warns(NotUnderstood, match="purple; hat"):
        synth("no murmur and a purple hat", num_inference_steps=2)
