"""The coarse-to-fine curriculum: rhythm, then sounds, then murmur and noise, all equal in the end."""

import numpy as np
import pytest

from hldm.config import SUBSPACES
from hldm.training.curriculum import Curriculum


def weights(progress, **changes):
    return dict(zip(SUBSPACES, Curriculum(**changes).weights(progress), strict=True))


def test_each_subspace_waits_for_its_turn():
    assert weights(0.0) == {"rhythm": 1.0, "sounds": 0.05, "murmur": 0.05, "noise": 0.05}
    assert weights(0.15) == {"rhythm": 1.0, "sounds": 1.0, "murmur": 0.05, "noise": 0.05}
    assert set(weights(0.23).values()) == set(weights(1.0).values()) == {1.0}


def test_weights_rise_slowly_and_never_fall():
    rows = np.array([Curriculum().weights(k / 1000) for k in range(1001)])
    rises = np.diff(rows, axis=0)
    assert rises.min() >= 0
    assert rises.max() == pytest.approx(0.95 * 0.001 / 0.02)


def test_phases_end_with_the_update_before_the_next_turn():
    for steps in (2, 7, 100, 12345):
        ends = Curriculum().ends(steps)
        assert ends["details"] == steps
        for phase, turn in {"rhythm": 0.1, "sounds": 0.2}.items():
            assert (ends[phase] - 1) / steps < turn <= ends[phase] / steps


@pytest.mark.parametrize("changes", [{"sounds": 0.3}, {"details": 1.5}, {"ramp": 0.0}])
def test_a_curriculum_out_of_order_is_refused(changes):
    with pytest.raises(ValueError, match="expected"):
        Curriculum(**changes)
