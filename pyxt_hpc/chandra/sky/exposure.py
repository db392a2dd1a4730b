"""Fraction of the good time for which each pixel of a grid was on a chip, and exposure maps.

Each chip has its own good time. Fractions refer to the longest good time of a chip: a chip with half of that
time contributes half as much.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.sky.geometry import CHIP_PIXELS, FieldGeometry, FloatArray
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import apply_homography, homography
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin, vignetting
from pyxt_hpc.chandra.times import gti as gti_arithmetic

_SAMPLES = 1 << 17
_STEP = 0.25  # step of the table of shifts [chip pixels]
# Powers of the inverse plastic number are the steps of a quasi-random sequence that covers the plane evenly.
_PLASTIC = 1.32471795724474602596


def live_fraction(
    geometry: FieldGeometry, grid: SkyGrid, gti: Mapping[int, FloatArray] | None = None
) -> NDArray[np.float32]:
    """Fraction (ny, nx) of the good time for which a pixel was on an active chip, averaged over the pixel.

    The good time is the longest one of a chip. A chip is a rectangle in chip pixels and a quadrilateral on
    the grid. Dither and pixel area together smear its edges by a distribution of shifts in chip pixels; the
    tabulated cumulative distribution gives the fraction at each position.

    ``gti``: good times (m, 2) [s] of each chip of the geometry, sorted and disjoint; if None, all chips were
    on at all times of the geometry.
    """
    share = np.zeros(grid.shape, dtype=np.float32)
    samples = np.arange(_SAMPLES)
    within = np.stack([samples / _PLASTIC, samples / _PLASTIC**2]) % 1.0 - 0.5
    on_s = {chip: 1.0 if gti is None else gti_arithmetic.ontime(gti[chip]) for chip in geometry.chips}
    longest = max(on_s.values())
    sky_to_grid = homography(geometry.wcs, grid.wcs)
    for chip, matrix in zip(geometry.chips, geometry.to_sky, strict=True):
        if on_s[chip] == 0:
            continue
        dither = _spread_dither(geometry, None if gti is None else gti[chip])
        chip_to_sky = np.eye(3)
        chip_to_sky[:2] = matrix[:, [1, 2, 0]]
        chip_to_grid = sky_to_grid @ chip_to_sky
        low = np.array([0.5, geometry.rows[0] - 0.5])
        high = np.array([CHIP_PIXELS + 0.5, geometry.rows[1] + 0.5])
        corners_x, corners_y = apply_homography(
            chip_to_grid, [low[0], high[0], high[0], low[0]], [low[1], low[1], high[1], high[1]]
        )
        if np.isnan(corners_x).any():  # the chip is on the other half of the sky
            continue
        grid_to_chip = np.linalg.inv(chip_to_grid).astype(np.float64)
        pixel_to_chip = _jacobian(grid_to_chip, corners_x.mean(), corners_y.mean())
        offsets = pixel_to_chip @ within - np.linalg.solve(matrix[:, 1:], dither)
        reach = np.abs(np.linalg.inv(pixel_to_chip) @ offsets).max(axis=1) + 1.0
        (first_col, end_col), (first_row, end_row) = (
            (max(0, int(np.floor(v.min() - r)) - 1), min(n, int(np.ceil(v.max() + r))))
            for v, r, n in zip((corners_x, corners_y), reach, grid.shape[::-1], strict=True)
        )
        if end_col <= first_col or end_row <= first_row:
            continue
        y, x = np.mgrid[first_row:end_row, first_col:end_col] + 1.0
        chip_x, chip_y = apply_homography(grid_to_chip, x, y)
        inside = _share_inside(chip_x, chip_y, low, high, offsets)
        share[first_row:end_row, first_col:end_col] += inside * (on_s[chip] / longest)
    return np.clip(share, 0.0, 1.0)


def exposure_map(
    geometry: FieldGeometry,
    grid: SkyGrid,
    exposure_s: float,
    energy_keV: float,
    ra_pnt: float,
    dec_pnt: float,
    gti: Mapping[int, FloatArray] | None = None,
) -> NDArray[np.float32]:
    """Vignetted exposure [s] (ny, nx) of one observation at one energy.

    ``exposure_s`` is the live time of the chip with the longest good time; ``ra_pnt``, ``dec_pnt`` [deg] are
    the optical axis; ``geometry``, ``grid``, ``gti`` are as in `live_fraction`.
    """
    exposure = live_fraction(geometry, grid, gti)
    row, col = np.nonzero(exposure)
    if len(row):
        ra, dec = grid.wcs.wcs_pix2world(col + 1.0, row + 1.0, 1)
        theta = off_axis_arcmin(ra, dec, ra_pnt, dec_pnt)
        exposure[row, col] *= exposure_s * vignetting([energy_keV], theta)[0]
    return exposure


def _spread_dither(geometry: FieldGeometry, gti: FloatArray | None) -> FloatArray:
    """Dither (2, n) at times evenly spaced over the good time."""
    parts = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    if gti is None:
        return geometry.dither[(parts * len(geometry.time)).astype(np.int64)].T
    return geometry.dither_at(gti_arithmetic.at_elapsed(gti, gti_arithmetic.ontime(gti) * parts)).T


def _jacobian(matrix: FloatArray, x: float, y: float) -> FloatArray:
    """Derivatives (2, 2) of a projective map at a point."""
    x_w, y_w, w = matrix @ [x, y, 1.0]
    image = np.array([[x_w / w], [y_w / w]])
    return (matrix[:2, :2] - image * matrix[2, :2]) / w


def _share_inside(
    x: FloatArray, y: FloatArray, low: FloatArray, high: FloatArray, offsets: FloatArray
) -> FloatArray:
    """Fraction of the offsets (2, n) that keep each point (...) in the rectangle from low to high."""
    reach = np.ceil(np.abs(offsets).max() / _STEP) * _STEP + _STEP
    n = round(2 * reach / _STEP)
    cell = ((offsets + reach) / _STEP).astype(np.int64)
    density = np.bincount(cell[0] * n + cell[1], minlength=n * n).reshape(n, n) / offsets.shape[1]
    cumulative = np.zeros((n + 1, n + 1))
    cumulative[1:, 1:] = density.cumsum(axis=0).cumsum(axis=1)

    def located(bound: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
        place = np.clip((bound + reach) / _STEP, 0.0, n)
        cell = np.minimum(place.astype(np.int64), n - 1)
        return cell, place - cell

    def below(u: tuple[NDArray[np.int64], FloatArray], v: tuple[NDArray[np.int64], FloatArray]) -> FloatArray:
        (i, s), (j, t) = u, v
        corner = i * (n + 1) + j
        flat = cumulative.ravel()
        left = flat[corner] * (1 - t) + flat[corner + 1] * t
        right = flat[corner + n + 1] * (1 - t) + flat[corner + n + 2] * t
        return left * (1 - s) + right * s

    x_low, x_high = located(low[0] - x), located(high[0] - x)
    y_low, y_high = located(low[1] - y), located(high[1] - y)
    return below(x_high, y_high) - below(x_low, y_high) - below(x_high, y_low) + below(x_low, y_low)
