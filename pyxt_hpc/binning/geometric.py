"""Bins of given shapes: squares, elliptical annuli and their sectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.binning.bins import checked_images, renumbered


def grid_bins(mask: NDArray, side: int) -> NDArray[np.int32]:
    """Label image of squares with sides of `side` pixels, row by row, without squares that are all masked.

    Returns
    -------
    (ny, nx) int32
        Numbers from 1; 0 where masked.
    """
    y, x = np.indices(mask.shape) // side
    return renumbered(np.where(mask != 0, 1 + y * (x.max(initial=0) + 1) + x, 0))


def elliptical_radius(
    shape: tuple[int, int], row: float, col: float, axis_ratio: float, angle: float
) -> NDArray[np.float64]:
    """Semi-major axis [pixels] of the ellipse through each pixel, (ny, nx).

    Parameters
    ----------
    shape : (ny, nx)
    row, col : float
        Centre [pixels].
    axis_ratio : float
        Ratio of the minor to the major axis.
    angle : float
        Angle of the major axis [rad], from ascending rows towards descending columns: the position angle from
        north to east if north is up.
    """
    y, x = np.ogrid[: shape[0], : shape[1]]
    y, x = y - row, x - col
    along = y * np.cos(angle) - x * np.sin(angle)
    across = y * np.sin(angle) + x * np.cos(angle)
    return np.hypot(along, across / axis_ratio)


def sector_of(
    shape: tuple[int, int], row: float, col: float, n_sectors: int, first: float
) -> NDArray[np.int64]:
    """Number, from 0, of the sector of each pixel, (ny, nx).

    Sectors have equal angles about the centre. The first begins at the angle `first` [rad], which is measured
    as in `elliptical_radius`.
    """
    y, x = np.ogrid[: shape[0], : shape[1]]
    turns = (np.arctan2(-(x - col), y - row) - first) / (2.0 * np.pi)
    return np.minimum((turns % 1.0 * n_sectors).astype(np.int64), n_sectors - 1)


def annuli_of_radii(mask: NDArray, radius: NDArray, sector: NDArray, edges: NDArray) -> NDArray[np.int32]:
    """Label image of sectors of annuli, from the inside out; 0 for masked pixels and outside the annuli.

    `radius` and `sector` (ny, nx) belong to the pixels; `edges` are the ascending radii between annuli. An
    annulus includes its inner edge.
    """
    ring = np.searchsorted(edges, radius, side="right") - 1
    inside = (mask != 0) & (ring >= 0) & (ring < len(edges) - 1)
    return renumbered(np.where(inside, 1 + ring * (int(sector.max(initial=0)) + 1) + sector, 0))


def annuli_of_signal(
    counts: NDArray,
    background: NDArray,
    variance: NDArray,
    mask: NDArray,
    target: float,
    radius: NDArray,
    sector: NDArray,
    min_area: NDArray | float = 0.0,
) -> NDArray[np.int32]:
    """Label image of sectors of annuli that reach an S/N; each sector has its own radii.

    Parameters
    ----------
    counts, background, variance, mask : (ny, nx)
        As `circles.prepare_circle_sums` takes them.
    target : float
        S/N of every bin.
    radius, sector : (ny, nx)
        Radius and sector of each pixel.
    min_area : (ny, nx) or float
        Smallest area of a bin that begins at a pixel [pixels]. A bin is also at least a pixel wide.

    Returns
    -------
    (ny, nx) int32
        Numbers from 1, from the inside out; 0 for masked pixels, and outside the last bin with the S/N.
    """
    images, live = checked_images(counts, background, variance, mask)
    flat = np.stack([image.ravel() for image in images]).astype(np.float64)
    need = np.broadcast_to(np.asarray(min_area, np.float64), live.shape).ravel()
    ring = np.full(live.size, -1, np.int64)
    for one in range(int(sector.max(initial=0)) + 1):
        own = np.flatnonzero(live.ravel() & (sector.ravel() == one))
        own = own[np.argsort(radius.ravel()[own], kind="stable")]
        _rings(flat[:, own], radius.ravel()[own], need[own], float(target), own, ring)
    number = np.where(ring >= 0, 1 + ring * (int(sector.max(initial=0)) + 1) + sector.ravel(), 0)
    return renumbered(number.reshape(live.shape))


@compiled
def _rings(images, radius, need, target, pixel, ring):  # type: ignore[no-untyped-def]
    """Number the rings of pixels sorted by radius; the outermost pixels, if they miss the S/N, keep -1."""
    first, number = 0, 0
    counts, background, variance = 0.0, 0.0, 0.0
    for k in range(radius.size):
        counts += images[0, k]
        background += images[1, k]
        variance += images[2, k]
        net = counts - background
        enough = net > 0.0 and net * net >= target * target * (counts + variance)
        ends = k + 1 == radius.size or radius[k + 1] > radius[k]  # pixels with equal radii stay together
        if enough and ends and k + 1 - first >= need[first] and radius[k] - radius[first] >= 1.0:
            for i in range(first, k + 1):
                ring[pixel[i]] = number
            first, number = k + 1, number + 1
            counts, background, variance = 0.0, 0.0, 0.0
