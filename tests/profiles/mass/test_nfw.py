"""NFW haloes against quadrature of their density and the definition of overdensity."""

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from scipy.integrate import quad

from pyxt_hpc.profiles.mass.nfw import NFW, critical_density, overdensity_mass

CRITICAL = critical_density(FlatLambdaCDM(H0=70, Om0=0.3), 0.2)


def test_critical_density_of_today() -> None:
    """277.5 h^2 Msun kpc^-3."""
    assert critical_density(FlatLambdaCDM(H0=70, Om0=0.3), 0.0) == pytest.approx(277.536 * 0.49, rel=1e-3)


def test_mass_is_the_integral_of_the_density() -> None:
    halo = NFW.of(6e14, 3.0, 500.0, CRITICAL)
    for radius in (10.0, 300.0, 2000.0):
        total = quad(lambda r: 4 * np.pi * r**2 * float(halo.density(r)), 0, radius)[0]
        assert halo.mass(radius) == pytest.approx(total, rel=1e-8)


def test_mass_near_the_centre_goes_as_radius_squared() -> None:
    halo = NFW.of(6e14, 3.0, 500.0, CRITICAL)
    near = halo.rs * np.array([1e-6, 0.999e-3, 1.001e-3])
    x = near / halo.rs
    assert halo.mass(near) == pytest.approx(
        halo.scale_mass * (x**2 / 2 - 2 * x**3 / 3 + 3 * x**4 / 4), rel=1e-8
    )


@pytest.mark.parametrize("overdensity", [200.0, 500.0, 2500.0])
def test_radii_of_overdensities(overdensity: float) -> None:
    halo = NFW.of(np.array([[2e14], [6e14]]), np.array([[2.0], [5.0]]), 500.0, CRITICAL)
    radius = halo.radius(overdensity, CRITICAL)
    volume = 4 / 3 * np.pi * radius**3
    assert halo.mass(radius) / volume == pytest.approx(np.full((2, 1), overdensity * CRITICAL), rel=1e-10)
    assert halo.mass(radius) == pytest.approx(overdensity_mass(radius, overdensity, CRITICAL))
    assert halo.concentration(500.0, CRITICAL) == pytest.approx(np.array([[2.0], [5.0]]))
