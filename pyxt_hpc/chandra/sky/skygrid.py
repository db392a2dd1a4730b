"""The output grid that all images and masks of a cluster share.

It is made once from the crop region, so that all observations have the same pixels. Events are binned on it
by their own WCS, and counts are never resampled.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.chandra.regions.sky import extent
from pyxt_hpc.chandra.regions.text import RegionFile
from pyxt_hpc.chandra.sky.tangent import (
    SKY_PIXEL_ARCSEC,
    Points,
    pixel_to_pixel,
    tangent_plane,
    world_to_pixel,
)
from pyxt_hpc.errors import EmptySelection

PIXEL_SCALE_ARCSEC = 4 * SKY_PIXEL_ARCSEC  # sky pixels binned by 4
_MAX_SIDE = 6700  # pixels per side, as in ClusterPyXT; a larger crop is a mistake


@dataclass(frozen=True, eq=False)
class SkyGrid:
    """Grid of square pixels in tangent projection: ``wcs`` (pixels from 1) and ``shape`` (ny, nx)."""

    wcs: WCS
    shape: tuple[int, int]
    pixel_scale_arcsec: float = PIXEL_SCALE_ARCSEC

    @classmethod
    def around(cls, region: RegionFile, frames: Mapping[str, WCS]) -> "SkyGrid":
        """Smallest grid that contains the region's bounding box and is centred on it.

        ``frames`` is as in `contains`. Raises RegionSyntaxError if the region has no bounds or its system is
        not in ``frames``, and EmptySelection if the grid has no pixel or is larger than any Chandra field.
        """
        ra, dec = extent(region, frames)
        _check_on_sky(region, *ra, *dec)
        centre = (float(ra[0]), float(dec[0]))
        for _ in range(2):  # the middle of the box depends slightly on the tangent point
            plane = tangent_plane(*centre, PIXEL_SCALE_ARCSEC)
            x, y = world_to_pixel(plane, ra, dec)
            middle = plane.all_pix2world((x.min() + x.max()) / 2, (y.min() + y.max()) / 2, 1)
            centre = (float(middle[0]), float(middle[1]))
            _check_on_sky(region, *centre)
        # A size that is a whole number of pixels must not increase by one through rounding.
        shape = tuple(math.ceil(np.ptp(v) - 1e-3) for v in (y, x))
        if not all(1 <= n <= _MAX_SIDE for n in shape):
            raise EmptySelection(
                f"{region.path}: the crop is {shape[1]} x {shape[0]} pixels of "
                f"{PIXEL_SCALE_ARCSEC:g} arcsec, expected 1 to {_MAX_SIDE} on each side; draw it around the "
                "cluster"
            )
        wcs = tangent_plane(*centre, PIXEL_SCALE_ARCSEC, crpix=((shape[1] + 1) / 2, (shape[0] + 1) / 2))
        return cls(wcs, (shape[0], shape[1]))

    def pixel_index(self, ra: ArrayLike, dec: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column (from 0) of positions [deg]; both are -1 outside the grid."""
        return self._index(*world_to_pixel(self.wcs, ra, dec))

    def index_of(
        self, wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column (from 0) of pixels (from 1) of another tangent plane; -1 outside the grid."""
        return self._index(*pixel_to_pixel(wcs, self.wcs, x, y))

    def _index(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ny, nx = self.shape
        with np.errstate(invalid="ignore"):
            inside = (x >= 0.5) & (x < nx + 0.5) & (y >= 0.5) & (y < ny + 0.5)
        row = np.full(x.shape, -1, dtype=np.int64)
        col = np.full(x.shape, -1, dtype=np.int64)
        row[inside] = np.floor(y[inside] - 0.5).astype(np.int64)
        col[inside] = np.floor(x[inside] - 0.5).astype(np.int64)
        return row, col

    def part(self, place: tuple[slice, slice]) -> "SkyGrid":
        """Grid of some of the rows and columns, with the same pixels."""
        rows, cols = (range(n)[side] for n, side in zip(self.shape, place, strict=True))
        wcs = self.wcs.deepcopy()
        wcs.wcs.crpix = self.wcs.wcs.crpix - [cols.start, rows.start]
        wcs.wcs.set()
        return SkyGrid(wcs, (len(rows), len(cols)), self.pixel_scale_arcsec)

    def centres(self) -> Points:
        """RA (ny, nx) and Dec (ny, nx) [deg] of the centres of the pixels."""
        return self._positions(0.0, *self.shape)

    def corners(self) -> Points:
        """RA and Dec [deg], each (ny + 1, nx + 1), of the corners of the pixels."""
        return self._positions(-0.5, self.shape[0] + 1, self.shape[1] + 1)

    def header(self, frame: WCS) -> fits.Header:
        """Header for an image on this grid: celestial coordinates, and physical coordinates for DS9 and CIAO.

        Physical coordinates are the sky pixels of ``frame``, so that regions can be saved in them. They are a
        linear approximation at the middle of the grid: 10 arcmin from it, and with the tangent point of
        ``frame`` as far away, the error is 0.03 sky pixel.
        """
        header = self.wcs.to_header()
        ny, nx = self.shape
        middle = np.array([(nx + 1) / 2, (ny + 1) / 2])

        def sky(x: float, y: float) -> NDArray[np.float64]:
            return np.array(pixel_to_pixel(self.wcs, frame, x, y))

        at = sky(*middle)
        along = [(sky(*(middle + step)) - sky(*(middle - step))) / 2 for step in np.eye(2)]
        to_sky = np.column_stack(along)
        # Rotations within rounding errors are removed.
        to_sky[np.abs(to_sky) < 1e-9 * np.abs(to_sky).max()] = 0.0
        to_grid = np.linalg.inv(to_sky)
        shift = middle - to_grid @ at
        for i in (0, 1):
            axis = i + 1
            header[f"CTYPE{axis}P"] = "xy"[i]
            header[f"CRPIX{axis}P"], header[f"CRVAL{axis}P"] = middle[i], at[i]
            header[f"CDELT{axis}P"] = to_sky[i, i]
            header[f"LTV{axis}"] = shift[i]
            for k in (0, 1):
                if k == i or to_sky[i, k] != 0.0:
                    header[f"LTM{axis}_{k + 1}"] = to_grid[i, k]
                    header[f"PC{axis}_{k + 1}P"] = to_sky[i, k] / to_sky[i, i]
        header["WCSNAMEP"], header["WCSTY1P"], header["WCSTY2P"] = "PHYSICAL", "PHYSICAL", "PHYSICAL"
        return header

    def _positions(self, offset: float, n_row: int, n_col: int) -> Points:
        y, x = np.mgrid[:n_row, :n_col] + 1.0 + offset
        ra, dec = self.wcs.wcs_pix2world(x.ravel(), y.ravel(), 1)
        return ra.reshape(x.shape), dec.reshape(x.shape)


def _check_on_sky(region: RegionFile, *degrees: float) -> None:
    if not np.isfinite(degrees).all():
        raise EmptySelection(
            f"{region.path}: the crop reaches beyond half of the sky; draw it around the cluster"
        )
