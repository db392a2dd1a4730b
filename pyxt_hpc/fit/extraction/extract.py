"""Extraction of spectra and image sums from regions, which are sets of pixels (`pyxt_hpc.binning.runs`).

Events are sorted by pixel in row-major order, so that the events of a run of pixels are one slice. Pixels
outside the image count as empty. The results of a region do not depend on the other regions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.arrays.views import read_only
from pyxt_hpc.binning.discs import disc_area
from pyxt_hpc.binning.runs import PixelRuns, runs_of_discs


def disc_areas(radius: ArrayLike) -> NDArray[np.int64]:
    """Number of pixels, (n_reg,) int64, of complete discs with radii (n_reg,) [pixels]."""
    values, index = np.unique(radius, return_inverse=True)
    return np.array([disc_area(value) for value in values], np.int64)[index]


def extract_regions(
    runs: PixelRuns,
    indptr: NDArray[np.int64],
    bin_of_event: NDArray[np.int16],
    n_bin: int,
    shape: tuple[int, int],
    first: tuple[int, int] = (0, 0),
) -> NDArray[np.int32]:
    """Counts of regions in spectral bins.

    Parameters
    ----------
    indptr : (ny * nx + 1,) int64
        Events of pixel (y, x) are indptr[y * nx + x] .. indptr[y * nx + x + 1] - 1.
    bin_of_event : (n_event,) int
        Bin of each event; -1 or n_bin if it has none.
    shape : (ny, nx)
        Shape of the image whose pixels have events.
    first : (row, col)
        Where this image begins, in the rows and columns of the runs.

    Returns
    -------
    (n_reg, n_bin) int32
    """
    counts = np.zeros((len(runs), n_bin + 1), np.int32)  # the last column takes events without a bin
    _count(*_arrays(runs), read_only(indptr), read_only(bin_of_event), *shape, *first, counts)
    return np.ascontiguousarray(counts[:, :n_bin])


def image_sums(runs: PixelRuns, images: np.ndarray) -> NDArray[np.float64]:
    """Sums of images over regions.

    Parameters
    ----------
    images : (n_image, ny, nx)
        Images (no prefix sums, since the addition of rows takes less time than the fit, even at 100 pixels).

    Returns
    -------
    (n_reg, n_image) float64
    """
    sums = np.zeros((len(runs), len(images)))
    _add_up(*_arrays(runs), read_only(np.ascontiguousarray(images)), sums)
    return sums


def disc_sums(row: ArrayLike, col: ArrayLike, radius: ArrayLike, images: np.ndarray) -> NDArray[np.float64]:
    """`image_sums` over discs (n_reg,) with centres on pixels, and radii in steps of 1/8 pixel."""
    return image_sums(runs_of_discs(row, col, radius), images)


def weighted_image_sums(
    runs: PixelRuns, weight: np.ndarray, margin: int, images: np.ndarray, first: tuple[int, int]
) -> NDArray[np.float64]:
    """Sums of weight x images over regions, for all images in one pass.

    Parameters
    ----------
    weight : (n_row + 2 m, n_col + 2 m)
        Weight of pixel (0, 0) of the runs, and of all others, with a margin of m >= 0 pixels around them.
    margin
        m.
    images : (ny, nx, n_image)
        The images are the last axis, which halves the time.
    first : (row, col)
        Where the images begin, in the rows and columns of the runs.

    Returns
    -------
    (n_reg, n_image) float64
    """
    sums = np.zeros((len(runs), images.shape[2]))
    images = read_only(np.ascontiguousarray(images))
    _add_up_weighted(*_arrays(runs), read_only(weight), margin, images, *first, sums)
    return sums


def _arrays(runs: PixelRuns) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return runs.indptr, runs.row, runs.start, runs.stop


@compiled
def _count(first, row, start, stop, indptr, bin_of_event, ny, nx, row_0, col_0, counts):  # type: ignore[no-untyped-def]
    for region in range(first.size - 1):
        mine = counts[region]
        for k in range(first[region], first[region + 1]):
            y, left, right = row[k] - row_0, max(start[k] - col_0, 0), min(stop[k] - col_0, nx)
            if y < 0 or y >= ny or left >= right:
                continue
            for event in range(indptr[y * nx + left], indptr[y * nx + right]):
                mine[bin_of_event[event]] += 1  # -1 is the last column


@compiled
def _row_sum(values):  # type: ignore[no-untyped-def]
    """Sum of four partial sums: fast without fastmath, so that the order of additions is fixed."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    fours = values.size - values.size % 4
    for i in range(0, fours, 4):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
    for i in range(fours, values.size):
        a += values[i]
    return (a + b) + (c + d)


@compiled
def _add_up(first, row, start, stop, images, sums):  # type: ignore[no-untyped-def]
    n_image, ny, nx = images.shape
    for region in range(first.size - 1):
        for k in range(first[region], first[region + 1]):
            y, left, right = row[k], max(start[k], 0), min(stop[k], nx)
            if y < 0 or y >= ny or left >= right:
                continue
            for i in range(n_image):
                sums[region, i] += _row_sum(images[i, y, left:right])


@compiled
def _add_up_weighted(first, row, start, stop, weight, margin, images, row_0, col_0, sums):  # type: ignore[no-untyped-def]
    ny, nx, n_image = images.shape
    for region in range(first.size - 1):
        mine = sums[region]
        for k in range(first[region], first[region + 1]):
            y, left, right = row[k] - row_0, max(start[k] - col_0, 0), min(stop[k] - col_0, nx)
            if y < 0 or y >= ny or left >= right:
                continue
            for x in range(left, right):
                w, pixel = weight[y + row_0 + margin, x + col_0 + margin], images[y, x]
                for i in range(n_image):
                    mine[i] += w * pixel[i]
