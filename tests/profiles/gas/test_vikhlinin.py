"""Gas models against the formulas as printed in Vikhlinin et al. 2006, and slopes against differences."""

from dataclasses import replace

import numpy as np
import pytest

from pyxt_hpc.profiles.gas.vikhlinin import GasDensity, GasTemperature

RADII = np.geomspace(1.0, 3000.0, 40)
DENSITY = GasDensity(
    n0=1.5e-2, rc=84.0, alpha=1.16, beta=0.545, rs=909.0, epsilon=1.67, n02=0.35, rc2=5.0, beta2=1.0
)
TEMPERATURE = GasTemperature(T0=16.2, rt=3040.0, a=-0.03, b=1.57, c=5.9, cool=0.1, rcool=93.0, acool=0.48)


def test_density_is_equation_3() -> None:
    r = RADII
    squared = 1.5e-2**2 * (r / 84) ** -1.16 / (1 + r**2 / 84**2) ** (3 * 0.545 - 1.16 / 2)
    squared /= (1 + r**3 / 909**3) ** (1.67 / 3)
    squared += 0.35**2 / (1 + r**2 / 5**2) ** 3
    assert pytest.approx(np.sqrt(squared)) == DENSITY(r)


def test_temperature_is_equation_6() -> None:
    r = RADII
    outer = (r / 3040) ** 0.03 / (1 + (r / 3040) ** 1.57) ** (5.9 / 1.57)
    x = (r / 93) ** 0.48
    assert pytest.approx(16.2 * outer * (x + 0.1) / (x + 1)) == TEMPERATURE(r)


@pytest.mark.parametrize("model", [DENSITY, TEMPERATURE])
def test_slope_is_the_derivative(model) -> None:
    step = 1e-5
    numeric = np.log(model(RADII * np.exp(step)) / model(RADII * np.exp(-step))) / (2 * step)
    assert model.slope(RADII) == pytest.approx(numeric, abs=1e-7)


def test_derivatives_of_temperature_are_differences() -> None:
    found = TEMPERATURE.derivatives(RADII)
    step = 1e-5
    for i, (name, is_log) in enumerate(
        {"T0": True, "rt": True, "c": False, "cool": False, "rcool": True}.items()
    ):
        value = getattr(TEMPERATURE, name)
        ends = [value * np.exp(s) if is_log else value + s for s in (-step, step)]
        low, high = (np.log(replace(TEMPERATURE, **{name: end})(RADII)) for end in ends)
        assert found[:, i] == pytest.approx((high - low) / (2 * step), abs=1e-6), name


def test_parameters_broadcast() -> None:
    n0 = np.array([[1e-3], [2e-3]])
    many = GasDensity(n0, 100.0, 0.5, 0.6, 800.0, 2.0)
    one = GasDensity(2e-3, 100.0, 0.5, 0.6, 800.0, 2.0)
    assert many(RADII).shape == (2, len(RADII))
    assert many(RADII)[1] == pytest.approx(one(RADII))
    assert many.slope(RADII)[0] == pytest.approx(one.slope(RADII))
