"""Radii of overdensities against closed forms."""

import numpy as np
import pytest

from pyxt_hpc.profiles.mass.nfw import NFW
from pyxt_hpc.profiles.mass.posterior import overdensity_radius

CRITICAL = 170.0
RADII = np.geomspace(10.0, 5000.0, 150)


def test_radius_of_a_halo() -> None:
    halo = NFW.of(np.array([[2e14], [9e14]]), np.array([[3.0], [4.0]]), 500.0, CRITICAL)
    for overdensity in (2500.0, 500.0):
        found = overdensity_radius(overdensity, RADII, halo.mass(RADII), CRITICAL)
        assert found == pytest.approx(halo.radius(overdensity, CRITICAL).ravel(), rel=1e-4)


def test_radius_of_a_mass_proportional_to_radius() -> None:
    """M = a r: R = sqrt(3 a/(4 pi 500 rho_c))."""
    mass = 4e11 * RADII[None]
    expected = np.sqrt(3 * 4e11 / (4 * np.pi * 500 * CRITICAL))
    assert overdensity_radius(500.0, RADII, mass, CRITICAL) == pytest.approx([expected], rel=1e-6)


def test_no_radius_where_the_overdensity_is_not_reached() -> None:
    light, heavy = 1e3 * RADII, 1e17 * np.ones_like(RADII)
    assert np.isnan(overdensity_radius(500.0, RADII, np.stack([light, heavy]), CRITICAL)).all()
