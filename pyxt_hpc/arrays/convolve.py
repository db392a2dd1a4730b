"""Sums under a Gaussian of images in which pixels are missing."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

REACH = 3.0
"""Standard deviations at which the Gaussian is cut off."""


def gaussian(sigma: float, power: int = 0, *, squared: bool = False) -> NDArray[np.float64]:
    """exp(-d^2/(2 sigma^2)) d^power (its square first, if asked) at whole distances d [pixels]."""
    reach = int(np.ceil(REACH * sigma))
    d = np.arange(-reach, reach + 1, dtype=float)
    return np.exp(-(d**2) / (2.0 * sigma**2)) ** (2 if squared else 1) * d**power


def gaussian_sums(image: NDArray, sigma: float, *, squared: bool = False) -> NDArray[np.float32]:
    """Sum over all pixels times a Gaussian of peak 1 (or times its square, for variances) about each pixel.

    Parameters
    ----------
    image : (ny, nx)
        0 where there is nothing; outside of it there is nothing either.
    sigma : float
        [pixels].
    squared : bool
        Weigh by the square of the Gaussian.

    Returns
    -------
    (ny, nx) float32
    """
    kernel = gaussian(sigma, squared=squared)
    rows = correlate1d(image, kernel, axis=1, mode="constant", output=np.float32)
    return correlate1d(rows, kernel, axis=0, mode="constant", output=np.float32)
