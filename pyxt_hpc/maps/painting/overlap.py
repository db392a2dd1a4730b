"""Overlap of circles, which is the fraction of photons that they share if the sky is uniform."""

from functools import lru_cache

import numpy as np

from pyxt_hpc.arrays.compiled import compiled


@compiled
def shared_area(distance: float, radius: float, other: float) -> float:
    """Area that two circles share, in the squared unit of the arguments."""
    small, large = min(radius, other), max(radius, other)
    if distance >= small + large:
        return 0.0
    if distance <= large - small:
        return np.pi * small * small
    to_chord = (distance * distance + small * small - large * large) / (2.0 * distance)
    to_other = distance - to_chord
    chord_sq = max(small * small - to_chord * to_chord, 0.0)
    angle = np.arccos(min(max(to_chord / small, -1.0), 1.0))
    other_angle = np.arccos(min(max(to_other / large, -1.0), 1.0))
    return small * small * angle + large * large * other_angle - distance * np.sqrt(chord_sq)


@lru_cache(maxsize=1)
def mean_correlation() -> float:
    """Mean correlation of the results of two equal circles that both contain a given point.

    Two circles at a distance d share a fraction g(x) of their area, x = d/radius. If the sky is uniform, they
    share the same fraction of their photons, which is the correlation of their results. The centres are
    distributed uniformly within a radius of the point, so that x has the probability density 2 x g(x), and
    the mean correlation is 2 int_0^2 g(x)^2 x dx.
    """
    node, weight = np.polynomial.legendre.leggauss(64)  # on -1 to 1
    x = 1.0 + node
    g = np.array([shared_area(distance, 1.0, 1.0) for distance in x]) / np.pi
    return float(np.sum(weight * 2.0 * x * g**2))
