"""The size of Chandra's point spread, which grows away from the optical axis."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

R90_PER_SIGMA = float(np.sqrt(2.0 * np.log(10.0)))
"""Radius with 90% of the counts of a circular Gaussian, in its standard deviations."""


def psf_r90_arcsec(theta_arcmin: ArrayLike) -> NDArray[np.float64]:
    """Radius with 90% of the counts of a point source (Hickox & Markevitch 2006, ApJ 645, 95)."""
    return 1.0 + 10.0 * (np.asarray(theta_arcmin, dtype=np.float64) / 10.0) ** 2
