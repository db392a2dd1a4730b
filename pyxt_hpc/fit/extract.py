"""Extraction: spectra and image sums of discs.

Events are sorted by pixel in row-major order, so the events of one row of a disc are one slice. What
lies outside the image counts as empty. Which pixels a disc holds is `pyxt_hpc.binning.discs`' affair.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.binning.discs import disc_area, half_width_table


def disc_areas(radius: ArrayLike) -> NDArray[np.int64]:
    """Number of pixels of whole discs, (n_reg,) int64, of `radius` (n_reg,) [pixels]."""
    values, index = np.unique(radius, return_inverse=True)
    return np.array([disc_area(value) for value in values], np.int64)[index]


def extract_regions(
    row: ArrayLike,
    col: ArrayLike,
    radius: ArrayLike,
    indptr: NDArray[np.int64],
    bin_of_event: NDArray[np.int16],
    n_bin: int,
    shape: tuple[int, int],
) -> NDArray[np.int32]:
    """Binned counts of discs.

    Parameters
    ----------
    row, col : (n_reg,) int
        Middle pixels, inside the image or not.
    radius : (n_reg,)
        Radii [pixels], multiples of 1/8.
    indptr : (ny * nx + 1,) int64
        Events of pixel (y, x) are indptr[y * nx + x] .. indptr[y * nx + x + 1] - 1.
    bin_of_event : (n_event,) int16
        Bin of each event, -1 for none.
    n_bin : int
    shape : (ny, nx)

    Returns
    -------
    (n_reg, n_bin) int32

    Raises
    ------
    ConfigError
        If a radius is not a multiple of 1/8 pixel.
    """
    widths, index = _width_table(radius)
    counts = np.zeros((len(index), n_bin + 1), np.int32)  # the last column takes events without a bin
    rows, cols = np.asarray(row, np.int64), np.asarray(col, np.int64)
    _count(rows, cols, widths, index, indptr, bin_of_event, shape[0], shape[1], counts)
    return np.ascontiguousarray(counts[:, :n_bin])


def disc_sums(row: ArrayLike, col: ArrayLike, radius: ArrayLike, images: np.ndarray) -> NDArray[np.float64]:
    """Sums of images over discs.

    Parameters
    ----------
    row, col, radius : (n_reg,)
        As in `extract_regions`.
    images : (n_image, ny, nx)
        Not prefix sums: adding up a row costs less than the fit that follows, even at 100 pixels.

    Returns
    -------
    (n_reg, n_image) float64

    Raises
    ------
    ConfigError
        If a radius is not a multiple of 1/8 pixel.
    """
    widths, index = _width_table(radius)
    sums = np.zeros((len(index), len(images)))
    _add_up(
        np.asarray(row, np.int64),
        np.asarray(col, np.int64),
        widths,
        index,
        np.ascontiguousarray(images),
        sums,
    )
    return sums


def weighted_disc_sums(
    row: ArrayLike, col: ArrayLike, radius: ArrayLike, weight: np.ndarray, images: np.ndarray
) -> NDArray[np.float64]:
    """Sums of weight x images over discs, one pass for all images.

    Parameters
    ----------
    row, col, radius : (n_reg,)
        As in `extract_regions`.
    weight : (ny + 2 m, nx + 2 m)
        Known in a margin of m >= 0 pixels around the images, too.
    images : (ny, nx, n_image)
        The images of a pixel lie side by side, which halves the time.

    Returns
    -------
    (n_reg, n_image) float64
        Rounded alike for a disc whatever the others are.
    """
    widths, index = _width_table(radius)
    sums = np.zeros((len(index), images.shape[2]))
    rows, cols = np.asarray(row, np.int64), np.asarray(col, np.int64)
    _add_up_weighted(rows, cols, widths, index, weight, np.ascontiguousarray(images), sums)
    return sums


def _width_table(radius: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Half-widths of the discs that occur, -1 in rows outside, and each region's line of that table."""
    return _table_of(np.atleast_1d(np.asarray(radius, np.float64)).tobytes())


@lru_cache(maxsize=2)  # a fit asks for the table of the same regions several times for each observation
def _table_of(radii: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return half_width_table(np.frombuffer(radii, np.float64))


@compiled
def _count(row, col, widths, index, indptr, bin_of_event, ny, nx, counts):  # type: ignore[no-untyped-def]
    for region in range(row.size):
        half, mine = widths[index[region]], counts[region]
        for dy in range(1 - half.size, half.size):
            y, h = row[region] + dy, half[abs(dy)]
            left, right = max(col[region] - h, 0), min(col[region] + h, nx - 1)
            if h < 0 or y < 0 or y >= ny or left > right:
                continue
            for event in range(indptr[y * nx + left], indptr[y * nx + right + 1]):
                mine[bin_of_event[event]] += 1  # -1 is the last column


@compiled
def _row_sum(values):  # type: ignore[no-untyped-def]
    """Four sums at once, which keeps the order fixed where fastmath would leave it to the compiler."""
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
def _add_up(row, col, widths, index, images, sums):  # type: ignore[no-untyped-def]
    n_image, ny, nx = images.shape
    for region in range(row.size):
        half = widths[index[region]]
        for dy in range(1 - half.size, half.size):
            y, h = row[region] + dy, half[abs(dy)]
            left, right = max(col[region] - h, 0), min(col[region] + h, nx - 1)
            if h < 0 or y < 0 or y >= ny or left > right:
                continue
            for i in range(n_image):
                sums[region, i] += _row_sum(images[i, y, left : right + 1])


@compiled
def _add_up_weighted(row, col, widths, index, weight, images, sums):  # type: ignore[no-untyped-def]
    ny, nx, n_image = images.shape
    margin = (weight.shape[0] - ny) // 2
    for region in range(row.size):
        half, mine = widths[index[region]], sums[region]
        for dy in range(1 - half.size, half.size):
            y, h = row[region] + dy, half[abs(dy)]
            left, right = max(col[region] - h, 0), min(col[region] + h, nx - 1)
            if h < 0 or y < 0 or y >= ny or left > right:
                continue
            for x in range(left, right + 1):
                w, pixel = weight[y + margin, x + margin], images[y, x]
                for i in range(n_image):
                    mine[i] += w * pixel[i]
