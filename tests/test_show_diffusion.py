"""What chapter 5 shows of the denoiser: latents, and maps on the beat grid."""

import numpy as np
import pytest

from hldm.config import SUBSPACES
from hldm.show import beat_maps, latent

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
