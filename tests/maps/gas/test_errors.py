"""Errors of gas against drawn fits."""

import numpy as np
import pytest

from pyxt_hpc.maps.gas.errors import Uncertain, propagate
from pyxt_hpc.maps.painting.paint import Measured


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
