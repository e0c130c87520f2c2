"""The judge, condition fidelity, and the table of an evaluation."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from hldm.config import AudioConfig
from hldm.data import ClinicalRecord, Recording, Segment, State, circor_split
from hldm.data.clips import windows
from hldm.evaluation import Judge, clips_of, consistency, evaluate
from hldm.models.judge import ATTRIBUTES, JudgeConfig, JudgeNet, level
from hldm.paths import weights_folder
from hldm.training.judge import JudgeTraining, train_judge

RATE = 4000
TINY = JudgeConfig(widths=(2, 2, 2, 2), channels=4, dilations=(1,), embedding=4)


@pytest.fixture(scope="module")
def judge() -> Judge:
    if not (weights_folder() / "judge.safetensors").is_file():
        pytest.skip("HLDM_WEIGHTS names a folder without the judge's weights")
    return Judge.from_pretrained()


def beating(bpm: float, seconds: float, seed: int, patient: str = "", murmur: str = "Absent") -> Recording:
    """An annotated recording of two thuds a beat over noise; with a murmur, noise in systole."""
    rng = np.random.default_rng(seed)
    t, beat = np.arange(round(seconds * RATE)) / RATE, 60 / bpm
    phase = t % beat
    sound = 0.01 * rng.standard_normal(len(t)) + np.sin(2 * np.pi * 50 * t) * (
        0.5 * np.exp(-phase / 0.03) + 0.3 * np.exp(-(phase - 0.4 * beat) / 0.02) * (phase > 0.4 * beat)
    )
    if murmur == "Present":
        sound += 0.1 * rng.standard_normal(len(t)) * ((phase > 0.1) & (phase < 0.35 * beat))
    edges = np.array([0, 0.1, 0.4 * beat, 0.4 * beat + 0.08, beat])
    segments = [
        (start + edges[i], start + edges[i + 1], i + 1)
        for start in np.arange(0, seconds - beat, beat)
        for i in range(4)
    ]
    return Recording(
        sound.astype(np.float32),
        RATE,
        segments=tuple(Segment(a, b, State(s)) for a, b, s in segments),
        record=ClinicalRecord(murmur=murmur, heart_rate=bpm),
        patient_id=patient,
    )


def people(n: int, offset: int = 0) -> list[Recording]:
    return [beating(70 + 5 * (i % 9), 11, i + offset, f"p{i + offset}", ("Absent", "Present")[i % 2]) for i in range(n)]


@given(st.integers(1, 3), st.integers(8000, 30000), st.floats(-30, 30))
@settings(max_examples=10, deadline=None)
def test_judgement_has_a_row_for_each_sound_and_ignores_gain(n, samples, gain_db):
    judge = Judge(JudgeNet(TINY))
    rng = np.random.default_rng(0)
    sounds = [0.05 * rng.standard_normal(samples).astype(np.float32) for _ in range(n)]
    said = judge([*sounds, sounds[0][:6000]])
    assert len(said) == n + 1
    assert said.embedding.shape == (n + 1, TINY.embedding)
    for name, options in ATTRIBUTES.items():
        assert said.probabilities[name].shape == (n + 1, len(options))
        assert said.probabilities[name].sum(1) == pytest.approx(1, abs=1e-5)
        assert set(said.said(name)) <= set(options)
    louder = judge([10 ** (gain_db / 20) * sounds[0]])
    np.testing.assert_allclose(louder.embedding[0], said.embedding[0], atol=1e-3)
    alone = judge(sounds[-1:])
    np.testing.assert_allclose(alone.embedding[0], said.embedding[n - 1], atol=1e-4)


def test_judge_refuses_what_is_no_sound():
    with pytest.raises(ValueError, match=r"waveform 1 has shape \(100,\), expected 1-D of 1 s"):
        Judge(JudgeNet(TINY))([np.zeros(8000), np.zeros(100)])


def test_cycles_of_known_states():
    judge = Judge(JudgeNet(TINY))
    lengths = [4, 5, 3, 8] * 5  # frames in S1, systole, S2, diastole: a beat of 20
    states = np.repeat(np.tile(range(4), 5), lengths)
    probabilities = np.full((4, len(states)), 0.05)
    probabilities[states, np.arange(len(states))] = 0.85
    probabilities[:, 50] = probabilities[::-1, 50]  # one frame that is misjudged
    beats = judge.cycles(probabilities)
    assert beats[:, 4] - beats[:, 0] == pytest.approx([20 / judge.frame_rate] * len(beats))
    assert np.diff(beats[0]) * judge.frame_rate == pytest.approx([4, 5, 3, 8])
    assert len(beats) == 3  # whole ones, whose start and end are seen: the first has no onset, the last no end


def test_training_is_seeded_and_leaves_the_global_generator_alone(tmp_path):
    recordings = people(4)
    training = JudgeTraining(epochs=1, crops=1, batch_size=2)
    before = torch.random.get_rng_state()
    runs = [
        train_judge(recordings, recordings, tmp_path / name, config=TINY, training=training) for name in ("one", "two")
    ]
    assert torch.equal(before, torch.random.get_rng_state())
    first, second = (model.state_dict() for model, _ in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [row["step"] for row in runs[0][1]] == [2]
    again = Judge.from_pretrained(tmp_path / "one")
    assert again.model.config == TINY


def test_windows_cover_the_annotated_part_and_short_recordings_repeat():
    recording = beating(75, 11, 0)
    samples = AudioConfig().clip_samples
    assert [len(w) for w in windows(recording, samples)] == [samples] * 2
    short = dataclasses.replace(recording, waveform=recording.waveform[:6000], segments=())
    (only,) = windows(short, samples)
    np.testing.assert_array_equal(only[6000:12000], short.waveform)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
@pytest.mark.filterwarnings("ignore:y_pred contains classes:UserWarning", "ignore:A single label:UserWarning")
def test_balanced_accuracy_is_scikit_learns(pairs):
    asked, heard = zip(*pairs, strict=True)
    assert consistency.balanced_accuracy(asked, heard) == pytest.approx(balanced_accuracy_score(asked, heard))


def test_plausibility():
    cycles = np.array([[i, i + 0.1, i + 0.4, i + 0.5, i + 1] for i in range(4)], dtype=float)
    quiet = np.full(16000, 0.1)
    assert consistency.is_plausible(quiet, 60, cycles)
    assert not consistency.is_plausible(np.full(16000, 1.0), 60, cycles)  # clipped
    assert not consistency.is_plausible(quiet, 60, cycles[:1])  # one beat is no rhythm
    assert not consistency.is_plausible(quiet, 200, cycles)  # the edge of the estimator
    assert not consistency.is_plausible(quiet, 60, cycles[:, [0, 1, 1, 3, 4]])  # S2 right after S1


def test_clips_begin_with_s1_and_carry_their_own_rate():
    recording = beating(75, 11, 0, "p1")
    clips = clips_of(recording, 5.12)
    assert len(clips) == 1  # the second would end after the last annotated beat
    assert len(clips[0].waveform) == 20480
    assert clips[0].record.heart_rate == pytest.approx(75)
    assert clips[0].patient_id == "p1"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluation_says_everything_about_every_figure():
    judge = Judge(JudgeNet(TINY), name="tiny")
    made = [clip for person in people(12, offset=100) for clip in clips_of(person, 5.12)]
    rows = evaluate(made, people(24), judge=judge, data="two thuds", repeats=10)
    assert {
        "Frechet distance", "linear two-sample AUC", "murmur, balanced accuracy", "heart rate within 5 bpm",
        "level (dB): shift (sd)", "800 to 2000 Hz (dB): spread (ratio)",
    } <= set(rows.index)  # fmt: skip
    assert not rows[["value", "low", "high", "real", "N", "patients", "measured by", "data"]].isna().any(axis=None)
    assert (rows["low"] <= rows["high"]).all()
    assert rows["data"].unique().tolist() == ["two thuds, 24 patients"]
    assert rows.loc["Frechet distance", "N"] == rows.loc["Frechet distance", "N real"] >= 12  # distances at equal N
    assert rows.loc["heart rate within 5 bpm", ["value", "real"]].tolist() == [1, 1]
    assert "timing, balanced accuracy" not in rows.index  # no record says anything about it


def test_evaluation_refuses_too_few_sounds_and_other_rates():
    judge = Judge(JudgeNet(TINY))
    with pytest.raises(ValueError, match=r"1 sounds and [3-6] real clips.*at least 10 sounds and 20 real clips"):
        evaluate(clips_of(people(1)[0], 5.12)[:1], people(3), judge=judge)
    slow = [dataclasses.replace(r, sampling_rate=2000) for r in people(2)]
    with pytest.raises(ValueError, match=r"found \[2000\], expected 4000 Hz"):
        evaluate(slow, people(3), judge=judge)


def test_the_shipped_judge_hears_murmurs_of_real_val_patients(judge, circor):
    split = circor_split()
    names = [n for n in circor.names if split[n.split("_")[0]] == "val"]
    clips = [clip for r in map(circor.recording, names) for clip in clips_of(r, 5.12)[:1]]
    clips = [clip for clip in clips if clip.record.murmur_here is not None]
    said = judge([clip.waveform for clip in clips])
    truth = np.array([clip.record.murmur_here for clip in clips])
    assert truth.sum() > 10
    assert roc_auc_score(truth, said.probabilities["murmur"][:, 1]) > 0.85
    beats = [judge.cycles(states) for states in said.state_probabilities]
    rates = np.array([60 / np.median(b[:, 4] - b[:, 0]) if len(b) else np.nan for b in beats])
    asked = np.array([clip.record.heart_rate for clip in clips])
    assert np.nanmedian(np.abs(rates - asked)) < 5


def test_level_brings_every_clip_to_one_gain():
    clips = torch.randn(3, 8000, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1.0], [0.01], [30]])
    assert level(clips).square().mean(-1).sqrt().numpy() == pytest.approx([0.05] * 3, rel=1e-4)
    assert torch.isfinite(level(torch.zeros(1, 100))).all()
