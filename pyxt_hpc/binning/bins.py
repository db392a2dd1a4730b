"""Sums and S/N of bins that share no pixel, and checks of their input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.errors import ConfigError, DamagedFile


def signal_to_noise(counts: NDArray, background: NDArray, variance: NDArray) -> NDArray[np.float64]:
    """S/N of sums, (C - B)/sqrt(C + W) with W the variance of B; 0 without counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(counts > 0, (counts - background) / np.sqrt(counts + variance), 0.0)


def sums_of(labels: NDArray, images: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Sums of images over the bins of a label image.

    Returns
    -------
    (n_image, n + 1) float64
        Column k has the sums over label k; column 0 has those over the pixels without a bin.
    """
    flat = labels.ravel()
    n = int(flat.max(initial=0)) + 1
    return np.array([np.bincount(flat, np.asarray(image, np.float64).ravel(), n) for image in images])


def paint_signal_to_noise(
    counts: NDArray, background: NDArray, variance: NDArray, labels: NDArray
) -> NDArray[np.float32]:
    """S/N (ny, nx) of the bin at every pixel; 0 without a bin. The numbers of the bins may have gaps."""
    numbers, position = np.unique(labels, return_inverse=True)
    reached = signal_to_noise(*sums_of(position, [counts, background, variance]))
    return np.where(numbers > 0, reached, 0.0).astype(np.float32)[position].reshape(labels.shape)


def renumbered(labels: NDArray) -> NDArray[np.int32]:
    """Labels numbered from 1 without gaps, in the same order; labels of 0 or less become 0."""
    used = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    used[np.maximum(labels, 0)] = 1
    used[0] = 0
    return (np.cumsum(used, dtype=np.int32) * used)[np.maximum(labels, 0)]


def check_target(target: float) -> None:
    """Raise ConfigError if a target S/N is not positive."""
    if not target > 0:
        raise ConfigError(f"signal-to-noise target: found {target}, expected a number above 0")


def checked_images(
    counts: NDArray, background: NDArray, variance: NDArray, mask: NDArray
) -> tuple[tuple[NDArray, NDArray, NDArray], NDArray[np.bool_]]:
    """Check images (ny, nx); return them with 0 at masked pixels, and whether each pixel is unmasked.

    Raises
    ------
    DamagedFile
        If shapes differ, or a value is negative or not finite.
    """
    live = mask != 0
    images = []
    named = (("counts", counts), ("background", background), ("background variance", variance))
    for name, image in named:
        if image.shape != live.shape:
            raise DamagedFile(
                f"{name} image: shape {image.shape}, expected the mask's {live.shape}: make the bundle again"
            )
        used = np.where(live, image, 0)
        if not (np.isfinite(used).all() and (used >= 0).all()):
            raise DamagedFile(
                f"{name} image: negative or non-finite pixels, expected 0 or more: make the bundle again"
            )
        images.append(used)
    return (images[0], images[1], images[2]), live
