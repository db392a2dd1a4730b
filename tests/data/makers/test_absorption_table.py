"""Sampling cross-sections: nodes find the edges and straight lines between them are good enough."""

import numpy as np

from pyxt_hpc.data.makers.absorption_table import TOLERANCE, bisect_nodes

EDGE_keV = 0.5317


def edge_and_curve(energy):
    """ln(sigma E^3) of 18 elements: a curved hydrogen, oxygen with an edge, the others nearly nothing."""
    log_energy = np.log(energy)
    value = np.full((18, len(energy)), -80.0)
    value[0] = -50.0 + 0.5 * log_energy - 0.1 * log_energy**2
    value[4] = -42.0 + 0.8 * log_energy + 2.0 * (energy >= EDGE_keV)
    return value


def test_nodes_reproduce_the_function():
    energy, value = bisect_nodes(edge_and_curve)
    assert len(energy) < 1500
    np.testing.assert_array_equal(value, edge_and_curve(energy))
    x = np.random.default_rng(3).uniform(np.log(0.1), np.log(20.0), 5000)
    x = x[abs(np.exp(x) / EDGE_keV - 1) > 1e-5]
    for element in (0, 4):
        found = np.interp(x, np.log(energy), value[element])
        np.testing.assert_allclose(found, edge_and_curve(np.exp(x))[element], rtol=0, atol=3 * TOLERANCE)


def test_an_edge_is_two_close_nodes():
    energy, value = bisect_nodes(edge_and_curve)
    jump = np.flatnonzero(np.diff(value[4]) > 1.0)
    assert len(jump) == 1
    assert energy[jump[0]] < EDGE_keV <= energy[jump[0] + 1]
    assert energy[jump[0] + 1] / energy[jump[0]] - 1 < 4e-6
