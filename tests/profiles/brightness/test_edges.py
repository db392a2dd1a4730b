"""Edges: the projection against numerical integration, jumps and their intervals against drawn profiles."""

import numpy as np
import pytest
from scipy.integrate import quad

from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.profiles.brightness.edges import broken_power_law, fit_edge
from pyxt_hpc.profiles.brightness.rings import Rings

JUMP, EDGE = 1.8, 140.0


@pytest.mark.parametrize("slopes", [(0.5, 1.5), (-0.2, 2.0), (1.0, 0.8)])
@pytest.mark.parametrize("radius", [0.2, 0.7, 0.99, 1.0, 1.3])
def test_projection_is_that_of_numerical_integration(radius: float, slopes: tuple[float, float]) -> None:
    def square(z: float) -> float:
        r = np.hypot(radius, z)
        return (JUMP * r ** -slopes[0]) ** 2 if r < 1 else r ** (-2 * slopes[1])

    inside = np.sqrt(max(1 - radius**2, 0.0))
    expected = 2 * (quad(square, 0, inside)[0] + quad(square, inside, np.inf)[0])
    assert broken_power_law(radius, 1.0, JUMP, *slopes) == pytest.approx(expected, rel=1e-6)


def drawn(jump: float, rng: np.random.Generator) -> Rings:
    edges = np.arange(0, 150) * 2.0
    radius = np.sqrt(0.5 * (edges[1:] ** 2 + edges[:-1] ** 2))
    seen = 5e4 * np.pi * np.diff(edges**2) / 3600 / 6
    background = 1e-3 * seen
    expected = seen * 0.02 * broken_power_law(np.maximum(radius, 1.0), EDGE, jump, 0.6, 1.3) + background
    return Rings(
        edges, radius, rng.poisson(expected).astype(float), background, 0 * seen, seen, np.ones(len(seen))
    )


def test_jump_is_within_its_interval() -> None:
    rng = np.random.default_rng(8)
    found = [fit_edge(drawn(JUMP, rng), 60.0, 280.0) for _ in range(10)]
    inside = [edge.jump_lo < JUMP < edge.jump_hi for edge in found]
    # of 10 with 68%: fewer than 3 happen once in 500 times
    assert sum(inside) >= 3
    assert np.mean([edge.jump for edge in found]) == pytest.approx(JUMP, rel=0.03)
    assert all(abs(edge.radius - EDGE) < 4.0 for edge in found)
    assert min(edge.improvement for edge in found) > 25.0


def test_without_an_edge_there_is_no_jump() -> None:
    """Inner and outer slope are the same at 1: no significance."""
    rng = np.random.default_rng(9)
    edges = np.arange(0, 150) * 2.0
    radius = np.sqrt(0.5 * (edges[1:] ** 2 + edges[:-1] ** 2))
    seen = 5e4 * np.pi * np.diff(edges**2) / 3600 / 6
    counts = rng.poisson(seen * 30.0 * np.maximum(radius, 1.0) ** -1.6).astype(float)
    edge = fit_edge(Rings(edges, radius, counts, 0 * seen, 0 * seen, seen, np.ones(149)), 60.0, 280.0)
    assert edge.improvement < 12.0
    assert not edge.jump_lo > 1.15


def test_too_little_is_told() -> None:
    rings = drawn(JUMP, np.random.default_rng(1))
    with pytest.raises(EmptySelection, match="4 rings"):
        fit_edge(rings, 100.0, 109.0)
