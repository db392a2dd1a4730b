"""Maps by ClusterPyXT's formulas, compared with its own loops written out."""

import numpy as np
import pytest

from pyxt_hpc.maps.kinds.clusterpyxt import mean_flux, scaled


def test_mean_of_the_circle_as_clusterpyxt_takes_it() -> None:
    rng = np.random.default_rng(7)
    counts = rng.poisson(3.0, (23, 31))
    exposure = rng.uniform(1e3, 2e3, counts.shape)
    exposure[5:8, 4:9] = 0.0
    radius = np.where(rng.random(counts.shape) < 0.3, 0.0, rng.integers(8, 48, counts.shape) / 8.0)
    flux = np.divide(counts, exposure, out=np.zeros(counts.shape), where=exposure > 0)
    y, x = np.indices(counts.shape)
    expected = np.zeros(counts.shape)
    for row, col in np.argwhere(radius > 0):
        # ``sb_map[radius_map <= scale_map[x, y]].mean()`` of ClusterPyXT's acb.py
        expected[row, col] = flux[np.hypot(y - row, x - col) <= radius[row, col]].mean()
    np.testing.assert_allclose(mean_flux(counts, exposure, radius.astype(np.float32)), expected, rtol=1e-6)


def test_scaled_as_normalize_data_does_it() -> None:
    image = np.array([[np.nan, -1.0], [3.0, 1.0]])
    np.testing.assert_allclose(scaled(image), [[0.25, 0.0], [1.0, 0.5]])
    assert not scaled(np.zeros((2, 2))).any()


def test_flat_images_give_no_division_by_zero() -> None:
    with np.errstate(all="raise"):
        assert scaled(np.full((3, 3), 7.0)).max() == pytest.approx(0.0)
