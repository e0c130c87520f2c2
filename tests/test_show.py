"""What a reader hears is the sound itself, what a reader sees has words, and wrong inputs are told."""

import base64
import html
import io
import json
import re

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import welch

from hldm.data import Recording, Segment, State
from hldm.show import bars, choices, cloud, compare, matrix, player, shaded, show, spectrogram, waveform
from hldm.show.plots import MAX_POINTS, PageRenderer, decibels, use_book_figures
from hldm.show.session import setup

RATE = 4000


def tone(frequency: float, amplitude: float = 0.5, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def sounds_of(page) -> list[tuple[np.ndarray, int]]:
    """Every sound that an output carries, decoded."""
    uris = re.findall(r'"data:audio/wav;base64,([^"]+)"', page.data)
    return [soundfile.read(io.BytesIO(base64.b64decode(uri))) for uri in uris]


@given(st.integers(1, 5000), st.floats(0.01, 1.0))
def test_a_player_carries_the_samples_as_they_are(length, amplitude):
    sound = amplitude * np.random.default_rng(length).uniform(-1, 1, length)
    [(samples, rate)] = sounds_of(player(sound, RATE, title="a sound", boost=False))
    assert rate == RATE
    np.testing.assert_allclose(samples, sound, atol=2 / 2**15)


def test_a_player_takes_a_recording():
    recording = Recording(tone(50).astype(np.float32), RATE)
    (samples, rate), _ = sounds_of(player(recording, title="a recording"))
    assert (len(samples), rate) == (RATE, RATE)


@pytest.mark.parametrize("rate", [500, 1000, 2000, 2999])
def test_rates_that_browsers_refuse_are_raised_without_changing_the_sound(rate):
    [(samples, raised)] = sounds_of(player(tone(50, seconds=2, rate=rate), rate, title="slow", boost=False))
    assert raised >= 3000
    assert len(samples) / raised == pytest.approx(2, abs=0.01)
    middle = samples[raised // 2 : -raised // 2]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_the_version_for_small_speakers_is_two_octaves_higher_and_as_long():
    original, boosted = sounds_of(player(tone(50, seconds=4), RATE, title="low"))
    frequencies, power = welch(boosted[0], RATE, nperseg=4096)
    assert frequencies[power.argmax()] == pytest.approx(200, abs=4)
    assert len(boosted[0]) == len(original[0])
    assert np.abs(boosted[0]).max() == pytest.approx(0.9, abs=0.01)


def test_the_version_for_small_speakers_says_so():
    text = player(tone(50), RATE, title="low").data
    assert "Playback only" in text
    assert "2 octaves higher" in text
    assert "Playback only" not in player(tone(50), RATE, title="low", boost=False).data


@given(st.integers(1, 600))
def test_a_sound_however_short_has_both_versions(length):
    full, small = sounds_of(player(np.full(length, 0.5), RATE, title="short"))
    assert len(full[0]) == len(small[0]) == length


def test_comparing_keeps_the_difference_in_level_in_both_versions():
    a, a_boosted, b, b_boosted = (s for s, _ in sounds_of(compare(tone(60), tone(60) / 4, RATE)))
    assert np.abs(a).max() / np.abs(b).max() == pytest.approx(4, rel=0.01)
    assert np.abs(a_boosted).max() / np.abs(b_boosted).max() == pytest.approx(4, rel=0.01)


def test_titles_are_text_and_every_picture_and_player_has_words():
    page = compare(tone(60), tone(90), RATE, titles=("<b>5 > 4</b>", 'the "other"')).data
    assert "<b>5" not in page
    assert len(re.findall(r'<img loading="lazy" alt="[^"]+"', page)) == len(re.findall("<img", page)) == 2
    assert len(re.findall(r'<audio [^>]*aria-label="[^"]+"', page)) == 2
    assert 'alt="beats"' in player(tone(60), RATE, title="x", alt="beats").data


@pytest.mark.parametrize(
    ("sound", "rate", "named"),
    [
        (np.zeros(0), RATE, "sound"),
        (np.zeros((2, 10)), RATE, "sound"),
        (np.array([0.0, np.nan]), RATE, "sound"),
        (np.zeros(10), None, "sampling_rate"),
    ],
)
def test_what_is_no_sound_is_told(sound, rate, named):
    with pytest.raises(ValueError, match=f"{named}: found .* expected"):
        player(sound, rate, title="x")


def test_levels_are_relative_to_a_sine_at_full_scale():
    _, frequencies, levels = decibels(tone(500, amplitude=1.0), RATE)
    middle = levels[:, levels.shape[1] // 2]
    assert frequencies[middle.argmax()] == 500
    assert middle.max() == pytest.approx(0, abs=0.1)
    _, _, softer = decibels(tone(500, amplitude=0.1), RATE)
    assert softer[:, softer.shape[1] // 2].max() == pytest.approx(-20, abs=0.1)


@given(st.integers(1, 3000))
def test_levels_are_finite_and_inside_the_sound(length):
    times, _, levels = decibels(np.zeros(length), RATE)
    assert len(times) == levels.shape[1] >= 1
    assert times.max() <= length / RATE
    assert (levels == -80).all()


@given(st.integers(MAX_POINTS + 1, 60000))
def test_a_long_waveform_is_thinned_without_losing_its_extremes(length):
    sound = np.random.default_rng(length).normal(size=length).astype(np.float32)
    line = waveform(sound, RATE).data[0]
    assert len(line.x) == len(line.y) <= MAX_POINTS + 2
    assert (min(line.y), max(line.y)) == (sound.min(), sound.max())
    assert (np.diff(line.x) > 0).all()


def test_every_annotated_state_has_its_band_and_name():
    segments = [Segment(0, 0.1, State.S1), Segment(0.1, 0.3, State.SYSTOLE), Segment(0.3, 0.9, State.UNANNOTATED)]
    figure = waveform(tone(60), RATE, segments=segments)
    assert [trace.name for trace in figure.data[1:]] == ["S1", "Systole"]
    assert figure.data[2].x == (0.1, 0.1, 0.3, 0.3, None)


@pytest.mark.parametrize(
    "figure",
    [
        waveform(tone(60), RATE),
        spectrogram(tone(60), RATE),
        bars({"real": {"S1": 1.0}}, title="Level", x="Sound", y="Level (dB)"),
    ],
)
def test_figures_have_a_title_and_named_axes(figure):
    assert figure.layout.title.text
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text


def test_a_figure_for_a_page_is_html_only_and_complete():
    figure = waveform(tone(60), RATE, title="one </script> tone").update_layout(meta={"alt": 'a "tone"'})
    bundle = PageRenderer().to_mimebundle(figure.to_dict())
    assert set(bundle) == {"text/html"}  # jupyter-book takes any other type for a missing figure
    page = bundle["text/html"]
    assert html.unescape(re.search('aria-label="(.*?)"', page).group(1)) == 'a "tone"'
    drawn = json.loads(re.search(r"<script[^>]*>(.*)</script>", page).group(1))
    assert go.Figure(drawn).layout.title.text == figure.layout.title.text
    np.testing.assert_array_equal(
        go.Figure(drawn).to_dict()["data"][0]["y"]["bdata"], figure.to_dict()["data"][0]["y"]["bdata"]
    )


def test_showing_needs_words_and_a_title():
    with pytest.raises(ValueError, match="alt"):
        show(waveform(tone(60), RATE), alt=" ")
    with pytest.raises(ValueError, match="title"):
        show(go.Figure(), alt="nothing")


def test_only_a_page_changes_how_figures_are_drawn():
    before = pio.renderers.default, pio.templates.default
    try:
        use_book_figures(on_page=False)
        assert pio.renderers.default == before[0]
        use_book_figures(on_page=True)
        assert pio.renderers.default == "hldm"
        assert pio.templates.default == "hldm"
    finally:
        pio.renderers.default, pio.templates.default = before


def test_choices_show_one_panel_for_each_combination():
    outputs = {(grade, site): f"<p>{grade} {site}</p>" for grade in ("II", "IV") for site in ("AV", "MV")}
    page = choices(outputs, title="Hear it", controls=("Grade", "Site")).data
    keys = [json.loads(html.unescape(key)) for key in re.findall('data-key="(.*?)"', page)]
    assert keys == [list(key) for key in outputs]
    assert page.count("<select>") == 2
    assert page.count("<option>") == 4


def test_choices_take_players_and_bring_their_script_once():
    page = choices({str(f): player(tone(f), RATE, title="x") for f in (40, 80)}, title="x", controls=("Hz",)).data
    assert page.count("<audio") == 2
    assert page.count("<script>") == page.count("<style>") == 1


@pytest.mark.parametrize("outputs", [{}, {("a", "b"): ""}, {("a", "b", "c"): "", ("d", "e", "f"): ""}])
def test_choices_that_do_not_fit_their_menus_are_told(outputs):
    with pytest.raises(ValueError, match="outputs: found"):
        choices(outputs, title="x", controls=("A", "B", "C"))


def test_setup_gives_budget_and_device_and_knows_its_profiles(capsys):
    before = pio.templates.default
    try:
        profile, device = setup("smoke")
    finally:
        pio.templates.default = before
    assert profile.name == "smoke"
    assert device in ("cpu", "cuda")
    with pytest.raises(ValueError, match="'huge', expected one of smoke, laptop, gpu"):
        setup("huge")


def test_a_cloud_shows_the_points_of_one_field_at_a_time():
    points = np.arange(8.0).reshape(4, 2)
    fields = {"sex": ["Female", None, "Male", "Female"], "heard": [True, False, True, True]}
    figure = cloud(points, fields, title="t", x="x", y="y")
    [menu] = figure.layout.updatemenus
    assert [button.label for button in menu.buttons] == ["sex", "heard"]
    for button in menu.buttons:
        shown = [t for t, visible in zip(figure.data, button.args[1], strict=True) if visible]
        assert sorted(x for trace in shown for x in trace.x) == points[:, 0].tolist()
    visible = {trace.name: list(trace.x) for trace in figure.data if trace.visible}
    assert visible == {"unknown": [2], "Female": [0, 6], "Male": [4]}


def test_a_matrix_has_its_first_row_on_top_and_its_numbers_in_the_cells():
    figure = matrix([[0.25, 1], [0.5, 0]], ["a", "b"], ["c", "d"], title="t", x="x", y="y")
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.data[0].texttemplate == "%{z:.2f}"
    assert figure.data[0].z.tolist() == [[0.25, 1], [0.5, 0]]
    assert matrix([[1]], ["a"], ["b"], title="t", x="x", y="y", digits=0).data[0].texttemplate is None


def test_shaded_words_are_text_and_each_has_its_number():
    page = shaded(["<b>", "murmur"], [0.0, 2.0], title="How far").data
    assert "&lt;b&gt;" in page
    assert re.search(r'title="2.00"[^>]*0\.60\)[^>]*>murmur<', page)
    with pytest.raises(ValueError, match="1 for 2 words"):
        shaded(["a", "b"], [1.0], title="t")
