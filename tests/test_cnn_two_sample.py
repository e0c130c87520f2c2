"""The small CNN tells sets apart that differ, and no others; it never meets a patient twice."""

import numpy as np
import pytest
import torch

from hldm.evaluation import Sample
from hldm.evaluation.cnn_two_sample import _network, cnn_two_sample

TINY = {"updates": 12, "batch_size": 8, "repeats": 10}


def hums(seed: int, patients: int, frequency: float) -> Sample:
    """Two sounds of a second each of every patient: a sine in noise, both of the patient's own loudness."""
    rng, time = np.random.default_rng(seed), np.arange(4000) / 4000
    gains = rng.uniform(0.05, 0.2, patients).repeat(2)[:, None]
    sounds = gains * (np.sin(2 * np.pi * frequency * time) + rng.normal(0, 0.3, (2 * patients, len(time))))
    return Sample.of(sounds, [f"p{i}" for i in range(patients) for _ in range(2)])


def test_it_hears_another_pitch_and_nothing_between_real_and_real():
    before, real = torch.random.get_rng_state(), hums(0, 24, 100)
    row = cnn_two_sample(hums(1, 12, 400), real, **TINY, data="hums")
    assert torch.equal(before, torch.random.get_rng_state())
    assert row.value.value > 0.95
    assert row.real.value < 0.8
    assert row.value.low <= row.value.value <= row.value.high
    assert (row.value.n, row.real.n, row.real.groups, row.data) == (24, 24, 12, "hums")
    assert row.measured_by.endswith(" weights, 12 updates")
    assert cnn_two_sample(hums(1, 12, 400), real, **TINY, data="hums") == row


def test_it_has_about_50_thousand_weights():
    assert sum(p.numel() for p in _network().parameters()) == pytest.approx(50_000, rel=0.1)


def test_real_sounds_of_one_patient_are_refused():
    with pytest.raises(ValueError, match="two patients or more"):
        cnn_two_sample(hums(1, 4, 400), hums(0, 1, 100), **TINY)
