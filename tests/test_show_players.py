"""Players in a browser: one switch for small speakers, and sounds that go on where their alternatives were."""

import json
import re

import numpy as np
import pytest

from hldm.book.browser import DESKTOP, find_browser, look, open_browser
from hldm.book.media import take_out
from hldm.book.serve import served
from hldm.show import choices, compare, player, scrub

needs_browser = pytest.mark.skipif(find_browser() is None, reason="no chromium with chromedriver on this machine")
TONE = np.sin(np.arange(40000) / 20) / 2


def test_a_slider_has_a_place_for_every_output_in_order():
    page = scrub({"t = 999": "<p>noise</p>", "t < 1": "<p>sound</p>"}, title="From <noise>", control="Step").data
    assert 'max="1"' in page
    assert "<noise>" not in page
    names = re.search(r'data-names="([^"]+)"', page)[1].replace("&quot;", '"').replace("&lt;", "<")
    assert json.loads(names) == ["t = 999", "t < 1"]
    assert page.index("<p>noise</p>") < page.index("<p>sound</p>")


def test_a_slider_without_outputs_is_told():
    with pytest.raises(ValueError, match="outputs: found none"):
        scrub({}, title="x", control="y")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A browser on a page of the site: two sounds side by side, three on a slider, two in a menu."""
    folder = tmp_path_factory.mktemp("players")
    three = {name: player(TONE, 4000, title=name) for name in ("one", "two", "three")}
    two = {name: player(TONE, 4000, title=name) for name in ("soft", "loud")}
    shown = [
        compare(TONE, TONE / 2, 4000, titles=("left", "right")),
        scrub(three, title="x", control="y"),
        choices(two, title="x", controls=("How",)),
    ]
    body = "".join(each.data for each in shown)
    (folder / "page.html").write_text(f'<!doctype html><link rel="icon" href="data:,"><body>{body}</body>')
    take_out(folder)
    with served(folder) as address, open_browser() as driver:
        look(driver, DESKTOP)
        driver.get(f"{address}/page.html")
        yield driver
        assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


#: Waits for a condition, and gives the sounds by title: whether they play, and at which second.
RUN = """
const done = arguments[arguments.length - 1];
const sounds = () => Object.fromEntries([...document.querySelectorAll("audio")].map((a) => [a.ariaLabel, a]));
const until = async (condition) => { while (!condition()) await new Promise((next) => setTimeout(next, 10)); };
const play = async (audio, from) => {
  Object.assign(audio, { muted: true, currentTime: from });
  await audio.play();
  await until(() => audio.currentTime > from);
};
for (const audio of Object.values(sounds())) audio.muted = true;
const state = () => Object.fromEntries(
  Object.values(sounds()).filter((a) => !a.paused).map((a) => [a.ariaLabel, a.currentTime]));
(async () => { BODY; return state(); })().then(done, (error) => done(String(error)));
"""


def run(driver, body):
    return driver.execute_async_script(RUN.replace("BODY", body))


@needs_browser
def test_a_page_loads_no_sound_before_one_is_played(page):
    loaded = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert not [name for name in loaded if name.endswith(".wav")]
    assert page.execute_script("return document.body.innerHTML.includes('data:audio')") is False


@needs_browser
def test_a_button_changes_the_sound_and_goes_on_at_the_same_moment(page):
    step = """await play(sounds().left, 3);
        document.querySelector(".hldm-ab").click(); await until(() => sounds().left.paused)"""
    [(title, at)] = run(page, step).items()
    assert title == "right"
    assert 3 <= at < 5
    [(title, _)] = run(
        page, 'document.querySelector(".hldm-ab").click(); await until(() => sounds().right.paused)'
    ).items()
    assert title == "left"


@needs_browser
@pytest.mark.parametrize(
    ("control", "before", "after", "event"),
    [("input[type=range]", "one", "three", "input"), (".hldm-choices select", "soft", "loud", "change")],
)
def test_choosing_another_sound_goes_on_at_the_same_moment(page, control, before, after, event):
    step = f"""await play(sounds().{before}, 4);
        const control = document.querySelector("{control}");
        control.value = "{2 if event == "input" else after}"; control.dispatchEvent(new Event("{event}"));
        await until(() => sounds().{before}.paused)"""
    [(title, at)] = run(page, step).items()  # the sounds before are silent
    assert title == after
    assert 4 <= at < 6


@needs_browser
def test_one_switch_brings_all_versions_for_small_speakers_and_is_remembered(page):
    sources = (
        "return [...document.querySelectorAll('audio')].map((audio) => [audio.getAttribute('src'), audio.dataset])"
    )
    [button] = page.find_elements("css selector", ".hldm-switch")
    notes = page.find_elements("css selector", ".hldm-small")
    assert not any(note.is_displayed() for note in notes)
    for state in ("true", "false", "true"):
        button.click()
        assert button.get_attribute("aria-checked") == state
        wanted = "small" if state == "true" else "full"
        assert all(source == data[wanted] for source, data in page.execute_script(sources))
    page.refresh()
    assert all(source == data["small"] for source, data in page.execute_script(sources))
    assert any(note.is_displayed() for note in page.find_elements("css selector", ".hldm-small"))
