"""Regions as sets of pixels in runs; a run is a sequence of neighbouring pixels in one row.

Events are sorted by pixel in row-major order, so that the events of a run are one slice. A disc of radius r
has 2r + 1 runs, and a compact bin has about one in each of its rows. Code that uses runs need not distinguish
discs from bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.binning.discs import half_width_table
from pyxt_hpc.errors import ConfigError

MAX_LABEL = 2**31 - 1


@dataclass(frozen=True, eq=False)
class PixelRuns:
    """Pixels of n regions, which may overlap and may extend beyond the image.

    Attributes
    ----------
    indptr : (n + 1,) int64
        Region i has the runs indptr[i] .. indptr[i + 1] - 1, in row-major order.
    row, start, stop : (n_run,) int32
        A run holds the columns start .. stop - 1 of its row.
    """

    indptr: NDArray[np.int64]
    row: NDArray[np.int32]
    start: NDArray[np.int32]
    stop: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def area(self) -> NDArray[np.int64]:
        """Number of pixels of each region, (n,)."""
        total = np.concatenate([[0], np.cumsum(self.stop.astype(np.int64) - self.start)])
        return np.diff(total[self.indptr])

    def take(self, indices: ArrayLike) -> PixelRuns:
        """The regions at positions (m,), in this order."""
        indices = np.asarray(indices, np.int64)
        first = self.indptr[indices]
        n_run = self.indptr[indices + 1] - first
        indptr = np.concatenate([[0], np.cumsum(n_run)]).astype(np.int64)
        at = np.arange(indptr[-1]) + np.repeat(first - indptr[:-1], n_run)
        return PixelRuns(indptr, self.row[at], self.start[at], self.stop[at])

    def shifted(self, rows: int, cols: int) -> PixelRuns:
        """The same regions, moved by a number of rows and columns."""
        return PixelRuns(self.indptr, self.row + rows, self.start + cols, self.stop + cols)

    def bounds(self) -> tuple[int, int, int, int]:
        """First row, row after the last, first column and column after the last of all regions."""
        if not len(self.row):
            return 0, 0, 0, 0
        return int(self.row.min()), int(self.row.max()) + 1, int(self.start.min()), int(self.stop.max())


def runs_of_discs(row: ArrayLike, col: ArrayLike, radius: ArrayLike) -> PixelRuns:
    """Runs of discs around pixels; `discs` defines a disc.

    Parameters
    ----------
    row, col : (n,) int
        Middle pixels.
    radius : (n,)
        Radii [pixels], multiples of 1/8.

    Raises
    ------
    ConfigError
        If a radius is not a multiple of 1/8 pixel.
    """
    table, line = half_width_table(np.atleast_1d(np.asarray(radius, np.float64)))
    n_run = np.maximum(2 * (table >= 0).sum(axis=1) - 1, 0)[line]
    indptr = np.concatenate([[0], np.cumsum(n_run)]).astype(np.int64)
    of_run = np.empty((3, indptr[-1]), np.int32)
    _disc_runs(
        np.atleast_1d(np.asarray(row, np.int64)),
        np.atleast_1d(np.asarray(col, np.int64)),
        table,
        line,
        indptr,
        of_run,
    )
    return PixelRuns(indptr, *of_run)


def runs_of_labels(labels: NDArray) -> tuple[NDArray[np.int32], PixelRuns]:
    """Numbers and runs of the regions of a label image.

    Parameters
    ----------
    labels : (ny, nx) int
        Number of the region that holds each pixel; 0: none.

    Returns
    -------
    numbers : (n,) int32
        Labels that occur, ascending.
    runs : PixelRuns
        Pixels of these regions.

    Raises
    ------
    ConfigError
        If `labels` is no image of whole numbers from 0 to 2^31 - 1.
    """
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise ConfigError(
            f"label image: found {labels.ndim} axes of {labels.dtype}, expected an image of whole numbers"
        )
    numbers, position = np.unique(labels, return_inverse=True)
    if len(numbers) and not 0 <= numbers[0] <= numbers[-1] <= MAX_LABEL:
        raise ConfigError(
            f"label image: found numbers {numbers[0]} to {numbers[-1]}, expected 0 (no region) to {MAX_LABEL}"
        )
    none = int(np.count_nonzero(numbers == 0))
    position = position.reshape(labels.shape) - none
    n_region = len(numbers) - none
    n_run = np.zeros(n_region + 1, np.int64)
    _count_runs(position, n_run[1:])
    indptr = np.cumsum(n_run)
    of_run = np.empty((3, indptr[-1]), np.int32)
    _label_runs(position, indptr[:-1].copy(), of_run)
    return numbers[none:].astype(np.int32), PixelRuns(indptr, *of_run)


def middle_pixels(runs: PixelRuns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixel of each region that is nearest to the region's centroid; the first of equally near ones.

    Returns
    -------
    row, col : (n,) int64
        A pixel of the region, even if the centroid is outside the region.
    """
    middle = np.zeros((2, len(runs)), np.int64)
    _middles(runs.indptr, runs.row, runs.start, runs.stop, middle)
    return middle[0], middle[1]


@compiled
def _disc_runs(row, col, table, line, indptr, of_run):  # type: ignore[no-untyped-def]
    for region in range(row.size):
        half = table[line[region]]
        k = indptr[region]
        for dy in range(1 - half.size, half.size):
            h = half[abs(dy)]
            if h >= 0:
                of_run[0, k], of_run[1, k], of_run[2, k] = (
                    row[region] + dy,
                    col[region] - h,
                    col[region] + h + 1,
                )
                k += 1


@compiled
def _count_runs(position, n_run):  # type: ignore[no-untyped-def]
    for y in range(position.shape[0]):
        before = -1
        for x in range(position.shape[1]):
            here = position[y, x]
            if here >= 0 and here != before:
                n_run[here] += 1
            before = here


@compiled
def _label_runs(position, free, of_run):  # type: ignore[no-untyped-def]
    for y in range(position.shape[0]):
        before = -1
        for x in range(position.shape[1]):
            here = position[y, x]
            if here >= 0:
                if here != before:
                    of_run[0, free[here]], of_run[1, free[here]] = y, x
                    free[here] += 1
                of_run[2, free[here] - 1] = x + 1
            before = here


@compiled
def _middles(indptr, row, start, stop, middle):  # type: ignore[no-untyped-def]
    for region in range(indptr.size - 1):
        n, y, x = 0, 0.0, 0.0
        for k in range(indptr[region], indptr[region + 1]):
            length = stop[k] - start[k]
            n += length
            y += length * row[k]
            x += 0.5 * length * (start[k] + stop[k] - 1)
        y, x = y / max(n, 1), x / max(n, 1)
        best = np.inf
        for k in range(indptr[region], indptr[region + 1]):
            nearest = min(max(int(np.ceil(x - 0.5)), start[k]), stop[k] - 1)
            distance = (row[k] - y) ** 2 + (nearest - x) ** 2
            if distance < best:
                best = distance
                middle[0, region], middle[1, region] = row[k], nearest
