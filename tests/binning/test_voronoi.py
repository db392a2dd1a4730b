"""Voronoi bins: the tessellation against brute force, and what bins have reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxt_hpc.binning.bins import signal_to_noise, sums_of
from pyxt_hpc.binning.voronoi import GOOD, assign, voronoi_bins
from pyxt_hpc.errors import ConfigError, DamagedFile


@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.floats(0.0, 3.0))
def test_tessellation_is_that_of_brute_force(seed: int, n: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    live = rng.random((23, 31)) < 0.9
    row, col = rng.uniform(-3, 26, n), rng.uniform(-3, 34, n)
    scale = np.exp(rng.normal(0.0, spread, n))
    labels = assign(live, row, col, scale)
    y, x = np.mgrid[:23, :31]
    value = ((row - y[..., None]) ** 2 + (col - x[..., None]) ** 2) / scale**2
    np.testing.assert_array_equal(labels == -1, ~live)
    chosen = np.take_along_axis(value, np.maximum(labels - 1, 0)[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(chosen[live], value.min(axis=-1)[live], rtol=1e-12)


def test_generators_without_scale_get_nothing() -> None:
    labels = assign(np.ones((5, 5), bool), np.array([2.0, 2.0]), np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    assert set(labels.ravel().tolist()) == {2}


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    mean=st.floats(0.0, 20.0),
    background=st.floats(0.0, 2.0),
    live=st.floats(0.3, 1.0),
    target=st.floats(1.0, 15.0),
    min_area=st.sampled_from([0, 1, 7]),
)
def test_bins_of_live_pixels_are_good(
    seed: int, mean: float, background: float, live: float, target: float, min_area: int
) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((19, 27)) < live).astype(np.uint8)
    counts = rng.poisson(mean * rng.random(mask.shape) + background)
    expected = np.full(mask.shape, background)
    labels = voronoi_bins(counts, expected, expected, mask, target, min_area=min_area)
    n = labels.max()
    assert set(labels.ravel().tolist()) | {0} == set(range(n + 1))
    assert (labels[mask == 0] == 0).all()
    if n:
        ratio = signal_to_noise(*sums_of(labels, [counts, expected, expected]))[1:] / target
        assert ratio.min() >= GOOD
        assert np.bincount(labels.ravel())[1:].min() >= min_area


def test_a_cluster(made_cluster: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    counts, background, mask = made_cluster
    labels = voronoi_bins(counts, background, background, mask, 20.0)
    ratio = signal_to_noise(*sums_of(labels, [counts, background, background]))[1:] / 20.0
    assert ((labels > 0) == (mask > 0)).all()
    assert 200 < labels.max() < 400
    assert ((ratio >= 1.0) & (ratio <= 1.15)).mean() >= 0.95
    assert np.std(ratio) < 0.04
    y, x = np.indices(labels.shape)
    n, y1, x1, square = sums_of(labels, [mask, y, x, y**2 + x**2])[:, 1:]
    inertia = (square / n - (y1 / n) ** 2 - (x1 / n) ** 2) / (n / (2 * np.pi))
    assert np.median(inertia[n > 20]) < 1.15  # of a disc it is 1, of a square 1.05


def test_least_area_and_largest(made_cluster: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    counts, background, mask = made_cluster
    labels = voronoi_bins(counts, background, background, mask, 20.0, min_area=40.0)
    area = np.bincount(labels.ravel())[1:]
    assert area.min() >= 40
    labels = voronoi_bins(counts, background, background, mask, 20.0, largest=300)
    left = (labels == 0) & (mask > 0)
    assert 0.1 < left.mean() < 0.9
    assert np.bincount(labels.ravel())[1:].max() <= 300


def test_what_cannot_be() -> None:
    none = np.zeros((9, 9))
    assert not voronoi_bins(none, none, none, none + 1, 5.0).any()
    assert not voronoi_bins(none + 9, none, none, none, 5.0).any()
    with pytest.raises(ConfigError, match="target: found -1"):
        voronoi_bins(none, none, none, none + 1, -1.0)
    with pytest.raises(DamagedFile, match="negative"):
        voronoi_bins(none - 1, none, none, none + 1, 5.0)
