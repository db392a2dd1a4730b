"""Equilibrium against closed forms."""

import numpy as np
import pytest

from pyxt_hpc.profiles.gas.vikhlinin import GasDensity
from pyxt_hpc.profiles.mass.hydrostatic import (
    gas_mass,
    hydrostatic_mass,
    hydrostatic_temperature,
)
from pyxt_hpc.profiles.mass.nfw import NFW

RADII = np.geomspace(1.0, 2000.0, 300)


def test_mass_of_an_isothermal_beta_model() -> None:
    """M = 3 beta kT r^3/(G mu m_u (r^2 + rc^2)), with G in SI units."""
    gas = GasDensity(5e-3, 100.0, 0.0, 0.7, 500.0, 0.0)
    found = hydrostatic_mass(RADII, 5.0, gas.slope(RADII), 0.0, 0.6)
    kpc, keV = 3.0856775814913674e19, 1.602176634e-16
    expected = 3 * 0.7 * 5.0 * keV * RADII**3 * kpc / (6.6743e-11 * 0.6 * 1.66053907e-27)
    assert found == pytest.approx(expected / (RADII**2 + 1e4) / 1.98841e30, rel=1e-4)


def test_temperature_in_a_potential_gives_its_mass_back() -> None:
    gas = GasDensity(1e-2, 100.0, 0.8, 0.6, 800.0, 2.0, 3e-2, 15.0)
    halo = NFW(4e14, 400.0)
    kT = hydrostatic_temperature(RADII, gas(RADII), halo.mass(RADII), 0.6, 3.0)
    assert kT[-1] == pytest.approx(3.0)
    slope = np.gradient(np.log(kT), np.log(RADII), edge_order=2)
    found = hydrostatic_mass(RADII, kT, gas.slope(RADII), slope, 0.6)
    assert found[2:-2] == pytest.approx(halo.mass(RADII)[2:-2], rel=2e-3)


def test_power_laws_are_integrated_exactly() -> None:
    """n_e ~ r^-2 in M ~ r has the same kT = G M mu/(2 r) everywhere; G Msun u/kpc by hand."""
    coarse = np.array([1.0, 7.0, 30.0, 1000.0])
    everywhere = (
        0.5 * 1e11 * 6.6743e-11 * 1.98841e30 * 1.66053907e-27 / 3.0856775814913674e19 / 1.602176634e-16
    )
    kT = hydrostatic_temperature(coarse, coarse**-2, 1e11 * coarse, 1.0, everywhere)
    assert kT == pytest.approx(np.full(4, everywhere), rel=1e-5)


def test_many_models_at_once() -> None:
    gas = GasDensity(np.array([[1e-2], [2e-2]]), 100.0, 0.8, 0.6, 800.0, 2.0)
    halo = NFW(np.array([[4e14], [4e14]]), 400.0)
    kT = hydrostatic_temperature(RADII, gas(RADII), halo.mass(RADII), 0.6, np.array([3.0, 1.0]))
    assert kT.shape == (2, 300)
    assert kT[:, -1] == pytest.approx([3.0, 1.0])
    assert np.all(kT[0] > kT[1])


def test_gas_mass_of_a_beta_model() -> None:
    """beta = 2/3: 4 pi rho_0 rc^3 (x - arctan x)."""
    gas = GasDensity(1e-3, 100.0, 0.0, 2 / 3, 500.0, 0.0)
    x = RADII / 100.0
    rho = 1e-3 * 1.17 * 1.66053907e-27 / 1.98841e30 * (3.0856775814913674e21) ** 3  # Msun/kpc^3
    assert gas_mass(RADII, gas(RADII), 1.17) == pytest.approx(
        4 * np.pi * rho * 100**3 * (x - np.arctan(x)), rel=2e-3
    )
