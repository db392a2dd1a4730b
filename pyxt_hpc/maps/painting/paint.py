"""Painting of values of regions on the sky: on blocks or bins, interpolated, or as means over circles."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.binning.lattice import block_number
from pyxt_hpc.maps.painting.overlap import mean_correlation, shared_area

MODES = ("block", "interpolate", "average")


@dataclass(frozen=True, eq=False)
class Measured:
    """Values with asymmetric errors, of regions (n,) or of pixels (ny, nx).

    Parameters
    ----------
    value
        Values; NaN where there is no value.
    minus, plus
        Lower and upper errors, positive; NaN where the interval is open.
    """

    value: NDArray
    minus: NDArray
    plus: NDArray

    @property
    def error(self) -> NDArray:
        """Half the interval; NaN if either side is open."""
        return 0.5 * (self.minus + self.plus)


def paint_blocks(
    row: NDArray, col: NDArray, values: NDArray, valid: NDArray, step: int
) -> NDArray[np.float32]:
    """Give every valid pixel the value of its block's region.

    Parameters
    ----------
    row, col : (n,) int
        Centres of the regions, at most one per block, as chosen by `lattice`.
    values : (n,) float
        Value of each region.
    valid : (ny, nx) bool
        Pixels to paint.
    step : int
        Distance between the regions [pixels].

    Returns
    -------
    (ny, nx) float32
        Values; NaN where a pixel is not valid or its block has no region.
    """
    of_block = _by_block(row, col, np.asarray(values, np.float32), valid.shape, step, np.float32(np.nan))
    ny, nx = valid.shape
    painted = of_block[block_number(np.arange(ny), step)[:, None], block_number(np.arange(nx), step)]
    return np.where(valid, painted, np.float32(np.nan))


def paint_bins(labels: NDArray, numbers: NDArray, values: NDArray) -> NDArray[np.float32]:
    """Give every pixel of a bin the value of its bin.

    Parameters
    ----------
    labels : (ny, nx) int
        Number of every pixel's bin, 0 where there is no bin.
    numbers : (n,) int
        Numbers of the bins with a value, ascending.
    values : (n,) float
        Value of each of these bins.

    Returns
    -------
    (ny, nx) float32
        Values; NaN where there is no bin or it has no value.
    """
    at = np.minimum(np.searchsorted(numbers, labels), len(numbers) - 1)
    found = np.asarray(values, np.float32)[at]
    return np.where((labels > 0) & (numbers[at] == labels), found, np.float32(np.nan))


def paint_measured(
    mode: str, regions: NDArray, measured: Measured, radius: NDArray, step: int, *, relative: bool
) -> Measured:
    """Paint values and errors in one of `MODES`.

    ``block``: a pixel has the value of its block's region. ``interpolate``: it has the mean of the regions
    less than a step away in row and column, with bilinear weights times the area that their circle shares
    with the pixel's own circle; its errors are the means of their errors, since neighbouring circles have
    nearly the same photons. ``average``: it has the error-weighted mean of all circles that contain it
    (`average_circles`), or the value of ``block`` if there is no such circle.

    Parameters
    ----------
    mode
        One of `MODES`.
    regions
        (n,) with the columns row, col, radius [pixels], at most one per block of `lattice`.
    measured
        Values and errors (n,) of the regions.
    radius
        (ny, nx) scale map [pixels]; pixels with 0 are NaN.
    step
        Distance between the regions [pixels].
    relative
        ``average`` weights by relative errors, which is necessary if errors grow with the value.

    Returns
    -------
    Measured
        Values and errors (ny, nx) float32.
    """
    valid = radius > 0
    row, col = regions["row"].astype(np.int64), regions["col"].astype(np.int64)
    if mode in ("block", "average"):
        parts = measured.value, measured.minus, measured.plus
        blocks = Measured(*(paint_blocks(row, col, v, valid, step) for v in parts))
        if mode == "block":
            return blocks
        mean = average_circles(regions, measured, valid, relative=relative)
        # Small circles leave gaps between the fitted regions.
        gap = np.isnan(mean.value)
        pairs = ((mean.value, blocks.value), (mean.minus, blocks.minus), (mean.plus, blocks.plus))
        return Measured(*(np.where(gap, block, found) for found, block in pairs))
    columns = np.stack([measured.value, measured.minus, measured.plus], axis=1).astype(np.float64)
    usable = np.flatnonzero(np.isfinite(columns[:, 0]))
    of_block = _by_block(row[usable], col[usable], usable, valid.shape, step, np.int64(-1))
    images = np.full((3, *valid.shape), np.nan, np.float32)
    _interpolate(of_block, row, col, regions["radius"].astype(float), columns, radius, step, images)
    return Measured(*images)


def average_circles(regions: NDArray, measured: Measured, valid: NDArray, *, relative: bool) -> Measured:
    """Error-weighted mean, at every pixel, of all circles that contain it.

    The circles share photons, so the error of the mean of K circles is not sigma/sqrt(K). With weights w of
    sum W and correlations rho, its variance is sum_ij w_i w_j rho_ij sigma_i sigma_j / W^2. All rho_ij, i not
    equal to j, are set to their mean over circles that contain one point (`overlap.mean_correlation`, 0.46),
    so that any number of circles is worth at most 2.2 independent ones.

    Parameters
    ----------
    regions
        (n,) with the columns row, col, radius [pixels].
    measured
        Values and errors (n,) of the regions; a region with an open interval has no error and is not used.
    valid
        (ny, nx) pixels to paint.
    relative
        Weights are (value/error)^2 instead of 1/error^2. If errors grow with the value, 1/error^2 would
        prefer low values, from fluctuations or on the lower side of a gradient.

    Returns
    -------
    Measured
        Values and errors (ny, nx) float32; NaN where no circle has an error.
    """
    sigma = measured.error
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = (measured.value / sigma if relative else 1.0 / sigma) ** 2
    used = np.isfinite(weight) & (weight > 0)
    w, value = weight[used], measured.value[used]
    minus, plus = measured.minus[used], measured.plus[used]
    columns = np.stack(
        [np.ones_like(w), w, w * value, w * minus, (w * minus) ** 2, w * plus, (w * plus) ** 2], axis=1
    )
    number, total, weighted, *errors = sum_over_circles(regions[used], columns, valid.shape)
    seen = valid & (np.rint(number) > 0)
    images = np.full((3, *valid.shape), np.nan, np.float32)
    images[0, seen] = weighted[seen] / total[seen]
    rho = mean_correlation()
    for image, linear, squares in zip(images[1:], errors[::2], errors[1::2], strict=True):
        own, pairs = squares[seen], linear[seen] ** 2 - squares[seen]
        image[seen] = np.sqrt(own + rho * np.maximum(pairs, 0.0)) / total[seen]
    return Measured(*images)


def sum_over_circles(regions: NDArray, columns: NDArray, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Sum columns, at every pixel, over all circles that contain it.

    Parameters
    ----------
    regions : (n,)
        Regions with the columns row, col, radius [pixels].
    columns : (n, n_column) float64
        Values to sum.
    shape : (ny, nx)

    Returns
    -------
    (n_column, ny, nx) float64
    """
    steps = np.zeros((shape[0], shape[1] + 1, columns.shape[1]))
    row, col = regions["row"].astype(np.int64), regions["col"].astype(np.int64)
    _mark_ends(row, col, regions["radius"].astype(float), columns, steps)
    return np.moveaxis(np.cumsum(steps, axis=1, out=steps)[:, :-1], -1, 0)


def _by_block(
    row: NDArray, col: NDArray, values: NDArray, shape: tuple[int, int], step: int, missing: np.generic
) -> NDArray:
    ny, nx = shape
    of_block = np.full((block_number(ny - 1, step) + 1, block_number(nx - 1, step) + 1), missing)
    of_block[block_number(row, step), block_number(col, step)] = values
    return of_block


@compiled
def _mark_ends(row, col, radius, columns, steps):  # type: ignore[no-untyped-def]
    ny, width, n_column = steps.shape
    for i in range(row.size):
        reach = int(radius[i])
        for dy in range(-reach, reach + 1):
            y = row[i] + dy
            if y < 0 or y >= ny:
                continue
            half = int(np.sqrt(radius[i] * radius[i] - dy * dy))
            left, right = max(col[i] - half, 0), min(col[i] + half + 1, width - 1)
            for k in range(n_column):
                steps[y, left, k] += columns[i, k]
                steps[y, right, k] -= columns[i, k]


@compiled
def _interpolate(of_block, row, col, reach, columns, radius, step, images):  # type: ignore[no-untyped-def]
    ny, nx = radius.shape
    sums = np.zeros(3)
    for y in range(ny):
        for x in range(nx):
            if radius[y, x] <= 0.0:
                continue
            by, bx = (y + step // 2) // step, (x + step // 2) // step
            total, sums[:] = 0.0, 0.0
            for ny_block in range(max(by - 1, 0), min(by + 2, of_block.shape[0])):
                for nx_block in range(max(bx - 1, 0), min(bx + 2, of_block.shape[1])):
                    i = of_block[ny_block, nx_block]
                    if i < 0:
                        continue
                    dy, dx = abs(row[i] - y), abs(col[i] - x)
                    near = max(1.0 - dy / step, 0.0) * max(1.0 - dx / step, 0.0)
                    if near == 0.0:
                        continue
                    weight = near * shared_area(np.hypot(dy, dx), radius[y, x], reach[i])
                    total += weight
                    for k in range(3):
                        sums[k] += weight * columns[i, k]
            own = of_block[by, bx]
            for k in range(3):
                if total > 0.0:
                    images[k, y, x] = sums[k] / total
                elif own >= 0:
                    images[k, y, x] = columns[own, k]
