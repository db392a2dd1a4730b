"""Tangent planes: pixels of a gnomonic projection that touches the sky at one point."""

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def tangent_plane(ra: float, dec: float, pixel_arcsec: float = 0.492) -> WCS:
    """TAN WCS with its pixel (1, 1) at a position [deg], north up and east left."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [1.0, 1.0]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.cdelt = [-pixel_arcsec / 3600.0, pixel_arcsec / 3600.0]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def world_to_pixel(wcs: WCS, ra: ArrayLike, dec: ArrayLike) -> Points:
    """Pixels (1-based) of positions [deg]; NaN for those on the other half of the sky."""
    ra, dec = np.asarray(ra, float), np.asarray(dec, float)
    x, y = wcs.wcs_world2pix(ra, dec, 1)
    ra0, dec0 = np.radians(wcs.wcs.crval)
    cosine = np.sin(np.radians(dec)) * np.sin(dec0)
    cosine += np.cos(np.radians(dec)) * np.cos(dec0) * np.cos(np.radians(ra) - ra0)
    behind = cosine <= 0  # the gnomonic projection maps antipodes onto each other
    return np.where(behind, np.nan, x), np.where(behind, np.nan, y)
