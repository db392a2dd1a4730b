"""Voronoi bins: compact bins with nearly equal S/N.

Bins are accreted pixel by pixel from the peak outwards (Cappellari & Copin 2003, MNRAS 342, 345, sect. 5.1);
their centroids are the generators of a tessellation in which every pixel belongs to the generator with the
smallest distance/scale. Centroids and scales are iterated until the S/N is uniform (weighted Voronoi
tessellation: Diehl & Statler 2006, MNRAS 368, 497).

The quality of a bin is min(S/N / target, sqrt(area / smallest area)), and should be at least 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.binning.bins import check_target, checked_images, renumbered, signal_to_noise, sums_of
from pyxt_hpc.binning.smoothing import accumulative_smoothing

# Smallest quality and largest roundness of a good accreted bin (Cappellari & Copin 2003).
GOOD = 0.8
ROUNDNESS = 0.3

# A bin fails, since it grows into sky without signal, if its quality has only decreased while its area grew
# by this factor.
_FALLING = 4

# Failed bins are excluded, as sky without signal, if they would lower the S/N of the nearest good bin below
# this fraction of the target, or of its present S/N if this is lower.
SPOILED = 0.95

# Quality to which bins are accreted; with the remaining scatter, nearly all bins then have at least 1.
_AIM = 1.04

# Iterations with the scales of Diehl & Statler, then with scales that increase by this power of a low
# quality, in bins with at least a few pixels.
_WEIGHTED, _EVENED = 15, 40
_GAIN = 0.5
_SMALL = 8


def voronoi_bins(
    counts: NDArray,
    background: NDArray,
    variance: NDArray,
    mask: NDArray,
    target: float,
    *,
    min_area: NDArray | float = 0.0,
    largest: int = 0,
) -> NDArray[np.int32]:
    """Label image of Voronoi bins.

    Parameters
    ----------
    counts, background, variance, mask : (ny, nx)
        As `circles.prepare_circle_sums` takes them.
    target : float
        S/N of the bins; a few per cent of them miss it by a few per cent, but all have at least `GOOD` of it.
    min_area : (ny, nx) or float
        Smallest area of bins with a generator at a pixel [pixels].
    largest : int
        Area above which a bin is excluded [pixels]; 0: no limit.

    Returns
    -------
    (ny, nx) int32
        Numbers from 1 in the order of accretion, from the peak outwards; 0 for masked and excluded pixels,
        for example sky without signal.

    Raises
    ------
    ConfigError, DamagedFile
        If the target is not positive; if images do not fit together or have negative values.
    """
    check_target(target)
    images, live = checked_images(counts, background, variance, mask)
    flat = np.ascontiguousarray(np.stack([image.ravel() for image in images]), np.float64)
    need = _AIM**2 * np.broadcast_to(np.asarray(min_area, np.float64), mask.shape).ravel()
    smooth = accumulative_smoothing(*images, mask, target)
    peak = np.unravel_index(np.argmax(np.where(live, smooth, -np.inf)), live.shape)
    pixels = np.flatnonzero(live)
    row, col = np.divmod(pixels, live.shape[1])
    order = pixels[np.argsort((row - peak[0]) ** 2 + (col - peak[1]) ** 2, kind="stable")]
    labels = np.where(live.ravel(), 0, -1).astype(np.int32)
    limit = int(0.8 * largest) if largest else labels.size + 1
    good = _accrete(order, flat, need, _AIM * float(target), limit, live.shape[1], labels)
    labels = labels.reshape(live.shape)
    if not good.any():
        return np.zeros(live.shape, np.int32)
    _leave_out(flat, float(target), labels, good)
    number = np.cumsum(good) * good
    labels[labels > 0] = number[labels[labels > 0]]
    labels = _tessellate(flat, need, float(target), labels)
    if largest:
        labels[(np.bincount(labels.ravel()) > largest)[labels]] = 0
        labels = renumbered(labels)
    return labels


def _leave_out(images: NDArray, target: float, labels: NDArray, good: NDArray) -> None:
    """Label failed bins -1 if they would lower the S/N of the nearest good bin too much."""
    from scipy.spatial import cKDTree  # slow to import, and not needed for other bins

    y, x = np.indices(labels.shape)
    whole = [image.reshape(labels.shape) for image in images]
    sums = sums_of(np.maximum(labels, 0), [*whole, np.ones(labels.shape), y, x])
    middle = (sums[4:] / np.maximum(sums[3], 1.0)).T
    fine, failed = np.flatnonzero(good), np.flatnonzero(~good)[1:]
    _, nearest = cKDTree(middle[fine]).query(middle[failed])
    with_failed = sums[:3, fine]
    for image, own in zip(with_failed, sums[:3], strict=True):
        np.add.at(image, nearest, own[failed])
    before, after = signal_to_noise(*sums[:3, fine]), signal_to_noise(*with_failed)
    out = np.zeros(len(good), bool)
    out[failed] = (after < SPOILED * np.minimum(before, target))[nearest]
    labels[out[np.maximum(labels, 0)]] = -1


def assign(live: NDArray, row: NDArray, col: NDArray, scale: NDArray) -> NDArray[np.int32]:
    """Generator with the smallest distance/scale for every live pixel.

    Parameters
    ----------
    live : (ny, nx) bool
    row, col, scale : (n,) float
        Positions and scales of the generators [pixels]; a generator without a positive scale gets no pixel.

    Returns
    -------
    (ny, nx) int32
        1 + index of the generator; -1 for pixels that are not live. At equal distance/scale, a generator with
        a scale in a higher octave has priority.
    """
    labels = np.full(live.shape, -1, np.int32)
    value = np.full(live.shape, np.inf)
    used = np.flatnonzero(scale > 0)
    octave = np.floor(np.log2(scale[used])).astype(int)
    for one in np.unique(octave)[::-1]:
        own = used[octave == one]
        largest = float(scale[own].max())
        side = max(largest, 1.0)
        r0, c0 = row[own].min(), col[own].min()
        cell_row, cell_col = ((row[own] - r0) // side).astype(int), ((col[own] - c0) // side).astype(int)
        shape = cell_row.max() + 1, cell_col.max() + 1
        cell = cell_row * shape[1] + cell_col
        order = np.argsort(cell, kind="stable")
        first = np.searchsorted(cell[order], np.arange(shape[0] * shape[1] + 1))
        own = own[order]
        grid = first, shape[1], float(r0), float(c0), side
        _assign(live, row[own], col[own], scale[own], own, *grid, largest, value, labels)
    return labels


def _tessellate(images: NDArray, need: NDArray, target: float, labels: NDArray) -> NDArray[np.int32]:
    """Iterate from accreted bins; labels (ny, nx) are -1 for masked and 0 for unassigned pixels."""
    live = labels >= 0
    n = int(labels.max())
    row, col, quality, area = _measured(images, need, target, labels, n)
    scale = np.sqrt(area / np.pi)
    labels = assign(live, row, col, scale)
    best, scatter = (row, col, scale), np.inf
    for step in range(_WEIGHTED + _EVENED):
        generators = row, col, scale
        row, col, quality, area = _measured(images, need, target, labels, n)
        if np.std(quality) < scatter:
            best, scatter = generators, float(np.std(quality))
        if step < _WEIGHTED:
            scale = np.sqrt(area / np.maximum(quality, 0.1) / np.pi)
        else:
            even = np.clip(quality[area > 0].mean() / np.maximum(quality, 0.1), 0.8, 1.25) ** _GAIN
            scale = np.where(area >= _SMALL, scale * even, scale)
        _sweep(labels, row, col, scale)
    row, col, scale = best
    while True:
        labels = assign(live, row, col, scale)
        row_now, col_now, quality, area = _measured(images, need, target, labels, n)
        small = area < _at(need, labels.shape[1], row_now, col_now) / _AIM**2
        poor = np.flatnonzero(((quality < GOOD) | small) & (scale > 0))
        if not len(poor):
            return renumbered(labels)
        if np.count_nonzero(scale > 0) == 1:
            return np.zeros(live.shape, np.int32)
        # Only the worse half is removed: with its pixels, the other bins may become good.
        worst = poor[np.argsort(quality[poor])[: (len(poor) + 1) // 2]]
        scale = np.where(np.isin(np.arange(n), worst), 0.0, scale)


def _measured(
    images: NDArray, need: NDArray, target: float, labels: NDArray, n: int
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Centroids, quality and area of the bins 1 to n; 0 for an empty bin."""
    sums = np.zeros((n + 1, 6))
    _sum_up(images, labels, sums)
    counts, background, variance, area, row, col = sums[1:].T
    some = np.maximum(area, 1.0)
    row, col = row / some, col / some
    quality = signal_to_noise(counts, background, variance) / target
    least = _at(need, labels.shape[1], row, col)
    quality = np.where(least > 0, np.minimum(quality, np.sqrt(area / np.maximum(least, 1e-9))), quality)
    return row, col, quality, area


def _at(image: NDArray, width: int, row: NDArray, col: NDArray) -> NDArray:
    """Values of a flat image at positions [pixels]."""
    return image[np.rint(row).astype(int) * width + np.rint(col).astype(int)]


@compiled
def _accrete(order, images, need, target, limit, width, labels):  # type: ignore[no-untyped-def]
    """Label bins in the order of pixels (-1 if they reach `limit` but fail); return whether each is good."""
    good = [False]  # label 0 is no bin
    height = labels.size // width
    for first in order:
        if labels[first] != 0:
            continue
        b = len(good)
        own, edge = [first], [first]
        edge.clear()
        labels[first] = b
        c, s, w = images[0, first], images[1, first], images[2, first]
        y, x = float(first // width), float(first % width)
        pixel, quality = first, 0.0
        highest, area_of_highest = -1.0, 4
        while True:
            n = len(own)
            net = c - s
            quality = net / np.sqrt(c + w) / target if net > 0.0 else 0.0
            if need[first] > 0.0:
                quality = min(quality, np.sqrt(n / need[first]))
            if quality > highest:
                highest, area_of_highest = quality, n
            if quality >= 1.0 or n >= limit or n > _FALLING * area_of_highest:
                break
            row, col = pixel // width, pixel % width
            for k in range(4):
                other_row = row + (k == 3) - (k == 0)
                other_col = col + (k == 2) - (k == 1)
                if other_row < 0 or other_row >= height or other_col < 0 or other_col >= width:
                    continue
                other = other_row * width + other_col
                if labels[other] == 0:
                    labels[other] = -2  # an edge pixel of this bin
                    edge.append(other)
            nearest, best = -1, np.inf
            for k in range(len(edge)):
                distance = (edge[k] // width - y / n) ** 2 + (edge[k] % width - x / n) ** 2
                if distance < best:
                    nearest, best = k, distance
            if nearest < 0 or np.sqrt(best * np.pi / (n + 1)) > 1.0 + ROUNDNESS:
                break
            pixel = edge[nearest]
            edge[nearest] = edge[-1]
            edge.pop()
            labels[pixel] = b
            own.append(pixel)
            c += images[0, pixel]
            s += images[1, pixel]
            w += images[2, pixel]
            y += pixel // width
            x += pixel % width
        for pixel in edge:
            labels[pixel] = 0
        if len(own) >= limit and quality < GOOD:
            for pixel in own:
                labels[pixel] = -1
        good.append(quality >= GOOD)
    return np.array(good)


@compiled
def _sum_up(images, labels, sums):  # type: ignore[no-untyped-def]
    ny, nx = labels.shape
    for y in range(ny):
        for x in range(nx):
            b = labels[y, x]
            if b > 0:
                for i in range(3):
                    sums[b, i] += images[i, y * nx + x]
                sums[b, 3] += 1.0
                sums[b, 4] += y
                sums[b, 5] += x


@compiled
def _sweep(labels, row, col, scale):  # type: ignore[no-untyped-def]
    """Give pixels to the best of their neighbouring bins, in a forward and a backward pass."""
    ny, nx = labels.shape
    for way in range(2):
        for i in range(ny):
            y = i if way == 0 else ny - 1 - i
            for j in range(nx):
                x = j if way == 0 else nx - 1 - j
                own = labels[y, x]
                if own < 0:
                    continue
                best = np.inf
                if scale[own - 1] > 0.0:
                    best = ((row[own - 1] - y) ** 2 + (col[own - 1] - x) ** 2) / scale[own - 1] ** 2
                now = own
                for k in range(4):
                    u, v = y + (k == 3) - (k == 0), x + (k == 2) - (k == 1)
                    if u < 0 or u >= ny or v < 0 or v >= nx:
                        continue
                    other = labels[u, v]
                    if other <= 0 or other == now or scale[other - 1] <= 0.0:
                        continue
                    value = ((row[other - 1] - y) ** 2 + (col[other - 1] - x) ** 2) / scale[other - 1] ** 2
                    if value < best:
                        best, now = value, other
                labels[y, x] = now


@compiled
def _assign(  # type: ignore[no-untyped-def]
    live, row, col, scale, number, first, n_col, r0, c0, side, largest, value, labels
):
    """Assign pixels to the generators of one octave if these are better than the best so far.

    `value` (ny, nx) is the square of the best distance/scale so far; a better generator is not farther than
    its root times `largest`. Generators are sorted by the cells of a grid, with sides `side`; cell k has the
    generators first[k] .. first[k + 1] - 1.
    """
    ny, nx = live.shape
    n_row = (first.size - 1) // n_col
    for y in range(ny):
        for x in range(nx):
            if not live[y, x]:
                continue
            best, now = value[y, x], labels[y, x]
            ring = 0
            mid_row, mid_col = int(np.floor((y - r0) / side)), int(np.floor((x - c0) / side))
            farthest = max(mid_row, n_row - 1 - mid_row, mid_col, n_col - 1 - mid_col)
            while ring <= farthest:
                # Cells of this ring are at least (ring - 1) * side away.
                if ring > 1 and ((ring - 1) * side / largest) ** 2 >= best:
                    break
                for i in range(max(mid_row - ring, 0), min(mid_row + ring, n_row - 1) + 1):
                    edge = i == mid_row - ring or i == mid_row + ring
                    step = 1 if edge or ring == 0 else 2 * ring
                    for j in range(mid_col - ring, mid_col + ring + 1, step):
                        if j < 0 or j >= n_col:
                            continue
                        for g in range(first[i * n_col + j], first[i * n_col + j + 1]):
                            here = ((row[g] - y) ** 2 + (col[g] - x) ** 2) / scale[g] ** 2
                            if here < best:
                                best, now = here, number[g] + 1
                ring += 1
            value[y, x], labels[y, x] = best, now
