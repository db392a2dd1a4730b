"""Tangent planes: gnomonic projections, and transformations between their pixels and the sky."""

import math

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

Points = tuple[NDArray[np.float64], NDArray[np.float64]]

SKY_PIXEL_ARCSEC = 0.492


def tangent_plane(
    ra: float, dec: float, pixel_arcsec: float = SKY_PIXEL_ARCSEC, crpix: tuple[float, float] = (1.0, 1.0)
) -> WCS:
    """TAN WCS, north up and east left, with pixel ``crpix`` (x, y from 1) at a position [deg]."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = crpix
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.cdelt = [-pixel_arcsec / 3600.0, pixel_arcsec / 3600.0]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def mean_direction(ra: ArrayLike, dec: ArrayLike) -> tuple[float, float]:
    """RA, Dec [deg] of the mean unit vector of positions (n,) [deg]."""
    ra, dec = np.radians(ra), np.radians(dec)
    x, y, z = (np.cos(dec) * np.cos(ra)).sum(), (np.cos(dec) * np.sin(ra)).sum(), np.sin(dec).sum()
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def separation(ra: ArrayLike, dec: ArrayLike, ra_0: float, dec_0: float) -> NDArray[np.float64]:
    """Angles between positions (...) and one position, all [deg]."""
    ra, dec = np.radians(ra), np.radians(dec)
    ra_0, dec_0 = np.radians([ra_0, dec_0])
    # The haversine formula is accurate also for small angles.
    half = np.sin((dec - dec_0) / 2) ** 2 + np.cos(dec) * np.cos(dec_0) * np.sin((ra - ra_0) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def world_to_pixel(wcs: WCS, ra: ArrayLike, dec: ArrayLike) -> Points:
    """Pixels (from 1) of positions [deg]; NaN on the other half of the sky."""
    ra, dec = np.asarray(ra, float), np.asarray(dec, float)
    x, y = wcs.wcs_world2pix(ra, dec, 1)
    ra0, dec0 = np.radians(wcs.wcs.crval)
    cosine = np.sin(np.radians(dec)) * np.sin(dec0)
    cosine += np.cos(np.radians(dec)) * np.cos(dec0) * np.cos(np.radians(ra) - ra0)
    behind = cosine <= 0  # the gnomonic projection maps antipodes onto each other
    return np.where(behind, np.nan, x), np.where(behind, np.nan, y)


def pixel_to_pixel(source: WCS, target: WCS, x: ArrayLike, y: ArrayLike) -> Points:
    """Convert pixels of a tangent plane to pixels of another, both from 1; NaN on the other half of the sky.

    Raises ValueError if a WCS is not a pure tangent projection.
    """
    return apply_homography(homography(source, target), x, y)


def homography(source: WCS, target: WCS) -> NDArray[np.float64]:
    """Matrix H (3, 3) between tangent planes: H @ (x, y, 1) = w (x', y', 1), w > 0 on the same half sky.

    Gnomonic projections map great circles to straight lines, so a projective map between two of them is
    exact.
    """
    axes_in, scale_in = _orientation(source)
    axes_out, scale_out = _orientation(target)
    offset_in, offset_out = np.asarray(source.wcs.crpix, float), np.asarray(target.wcs.crpix, float)
    to_plane, to_pixel = np.eye(3), np.eye(3)
    to_plane[:2, :2], to_plane[:2, 2] = scale_in, -scale_in @ offset_in
    to_pixel[:2, :2], to_pixel[:2, 2] = np.linalg.inv(scale_out), offset_out
    return to_pixel @ axes_out.T @ axes_in @ to_plane


def apply_homography(matrix: NDArray[np.float64], x: ArrayLike, y: ArrayLike) -> Points:
    """Transform points (...) to x', y' by a matrix of `homography`; NaN where w <= 0."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    with np.errstate(invalid="ignore"):
        w = np.where(w > 0, w, np.nan)
    new_x = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
    new_y = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w
    return new_x, new_y


def _orientation(wcs: WCS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors to east, north and the tangent point as columns (3, 3); radians per pixel (2, 2)."""
    if [str(c) for c in wcs.wcs.ctype] != ["RA---TAN", "DEC--TAN"] or wcs.has_distortion:
        raise ValueError(f"WCS {list(wcs.wcs.ctype)} is not a plain tangent projection")
    (sin_ra, sin_dec), (cos_ra, cos_dec) = (
        np.sin(np.radians(wcs.wcs.crval)),
        np.cos(np.radians(wcs.wcs.crval)),
    )
    axes = [
        [-sin_ra, -sin_dec * cos_ra, cos_dec * cos_ra],
        [cos_ra, -sin_dec * sin_ra, cos_dec * sin_ra],
        [0.0, cos_dec, sin_dec],
    ]
    return np.array(axes), np.radians(wcs.pixel_scale_matrix)
