"""The two descriptions of a cluster against what they are made of."""

import numpy as np
import pytest

from pyxt_hpc.profiles.mass.hydrostatic import hydrostatic_mass
from pyxt_hpc.profiles.mass.models import Backward, Forward, GasModel

RADII = np.geomspace(5.0, 1200.0, 200)
GAS = GasModel(8.0, 1300.0)
CRITICAL = 170.0
ANNULI = tuple(np.geomspace(8.0, 1300.0, 14).tolist())


def test_backward_gas_is_in_equilibrium_with_its_halo() -> None:
    model = Backward(GAS, 0.6, CRITICAL)
    theta = np.stack([model.start(6.0), model.start(3.0)])
    density, kT = model.gas_at(theta, RADII)
    slope = np.gradient(np.log(kT), np.log(RADII), axis=1, edge_order=2)
    found = hydrostatic_mass(RADII, kT, GAS.density(theta).slope(RADII), slope, 0.6)
    assert found[:, 3:-3] == pytest.approx(model.mass_at(theta, RADII)[:, 3:-3], rel=0.01)
    assert density.shape == kT.shape == (2, 200)
    assert model.halo(theta).concentration(500.0, CRITICAL).ravel() == pytest.approx([3.0, 3.0])


def test_boundary_is_a_slope_of_the_pressure() -> None:
    """edge = 1/3: the pressure falls as r^-3 at four times the outermost radius, for any grid of radii."""
    model = Backward(GAS, 0.6, CRITICAL)
    theta = model.start(6.0)[None]
    theta[:, -1] = 1.0 / 3.0
    outer = model.boundary * GAS.outermost
    radius = np.geomspace(0.98 * outer, outer, 20)
    density, kT = model.gas_at(theta, radius)
    slope = np.gradient(np.log(density * kT)[0], np.log(radius), edge_order=2)
    assert slope[-1] == pytest.approx(-3.0, rel=1e-3)
    inner = model.gas_at(theta, RADII)[1]
    whole = model.gas_at(theta, np.concatenate([RADII, np.geomspace(1250.0, outer, 100)]))[1]
    assert inner == pytest.approx(whole[:, :200], rel=2e-3)


def test_forward_mass_may_fall_and_is_then_not_allowed() -> None:
    model = Forward(GAS, 0.6, ANNULI)
    plain, steep = model.start(6.0), model.start(6.0)
    names = [p.name for p in model.parameters]
    steep[names.index("c")], steep[names.index("rt")] = 4.0, np.log(300.0)
    assert model.allowed(np.stack([plain, steep])).tolist() == [True, False]
    mass = model.mass_at(steep[None], RADII)[0]
    assert mass[-1] < mass.max()


@pytest.mark.parametrize("core", [False, True])
def test_starts_are_within_the_bounds(core: bool) -> None:
    gas = GasModel(8.0, 1300.0, core)
    for model in (Forward(gas, 0.6, ANNULI), Backward(gas, 0.6, CRITICAL)):
        low, high = np.array([[p.low, p.high] for p in model.parameters]).T
        start = model.start(5.0)
        assert np.all((start > low) & (start < high))
        density, kT = model.gas_at(start[None], RADII)
        assert np.all(np.isfinite(density))
        assert np.all(kT > 0)


def test_forward_prior_is_even_in_profiles() -> None:
    """Families of the same profiles get the same prior, however many parameters describe them."""
    model = Forward(GAS, 0.6, ANNULI)
    names = [p.name for p in model.parameters]
    rng = np.random.default_rng(1)
    theta = np.repeat(model.start(6.0)[None], 3, axis=0)
    theta[:, names.index("rt")] = np.log([300.0, 600.0, 900.0])

    def profile(one: np.ndarray) -> np.ndarray:
        return np.log(model.temperature(one[None])(np.array(ANNULI))[0])

    def volume(one: np.ndarray) -> float:
        """Of the profiles that a small box of the last five parameters makes."""
        steps = 1e-5 * np.eye(len(one))[-5:]
        by = np.array([(profile(one + s) - profile(one - s)) / 2e-5 for s in steps])
        return 0.5 * float(np.linalg.slogdet(by @ by.T)[1])

    found = model.log_prior(theta)
    assert found == pytest.approx([volume(one) for one in theta], abs=1e-4)
    # a decline far outside, of any slope, makes nearly the same profile: it must not outweigh the others
    far = theta[0].copy()
    far[names.index("rt")], far[names.index("c")] = np.log(3900.0), 3.0
    assert model.log_prior(far[None])[0] < found[0] - 1.0
    density = theta[0].copy()
    density[:6] += 0.01 * rng.standard_normal(6)
    assert model.log_prior(density[None])[0] == found[0]


def test_backward_prior_is_flat() -> None:
    model = Backward(GAS, 0.6, CRITICAL)
    assert model.log_prior(np.stack([model.start(6.0), model.start(2.0)])).tolist() == [0.0, 0.0]
