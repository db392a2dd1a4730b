"""Contour bins: grown along the contours of a smoothed image until they reach an S/N.

Sanders 2006, MNRAS 371, 829. A bin begins at the brightest free pixel. It then adds, one by one, the
neighbouring pixel whose smoothed brightness is closest to that of its first pixel, if this pixel lies within
`CONSTRAINT` radii of the circle with the bin's area. Bins in the remaining areas between finished bins do not
reach the S/N. In ascending order of S/N, their pixels are given to neighbouring bins of similar brightness.
Bins that received many of them then pass pixels at their border to neighbours with less S/N.
"""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.arrays.views import read_only
from pyxt_hpc.binning.bins import check_target, checked_images, renumbered, signal_to_noise, sums_of
from pyxt_hpc.binning.smoothing import accumulative_smoothing

CONSTRAINT = 2.0

# Pixels outside the constraint are tested again when the area of the bin, and so its circle, has grown by
# this fraction.
_AGAIN = 1.0 / 16.0

# A bin with more S/N, in units of the target, receives pixels only if no other bin takes them, and passes its
# own on.
_ENOUGH = 1.08

# A neighbour receives pixels while its S/N is below this fraction of the giver's.
_LESS = 0.98

# Largest number of passes over all borders; in each, an excess moves by one bin.
_LOOKS = 20

# Row and column offsets of the eight neighbours of a pixel: sides and corners alternate.
_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))

# A bin without S/N is excluded, as sky without signal, if its even distribution would lower the S/N of its
# neighbours below this fraction of the target, or of their present S/N if this is lower. Single pixels are
# not tested, since that would select upward fluctuations.
SPOILED = 0.95

# A final bin with less than this fraction of the S/N is excluded.
FLOOR = 0.8

# Columns of the table of bins.
_C, _B, _W, _N, _Y, _X, _AIM, _NEED = range(8)


def contour_bins(
    counts: NDArray,
    background: NDArray,
    variance: NDArray,
    mask: NDArray,
    target: float,
    *,
    constraint: float = CONSTRAINT,
    smoothing: float = 0.0,
    min_area: NDArray | float = 0.0,
    largest: int = 0,
    exposure: NDArray | None = None,
) -> NDArray[np.int32]:
    """Label image of contour bins.

    Parameters
    ----------
    counts, background, variance, mask : (ny, nx)
        As `circles.prepare_circle_sums` takes them.
    target : float
        S/N of every bin.
    constraint : float
        Largest distance of added pixels from the bin's centroid in radii of the circle with the bin's area;
        0: no limit.
    smoothing : float
        S/N of `accumulative_smoothing`; 0: that of the bins.
    min_area : (ny, nx) or float
        Smallest area of bins that begin at a pixel [pixels].
    largest : int
        Largest area of a bin [pixels]; 0: no limit.
    exposure : (ny, nx), optional
        Exposure, for contours of the brightness instead of the counts.

    Returns
    -------
    (ny, nx) int32
        Numbers from 1 in the order of the bins' first pixels, the brightest first; 0 for masked pixels, and
        for pixels without a bin that reaches the S/N. A few bins have slightly less S/N, but at least `FLOOR`
        of it.

    Raises
    ------
    ConfigError, DamagedFile
        If the target is not positive; if images do not fit together or have negative values.
    """
    check_target(target)
    images, live = checked_images(counts, background, variance, mask)
    smooth = accumulative_smoothing(*images, mask, smoothing or target, exposure).ravel()
    need = read_only(np.broadcast_to(np.asarray(min_area, np.float64), mask.shape).ravel())
    order = np.flatnonzero(live)
    order = order[np.argsort(-smooth[order], kind="stable")]
    flat = np.ascontiguousarray(np.stack([image.ravel() for image in images]), np.float64)
    labels = np.where(live.ravel(), 0, -1).astype(np.int32)
    limit = largest or labels.size + 1
    reach = constraint * constraint / np.pi if constraint else np.inf
    bins = _grow(order, smooth, flat, need, float(target), reach, limit, mask.shape[1], labels)
    _clean(smooth, flat, float(target), reach, limit, mask.shape[1], bins, labels)
    for _ in range(_LOOKS):
        if not _level(smooth, flat, float(target), reach, limit, mask.shape[1], bins, labels):
            break
    labels = renumbered(labels.reshape(mask.shape))
    reached = signal_to_noise(*sums_of(labels, images))
    labels[(reached < FLOOR * target)[labels]] = 0
    return renumbered(labels)


@compiled
def _reached(one, target):  # type: ignore[no-untyped-def]
    """Whether a bin of the table has the required S/N and area."""
    net = one[_C] - one[_B]
    return one[_N] >= one[_NEED] and net > 0.0 and net * net >= target * target * (one[_C] + one[_W])


@compiled
def _within(one, y, x, reach):  # type: ignore[no-untyped-def]
    """Whether a pixel may be added to a bin."""
    n = one[_N]
    if n == 0.0:
        return True
    return (y - one[_Y] / n) ** 2 + (x - one[_X] / n) ** 2 <= reach * (n + 1.0)


@compiled
def _add(one, images, pixel, width, sign):  # type: ignore[no-untyped-def]
    one[_C] += sign * images[0, pixel]
    one[_B] += sign * images[1, pixel]
    one[_W] += sign * images[2, pixel]
    one[_N] += sign
    one[_Y] += sign * (pixel // width)
    one[_X] += sign * (pixel % width)


@compiled
def _neighbours(pixel, width, size, found):  # type: ignore[no-untyped-def]
    """Set `found` (4,) to the pixels that share an edge; return how many there are."""
    n, x = 0, pixel % width
    if pixel >= width:
        found[n] = pixel - width
        n += 1
    if x > 0:
        found[n] = pixel - 1
        n += 1
    if x < width - 1:
        found[n] = pixel + 1
        n += 1
    if pixel < size - width:
        found[n] = pixel + width
        n += 1
    return n


@compiled
def _grow(order, smooth, images, need, target, reach, limit, width, labels):  # type: ignore[no-untyped-def]
    """Label every pixel of `order`; return the table of bins, whose first row is unused."""
    n_bin, capacity = 0, 1024
    bins = np.zeros((capacity, 8))
    near = np.empty(4, np.int64)
    met_by = np.zeros(labels.size, np.int32)  # the last bin that has tested a pixel
    for first in order:
        if labels[first] != 0:
            continue
        n_bin += 1
        if n_bin == capacity:
            more = np.zeros((2 * capacity, 8))
            more[:capacity] = bins
            bins, capacity = more, 2 * capacity
        one = bins[n_bin]
        one[_AIM], one[_NEED] = smooth[first], need[first]
        row, col = first // width, first % width
        met_by[first] = n_bin
        heap = [(0.0, np.int64(0), first)]
        waiting = [first]
        waiting.clear()
        again = 0.0
        while one[_N] < limit:
            if len(waiting) > 0 and (len(heap) == 0 or one[_N] >= again):
                again = one[_N] * (1.0 + _AGAIN)
                kept = 0
                for pixel in waiting:
                    y, x = pixel // width, pixel % width
                    if _within(one, y, x, reach):
                        heappush(
                            heap, (abs(smooth[pixel] - one[_AIM]), (y - row) ** 2 + (x - col) ** 2, pixel)
                        )
                    else:
                        waiting[kept] = pixel
                        kept += 1
                del waiting[kept:]
            if len(heap) == 0:
                break
            pixel = heappop(heap)[2]
            if not _within(one, pixel // width, pixel % width, reach):
                waiting.append(pixel)
                continue
            labels[pixel] = n_bin
            _add(one, images, pixel, width, 1.0)
            if _reached(one, target):
                break
            for i in range(_neighbours(pixel, width, labels.size, near)):
                other = near[i]
                if labels[other] == 0 and met_by[other] != n_bin:
                    met_by[other] = n_bin
                    far = (other // width - row) ** 2 + (other % width - col) ** 2
                    heappush(heap, (abs(smooth[other] - one[_AIM]), far, other))
    return bins[: n_bin + 1]


@compiled
def _clean(smooth, images, target, reach, limit, width, bins, labels):  # type: ignore[no-untyped-def]
    """Give the pixels of bins without S/N to their neighbours; the others get label -1."""
    n_bin = bins.shape[0] - 1
    head = np.full(n_bin + 1, -1, np.int64)
    following = np.full(labels.size, -1, np.int64)
    for pixel in range(labels.size):
        if labels[pixel] > 0:
            following[pixel] = head[labels[pixel]]
            head[labels[pixel]] = pixel
    poor = [(0.0, 0)]
    poor.clear()
    for b in range(1, n_bin + 1):
        if not _reached(bins[b], target):
            heappush(poor, (_ratio(bins[b]), b))
    near = np.empty(4, np.int64)
    met_by = np.zeros(n_bin + 1, np.int64)
    while len(poor) > 0:
        ratio, b = heappop(poor)
        if bins[b, _N] == 0.0 or _reached(bins[b], target):
            continue
        if ratio != _ratio(bins[b]):  # it has received pixels since
            heappush(poor, (_ratio(bins[b]), b))
            continue
        out = bins[b, _N] >= limit or _spoils(b, head[b], following, bins, labels, target, width, met_by)
        # Bins near the S/N and within the constraint, near the S/N, within the constraint, any.
        for free in range(4):
            heap = [(0.0, 0, 0)]
            heap.clear()
            pixel = head[b]
            while pixel >= 0 and not out:
                if labels[pixel] == b:
                    _offer(pixel, b, smooth, bins, labels, width, near, heap)
                pixel = following[pixel]
            while len(heap) > 0:
                _, pixel, taker = heappop(heap)
                one = bins[taker]
                if labels[pixel] != b or one[_N] >= limit:
                    continue
                if free % 2 == 0 and not _within(one, pixel // width, pixel % width, reach):
                    continue
                if free < 2 and _ratio(one) > _ENOUGH * target:
                    continue
                labels[pixel] = taker
                _add(bins[b], images, pixel, width, -1.0)
                _add(one, images, pixel, width, 1.0)
                for i in range(_neighbours(pixel, width, labels.size, near)):
                    if labels[near[i]] == b:
                        heappush(heap, (abs(smooth[near[i]] - one[_AIM]), near[i], taker))
        # These pixels are now in the lists of other bins, or in none.
        pixel, head[b] = head[b], -1
        while pixel >= 0:
            after = following[pixel]
            owner = labels[pixel]
            if owner == b:
                labels[pixel] = -1
            else:
                following[pixel] = head[owner]
                head[owner] = pixel
            pixel = after
        bins[b, _N] = 0.0


@compiled
def _spoils(b, pixel, following, bins, labels, target, width, met_by):  # type: ignore[no-untyped-def]
    """Whether the neighbours of a bin would lose too much S/N by its even distribution."""
    near = np.empty(4, np.int64)
    n, net, square = 0, 0.0, 0.0
    while pixel >= 0:
        for i in range(_neighbours(pixel, width, labels.size, near)):
            taker = labels[near[i]]
            if taker > 0 and taker != b and met_by[taker] != b:
                met_by[taker] = b
                n += 1
                net += bins[taker, _C] - bins[taker, _B]
                square += bins[taker, _C] + bins[taker, _W]
        pixel = following[pixel]
    if n == 0:
        return True
    before = net / np.sqrt(n * max(square, 1e-300))
    net += bins[b, _C] - bins[b, _B]
    square += bins[b, _C] + bins[b, _W]
    return net / np.sqrt(n * max(square, 1e-300)) < SPOILED * min(target, before)


@compiled
def _offer(pixel, b, smooth, bins, labels, width, near, heap):  # type: ignore[no-untyped-def]
    for i in range(_neighbours(pixel, width, labels.size, near)):
        taker = labels[near[i]]
        if taker > 0 and taker != b:
            heappush(heap, (abs(smooth[pixel] - bins[taker, _AIM]), pixel, np.int64(taker)))


@compiled
def _level(smooth, images, target, reach, limit, width, bins, labels):  # type: ignore[no-untyped-def]
    """Pass pixels from bins with more than enough S/N to neighbours with less; return how many."""
    near = np.empty(4, np.int64)
    moved = 0
    heap = [(0.0, 0, 0)]
    heap.clear()
    for pixel in range(labels.size):
        if labels[pixel] > 0 and _ratio(bins[labels[pixel]]) > _ENOUGH * target:
            _offer(pixel, labels[pixel], smooth, bins, labels, width, near, heap)
    while len(heap) > 0:
        _, pixel, taker = heappop(heap)
        b, one = labels[pixel], bins[taker]
        if b == taker or _ratio(bins[b]) <= _ENOUGH * target or one[_N] >= limit:
            continue
        if not _within(one, pixel // width, pixel % width, reach) or not _holds_without(pixel, labels, width):
            continue
        beside = False  # the neighbours of the pixel may also have been passed on
        for i in range(_neighbours(pixel, width, labels.size, near)):
            beside |= labels[near[i]] == taker
        if not beside:
            continue
        _add(bins[b], images, pixel, width, -1.0)
        _add(one, images, pixel, width, 1.0)
        if not _reached(bins[b], target) or _ratio(one) > _LESS * _ratio(bins[b]):
            _add(bins[b], images, pixel, width, 1.0)
            _add(one, images, pixel, width, -1.0)
            continue
        labels[pixel] = taker
        moved += 1
        for i in range(_neighbours(pixel, width, labels.size, near)):
            if labels[near[i]] == b:
                heappush(heap, (abs(smooth[near[i]] - one[_AIM]), near[i], taker))
    return moved


@compiled
def _holds_without(pixel, labels, width):  # type: ignore[no-untyped-def]
    """Whether a bin stays connected without one of its pixels, judged only by the eight around it."""
    y, x = pixel // width, pixel % width
    own = np.zeros(8, np.bool_)
    for i in range(8):
        row, col = y + _AROUND[i][0], x + _AROUND[i][1]
        if 0 <= row < labels.size // width and 0 <= col < width:
            own[i] = labels[row * width + col] == labels[pixel]
    groups = 0
    for i in range(0, 8, 2):
        groups += own[i] and not (own[i - 1] and own[i - 2])
    return groups < 2


@compiled
def _ratio(one):  # type: ignore[no-untyped-def]
    return (one[_C] - one[_B]) / np.sqrt(one[_C] + one[_W]) if one[_C] > 0.5 else 0.0
