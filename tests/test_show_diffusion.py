"""What chapter 5 shows of the denoiser: latents, maps on the beat grid, and a slider that works without a kernel."""

import json
import re

import numpy as np
import pytest

from hldm.book.check import DESKTOP, find_browser
from hldm.book.check import _browser as browser
from hldm.book.check import _look as look
from hldm.book.check import _serve as served
from hldm.config import SUBSPACES
from hldm.show import beat_maps, latent, player, scrub

BEATS = np.linspace(0, 3, 12)


def test_a_latent_stands_in_its_subspaces_the_first_on_top():
    z = np.arange(32 * 10.0).reshape(32, 10)
    figure = latent(z, 0.064, title="z")
    np.testing.assert_allclose(figure.data[0].z, z)
    assert figure.data[0].x[-1] == pytest.approx(9 * 0.064)
    assert tuple(figure.layout.yaxis.ticktext) == SUBSPACES
    assert figure.layout.yaxis.autorange == "reversed"
    assert [line.y0 for line in figure.layout.shapes] == [7.5, 15.5, 23.5]


def test_what_a_mask_cuts_stays_empty_and_a_menu_chooses_the_set():
    mask = np.zeros((3, 12, 12))
    mask[0, 2, 5] = -np.inf
    figure = beat_maps({"a": mask, "b": mask + 1}, ["1", "2", "3"], BEATS, title="M", unit="nats", span=(-4, 4))
    assert len(figure.data) == 6
    assert np.isnan(figure.data[0].z[2, 5])
    assert np.isfinite(figure.data[1].z).all()
    assert [trace.visible for trace in figure.data] == [True] * 3 + [False] * 3
    [menu] = figure.layout.updatemenus
    assert [list(button.args[1]) for button in menu.buttons] == [[True] * 3 + [False] * 3, [False] * 3 + [True] * 3]
    assert all(np.allclose(trace.x, BEATS, atol=1e-3) for trace in figure.data)


def test_one_set_of_maps_needs_no_menu():
    figure = beat_maps({"a": np.zeros((1, 12, 12))}, ["1"], BEATS, title="M", unit="", span=(0, 1))
    assert not figure.layout.updatemenus


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


@pytest.mark.skipif(find_browser() is None, reason="no chromium with chromedriver on this machine")
def test_moving_the_slider_shows_its_output_and_goes_on_where_one_was_listening(tmp_path):
    tone = np.sin(np.arange(20000) / 20) / 2
    page = scrub({name: player(tone, 4000, title=name) for name in ("one", "two", "three")}, title="x", control="y")
    (tmp_path / "scrub.html").write_text('<!doctype html><link rel="icon" href="data:,">' + page.data)
    move = """const slider = document.querySelector("input[type=range]");
        slider.value = arguments[0]; slider.dispatchEvent(new Event("input"));
        const shown = [...document.querySelectorAll(".hldm-panel")].filter((panel) => !panel.hidden);
        return [shown.length, shown[0].querySelector("figcaption").textContent,
                document.querySelector("output").textContent, shown[0].querySelector("audio").currentTime];"""
    with served(tmp_path) as address, browser() as driver:
        look(driver, DESKTOP)
        driver.get(f"{address}/scrub.html")
        assert driver.execute_script(move, 2)[:3] == [1, "three", "three"]
        play = """const [done] = [arguments[0]], audio = document.querySelectorAll("audio")[2];
            Object.assign(audio, {muted: true, currentTime: 2, playbackRate: 0.0625});  // slow enough for any machine
            audio.play().then(() => done(true), () => done(false));"""
        if driver.execute_async_script(play):
            assert driver.execute_script(move, 1)[3] >= 2
        assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
