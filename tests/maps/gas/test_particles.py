"""Gas: against closed forms and published numbers, errors against drawn fits."""

import numpy as np
import pytest

from pyxt_hpc.maps.gas.particles import (
    Particles,
    Uncertain,
    cooling_by_metals,
    cooling_function,
    cooling_slope,
    cooling_time,
    electron_density,
    propagate,
)
from pyxt_hpc.maps.paint import Measured
from pyxt_hpc.simulate.cluster import demo_truth


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


@pytest.mark.parametrize("correlation", [-0.8, 0.0, 0.6])
@pytest.mark.parametrize("powers", [(1.0, 0.5), (1.0, -1 / 3), (0.6, -0.5)])
def test_errors_are_the_scatter_of_drawn_fits(correlation, powers) -> None:
    rng = np.random.default_rng(4)
    s_T, s_n = 0.05, 0.04
    draws = rng.multivariate_normal(
        [0, 0], [[s_T**2, correlation * s_T * s_n], [correlation * s_T * s_n, s_n**2]], 100_000
    )
    a, b = powers
    scatter = np.std(a * draws[:, 0] + b * draws[:, 1])
    kT, norm = (Measured(v, s * v, s * v) for v, s in ((np.array([5.0]), s_T), (np.array([2.0]), s_n)))
    made = propagate(
        np.array([3.0]), [Uncertain.power(a, kT), Uncertain.power(b, norm)], {(0, 1): correlation}
    )
    assert made.minus == made.plus == pytest.approx(3.0 * scatter, rel=0.02)


def test_sides_and_open_intervals() -> None:
    kT = Measured(np.array([5.0, 5.0]), np.array([0.5, 0.5]), np.array([1.0, np.nan]))
    norm = Measured(np.ones(2), np.full(2, 0.01), np.full(2, 0.03))
    of_norm = Uncertain.power(0.5, norm)
    pressure = propagate(np.full(2, 10.0), [Uncertain.power(1.0, kT), of_norm], {})
    assert pressure.plus[0] == pytest.approx(10 * np.hypot(0.2, 0.015))
    assert pressure.minus[0] == pytest.approx(10 * np.hypot(0.1, 0.005))
    assert np.isnan(pressure.plus[1])
    assert np.isfinite(pressure.minus[1])
    # entropy rises where the norm falls; density does not care for kT
    entropy = propagate(np.ones(2), [Uncertain.power(0.0, kT), Uncertain.power(-1.0, norm)], {(0, 1): 0.5})
    assert entropy.plus == pytest.approx(0.01)


def test_metals_are_a_slope_and_not_a_power() -> None:
    time = propagate(np.array([8.0]), [Uncertain(-0.3, 0.1, 0.2)], {})
    assert time.plus == pytest.approx(8 * 0.03)
    assert time.minus == pytest.approx(8 * 0.06)


def test_each_region_has_its_own_metals() -> None:
    """Abundances as numbers and as arrays agree; slopes are those of the functions."""
    kT, abundance = np.array([1.0, 3.0, 7.0]), np.array([0.2, 0.5, 1.0])
    one_by_one = [cooling_function(kT[i : i + 1], abundance[i])[0] for i in range(3)]
    assert cooling_function(kT, abundance) == pytest.approx(one_by_one)
    more = np.log(cooling_function(kT, abundance + 0.01) / cooling_function(kT, abundance - 0.01)) / 0.02
    assert cooling_by_metals(kT, abundance) == pytest.approx(more, rel=1e-3)
    assert Particles.of(abundance).electrons[1] == pytest.approx(Particles.of(0.5).electrons)
