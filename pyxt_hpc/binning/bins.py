"""What bins that share no pixel have reached: sums, S/N, roundness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def signal_to_noise(counts: NDArray, background: NDArray, variance: NDArray) -> NDArray[np.float64]:
    """(C - B)/sqrt(C + W) of sums, with W the variance of B; 0 without counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(counts > 0, (counts - background) / np.sqrt(counts + variance), 0.0)


def sums_of(labels: NDArray, images: list[NDArray]) -> NDArray[np.float64]:
    """Sums of images over the bins of a label image.

    Returns
    -------
    (n_image, n + 1) float64
        Column k is of label k, the first that of the pixels without a bin.
    """
    flat = labels.ravel()
    n = int(flat.max(initial=0)) + 1
    return np.array([np.bincount(flat, np.asarray(image, np.float64).ravel(), n) for image in images])


def paint_signal_to_noise(
    counts: NDArray, background: NDArray, variance: NDArray, labels: NDArray
) -> NDArray[np.float32]:
    """S/N of every pixel's bin, (ny, nx); 0 where there is no bin."""
    reached = signal_to_noise(*sums_of(labels, [counts, background, variance]))
    reached[0] = 0.0
    return reached.astype(np.float32)[labels]
