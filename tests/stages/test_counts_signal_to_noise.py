"""S/N of all counts, as ClusterPyXT has had it since 2022, against its bisection."""

import math

import numpy as np

from pyxt_hpc.binning.circles import prepare_circle_sums, scale_map_rows


def bisection(image: np.ndarray, row: int, col: int, target: float) -> float:
    """``binary_search_radii`` of ClusterPyXT's acb.py since March 2022, in its own steps; 0 for None."""
    radii = np.arange(start=1, stop=100.125, step=0.125)
    y, x = np.indices(image.shape)
    distance = np.hypot(y - row, x - col)
    left, right, last_good = 0, len(radii), 0.0
    while left < right:
        middle = (left + right) // 2
        total = image[distance <= radii[middle]].sum()
        if total / math.sqrt(total) < target if total else True:
            left = middle + 1
        else:
            last_good, right = radii[middle], middle
    return last_good


def test_radii_are_those_of_clusterpyxt() -> None:
    rng = np.random.default_rng(3)
    y, x = np.indices((40, 36))
    counts = rng.poisson(6.0 / (1.0 + ((y - 20.0) ** 2 + (x - 17.0) ** 2) / 40.0) + 0.2).astype(np.int32)
    nothing = np.zeros(counts.shape, np.float32)
    sums = prepare_circle_sums(counts, nothing, nothing, np.ones(counts.shape, np.uint8))
    radius, signal_to_noise = scale_map_rows(sums, 0, 40, 9.0)
    # sqrt(C) grows with the radius, so bisection finds the smallest circle, too
    expected = [[bisection(counts, row, col, 9.0) for col in range(36)] for row in range(40)]
    np.testing.assert_array_equal(radius, np.array(expected, np.float32))
    assert (signal_to_noise[radius > 0] >= 9.0).all()
