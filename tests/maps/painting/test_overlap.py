"""Overlap of circles: the closed forms, and counting of pixels."""

import numpy as np
import pytest

from pyxt_hpc.maps.painting.overlap import mean_correlation, shared_area


def test_limits() -> None:
    assert shared_area(0.0, 2.0, 3.0) == shared_area(1.0, 3.0, 2.0) == pytest.approx(4 * np.pi)
    assert shared_area(5.0, 2.0, 3.0) == 0.0
    # two unit circles through each other's centres
    assert shared_area(1.0, 1.0, 1.0) == pytest.approx(2 * np.pi / 3 - np.sqrt(3) / 2)


@pytest.mark.parametrize(("distance", "radius", "other"), [(70.0, 60.0, 40.0), (30.0, 20.0, 45.0)])
def test_unequal_circles_by_counting(distance: float, radius: float, other: float) -> None:
    y, x = np.mgrid[-100:200, -100:200]
    both = (np.hypot(x, y) <= radius) & (np.hypot(x - distance, y) <= other)
    assert shared_area(distance, radius, other) == pytest.approx(both.sum(), rel=0.01)


def test_mean_correlation_by_drawing_pairs() -> None:
    rng = np.random.default_rng(1)
    z = np.sqrt(rng.random((2, 20_000))) * np.exp(2j * np.pi * rng.random((2, 20_000)))
    shares = [shared_area(d, 1.0, 1.0) / np.pi for d in np.abs(z[0] - z[1])]
    assert mean_correlation() == pytest.approx(np.mean(shares), rel=0.01)
