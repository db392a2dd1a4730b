"""Surface brightness averaged over the scale map's circles or over bins."""

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.binning.smoothing import sum_own_circles
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.maps.painting.paint import Measured


def smooth_brightness(bundle: Bundle, radius: NDArray) -> Measured:
    """Exposure-corrected, background-subtracted brightness, averaged over each pixel's circle.

    The brightness is (C - B)/E and its error sqrt(C + W)/E, with C, B and E the sums of counts, background
    and exposure x pixel area over the live pixels of the circle, and W the variance of B.

    Parameters
    ----------
    radius : (ny, nx)
        Scale map [pixels]; 0 where there is no circle.

    Returns
    -------
    Measured
        (ny, nx) float32 [count s^-1 arcmin^-2]; NaN where there is no circle.
    """
    exposure = bundle.exposure * bundle.pixel_area_arcmin2
    images = np.stack([bundle.counts, bundle.background, bundle.background_variance, exposure], axis=-1)
    images[exposure == 0] = 0.0
    counts, background, variance, total = sum_own_circles(images, radius)
    seen = total > 0
    value, error = (np.full(radius.shape, np.nan, np.float32) for _ in range(2))
    value[seen] = (counts - background)[seen] / total[seen]
    error[seen] = np.sqrt(counts + variance)[seen] / total[seen]
    return Measured(value, error, error)


def bin_brightness(bundle: Bundle, labels: NDArray) -> Measured:
    """Brightness as `smooth_brightness`, averaged over each bin; labels (ny, nx) are 0 outside of bins."""
    numbers, position = np.unique(labels, return_inverse=True)
    position = position.ravel()
    exposure = bundle.exposure * bundle.pixel_area_arcmin2
    images = (bundle.counts, bundle.background, bundle.background_variance, exposure)
    counts, background, variance, total = (
        np.bincount(position, np.where(exposure > 0, image, 0.0).ravel(), len(numbers)) for image in images
    )
    total = np.where(numbers > 0, total, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_bin = np.stack([(counts - background) / total, np.sqrt(counts + variance) / total])
    of_bin[:, total == 0] = np.nan
    value, error = of_bin.astype(np.float32)[:, position].reshape(2, *labels.shape)
    return Measured(value, error, error)
