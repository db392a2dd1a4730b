"""Voronoi bins: the tessellation against brute force, and what bins have reached."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pyxt_hpc.binning.voronoi import assign


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
