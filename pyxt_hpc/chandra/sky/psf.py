"""The size of Chandra's point spread function, which increases with the off-axis angle."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

R90_PER_SIGMA = float(np.sqrt(2.0 * np.log(10.0)))
"""Radius that contains 90% of the counts of a circular Gaussian, in units of its standard deviation."""


def psf_r90_arcsec(theta_arcmin: ArrayLike) -> NDArray[np.float64]:
    """Radius that contains 90% of a point source's counts (Hickox & Markevitch 2006, ApJ 645, 95)."""
    return 1.0 + 10.0 * (np.asarray(theta_arcmin, dtype=np.float64) / 10.0) ** 2
