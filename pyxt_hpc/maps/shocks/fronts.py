"""Shock fronts, at which density and temperature jump in the same direction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.maps.painting.paint import Measured
from pyxt_hpc.maps.shocks.crest import MIN_RADIUS, by_cells, cut_corners, link, pieces, smoothed, trace

N_ANGLES = 32
"""Number of directions tested, from 0 to 180 degrees."""

LEVER = 1.25
"""Distance of a pixel from two opposite points, in radii of their own circles, which do not reach it."""

_STEPS = 8
"""Largest number of iterations to find this distance."""

DENSITY_SIGMA = 4.0
"""Smallest significance of the density jump at an edge, relative to the smooth cluster."""

DENSITY_JUMP = 1.15
"""Smallest density jump at an edge, relative to the smooth cluster: that of a shock of Mach 1.1."""

TEMPERATURE_SIGMA = 3.5
"""Significance that the mean temperature jump of a candidate exceeds."""

_CORRELATED = 16.0 / (3.0 * np.pi)
"""Length [radii] of a row of overlapping circles that is worth one independent circle: the integral of the
fraction of the area that two circles share, over their offset."""

_FADED = 0.1
"""Fraction by which a jump may exceed the measured one, since fronts fade within circles on the hot side."""

_STRONG = 0.75
"""Smallest density jump along an edge, over its 95th percentile there, since fronts fade at their ends."""


@dataclass(frozen=True, eq=False)
class Jumps:
    """Jumps (ny, nx) across every pixel, in the direction of the most significant jump in brightness.

    Parameters
    ----------
    angle
        Direction towards the bright side, from the columns to the rows [rad]; NaN where no jump is known.
    density, density_error
        ln of the density ratio of bright to faint side, relative to the smooth cluster, and its error.
    temperature, temperature_error
        ln of the temperature ratio of the same sides, relative to the smooth cluster, and its error; positive
        at shocks, negative at cold fronts.
    reach
        Mean radius of the two circles, weighted by their parts of the variance of `temperature` [pixels].
    """

    angle: NDArray
    density: NDArray
    density_error: NDArray
    temperature: NDArray
    temperature_error: NDArray
    reach: NDArray


@dataclass(frozen=True)
class Front:
    """A candidate shock front.

    Parameters
    ----------
    row, col
        Mean position [pixels].
    pixels
        (n, 2) rows and columns of its crest.
    line
        (m, 2) rows and columns of the corners of the line along it, m >= 2; the line is closed if the last
        corner is the first.
    length
        Length of the line [pixels].
    angle
        Mean direction towards the bright side, from the columns to the rows [rad]; NaN for a closed line.
    mach, mach_lo, mach_hi
        Mach number from the temperature jump, with the ends of its 68% interval.
    density_mach
        Mach number from the density jump relative to the smooth cluster.
    significance
        Significance of the temperature jump [standard deviations].
    """

    row: float
    col: float
    pixels: NDArray
    line: NDArray
    length: float
    angle: float
    mach: float
    mach_lo: float
    mach_hi: float
    density_mach: float
    significance: float


def mach_of_temperature(ratio: NDArray | float) -> NDArray[np.float64]:
    """Mach number for a temperature ratio t = (5 M^4 + 14 M^2 - 3)/(16 M^2) (gamma = 5/3); 1 if t < 1."""
    t = np.maximum(ratio, 1.0)
    return np.sqrt((8.0 * t - 7.0 + 4.0 * np.sqrt(4.0 * t * t - 7.0 * t + 4.0)) / 5.0)


def mach_of_density(ratio: NDArray | float) -> NDArray[np.float64]:
    """Mach number for a density ratio r = 4 M^2/(M^2 + 3) (gamma = 5/3); 1 if r < 1, infinite if r >= 4."""
    r = np.asarray(ratio, float)
    with np.errstate(divide="ignore"):
        return np.where(r < 4.0, np.sqrt(3.0 * np.maximum(r, 1.0) / np.maximum(4.0 - r, 0.0)), np.inf)


def find_jumps(
    kT: Measured, brightness: Measured, smooth_kT: NDArray, smooth: NDArray, radius: NDArray
) -> Jumps:
    """Find the jumps at every pixel, by comparing opposite points in `N_ANGLES` directions.

    The points lie at `LEVER` times the radius of their own circle, because circles on the faint side of a
    front are larger, and must not contain emission from the other side. A direction is not used if either
    point has no value. The brightness, which is known far better than kT, determines the direction, so that
    the selection does not bias the temperature jump.

    Parameters
    ----------
    kT, brightness
        (ny, nx) maps of kT and of the smoothed brightness.
    smooth_kT, smooth
        (ny, nx) kT and brightness of the cluster without edges, such as azimuthal medians. Their ratio
        between the two points does not count as a jump.
    radius
        (ny, nx) scale map [pixels]; 0 where there is no circle.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        images = np.stack(
            [
                np.log(kT.value / smooth_kT),
                (kT.error / kT.value) ** 2,
                0.5 * np.log(brightness.value / smooth),
                (0.5 * brightness.error / brightness.value) ** 2,
            ]
        ).astype(np.float64)
    images[:, ~np.isfinite(images).all(axis=0)] = np.nan
    found = np.full((6, *radius.shape), np.nan)
    angles = np.pi * np.arange(N_ANGLES) / N_ANGLES
    _compare(images, radius.astype(np.float64), np.sin(angles), np.cos(angles), angles, LEVER, found)
    return Jumps(*found)


def find_fronts(jumps: Jumps, radius: NDArray) -> list[Front]:
    """Find edges at which the temperature jumps in the direction of the density; most significant first.

    Only the crest of an edge is used, where the density jump is largest along its direction. The crest is
    traced (`crest`) to the next gap or corner, and its parts with a weak jump are removed. A front must be
    longer than the diameter of a circle. The error of its mean jump is that of the number of independent
    circles along it, on both sides.
    """
    with np.errstate(invalid="ignore"):
        edge = jumps.density > np.maximum(DENSITY_SIGMA * jumps.density_error, np.log(DENSITY_JUMP))
        crest = edge & _is_crest(jumps, radius)
    pixels = np.argwhere(crest)
    if not len(pixels):
        return []
    cell, (row, col, own, density, y, x) = by_cells(
        pixels,
        radius[crest],
        [
            *pixels.T,
            radius[crest],
            jumps.density[crest],
            np.sin(jumps.angle[crest]),
            np.cos(jumps.angle[crest]),
        ],
    )
    points, own = np.stack([row, col], axis=1), np.maximum(own, MIN_RADIUS)
    angle = smoothed(points, np.arctan2(y, x), own)
    links = cut_corners(link(points, angle, own, radius > 0), points, angle, own, (1.0 + LEVER) * own)
    left = [edge[density[edge] > _STRONG * np.percentile(density[edge], 95)] for edge in pieces(links)]
    fronts = []
    while left:
        part = left.pop()
        for piece in pieces(links[part][:, part]):
            at = part[piece]
            line, on = trace(points[at], angle[at], own[at], links[at][:, at])
            fronts.append(_front(jumps, pixels[np.isin(cell, at[on])], line))
            if not on.all():
                left.append(at[~on])
    reach = [float(np.median(radius[tuple(front.pixels.T)])) for front in fronts]
    hot = [
        front
        for front, own in zip(fronts, reach, strict=True)
        if front.significance > TEMPERATURE_SIGMA and front.length > 2.0 * own
    ]
    return sorted(hot, key=lambda front: -front.significance)


def _front(jumps: Jumps, pixels: NDArray, line: NDArray) -> Front:
    at = row, col = tuple(pixels.T)
    closed = len(line) > 2 and bool((line[0] == line[-1]).all())
    # An open line ends at the middle of its last pixels.
    length = float(np.hypot(*np.diff(line, axis=0).T).sum()) + (not closed)
    # The mean has no weights: errors grow with kT, so weights would prefer low values on the hot side.
    jump = float(np.mean(jumps.temperature[at]))
    shared = np.minimum(_CORRELATED * jumps.reach[at] / length, 1.0)
    error = float(np.sqrt(np.mean(jumps.temperature_error[at] ** 2 * shared)))
    density = float(np.mean(jumps.density[at]))
    ends = jump + np.array([-error, 0.0, np.hypot(error, _FADED * jump)])
    low, middle, high = (float(mach) for mach in mach_of_temperature(np.exp(ends)))
    return Front(
        row=float(row.mean()),
        col=float(col.mean()),
        pixels=pixels,
        line=line,
        length=length,
        angle=np.nan if closed else float(np.angle(np.mean(np.exp(1j * jumps.angle[at])))),
        mach=middle,
        mach_lo=low,
        mach_hi=high,
        density_mach=float(mach_of_density(np.exp(density))),
        significance=jump / error,
    )


def _is_crest(jumps: Jumps, radius: NDArray) -> NDArray[np.bool_]:
    """Mask of pixels where the density jump is not exceeded at half a radius on either side of the edge."""
    row, col = np.nonzero(np.isfinite(jumps.density))
    mine, angle, half = jumps.density[row, col], jumps.angle[row, col], 0.5 * radius[row, col]
    highest = np.ones(len(row), bool)
    for sign in (-1.0, 1.0):
        step = np.maximum(half, 1.0) * sign
        y = np.clip(np.rint(row + step * np.sin(angle)).astype(int), 0, radius.shape[0] - 1)
        x = np.clip(np.rint(col + step * np.cos(angle)).astype(int), 0, radius.shape[1] - 1)
        highest &= ~(jumps.density[y, x] > mine)
    crest = np.zeros(radius.shape, bool)
    crest[row, col] = highest
    return crest


@compiled
def _lever(radius, y, x, sine, cosine, lever):  # type: ignore[no-untyped-def]
    """Distance from a pixel to the point at ``lever`` times its own circle's radius; 0 if there is none."""
    ny, nx = radius.shape
    distance = lever * radius[y, x]
    for _ in range(_STEPS):
        row, col = y + int(np.rint(distance * sine)), x + int(np.rint(distance * cosine))
        if row < 0 or row >= ny or col < 0 or col >= nx or radius[row, col] <= 0.0:
            return 0.0
        own = lever * radius[row, col]
        if abs(own - distance) <= 0.5:
            return own
        distance = own
    return max(distance, own)


@compiled
def _compare(images, radius, sines, cosines, angles, lever, found):  # type: ignore[no-untyped-def]
    ny, nx = radius.shape
    for y in range(ny):
        for x in range(nx):
            if radius[y, x] <= 0.0:
                continue
            best = 0.0
            for k in range(sines.size):
                there = _lever(radius, y, x, sines[k], cosines[k], lever)
                back = _lever(radius, y, x, -sines[k], -cosines[k], lever)
                if there == 0.0 or back == 0.0:
                    continue
                ya, xa = y + int(np.rint(there * sines[k])), x + int(np.rint(there * cosines[k]))
                yb, xb = y - int(np.rint(back * sines[k])), x - int(np.rint(back * cosines[k]))
                if min(ya, yb) < 0 or max(ya, yb) >= ny or min(xa, xb) < 0 or max(xa, xb) >= nx:
                    continue
                a, b = images[:, ya, xa], images[:, yb, xb]
                density, error = a[2] - b[2], np.sqrt(a[3] + b[3])
                # This is false for NaN, if a value on either side is unknown.
                if abs(density) > best * error:
                    best = abs(density) / error
                    sign = 1.0 if density > 0.0 else -1.0
                    found[0, y, x] = angles[k] if density > 0.0 else angles[k] - np.pi
                    found[1, y, x], found[2, y, x] = abs(density), error
                    found[3, y, x] = sign * (a[0] - b[0])
                    found[4, y, x] = np.sqrt(a[1] + b[1])
                    found[5, y, x] = (a[1] * radius[ya, xa] + b[1] * radius[yb, xb]) / (a[1] + b[1])
