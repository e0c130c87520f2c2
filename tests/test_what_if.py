"""Edits are measured on waveforms, beside what the same seed alone would do; page and form show what they hold."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
import torch

from hldm import Synthesizer, cli
from hldm.config import SUBSPACES
from hldm.data import ClinicalRecord
from hldm.evaluation import what_if as w
from hldm.evaluation.physiology import SYSTOLE_OFFSET, SYSTOLE_SLOPE
from hldm.evaluation.systole import cycles_of, measure
from hldm.show import Form, compare, what_if_panel
from hldm.show.difference import changes

RATE = 4000
ONSETS = np.arange(0, 5, 0.7)
QUICK = {"num_inference_steps": 2, "duration": 3}


def heart(course=lambda x: 1.0, loud=0.03, tone=None, seed=0):
    """Two thuds a beat; noise (or a tone) in systole whose amplitude follows `course` of 0 to 1."""
    rng = np.random.default_rng(seed)
    t = np.arange(5 * RATE) / RATE
    sound = 1e-3 * rng.standard_normal(len(t))
    second = SYSTOLE_OFFSET + SYSTOLE_SLOPE * 0.7
    for start in ONSETS:
        for onset, level in ((start, 0.5), (start + second, 0.3)):
            x = (t - onset) / 0.1
            sound += level * np.where((x > 0) & (x < 1), np.sin(np.pi * x.clip(0, 1)), 0) * np.sin(2 * np.pi * 50 * t)
        x = (t - start - 0.1) / (second - 0.1)
        source = rng.standard_normal(len(t)) if tone is None else np.sin(2 * np.pi * tone * t)
        sound += loud * np.where((x > 0) & (x < 1), [course(v) for v in x], 0) * source
    return sound.astype(np.float32)


def measured(**options):
    return measure(heart(**options), RATE, ONSETS)


def test_states_along_a_beat_grid_are_in_order_and_as_long_as_the_beat():
    cycles = cycles_of(np.array([0.0, 0.5, 1.2]))
    assert (np.diff(cycles, axis=1) > 0).all()
    np.testing.assert_allclose(cycles[:, 4] - cycles[:, 0], [0.48, 0.68, 0.58])
    with pytest.raises(ValueError, match="1 onsets, expected at least two"):
        cycles_of([0.3])


def test_a_louder_murmur_is_measured_in_decibels():
    soft, loud = measured(loud=0.03), measured(loud=0.06)
    assert loud.level - soft.level == pytest.approx(6, abs=0.5)
    assert loud.systole - soft.systole == pytest.approx(6, abs=0.5)
    assert abs(loud.diastole - soft.diastole) < 0.5
    assert soft.heart_rate == loud.heart_rate == pytest.approx(60 / 0.7, abs=1)


def test_timing_shape_pitch_and_tone_of_known_murmurs():
    even = measured()
    early, late = measured(course=lambda x: float(x < 0.5)), measured(course=lambda x: float(x > 0.5))
    assert early.timing < even.timing - 0.1 < even.timing + 0.1 < late.timing
    assert measured(course=lambda x: max(0, 1 - abs(2 * x - 1)) ** 2).shape > even.shape + 3
    assert measured(tone=350).pitch > measured(tone=150).pitch + 100
    assert measured(tone=200).flatness < even.flatness - 6


@pytest.fixture(scope="module")
def synth():
    return Synthesizer.from_pretrained()


@pytest.fixture(scope="module")
def pair(synth):
    base = synth("A 7-year-old girl with a grade I/VI holosystolic murmur, HR 90", seed=3, **QUICK)
    return base, synth.what_if(base, "grade III/VI", num_inference_steps=2)


def test_an_edit_of_the_murmur_moves_its_subspace_alone(pair):
    base, edited = pair
    moves = w.subspace_moves(base, edited)
    assert set(moves) == set(SUBSPACES)
    assert moves.pop("murmur") > 0
    assert set(moves.values()) == {0}
    shorter = dataclasses.replace(edited, latent={name: part[:, :4] for name, part in edited.latent.items()})
    with pytest.raises(ValueError, match="equal length"):
        w.subspace_moves(base, shorter)


@pytest.fixture(scope="module")
def rows(synth):
    return w.grade_sweep(synth, [3, 4, 5], **QUICK)


def test_a_grade_sweep_has_every_seed_way_and_grade_and_starts_at_the_base(rows):
    assert len(rows) == 3 * len(w.WAYS) * len(w.GRADES)
    edit = rows[rows["way"] == "what-if edit"]
    np.testing.assert_array_equal(edit[["rhythm", "sounds", "noise"]], 0)
    np.testing.assert_allclose(rows[rows["grade"] == "I/VI"]["correlation"], 1)
    anew = rows[(rows["grade"] == "III/VI") & (rows["way"] == "same seed, all drawn anew")]
    assert (anew[list(SUBSPACES)] > 0).all(axis=None)


def test_two_seeds_are_too_few(synth):
    with pytest.raises(ValueError, match=r"\[1, 2\], expected 3"):
        w.grade_sweep(synth, [1, 2])


def made_up(levels, rates=(90, 90, 90)):
    """Rows of a sweep with the given levels, seed by seed."""
    return pd.DataFrame([
        {"seed": seed, "way": "what-if edit", "grade": grade, "level": level, "systole": level, "heart_rate": rate,
         "correlation": 1.0}
        for seed, row in enumerate(levels) for grade, level, rate in zip(w.GRADES, row, rates, strict=True)
    ])  # fmt: skip


def test_the_table_counts_what_rises_at_every_step():
    table = w.grade_sweep_table(made_up([(0, 4, 8), (0, 2, 4), (0, 9, 8), (0, -1, 7)], rates=(100, 100, 101)))["value"]
    table = table.droplevel("way")
    assert table["rises at every step (share)"] == 0.5
    assert table["rise, first to last grade (dB)"] == pytest.approx(27 / 4)
    assert table["rises by 6 dB or more (share)"] == 0.75
    assert table["heart-rate drift (%)"] == pytest.approx(1)


def test_every_edit_has_its_line_and_its_change_in_every_measure(synth):
    some = [edit for edit in w.EDITS if edit.name.startswith(("pitch", "heart rate"))]
    rows = w.edit_controllability(synth, [3, 4], edits=some, **QUICK)
    table = w.edit_controllability_table(rows, some)
    pitch, rate = (table.loc[edit.name] for edit in some)
    for figure in ("seeds as wanted", "judge after"):
        assert 0 <= pitch.loc[figure, "value"] <= 1
    assert pitch.loc["change", "low"] <= pitch.loc["change", "value"] <= pitch.loc["change", "high"]
    assert pitch.loc["change", "value"] == pytest.approx(pitch.loc["after", "value"] - pitch.loc["before", "value"])
    assert "judge after" not in rate.index  # it names no heart rate
    assert w.controllability_matrix(rows).shape == (len(some), len(w.MEASURES))
    assert np.isfinite(w.controllability_matrix(rows)).all(axis=None)


def test_every_edit_is_read_without_a_doubt_and_asks_for_another_value():
    from hldm.knowledge import read_prompt
    from hldm.models.judge import ATTRIBUTES

    for edit in w.EDITS:
        base = read_prompt(edit.base)
        after = read_prompt(edit.text, base=base.record)
        assert [base.unknown, base.problems, after.unknown, after.problems] == [()] * 4, edit
        assert after.record != base.record
        assert edit.measure in w.MEASURES
        assert edit.attribute is None or edit.attribute in ATTRIBUTES


def test_changes_are_told_field_by_field():
    before = ClinicalRecord(murmur="Present", heart_rate=90)
    after = before.replace(heart_rate=120, murmur_locations=("AV", "MV"))
    assert changes(before, after) == ["murmur locations: none → AV, MV", "heart rate: 90 → 120"]
    assert changes(before, before) == []


def test_comparing_an_edit_shows_the_difference_and_which_subspace_moved(pair):
    page = compare(*pair, titles=("I", "III")).data
    assert "systolic grade: I/VI → III/VI" in page
    assert "Difference: III minus I" in page
    [bars] = re.findall(r'hldm-moved" role="img" aria-label="([^"]+)"', page)
    assert "rhythm 0.00" in bars
    assert len(re.findall(r'<img [^>]*alt="[^"]+"', page)) == 3
    assert page.count("<script>") == 1


def test_sounds_that_were_not_generated_alike_are_compared_as_before(pair):
    assert 'class="hldm-moved"' not in compare(pair[0], pair[1].waveform, RATE).data
    shorter = dataclasses.replace(pair[1], log_mel=torch.zeros(64, 8))
    assert 'class="hldm-moved"' not in compare(pair[0], shorter).data


def test_a_panel_has_the_base_once_and_a_part_for_every_edit(pair):
    base, edited = pair
    page = what_if_panel(base, {"louder": edited, "<b>": edited}, title="What if?", boost=False).data
    assert page.count("<audio") == 3
    assert page.count('class="hldm-moved"') == 2
    assert "<b>minus" not in page
    keys = re.findall('data-key="(.*?)"', page)
    assert len(keys) == 4
    with pytest.raises(ValueError, match="edits"):
        what_if_panel(base, {}, title="none")


@pytest.fixture
def form(synth, pair):
    return Form(synth, pair[0], boost=False, **QUICK)


def test_a_form_that_nobody_touched_says_what_the_base_is(form, pair):
    assert form.record == pair[0].record


def test_a_form_has_a_field_for_everything_a_record_knows(form):
    named = {name.split(".")[0] for name in form.inputs}
    assert named == {field.name for field in dataclasses.fields(ClinicalRecord)}


def test_a_touched_field_changes_the_record_and_no_other(form, pair):
    form.inputs["systolic.grade"].value = "III/VI"
    form.inputs["heart_rate"].value = 120
    record = pair[0].record
    systolic = dataclasses.replace(record.systolic, grade="III/VI")
    assert form.record == record.replace(systolic=systolic, heart_rate=120)
    form.inputs["heart_rate"].value = None
    form.inputs["sex"].label = "not known"
    assert (form.record.heart_rate, form.record.sex) == (None, None)
    assert form.inputs["diastolic.grade"].label == "not known"


def test_a_murmur_that_is_gone_takes_its_description_along(form):
    form.inputs["murmur"].value = "Absent"
    assert form.inputs["systolic.grade"].disabled
    assert (form.record.systolic, form.record.murmur_locations) == (None, ())


def test_a_text_fills_the_form_and_says_what_a_diagnosis_implies(form):
    form.text.value = "ventricular septal defect, HR 120, zebra"
    form.read()
    assert form.inputs["heart_rate"].value == 120
    assert form.inputs["conditions"].value == ("vsd",)
    assert form.inputs["systolic.quality"].value == "Harsh"
    assert "Implied by the diagnosis:</b> murmur; systolic" in form.message.value
    assert "zebra" in form.message.value


def test_asking_makes_the_edit_and_shows_the_pair(form, pair, monkeypatch):
    shown = []
    monkeypatch.setattr(form, "_show", shown.append)
    form.inputs["systolic.grade"].value = "III/VI"
    form.ask()
    assert torch.equal(form.edited.latent["murmur"], pair[1].latent["murmur"])
    assert "systolic grade: I/VI → III/VI" in form.message.value
    assert "hldm-pair" in shown[0].data
    form.seed.value = 8
    form.renew()
    assert (form.base.seed, form.edited) == (8, None)
    assert form.record.systolic.grade == "III/VI"


def test_contradictions_are_told_and_make_no_sound(form, monkeypatch):
    monkeypatch.setattr(form, "_filled", form._filled.replace(murmur="Absent", systolic=None, murmur_locations=()))
    form.inputs["systolic.grade"].value = "III/VI"
    form.ask()
    assert form.edited is None
    assert "murmur" in form.message.value


def test_a_form_on_a_page_is_off_and_says_why(form, monkeypatch):
    assert "application/vnd.jupyter.widget-view+json" in form._repr_mimebundle_()
    monkeypatch.setenv("HLDM_BOOK", "1")
    [page] = form._repr_mimebundle_().values()
    assert '<fieldset class="hldm-form" disabled><legend>This form needs a kernel' in page
    assert '<label>grade <input value="I/VI"></label>' in page
    assert page.count("<label>") == len(form.inputs) + 2  # and the text and the seed


def test_the_command_edits_as_many_hearts_as_asked(synth, monkeypatch, capsys):
    monkeypatch.setattr(Synthesizer, "from_pretrained", lambda: synth)
    monkeypatch.setattr(
        "hldm.evaluation.commands.evaluate_what_if", lambda _, seeds, **options: [pd.DataFrame({"n": [len(seeds)]})]
    )
    assert cli.main(["evaluate", "--what-if", "--seeds", "100"]) == 0
    assert "100" in capsys.readouterr().out
