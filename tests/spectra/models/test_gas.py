"""Gas: against closed forms and published numbers."""

import numpy as np
import pytest

from pyxt_hpc.simulate.cluster import demo_truth
from pyxt_hpc.spectra.models.gas import (
    Particles,
    cooling_by_metals,
    cooling_function,
    cooling_slope,
    cooling_time,
    electron_density,
)


def test_particles_of_a_hydrogen_and_helium_plasma() -> None:
    bare = Particles.of(0.0)
    assert bare.electrons == pytest.approx(1 + 2 * 0.0977)  # Anders & Grevesse 1989
    assert bare.nuclei == pytest.approx(1.0977)
    assert Particles.of(1.0).electrons > bare.electrons


def test_density_by_hand() -> None:
    """n_e = 1e-3 in a column of 1 Mpc, at a distance of 400 Mpc."""
    cm, distance, z = 3.0857e24, 400 * 3.0857e24, 0.1
    solid_angle = np.radians(1 / 60) ** 2
    n_e, n_H = 1e-3, 1e-3 / Particles.of(0.3).electrons
    volume = distance**2 * solid_angle * cm
    norm = 1e-14 / (4 * np.pi * (distance * (1 + z)) ** 2) * n_e * n_H * volume
    found = electron_density(np.array([norm]), 1000.0, z, Particles.of(0.3))
    assert found == pytest.approx(n_e, rel=1e-3)


def test_density_is_that_of_the_simulated_truth() -> None:
    truth = demo_truth(field_arcmin=4.0)
    per_area = truth.norm / (1.968 / 60) ** 2
    particles = Particles.of(0.3)
    found = electron_density(per_area, truth.depth_kpc, truth.redshift, particles)
    # metals, which differ by 0.2 solar, are the only difference
    assert np.abs(found / truth.density - 1).max() < 2e-3


def test_cooling_function_of_hot_gas_is_bremsstrahlung() -> None:
    """Sarazin 1986, RMP 58, 1, eq. 5.23: 8.5e10 yr (n_p/1e-3)^-1 (T/1e8 K)^(1/2), at constant pressure."""
    kT, n_p = np.array([8.617]), 1e-3
    density = n_p * Particles.of(0.0).electrons * np.ones(1)
    assert cooling_time(kT, density, 0.0)[0] * 5 / 3 == pytest.approx(85.0, rel=0.15)
    assert cooling_slope(np.array([10.0]), 0.0)[0] == pytest.approx(0.45, abs=0.08)


def test_metals_make_cool_gas_shine() -> None:
    cool, hot = cooling_function(np.array([1.0, 8.0]), 1.0) / cooling_function(np.array([1.0, 8.0]), 0.0)
    assert cool > 2.0
    assert hot < 1.3


def test_each_region_has_its_own_metals() -> None:
    """Abundances as numbers and as arrays agree; slopes are those of the functions."""
    kT, abundance = np.array([1.0, 3.0, 7.0]), np.array([0.2, 0.5, 1.0])
    one_by_one = [cooling_function(kT[i : i + 1], abundance[i])[0] for i in range(3)]
    assert cooling_function(kT, abundance) == pytest.approx(one_by_one)
    more = np.log(cooling_function(kT, abundance + 0.01) / cooling_function(kT, abundance - 0.01)) / 0.02
    assert cooling_by_metals(kT, abundance) == pytest.approx(more, rel=1e-3)
    assert Particles.of(abundance).electrons[1] == pytest.approx(Particles.of(0.5).electrons)


def test_mass_per_electron_is_the_textbook_one() -> None:
    """rho = 1.15 to 1.17 m_u n_e in gas with a fourth of its mass in helium (e.g. Vikhlinin et al. 2006)."""
    gas = Particles.of(0.3)
    assert gas.mass / gas.electrons == pytest.approx(1.17, abs=0.01)
    assert gas.mass / (gas.electrons + gas.nuclei) == pytest.approx(0.61, abs=0.01)


def test_weights_of_hydrogen_and_helium() -> None:
    """By hand for Anders & Grevesse 1989: He/H 0.0977."""
    gas = Particles.of(0.0, "angr")
    mass = 1.008 + 0.0977 * 4.0026
    assert gas.mu == pytest.approx(mass / (1 + 0.0977 + 1.1954), rel=1e-4)
    assert gas.mu_e == pytest.approx(mass / 1.1954, rel=1e-4)


def test_metals_weigh_what_those_of_the_photosphere_do() -> None:
    """Z/X = 0.0274 (Anders & Grevesse 1989)."""
    solar, none = Particles.of(1.0, "angr"), Particles.of(0.0, "angr")
    assert (solar.mass - none.mass) / 1.008 == pytest.approx(0.0274, abs=1e-4)
