"""Ellipses along which a cluster's brightness varies least, and medians along them."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pyxt_hpc.arrays.ellipse import Ellipse

_MAX_PIXELS = 5_000
"""The fit uses less than twice this number of pixels, chosen at random."""

_RING = 3.0
"""Width of the innermost ring [pixels]."""

_MIN_AXIS_RATIO = 0.3


def azimuthal_median(image: NDArray, distance: NDArray) -> NDArray[np.float64]:
    """Median of an image, or of some of its pixels, in rings, interpolated linearly to every pixel.

    Parameters
    ----------
    image
        Values; NaN where unknown.
    distance
        Distances from the centre, in the same shape [pixels]; the width of rings grows outwards as the square
        root of their number.
    """
    seen = np.isfinite(image)
    values, at = image[seen], distance[seen]
    edges = [0.0]
    while edges[-1] <= distance.max():
        edges.append(edges[-1] + _RING * np.sqrt(len(edges)))
    ring = np.digitize(at, edges)
    order = np.argsort(ring, kind="stable")
    first = np.flatnonzero(np.diff(ring[order], prepend=-1))
    parts = np.split(order, first[1:])
    radii = [at[part].mean() for part in parts]
    return np.interp(distance, radii, [np.median(values[part]) for part in parts])


def most_even_ellipse(brightness: NDArray, row: float, col: float) -> Ellipse:
    """Fit centre, axis ratio and angle of the ellipses along which ln(brightness) varies least.

    The fit minimises the mean absolute deviation from `azimuthal_median`. Absolute deviations and medians
    are hardly affected by edges and blobs on less than half of an ellipse.

    Parameters
    ----------
    brightness : (ny, nx)
        Brightness; NaN where unknown.
    row, col
        First guess of the centre, such as that of a beta model [pixels].
    """
    y, x = np.nonzero(brightness > 0)
    step = max(len(y) // _MAX_PIXELS, 1)
    # A random choice, since every n-th pixel would form a regular pattern.
    chosen = np.random.default_rng(0).permutation(len(y))[: len(y) // step]
    y, x = y[chosen], x[chosen]
    logarithm = np.log(brightness[y, x])

    def deviation(p: NDArray) -> float:
        elongation = np.hypot(p[2], p[3])
        if elongation >= -np.log(_MIN_AXIS_RATIO):
            return np.inf
        distance = _ellipse(p).distance(y, x)
        return float(np.mean(np.abs(logarithm - azimuthal_median(logarithm, distance))))

    best = np.array([row, col, 0.0, 0.0])
    steps = np.array([3.0, 3.0, 0.2, 0.2])
    simplex = np.vstack([best, best + np.diag(steps)])
    options = {"initial_simplex": simplex, "maxiter": 150, "xatol": 0.02, "fatol": 1e-4}
    return _ellipse(minimize(deviation, best, method="Nelder-Mead", options=options).x)


def _ellipse(p: NDArray) -> Ellipse:
    """Ellipse from row, col, and the vector of length -ln(axis ratio) at twice the angle.

    Unlike the angle, this vector is continuous at 180 degrees and for circles.
    """
    return Ellipse.of(
        float(p[0]), float(p[1]), float(np.exp(-np.hypot(p[2], p[3]))), float(0.5 * np.arctan2(p[3], p[2]))
    )
