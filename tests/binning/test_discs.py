"""Discs against the definition, pixel by pixel."""

import numpy as np
import pytest

from pyxt_hpc.binning.discs import disc_area, half_widths
from pyxt_hpc.errors import ConfigError


@pytest.mark.parametrize("radius", [0.0, 0.875, 1.0, 1.375, 1.5, 5.0, 13.0, 24.625, 25.0, 65.0, 100.0])
def test_pixels_within_the_radius(radius: float) -> None:
    # 5, 13, 25 and 65 have pixels exactly on the circle (3-4-5 and the like): they are inside
    reach = int(radius) + 2
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = 64 * (dy**2 + dx**2) <= int(8 * radius) ** 2
    widths = half_widths(radius)
    by_width = np.zeros_like(inside)
    for y in range(-len(widths) + 1, len(widths)):
        by_width[reach + y] = abs(dx[0]) <= widths[abs(y)]
    assert (by_width == inside).all()
    assert disc_area(radius) == inside.sum()


def test_axis_pixel_on_the_circle() -> None:
    assert half_widths(3.0).tolist() == [3, 2, 2, 0]
    assert half_widths(2.875).tolist() == [2, 2, 2]


@pytest.mark.parametrize("radius", [-1.0, 1.3, float("nan"), float("inf")])
def test_radius_off_the_grid(radius: float) -> None:
    with pytest.raises(ConfigError, match="multiple"):
        half_widths(radius)
