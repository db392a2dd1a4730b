"""Discs of pixels: a disc holds the pixels with centres within its radius of the middle pixel's centre.

Squared distances between pixel centres are integers, so d <= r means d^2 <= floor(r^2). If r is a multiple of
1/8 pixel, r^2 is exact in floating point, and rounding decides about no pixel.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.errors import ConfigError


def reach_squared(radius: float) -> int:
    """Largest integer squared distance [pixels^2] inside a disc of `radius` pixels, a multiple of 1/8."""
    eighths = 8.0 * float(radius)
    if not (eighths >= 0.0 and eighths == np.floor(eighths) and eighths < 2**24):
        raise ConfigError(f"disc radius: found {radius} pixels, expected a multiple of 0.125, 0 or more")
    return int(eighths) ** 2 // 64


@lru_cache(maxsize=4096)
def half_widths(radius: float) -> NDArray[np.int32]:
    """Half-width of each row of a disc.

    Parameters
    ----------
    radius : float
        Radius [pixels], a multiple of 1/8.

    Returns
    -------
    (floor(radius) + 1,) int32, read-only
        The rows dy above and below the middle hold the columns -half_width[dy] .. half_width[dy].

    Raises
    ------
    ConfigError
        If the radius is negative, not finite or not a multiple of 1/8.
    """
    widths = half_widths_within(reach_squared(radius))
    widths.flags.writeable = False
    return widths


def half_widths_within(reach_sq: int) -> NDArray[np.int32]:
    """Half-widths, as `half_widths`, of the disc with squared distances up to `reach_sq` [pixels^2]."""
    return np.array([isqrt(reach_sq - dy * dy) for dy in range(isqrt(reach_sq) + 1)], dtype=np.int32)


def half_width_table(radii: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Half-widths of all different discs among `radii`, and the line of each radius in this table.

    Returns
    -------
    table : (n_disc, longest) int64
        One line for each disc, as from `half_widths`, filled up with -1.
    line : int64, with the shape of radii
        Line of each radius.
    """
    values, line = np.unique(radii, return_inverse=True)
    widths = [half_widths(float(value)) for value in values]
    table = np.full((len(widths), max(map(len, widths), default=1)), -1, np.int64)
    for i, width in enumerate(widths):
        table[i, : len(width)] = width
    return table, line.reshape(np.shape(radii)).astype(np.int64)


def disc_area(radius: float) -> int:
    """Number of pixels in a disc of `radius` pixels."""
    rows = 2 * half_widths(radius).astype(np.int64) + 1
    return int(2 * rows.sum() - rows[0])
