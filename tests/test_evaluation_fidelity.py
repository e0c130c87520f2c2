"""Fidelity metrics against scipy, scikit-learn, closed forms and hand computation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from sklearn.neighbors import NearestNeighbors

from hldm.evaluation import Sample, interval, real_vs_real
from hldm.evaluation import fidelity as f


def draw(seed: int, n: int, d: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + shift


def test_distances_of_pairs_by_hand():
    rng = np.random.default_rng(0)
    log_mel, magnitude = rng.normal(-50, 10, (2, 8, 20)), rng.random((2, 8, 20))
    assert f.mel_spectral_distance(log_mel + 3, log_mel) == pytest.approx([3, 3])
    uneven = np.zeros((8, 20))
    uneven[:4] = 2  # half of the mels off by 2 dB: root mean square sqrt(2)
    assert f.mel_spectral_distance(log_mel + uneven, log_mel) == pytest.approx([2**0.5, 2**0.5])
    assert f.spectral_convergence(0.9 * magnitude, magnitude) == pytest.approx([0.1, 0.1])
    assert f.spectral_correlation(2 * log_mel + 7, log_mel) == pytest.approx([1, 1])
    assert f.spectral_correlation(log_mel[0], log_mel[1]) == pytest.approx(
        np.corrcoef(log_mel[0].ravel(), log_mel[1].ravel())[0, 1]
    )
    assert f.signal_to_noise(1.1 * magnitude.ravel(), magnitude.ravel()) == pytest.approx(20)
    assert f.signal_to_noise(np.ones(5), np.ones(5)) == np.inf
    with pytest.raises(ValueError, match=r"\(2, 8, 19\), expected the reference's \(2, 8, 20\)"):
        f.spectral_convergence(magnitude[..., :19], magnitude)


@pytest.mark.parametrize(("n", "d"), [(50, 1), (200, 5), (20, 30)])  # the last has singular covariances
def test_frechet_distance_is_scipys(n, d):
    x, y = draw(0, n, d), draw(1, n, d, shift=0.5)
    cov_x, cov_y = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    trace = np.trace(cov_x + cov_y - 2 * np.real(sqrtm(cov_x @ cov_y)))
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + trace
    assert f.frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)


@given(st.integers(0, 99), st.floats(-3, 3), st.floats(0.1, 3))
@settings(max_examples=25, deadline=None)
def test_frechet_distance_of_shifted_and_scaled_data(seed, shift, scale):
    x = np.random.default_rng(seed).standard_normal((30, 1))
    moved = scale * x + shift  # 1-D Gaussians: (difference of means)^2 + (difference of deviations)^2
    expected = (moved.mean() - x.mean()) ** 2 + ((scale - 1) * x.std(ddof=1)) ** 2
    assert f.frechet_distance(x, moved) == pytest.approx(expected, abs=1e-8)
    assert f.frechet_distance(moved, x) == pytest.approx(expected, abs=1e-8)


def test_kernel_distance_by_hand():
    x, y = draw(0, 6, 3), draw(1, 7, 3, shift=1)
    width = np.median([np.linalg.norm(y[i] - y[j]) for i in range(7) for j in range(i)])

    def k(a, b):
        return np.exp(-np.sum((a - b) ** 2) / (2 * width**2))

    xx = np.mean([k(x[i], x[j]) for i in range(6) for j in range(6) if i != j])
    yy = np.mean([k(y[i], y[j]) for i in range(7) for j in range(7) if i != j])
    xy = np.mean([k(a, b) for a in x for b in y])
    assert f.kernel_distance(x, y) == pytest.approx(100 * (xx + yy - 2 * xy))


def test_kernel_distance_is_unbiased_and_sees_a_shift():
    rng = np.random.default_rng(0)
    same = [f.kernel_distance(rng.normal(size=(30, 4)), rng.normal(size=(30, 4))) for _ in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(200)
    assert f.kernel_distance(rng.normal(1, 1, (30, 4)), rng.normal(size=(30, 4))) > 5 * np.std(same)


@given(st.integers(0, 999), st.integers(8, 30), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_manifold_metrics_against_nearest_neighbours(seed, n, d):
    x, real = draw(seed, n, d, shift=0.5), draw(seed + 1, n, d)
    k = 3
    radius_x = NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0][:, -1]
    radius_real = NearestNeighbors(n_neighbors=k).fit(real).kneighbors()[0][:, -1]
    near = [[np.linalg.norm(a - b) < radius_real[i] for b in x] for i, a in enumerate(real)]
    back = [[np.linalg.norm(a - b) < radius_x[j] for j, b in enumerate(x)] for a in real]
    found = f.prdc(x, real, k)
    assert found.precision == pytest.approx(np.any(near, axis=0).mean())
    assert found.recall == pytest.approx(np.any(back, axis=1).mean())
    assert found.density == pytest.approx(np.sum(near) / (k * n))
    assert found.coverage == pytest.approx(np.any(near, axis=1).mean())
    assert f.prdc(real, real).precision == f.prdc(real, real).coverage == 1


def test_manifold_tells_few_modes_from_wild_points():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 2))
    narrow, wide = f.prdc(0.1 * rng.normal(size=(200, 2)), real), f.prdc(5 * real[::-1] + 0.1, real)
    assert narrow.precision > 0.95 > 0.3 > narrow.recall
    assert wide.precision < 0.3


def test_two_sample_auc_of_equal_and_of_distant_sets():
    rng = np.random.default_rng(0)
    real = Sample.of(rng.normal(size=(200, 8)), np.repeat(range(50), 4))
    assert f.two_sample_auc(Sample.of(rng.normal(size=(200, 8))), real) == pytest.approx(0.5, abs=0.08)
    assert f.two_sample_auc(Sample.of(rng.normal(3, 1, (200, 8))), real) > 0.99


def test_two_sample_auc_does_not_learn_patients():
    """Four identical rows of each patient: with a patient in both folds, the classifier would know them by heart."""
    rng = np.random.default_rng(1)
    samples = [Sample.of(np.repeat(rng.normal(size=(15, 40)), 4, axis=0), np.repeat(range(15), 4)) for _ in range(2)]
    assert f.two_sample_auc(*samples) < 0.75


@given(st.lists(st.integers(0, 9), min_size=4, max_size=60).filter(lambda g: len(set(g)) > 1), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_halves_share_no_patient(groups, seed):
    sample = Sample.of(np.arange(len(groups)), groups)
    first, second = sample.halves(np.random.default_rng(seed))
    assert not set(first.groups) & set(second.groups)
    assert sorted([*first.values, *second.values]) == list(range(len(groups)))
    assert len(first)
    assert len(second)


def test_interval_of_a_mean_is_that_of_theory():
    patients = np.random.default_rng(0).normal(size=400)
    rows = Sample.of(np.repeat(patients, 3), np.repeat(range(400), 3))
    found = interval(lambda s: s.values.mean(), rows, repeats=600)
    assert found.value == pytest.approx(patients.mean())
    assert (found.n, found.groups) == (1200, 400)
    # Three rows of a patient are one witness: the width is that of 400 patients, not of 1,200 rows.
    assert found.high - found.low == pytest.approx(2 * 1.96 * patients.std() / 400**0.5, rel=0.15)


def test_interval_covers_the_truth_of_a_set_distance():
    """Of two samples of one distribution the kernel distance is 0: the interval has to say so most of the time."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(25):
        x, y = Sample.of(rng.normal(size=(40, 3))), Sample.of(rng.normal(size=(40, 3)))
        found = interval(lambda a, b: f.kernel_distance(a.values, b.values), x, y, repeats=60)
        hits += found.low <= 0 <= found.high
    assert hits >= 21


def test_floor_is_at_the_size_asked_for():
    real = Sample.of(draw(0, 300, 4), np.repeat(range(100), 3))

    def frechet(a, b):
        return f.frechet_distance(a.values, b.values)

    small, large = real_vs_real(frechet, real, n=20), real_vs_real(frechet, real)
    assert small.n == 20
    assert 120 <= large.n <= 150
    assert small.value > 2 * large.value > 0  # the bias that makes a floor worth printing


def test_a_sample_of_one_patient_has_no_interval():
    with pytest.raises(ValueError, match="1 patient"):
        interval(lambda s: s.values.mean(), Sample.of([1, 2, 3], ["a"] * 3))
    with pytest.raises(ValueError, match="2 groups for 3 rows"):
        Sample.of([1, 2, 3], ["a", "b"])
