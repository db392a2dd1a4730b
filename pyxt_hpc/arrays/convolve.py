"""Sums of images with Gaussian weights; images may have missing pixels."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

REACH = 3.0
"""Number of standard deviations at which the Gaussian is truncated."""


def gaussian(sigma: float, power: int = 0, *, squared: bool = False) -> NDArray[np.float64]:
    """g d^power at integer distances d [pixels], with g = exp(-d^2/(2 sigma^2)), or g^2 d^power."""
    reach = int(np.ceil(REACH * sigma))
    d = np.arange(-reach, reach + 1, dtype=float)
    return np.exp(-(d**2) / (2.0 * sigma**2)) ** (2 if squared else 1) * d**power


def gaussian_sums(image: NDArray, sigma: float, *, squared: bool = False) -> NDArray[np.float32]:
    """Sums of an image, weighted by a Gaussian of peak 1 around each pixel, or by its square for variances.

    Parameters
    ----------
    image : (ny, nx)
        0 for missing pixels; pixels outside the image count as 0, too.
    sigma : float
        Standard deviation [pixels].
    squared : bool
        True: the weight is the square of the Gaussian.

    Returns
    -------
    (ny, nx) float32
    """
    kernel = gaussian(sigma, squared=squared)
    rows = correlate1d(image, kernel, axis=1, mode="constant", output=np.float32)
    return correlate1d(rows, kernel, axis=0, mode="constant", output=np.float32)
