"""Ellipses: known ones are found, medians along them ignore what is not the cluster."""

import numpy as np
import pytest

from pyxt_hpc.arrays.ellipse import Ellipse
from pyxt_hpc.maps.shocks.ellipse import azimuthal_median, most_even_ellipse

SHAPE = (150, 170)


def elliptical(axis_ratio: float, angle: float) -> tuple[Ellipse, np.ndarray]:
    ellipse = Ellipse.of(70.0, 90.0, axis_ratio, angle)
    return ellipse, (1.0 + (ellipse.radius(SHAPE) / 20.0) ** 2) ** -1.3


def test_distance_is_along_equal_areas() -> None:
    ellipse = Ellipse.of(0.0, 0.0, 0.25, np.pi / 2)
    # the longer axis runs along the rows; half-axes 6 and 1.5 enclose the area of a circle of 3
    assert ellipse.distance(np.array([6.0, 0.0]), np.array([0.0, 1.5])) == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize(("axis_ratio", "angle"), [(0.6, 0.4), (0.8, -1.2), (1.0, 0.0)])
def test_known_ellipse_is_found_beside_a_bright_sector(axis_ratio: float, angle: float) -> None:
    truth, image = elliptical(axis_ratio, angle)
    rng = np.random.default_rng(5)
    y, x = np.indices(SHAPE, float)
    direction = np.arctan2(y - truth.row, x - truth.col)
    image = image * np.where((np.abs(direction - 1.0) < 0.5) & (truth.radius(SHAPE) < 45), 3.0, 1.0)
    image *= np.exp(rng.normal(0.0, 0.05, SHAPE))
    image[:5] = np.nan
    found = most_even_ellipse(image, 73.0, 88.0)
    assert (found.row, found.col) == pytest.approx((truth.row, truth.col), abs=1.5)
    assert found.axis_ratio == pytest.approx(axis_ratio, abs=0.04)
    if axis_ratio < 1.0:
        assert np.sin(found.angle - angle) == pytest.approx(0.0, abs=0.06)


def test_median_follows_the_profile_and_not_a_blob() -> None:
    ellipse, image = elliptical(0.7, 0.3)
    distance = ellipse.radius(SHAPE)
    with_blob = image.copy()
    with_blob[60:80, 105:125] *= 10.0
    with_blob[0, 0] = np.nan
    median = azimuthal_median(with_blob, distance)
    far = distance > 4.0  # within the innermost ring there is one value
    assert np.abs(np.log(median / image))[far].max() < 0.2
    assert np.median(np.abs(np.log(median / image))) < 0.02
