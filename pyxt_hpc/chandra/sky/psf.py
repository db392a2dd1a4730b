"""The size of Chandra's point spread, which grows away from the optical axis."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

R90_PER_SIGMA = float(np.sqrt(2.0 * np.log(10.0)))
"""Radius with 90% of the counts of a circular Gaussian, in its standard deviations."""


def psf_r90_arcsec(theta_arcmin: ArrayLike) -> NDArray[np.float64]:
    """Radius with 90% of the counts of a point source (Hickox & Markevitch 2006, ApJ 645, 95)."""
    return 1.0 + 10.0 * (np.asarray(theta_arcmin, dtype=np.float64) / 10.0) ** 2


def merged_r90_arcsec(observations: Iterable[tuple[ArrayLike, ArrayLike]]) -> NDArray[np.float64]:
    """Radius [arcsec] (ny, nx) of the point spread in a sum of observations, weighted by their exposures.

    ``observations``: of each the exposure map (ny, nx) [s] and the angle from its optical axis (ny, nx)
    [arcmin]. Where nothing was seen, the radius is that of the observation whose axis is nearest.
    """
    weighted = weight = np.zeros(())
    nearest = np.full((), np.inf)
    for exposure, theta in observations:
        r90 = psf_r90_arcsec(theta)
        weighted = weighted + np.asarray(exposure, dtype=np.float64) * r90
        weight = weight + np.asarray(exposure, dtype=np.float64)
        nearest = np.minimum(nearest, r90)
    return np.divide(weighted, weight, out=np.array(nearest), where=weight > 0)
