"""Clips start on a beat, stay within the annotation, and share their cache."""

import dataclasses
import multiprocessing
import os
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hldm.config import AudioConfig
from hldm.data import ClinicalRecord, ClipDataset, Segment, State, simulate
from hldm.data.clips import REFERENCE_RMS, annotated_stretches, clip_starts, normalise


def recording(seed=0, duration=14.0, name="1_AV"):
    found = simulate(ClinicalRecord(age_group="Child", murmur="Absent", location="AV"), duration=duration, seed=seed)
    return dataclasses.replace(found.recording, name=name, patient_id=name)


@pytest.fixture
def clips(tmp_path):
    return ClipDataset([recording()], cache=tmp_path)


def test_a_clip_starts_at_s1_and_counts_its_beats(clips):
    assert len(clips) >= 1
    for i in range(len(clips)):
        clip = clips[i]
        assert clip.log_mel.shape == (64, 320)
        assert clip.states[0] == State.S1
        assert 0 <= clip.beat_position[0] < 0.2
        assert (clip.beat_position.diff() > 0).all()
        beats = clip.whole_frames / AudioConfig().frame_rate * clip.record.heart_rate / 60
        assert beats == pytest.approx(round(beats), abs=0.35)


def test_s1_and_s2_are_louder_than_diastole(clips):
    clip = clips[0]
    level = clip.log_mel[:12].mean(0)  # 20 to 160 Hz
    assert level[clip.states == State.S1].mean() > level[clip.states == State.DIASTOLE].mean() + 6


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.3, 2.0), min_size=1, max_size=40),
    st.floats(1, 10),
    st.floats(0.5, 10),
)
def test_clips_never_leave_their_stretch(intervals, length, hop):
    onsets = np.concatenate([[0], np.cumsum(intervals)])
    stretch = np.stack([onsets[:-1]] * 4 + [onsets[1:]], axis=1)
    starts = stretch[clip_starts(stretch, length, hop), 0]
    assert (starts + length <= onsets[-1] + 1e-9).all()
    assert (np.diff(starts) >= hop - 1e-9).all()


def test_a_gap_in_the_annotation_is_never_bridged():
    whole = recording(duration=14)
    cut = [s if s.end < 7 or s.start > 7.5 else Segment(s.start, s.end, State.UNANNOTATED) for s in whole.segments]
    found = annotated_stretches(dataclasses.replace(whole, segments=tuple(cut)))
    assert len(found) == 2
    assert found[0][-1, 4] <= 7.5 + 1
    assert found[1][0, 0] >= 7


def test_recordings_without_annotation_are_named_not_lost(tmp_path):
    bare = dataclasses.replace(recording(name="7_MV"), segments=())
    clips = ClipDataset([bare, recording()], cache=tmp_path)
    assert clips.skipped == ["7_MV"]
    assert {clips[i].name for i in range(len(clips))} == {"1_AV"}


def test_a_stretch_that_ends_within_the_last_frame_gives_no_clip_and_is_named(tmp_path):
    states = (State.S1, State.SYSTOLE, State.S2, State.DIASTOLE)
    edges = 0.01 + 0.16001 * np.arange(33)  # eight beats, together hardly longer than a clip
    segments = tuple(Segment(a, b, states[i % 4]) for i, (a, b) in enumerate(pairwise(edges)))
    late = dataclasses.replace(recording(name="8_AV"), segments=segments)
    cut = dataclasses.replace(late, waveform=late.waveform[: round(edges[-1] * 4000)])
    assert len(ClipDataset([late], cache=tmp_path)) == 1
    clips = ClipDataset([cut], cache=tmp_path)
    assert (len(clips), clips.skipped) == (0, ["8_AV"])


def test_other_rates_are_resampled(tmp_path):
    slow = recording().resample(2000)
    clip, reference = (ClipDataset([r], cache=tmp_path)[0] for r in (slow, recording()))
    assert (clip.log_mel - reference.log_mel)[4:50].abs().mean() < 1.0


def test_the_cache_is_used_and_never_stale(tmp_path, clips):
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 1
    again = ClipDataset([recording()], cache=tmp_path)
    assert torch.equal(again[0].log_mel, clips[0].log_mel)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files
    ClipDataset([recording()], dataclasses.replace(AudioConfig(), fmax=700.0), cache=tmp_path)
    ClipDataset([recording(seed=1)], cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_cache_file_is_made_anew_and_leftovers_of_a_kill_are_removed(tmp_path, clips):
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:200])
    (tmp_path / ".1.npy.partial").mkdir()
    for name in (".hldm", "1.npy"):
        (tmp_path / ".1.npy.partial" / name).touch()
    again = ClipDataset([recording()], cache=tmp_path)
    assert torch.equal(again[0].log_mel, clips[0].log_mel)
    assert list(tmp_path.iterdir()) == [path]
    assert np.load(path).shape[0] == 64


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, clips, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.warns(UserWarning, match="not kept in .*No space left") as said:
        again = ClipDataset([recording(), recording(1)], cache=tmp_path / "full")
    assert len(said) == 1
    assert torch.equal(again[0].log_mel, clips[0].log_mel)
    assert list((tmp_path / "full").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="not kept"):
        ClipDataset([recording()], cache=tmp_path / "file" / "features")


def test_cache_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        ClipDataset([recording()], cache=tmp_path / "cache")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "cache").iterdir()] == [0o640]


def _build(cache):
    return ClipDataset([recording(seed) for seed in range(3)], cache=cache)[0].log_mel.sum().item()


def test_two_processes_may_fill_one_cache_at_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.map(_build, [tmp_path, tmp_path])
    assert sums[0] == sums[1] == _build(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npy"] * 3


def test_normalise_sets_the_level_of_the_reference():
    rng = np.random.default_rng(0)
    waveform = rng.standard_normal(1000).astype(np.float32)
    assert np.sqrt(np.mean(normalise(waveform) ** 2)) == pytest.approx(REFERENCE_RMS, rel=1e-5)
    assert np.sqrt(np.mean(normalise(waveform, waveform[:100])[:100] ** 2)) == pytest.approx(REFERENCE_RMS, rel=1e-5)
    assert np.isfinite(normalise(np.zeros(10, np.float32))).all()


def test_real_recordings_give_clips(circor, tmp_path):
    some = [r for r, _ in zip(circor, range(6), strict=False)]
    clips = ClipDataset(some, cache=tmp_path)
    assert len(clips)
    for i in range(len(clips)):
        assert 30 < clips[i].record.heart_rate < 220
        assert clips[i].log_mel.isfinite().all()
