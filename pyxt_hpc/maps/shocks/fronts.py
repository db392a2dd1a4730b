"""Shock fronts: where density and temperature jump the same way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.maps.painting.paint import Measured
from pyxt_hpc.maps.shocks.crest import MIN_RADIUS, by_cells, cut_corners, link, pieces, smoothed, trace

N_ANGLES = 32
"""Directions tested, from 0 to 180 degrees."""

LEVER = 1.25
"""Distance of the opposite points from the pixel in radii of their own circles: they do not reach it."""

_STEPS = 8
"""Steps at most in which that distance is found."""

DENSITY_SIGMA = 4.0
"""A pixel is on an edge if the brightness jumps by more than this over the smooth cluster."""

DENSITY_JUMP = 1.15
"""... and the density by more than this factor, as at a shock of Mach 1.1: what departs less is no edge."""

TEMPERATURE_SIGMA = 3.5
"""An edge is a candidate if its mean temperature jump is as significant as this."""

_CORRELATED = 16.0 / (3.0 * np.pi)
"""Radii of a row of circles that make one independent one: the integral of the area that two share."""

_FADED = 0.1
"""By this part a jump may be higher than measured: fronts fade within the circles on their hot side."""

_STRONG = 0.75
"""A part of an edge counts where its jump is this large beside the largest: fronts fade at their ends."""


@dataclass(frozen=True, eq=False)
class Jumps:
    """What changes across every pixel, in the direction in which the brightness jumps most significantly.

    Parameters
    ----------
    angle
        (ny, nx) towards the bright side, from the columns to the rows [rad]; NaN where nothing is known.
    density, density_error
        ln of the density ratio of bright to faint side, over that of the smooth cluster.
    temperature, temperature_error
        ln of the temperature ratio of the same sides, over that of the smooth cluster: positive at shocks,
        negative at cold fronts.
    reach
        Mean radius of the two circles, weighted by their part in the variance of `temperature` [pixels].
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
        Middle [pixels].
    pixels
        (n, 2) rows and columns of its crest.
    line
        (m, 2) rows and columns of the corners of the line along it, m >= 2; closed if the last is the first.
    length
        Along the line [pixels].
    angle
        Mean towards the bright side, from the columns to the rows [rad]; NaN for a closed line.
    mach, mach_lo, mach_hi
        From the temperature jump, with the ends of the 68% interval.
    density_mach
        From the density jump over the smooth cluster.
    significance
        Of the temperature jump, in standard deviations.
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
    """Mach number of a temperature ratio, from t = (5 M^4 + 14 M^2 - 3)/(16 M^2) (gamma = 5/3); 1 below 1."""
    t = np.maximum(ratio, 1.0)
    return np.sqrt((8.0 * t - 7.0 + 4.0 * np.sqrt(4.0 * t * t - 7.0 * t + 4.0)) / 5.0)


def mach_of_density(ratio: NDArray | float) -> NDArray[np.float64]:
    """Mach number of a density ratio r = 4 M^2/(M^2 + 3) (gamma = 5/3); 1 below 1, infinite from 4 on."""
    r = np.asarray(ratio, float)
    with np.errstate(divide="ignore"):
        return np.where(r < 4.0, np.sqrt(3.0 * np.maximum(r, 1.0) / np.maximum(4.0 - r, 0.0)), np.inf)


def find_jumps(
    kT: Measured, brightness: Measured, smooth_kT: NDArray, smooth: NDArray, radius: NDArray
) -> Jumps:
    """Compare opposite points on both sides of every pixel.

    They lie `LEVER` times the radius of their own circle away, in `N_ANGLES` directions: circles on the
    faint side of a front are larger, and one that reached over the edge would hold light from behind it.
    Where either point is outside or without a value, the direction tells nothing. The direction is chosen by
    the brightness, which is far better known than kT: the temperature jump has no bias of selection.

    Parameters
    ----------
    kT, brightness
        (ny, nx) maps of kT and of the smoothed brightness.
    smooth_kT, smooth
        (ny, nx) kT and brightness of the cluster without edges, such as azimuthal medians: what they change
        between the two points is no jump.
    radius
        (ny, nx) scale map [pixels], 0 where there is no circle.
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
    """Edges along which the temperature jumps with the density, the most significant first.

    Of every edge only the crest counts, where the density jump is largest along its direction. It is followed
    (`crest`) to its next gap or corner, and of this the parts count where the jump is strong. What is
    shorter than a circle is wide is no edge. The error of the mean jump is that of as many circles as fit
    along the edge, on either side.
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
    # lines go to the middle of their last pixels
    length = float(np.hypot(*np.diff(line, axis=0).T).sum()) + (not closed)
    # no weights: errors grow with kT, so they would prefer what fluctuates down on the hot side
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
    """Where the density jump is not exceeded half a radius further along its direction, either way."""
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
    """Distance from a pixel at which a point's own circle keeps clear of it; 0 where there is none."""
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
                # false for NaN: what is not known on either side tells nothing
                if abs(density) > best * error:
                    best = abs(density) / error
                    sign = 1.0 if density > 0.0 else -1.0
                    found[0, y, x] = angles[k] if density > 0.0 else angles[k] - np.pi
                    found[1, y, x], found[2, y, x] = abs(density), error
                    found[3, y, x] = sign * (a[0] - b[0])
                    found[4, y, x] = np.sqrt(a[1] + b[1])
                    found[5, y, x] = (a[1] * radius[ya, xa] + b[1] * radius[yb, xb]) / (a[1] + b[1])
