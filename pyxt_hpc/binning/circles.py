"""Adaptive circles: the smallest disc around each pixel that reaches a signal-to-noise ratio.

A disc of radius r holds the pixels whose centres lie within r of its own centre. Its S/N is

    S/N = (C - B) / sqrt(C + W)

with C the counts in its pixels, B the expected background and W the variance of B; a disc without counts has
S/N 0. S/N is not monotonic in r, so bisection need not find the smallest radius. Here every radius is either
tested or excluded by a bound: C, B and W only grow with r, so after radius j no radius up to k can reach the
target T as long as

    C_k < B_j + T^2/2 + T sqrt(T^2/4 + B_j + W_j)          [from (C_k - B_j)/sqrt(C_k + W_j) < T].

The sum over a whole disc needs two values of a prefix sum in each row; a step to the next radius needs only
the ring of new pixels. Both are computed for a strip of neighbouring pixels at once, with the same radius.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

import numpy as np
from numba import float64, int64, uint64
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.arrays.views import read_only
from pyxt_hpc.binning.bins import check_target, checked_images
from pyxt_hpc.binning.discs import half_widths_within
from pyxt_hpc.errors import ConfigError

RADIUS_MIN = 1.0
RADIUS_MAX = 100.0
RADIUS_STEP = 0.125

# Number of pixels in a strip: enough for vector instructions, but few enough that their radii are similar.
STRIP = 32
# Smallest number of radii that a jump must exclude, so that it is cheaper than adding their rings one by one.
JUMP_MIN = 12
# Relative margin of inequalities in floating point: a disc in doubt is tested exactly.
ROUNDING = 1e-12


@dataclass(frozen=True)
class ScaleMap:
    """Radius and S/N of each pixel's circle.

    Attributes
    ----------
    radius : (ny, nx) float32
        Radius [pixels]; 0 if the pixel is masked or no radius reaches the target.
    signal_to_noise : (ny, nx) float32
        S/N of that circle; 0 where `radius` is 0.
    """

    radius: NDArray[np.float32]
    signal_to_noise: NDArray[np.float32]


@dataclass(frozen=True)
class CircleSums:
    """Images and their prefix sums, from which discs are summed; processes can share all arrays.

    Attributes
    ----------
    mask : (ny, nx) uint8
        Pixels that get a circle.
    images : (3, ny + 2 pad, nx + 2 pad + STRIP) float32
        Counts, background and its variance. A frame of zeros, wider than the largest radius, makes tests of
        bounds unnecessary.
    prefix : (3, ny + 2 pad, nx + 2 pad + STRIP + 1) float64
        Sum of the pixels to the left of each column.
    """

    mask: NDArray[np.uint8]
    images: NDArray[np.float32]
    prefix: NDArray[np.float64]


@dataclass(frozen=True)
class RadiusGrid:
    """Shapes of the discs of all radii.

    Attributes
    ----------
    radius : (n,) float64
        Radii [pixels].
    half_width : (n, n_rows) int16
        Number of pixels on either side of the middle one in row dy of the disc; -1 for rows outside it.
    ring_start : (n + 1,) int64
        Row of `ring` at which the pixels of disc k that are not in disc k - 1 begin.
    ring : (n_quad, 4, 2) int64
        (dy, dx) of these pixels, in groups of four, since a quarter turn does not change a disc. The middle
        pixel, which belongs to every disc, is not listed.
    """

    radius: NDArray[np.float64]
    half_width: NDArray[np.int16]
    ring_start: NDArray[np.int64]
    ring: NDArray[np.int64]


@lru_cache(maxsize=8)
def radius_grid(
    radius_min: float = RADIUS_MIN, radius_max: float = RADIUS_MAX, step: float = RADIUS_STEP
) -> RadiusGrid:
    """Tabulate the discs of radii radius_min, radius_min + step, ... up to radius_max [pixels]."""
    if not (0 <= radius_min <= radius_max and step > 0):
        raise ConfigError(
            f"radii {radius_min} to {radius_max} by {step} pixels: expected 0 <= minimum <= maximum, step > 0"
        )
    n_radii = int((radius_max - radius_min) / step + 1e-9) + 1
    radius = np.array(radius_min + step * np.arange(n_radii), np.float64)
    # d^2 is an integer, so d <= r means d^2 <= floor(r^2), without rounding.
    reach_sq = np.floor(radius**2).astype(np.int64)
    n_rows = isqrt(int(reach_sq[-1])) + 1
    half_width = np.full((len(radius), n_rows), -1, np.int16)
    for k, limit in enumerate(reach_sq.tolist()):
        widths = half_widths_within(limit)
        half_width[k, : len(widths)] = widths
    # One pixel of each group of four: the quarter with dy >= 0 and dx > 0.
    dy, dx = (a.ravel() for a in np.mgrid[0:n_rows, 1 : n_rows + 1])
    distance_sq = dy * dy + dx * dx
    order = np.argsort(distance_sq, kind="stable")
    order = order[distance_sq[order] <= reach_sq[-1]]
    dy, dx = dy[order], dx[order]
    ring = np.stack(
        [np.stack([dy, dx], -1), np.stack([dx, -dy], -1), np.stack([-dy, -dx], -1), np.stack([-dx, dy], -1)],
        1,
    )
    ring_start = np.concatenate([[0], np.searchsorted(distance_sq[order], reach_sq, side="right")])
    return RadiusGrid(radius, half_width, ring_start.astype(np.int64), ring.astype(np.int64))


def prepare_circle_sums(
    counts: NDArray, background: NDArray, variance: NDArray, mask: NDArray, radius_max: float = RADIUS_MAX
) -> CircleSums:
    """Frame images and compute their prefix sums, once for all circles.

    Parameters
    ----------
    counts : (ny, nx) int
        Counts per pixel, at most 2^24.
    background, variance : (ny, nx) float
        Expected background counts per pixel, and their variance: W = B for (C - B)/sqrt(C + B). They are
        rounded to float32 multiples of a power of two between 2^-52 and 2^-51 of the image's total, so that
        sums of pixels in float64 are exact in any order.
    mask : (ny, nx)
        0 for pixels that get no circle and are not counted in circles.
    radius_max : float
        Largest radius of the circles [pixels].

    Raises
    ------
    DamagedFile
        If shapes differ, or a value is negative or not finite; the bound needs sums that only grow.
    """
    pad = int(radius_max) + 1
    named, live = checked_images(counts, background, variance, mask)
    images = np.zeros((3, live.shape[0] + 2 * pad, live.shape[1] + 2 * pad + STRIP), np.float32)
    for framed, image in zip(images, named, strict=True):
        framed[pad : pad + live.shape[0], pad : pad + live.shape[1]] = _exactly_summable(image)
    prefix = np.zeros((*images.shape[:2], images.shape[2] + 1))
    np.cumsum(images, axis=2, dtype=np.float64, out=prefix[:, :, 1:])
    return CircleSums(live.astype(np.uint8), images, prefix)


def _exactly_summable(image: NDArray) -> NDArray[np.float32]:
    """Round to float32 multiples of a power of two that fits at most 2^52 times into the total."""
    single = image.astype(np.float32)
    total = float(single.sum(dtype=np.float64))
    if total == 0.0:
        return single
    quantum = 2.0 ** (int(np.ceil(np.log2(total))) - 52)
    return (np.round(single.astype(np.float64) / quantum) * quantum).astype(np.float32)


@compiled
def _disc(prefix, at, row_length, half_width, total):  # type: ignore[no-untyped-def]
    """Set `total` (STRIP,) to the sums over the discs around a strip that begins at flat index `at`."""
    # Indices are unsigned: numba tests signed ones for negative values, which prevents vector instructions.
    h = half_width[0]
    right, left = uint64(at + h + 1), uint64(at - h)
    for i in range(uint64(STRIP)):
        total[i] = prefix[right + i] - prefix[left + i]
    for dy in range(1, half_width.size):
        h = half_width[dy]
        if h < 0:
            break
        up, down = at - dy * row_length, at + dy * row_length
        right_up, left_up = uint64(up + h + 1), uint64(up - h)
        right_down, left_down = uint64(down + h + 1), uint64(down - h)
        for i in range(uint64(STRIP)):
            total[i] += (prefix[right_up + i] - prefix[left_up + i]) + (
                prefix[right_down + i] - prefix[left_down + i]
            )


@compiled
def _add_ring(image, at, ring, total):  # type: ignore[no-untyped-def]
    """Add the pixels of `ring` (n_quad, 4), as flat offsets, to the sums of the strip at `at`."""
    for q in range(ring.shape[0]):
        p0, p1 = uint64(at + ring[q, 0]), uint64(at + ring[q, 1])
        p2, p3 = uint64(at + ring[q, 2]), uint64(at + ring[q, 3])
        for i in range(uint64(STRIP)):
            # Conversion before the sum, since float32 sums are rounded.
            total[i] += (float64(image[p0 + i]) + float64(image[p1 + i])) + (
                float64(image[p2 + i]) + float64(image[p3 + i])
            )


@compiled
def _limit(background, variance, target):  # type: ignore[no-untyped-def]
    """Counts below which no disc with at least this background and variance reaches the target."""
    root = np.sqrt(0.25 * target * target + background + variance)
    return (background + target * (0.5 * target + root)) * (1.0 - ROUNDING)


@compiled
def _index(radius, value):  # type: ignore[no-untyped-def]
    """Index of the largest grid radius up to `value`; the first if all are larger."""
    return max(0, np.searchsorted(radius, value, side="right") - 1)


@compiled
def _promising_jump(near, active, target, radius, j):  # type: ignore[no-untyped-def]
    """Index of the radius up to which the bound probably excludes all, if counts grow with the area."""
    growth = np.inf
    for i in range(STRIP):
        if active[i]:
            growth = min(growth, _limit(near[1, i], near[2, i], target) / max(near[0, i], 1.0))
    return _index(radius, radius[j] * (0.05 + 0.95 * np.sqrt(growth)))


@compiled
def _jump(prefix, at, row_length, half_width, active, target, j, k, near, far):  # type: ignore[no-untyped-def]
    """Exclude all radii from j + 1 to k, or to a lower index, at once; return this index, or j if it fails.

    `near` (3, STRIP) holds C, B and W of disc j, then those of the disc at the new index; `far` is scratch.
    """
    while k - j >= JUMP_MIN:
        _disc(prefix[0], at, row_length, half_width[k], far[0])
        excluded = True
        for i in range(STRIP):
            excluded &= (not active[i]) or far[0, i] < _limit(near[1, i], near[2, i], target)
        if excluded:
            for image in range(1, 3):
                _disc(prefix[image], at, row_length, half_width[k], far[image])
            near[:] = far
            return k
        k = j + (k - j) * 3 // 4
    return j


@compiled
def _rows(  # type: ignore[no-untyped-def]
    mask, images, prefix, row_length, pad, row_lo, target, radius, half_width, ring_start, ring, best, ratio
):
    """Fill `best` (radius) and `ratio` (S/N), both (n_rows, nx), from row `row_lo` on.

    `images` and `prefix` are (3, n), with flattened rows; `ring` holds flat offsets.
    """
    last = radius.size - 1
    near, far = np.empty((3, STRIP)), np.empty((3, STRIP))
    active = np.empty(STRIP, np.bool_)
    first_jump = JUMP_MIN
    for row in range(row_lo, row_lo + best.shape[0]):
        for col in range(0, mask.shape[1], STRIP):
            n_active = 0
            for i in range(STRIP):
                active[i] = col + i < mask.shape[1] and mask[row, col + i] != 0
                n_active += active[i]
            at = (row + pad) * row_length + col + pad
            at_prefix = at + row + pad  # a row of prefix sums has one more column
            # Radii up to j are excluded; `near` holds C, B and W of disc j, at first of the middle pixel.
            j, jump_at = int64(-1), int64(-1)  # numba would compile a second version for plain integers
            for image in range(3):
                for i in range(STRIP):
                    near[image, i] = images[image, at + i]
            while n_active > 0 and j < last:
                if j >= jump_at:
                    k = first_jump if j < 0 else _promising_jump(near, active, target, radius, j)
                    landed = _jump(
                        prefix,
                        at_prefix,
                        row_length + 1,
                        half_width,
                        active,
                        target,
                        j,
                        min(k, last),
                        near,
                        far,
                    )
                    if j < 0 and landed > j:
                        first_jump = max(JUMP_MIN, _promising_jump(near, active, target, radius, landed))
                    if landed > j:
                        j = landed
                        continue
                    jump_at = j + JUMP_MIN
                j += 1
                reached = False
                for image in range(3):
                    _add_ring(images[image], at, ring[ring_start[j] : ring_start[j + 1]], near[image])
                for i in range(STRIP):
                    net = near[0, i] - near[1, i]
                    # A fast form for all pixels of the strip; below, the definition decides.
                    reached |= net > 0.0 and net * net >= target * target * (1.0 - ROUNDING) * (
                        near[0, i] + near[2, i]
                    )
                if not reached:
                    continue
                for i in range(STRIP):
                    if active[i] and near[0, i] > 0.0:
                        achieved = (near[0, i] - near[1, i]) / np.sqrt(near[0, i] + near[2, i])
                        if achieved >= target:
                            best[row - row_lo, col + i] = radius[j]
                            ratio[row - row_lo, col + i] = achieved
                            active[i] = False
                            n_active -= 1


def scale_map_rows(
    sums: CircleSums,
    row_lo: int,
    row_hi: int,
    target: float,
    radius_min: float = RADIUS_MIN,
    radius_max: float = RADIUS_MAX,
    step: float = RADIUS_STEP,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Circles of the pixels in rows row_lo to row_hi - 1, which are one chunk of parallel work.

    Returns
    -------
    radius, signal_to_noise : (row_hi - row_lo, nx) float32
        As in `ScaleMap`; they do not depend on the division into chunks.
    """
    check_target(target)
    grid = radius_grid(radius_min, radius_max, step)
    pad = (sums.images.shape[1] - sums.mask.shape[0]) // 2
    if pad < grid.half_width.shape[1]:
        raise ConfigError(
            f"radius_max {radius_max}: the sums are for {pad - 1} pixels: give prepare_circle_sums the same"
        )
    row_length = sums.images.shape[2]
    best, ratio = np.zeros((2, row_hi - row_lo, sums.mask.shape[1]), np.float32)
    _rows(
        read_only(sums.mask),
        read_only(sums.images.reshape(3, -1)),
        read_only(sums.prefix.reshape(3, -1)),
        row_length,
        pad,
        row_lo,
        float(target),
        grid.radius,
        grid.half_width,
        grid.ring_start,
        grid.ring[..., 0] * row_length + grid.ring[..., 1],
        best,
        ratio,
    )
    return best, ratio


def scale_map(
    counts: NDArray,
    background: NDArray,
    variance: NDArray,
    mask: NDArray,
    target: float,
    radius_min: float = RADIUS_MIN,
    radius_max: float = RADIUS_MAX,
    step: float = RADIUS_STEP,
) -> ScaleMap:
    """Circles of a whole image; arguments as in `prepare_circle_sums` and `scale_map_rows`."""
    sums = prepare_circle_sums(counts, background, variance, mask, radius_max)
    return ScaleMap(*scale_map_rows(sums, 0, mask.shape[0], target, radius_min, radius_max, step))


def region_index(radius: NDArray) -> NDArray[np.int32]:
    """Number the pixels with a circle from 1 in row-major order; 0 elsewhere. (ny, nx) int32."""
    fitted = radius > 0
    return (np.cumsum(fitted).reshape(fitted.shape) * fitted).astype(np.int32)
