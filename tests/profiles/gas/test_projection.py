"""The projection matrix against numerical integration, XSPEC's formula, and models with a closed form."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.special import gamma

from pyxt_hpc.profiles.gas.projection import projection_matrix, shell_volumes, volumes

EDGES = np.array([0.0, 1.0, 1.7, 3.0, 4.2])


def test_volumes_are_those_of_numerical_integration() -> None:
    found = volumes(EDGES, EDGES)
    for i in range(4):
        for j in range(i, 4):
            low, high = EDGES[j : j + 2]

            def column(_: float, R: float, low: float = low, high: float = high) -> float:
                chord = np.sqrt(max(high**2 - R**2, 0.0)) - np.sqrt(max(low**2 - R**2, 0.0))
                return 4.0 * np.pi * R * chord

            expected, _ = dblquad(column, EDGES[i], EDGES[i + 1], 0.0, 1.0, epsabs=1e-9)
            assert found[i, j] == pytest.approx(expected, rel=1e-6)
    assert not np.tril(found, -1).any()


def test_matrix_is_that_of_projct() -> None:
    """Of spheres a, b and cylinders c, d: (a^2 - c^2)^(3/2) - (b^2 - c^2)^(3/2) - (a^2 - d^2)^(3/2) + ..."""

    def cut(sphere: float, cylinder: float) -> float:
        return max(sphere**2 - cylinder**2, 0.0) ** 1.5

    found = projection_matrix(EDGES)
    for i, (inner, outer) in enumerate(pairwise(EDGES)):
        for j, (low, high) in enumerate(pairwise(EDGES)):
            seen = cut(high, inner) - cut(low, inner) - cut(high, outer) + cut(low, outer)
            assert found[i, j] == pytest.approx(seen / (high**3 - low**3), abs=1e-12)


def test_nothing_is_lost() -> None:
    assert projection_matrix(EDGES).sum(axis=0) == pytest.approx(1.0)
    assert volumes(EDGES, EDGES).sum() == pytest.approx(4 / 3 * np.pi * EDGES[-1] ** 3)


@pytest.mark.parametrize("beta", [0.55, 0.667, 0.9])
def test_beta_model_is_projected_as_in_closed_form(beta) -> None:
    """S(R) = sqrt(pi) Gamma(3 beta - 1/2)/Gamma(3 beta) r_c n_0^2 (1 + R^2/r_c^2)^(1/2 - 3 beta)."""
    edges = np.concatenate([[0.0], np.geomspace(0.3, 12.0, 11)])

    def square(r: np.ndarray) -> np.ndarray:
        return (1.0 + r**2) ** (-3.0 * beta)

    fine = np.linspace(0.0, 12.0, 40_001)
    middle = 0.5 * (fine[1:] + fine[:-1])
    emission = 4 * np.pi * middle**2 * square(middle) * np.diff(fine)
    shells = np.add.reduceat(emission, np.searchsorted(middle, edges[:-1]))
    power = 1.5 - 3.0 * beta
    flux = np.sqrt(np.pi) * gamma(3 * beta - 0.5) / gamma(3 * beta) * np.pi / power
    expected = flux * np.diff((1.0 + edges**2) ** power)
    # what is ten times as far out as the last edge is left out
    assert projection_matrix(edges, square) @ shells == pytest.approx(expected, rel=4e-3)
    flat = projection_matrix(edges) @ shells
    assert np.abs(flat / expected - 1).max() > 0.05  # what the shape is for


def test_the_shape_changes_nothing_where_emission_is_even() -> None:
    even = projection_matrix(EDGES, lambda r: np.where(r < EDGES[-1], 1.0, 0.0))
    assert even == pytest.approx(projection_matrix(EDGES), abs=1e-12)


def test_volume_of_shells() -> None:
    assert shell_volumes([1.0, 2.0]) == pytest.approx(4 / 3 * np.pi * 7)
