"""Gas of shells against numbers by hand with astropy's units."""

from itertools import pairwise

import numpy as np
import pytest
from astropy import constants, units
from scipy.integrate import quad

from pyxt_hpc.profiles.gas.density import norm_per_measure
from pyxt_hpc.profiles.gas.thermodynamics import Gas, Intervals, ShellGeometry, density_of_norm, fit_entropy
from pyxt_hpc.spectra.models.gas import Particles, cooling_function

EDGES = np.array([0.0, 50.0, 120.0, 300.0])


def beta_density(radius: np.ndarray) -> np.ndarray:
    return 0.02 * (1.0 + (radius / 80.0) ** 2) ** (-1.5 * 0.65)


def test_quantities_by_hand() -> None:
    geometry = ShellGeometry.of(EDGES, np.ones_like)
    n_e, kT = np.array([0.02, 0.008, 0.001]), np.array([3.0, 5.0, 7.0])
    gas = Gas.of(n_e, kT, np.full(3, 0.3), geometry, "angr")
    density, temperature = n_e / units.cm**3, kT * units.keV
    assert gas.pressure == pytest.approx((density * temperature).to_value("keV cm-3"))
    assert gas.entropy == pytest.approx((temperature / density ** (2 / 3)).to_value("keV cm2"))
    particles = Particles.of(0.3)
    n_H = density / particles.electrons
    power = density * n_H * cooling_function(kT, 0.3) * units.Unit("erg cm3 s-1")
    energy = 1.5 * (density + particles.nuclei * n_H) * temperature
    assert gas.cooling_time == pytest.approx((energy / power).to_value("Gyr"))
    volume = 4 / 3 * np.pi * np.diff(EDGES**3) * units.kpc**3
    mass = particles.mass / particles.electrons * constants.u * density * volume
    assert gas.gas_mass == pytest.approx(np.cumsum(mass.to_value("solMass")), rel=1e-6)


def test_geometry_is_that_of_the_density() -> None:
    geometry = ShellGeometry.of(EDGES, beta_density)
    for i, (low, high) in enumerate(pairwise(EDGES)):
        volume = (high**3 - low**3) / 3
        mean = quad(lambda r: beta_density(r) * r**2, low, high)[0] / volume
        rms = np.sqrt(quad(lambda r: beta_density(r) ** 2 * r**2, low, high)[0] / volume)
        assert geometry.evenness[i] == pytest.approx(mean / rms, rel=1e-3)
        assert beta_density(geometry.radius_kpc[i]) == pytest.approx(rms, rel=2e-3)


def test_mass_of_a_beta_model() -> None:
    """Shells by their mean squares have the mass of the model that runs through them."""
    geometry = ShellGeometry.of(EDGES, beta_density)
    gas = Gas.of(beta_density(geometry.radius_kpc), np.ones(3), np.full(3, 0.3), geometry, "angr")
    inside = quad(lambda r: 4 * np.pi * r**2 * beta_density(r), 0.0, 300.0)[0] * units.kpc**3 / units.cm**3
    particles = Particles.of(0.3)
    expected = (inside * particles.mass / particles.electrons * constants.u).to_value("solMass")
    assert gas.gas_mass[-1] == pytest.approx(expected, rel=3e-3)


def test_norm_and_density_are_inverse() -> None:
    """XSPEC's norm by hand: 1e-14/(4 pi (D_A (1 + z))^2) n_e n_H V."""
    distance, z, n_e, volume = 400e3 * units.kpc, 0.1, 0.003 / units.cm**3, 1e6 * units.kpc**3
    electrons = Particles.of(0.3).electrons
    measure = (n_e**2 / electrons * volume / (4 * np.pi * (distance * (1 + z)) ** 2)).to_value("cm-5")
    per_measure = float(norm_per_measure(1.0, 400e3, z))
    found = density_of_norm(
        np.array([1e-14 * measure]), np.array([0.3]), np.array([1e6]), per_measure, "angr"
    )
    assert found[0] == pytest.approx(0.003)


def test_entropy_fit_and_its_errors() -> None:
    rng = np.random.default_rng(0)
    radius = np.geomspace(8.0, 600.0, 14)
    truth = 20.0 + 130.0 * (radius / 100.0) ** 1.2
    pulls = []
    for _ in range(200):
        value = truth * (1 + 0.08 * rng.standard_normal(14))
        fit = fit_entropy(radius, value, truth * (1 + 0.08 * rng.standard_normal((400, 14))))
        assert fit is not None
        pulls.append(
            [
                (fit.K0 - 20) / fit.K0_error,
                (fit.K100 - 130) / fit.K100_error,
                (fit.alpha - 1.2) / fit.alpha_error,
            ]
        )
    assert np.std(pulls, axis=0) == pytest.approx(1.0, abs=0.2)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.35


def test_too_few_shells_have_no_entropy_fit() -> None:
    value = np.array([20.0, np.nan, 80.0, 200.0])
    draws = value + np.random.default_rng(0).random((30, 4))
    assert fit_entropy(np.arange(1.0, 5.0), value, draws) is None
    value[1] = 40.0
    assert fit_entropy(np.arange(1.0, 5.0), value, value + draws[:5]) is None


def test_unknown_draws_have_no_interval() -> None:
    draws = np.full((50, 2), np.nan)
    draws[:, 0] = np.linspace(0.0, 1.0, 50)
    interval = Intervals.of_draws(np.array([0.5, 3.0]), draws)
    assert interval.low[0] == pytest.approx(0.159, abs=0.01)
    assert np.isnan(interval.low[1])
    assert np.isnan(interval.high[1])
    assert np.isnan(interval.blanked(np.array([True, False])).value).tolist() == [True, False]
