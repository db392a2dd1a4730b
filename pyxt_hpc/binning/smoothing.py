"""Accumulative smoothing: each pixel gets the mean of a circle around it that just reaches an S/N."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.binning.discs import half_width_table

RADIUS_MAX = 100.0

# Radii of the circles [pixels]: multiples of 1/8, in steps of about 6%, but of at least half a pixel.
_RADII = np.unique(
    np.concatenate([[0.0], np.arange(1.0, 8.0, 0.5), np.round(8.0 * np.geomspace(8.0, 100.0, 42)) / 8.0])
)


def accumulative_smoothing(
    counts: NDArray,
    background: NDArray,
    variance: NDArray,
    mask: NDArray,
    target: float,
    exposure: NDArray | None = None,
) -> NDArray[np.float64]:
    """Brightness (C - B)/(sum of exposure) in circles that reach an S/N (Sanders 2006, MNRAS 371, 829).

    The search for a radius starts from the previous pixel's radius and goes up or down in steps of half a
    pixel or, above 8 pixels, of 6%. If S/N is not monotonic in the radius, a smaller one may also reach it.

    Parameters
    ----------
    counts, background, variance, mask : (ny, nx)
        As `circles.prepare_circle_sums` takes them.
    target : float
        S/N of the circles; if no radius up to 100 pixels reaches it, the radius is 100 pixels.
    exposure : (ny, nx), optional
        Exposure of each pixel; None: equal for all unmasked pixels.

    Returns
    -------
    (ny, nx) float64
        0 for masked pixels, and in circles without exposure.
    """
    live = mask != 0
    prefix = _prefix_sums([counts, background, variance, live if exposure is None else exposure], live)
    table, line = half_width_table(_RADII)
    smooth = np.zeros(live.shape)
    _accumulate(prefix, live, table[line], float(target), smooth)
    return smooth


def _prefix_sums(images: list[NDArray], live: NDArray) -> NDArray[np.float64]:
    """Sums (ny, nx + 1, n_image) of the unmasked pixels to the left of each column."""
    ny, nx = live.shape
    prefix = np.zeros((ny, nx + 1, len(images)))
    for i, image in enumerate(images):
        np.cumsum(np.where(live, image, 0), axis=1, dtype=np.float64, out=prefix[:, 1:, i])
    return prefix


@compiled
def _accumulate(prefix, live, table, target, smooth):  # type: ignore[no-untyped-def]
    ny, nx = live.shape
    last = table.shape[0] - 1
    now, kept = np.empty(4), np.empty(4)
    k = 0
    for y in range(ny):
        for step in range(nx):
            x = step if y % 2 == 0 else nx - 1 - step  # so that the previous pixel is always a neighbour
            if not live[y, x]:
                continue
            _disc(prefix, y, x, table[k], now)
            if _reached(now, target):
                kept[:] = now
                while k > 0:
                    _disc(prefix, y, x, table[k - 1], now)
                    if not _reached(now, target):
                        break
                    kept[:] = now
                    k -= 1
            else:
                while k < last and not _reached(now, target):
                    k += 1
                    _disc(prefix, y, x, table[k], now)
                kept[:] = now
            if kept[3] > 0.0:
                smooth[y, x] = (kept[0] - kept[1]) / kept[3]


@compiled
def _reached(sums, target):  # type: ignore[no-untyped-def]
    net = sums[0] - sums[1]
    return net > 0.0 and net * net >= target * target * (sums[0] + sums[2])


@compiled
def _disc(prefix, y, x, half, total):  # type: ignore[no-untyped-def]
    """Set `total` (4,) to the sums over a disc with these half-widths."""
    ny, nx = prefix.shape[0], prefix.shape[1] - 1
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    reach = half.size - 1
    while half[reach] < 0:
        reach -= 1
    for row in range(max(y - reach, 0), min(y + reach, ny - 1) + 1):
        h = half[abs(row - y)]
        left, right = max(x - h, 0), min(x + h + 1, nx)
        first, last = prefix[row, left], prefix[row, right]
        a += last[0] - first[0]
        b += last[1] - first[1]
        c += last[2] - first[2]
        d += last[3] - first[3]
    total[0], total[1], total[2], total[3] = a, b, c, d


def sum_own_circles(images: NDArray, radius: NDArray) -> NDArray[np.float64]:
    """Sums of four images over the circle of each pixel, from prefix sums along rows.

    Parameters
    ----------
    images : (ny, nx, 4)
        Images; pixels outside them count as 0.
    radius : (ny, nx)
        Radii [pixels], multiples of 1/8; a radius of 0 gives sums of 0.

    Returns
    -------
    (4, ny, nx) float64

    Raises
    ------
    ConfigError
        If a radius is not a multiple of 1/8 pixel.
    """
    prefix = _prefix_sums([images[..., i] for i in range(4)], np.ones(radius.shape, bool))
    table, line = half_width_table(radius)
    sums = np.zeros((4, *radius.shape))
    _sum(prefix, line, radius > 0, table, sums)
    return sums


@compiled
def _sum(prefix, line, valid, table, sums):  # type: ignore[no-untyped-def]
    ny, nx = valid.shape
    total = np.empty(4)
    for y in range(ny):
        for x in range(nx):
            if valid[y, x]:
                _disc(prefix, y, x, table[line[y, x]], total)
                sums[:, y, x] = total
