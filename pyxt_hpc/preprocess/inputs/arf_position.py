"""Position on the sky where an ARF was made, which determines its vignetting."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.chandra.ogip.response_header import position_named, response_headers
from pyxt_hpc.chandra.regions.sky import contains, read_regions
from pyxt_hpc.chandra.regions.text import RegionFile
from pyxt_hpc.chandra.sky.geometry import CHIP_PIXELS, FieldGeometry
from pyxt_hpc.chandra.sky.tangent import Points, world_to_pixel
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin, vignetting
from pyxt_hpc.errors import ResponseMismatch
from pyxt_hpc.files.quoting import listed
from pyxt_hpc.files.writing import check_regular

FloatArray = NDArray[np.float64]

_STEP = 4  # chip pixels between the points that represent a region


@dataclass(frozen=True, eq=False)
class ArfPosition:
    """Points (n,) RA, Dec [deg] for which a response was made, and their CCDs (n,), -1 off the chips.

    ``told_by``: source of this information.
    """

    ra: FloatArray
    dec: FloatArray
    chip: NDArray[np.int64]
    told_by: str

    def on(self, chips: tuple[int, ...]) -> "ArfPosition | None":
        """The points on some of the chips; None if there is none."""
        inside = np.isin(self.chip, chips)
        if not inside.any():
            return None
        return ArfPosition(self.ra[inside], self.dec[inside], self.chip[inside], self.told_by)

    def off_axis_arcmin(self, axis: tuple[float, float]) -> float:
        """Mean angle from the optical axis, RA, Dec [deg]."""
        return float(off_axis_arcmin(self.ra, self.dec, *axis).mean())

    def vignetting(self, energy_keV: FloatArray, axis: tuple[float, float]) -> FloatArray:
        """Mean vignetting (n_energy,) of the points."""
        return vignetting(energy_keV, off_axis_arcmin(self.ra, self.dec, *axis)).mean(axis=1)


def find_arf_position(
    arf: Path, region: Path, geometry: FieldGeometry, frames: Mapping[str, WCS]
) -> ArfPosition | None:
    """Find where an ARF was made: from its header, else from the response region; None if unknown.

    A region file newer than the ARF is ignored, since the ARF cannot have been made from it. ``region`` is
    the path of the response region, which need not exist; ``frames`` as for `contains`.
    """
    position = position_named(response_headers(arf))
    if position is not None:
        ra, dec = (np.array([degrees]) for degrees in position)
        return ArfPosition(ra, dec, ccd_at(geometry, ra, dec), "its header")
    if not check_regular(region) or region.stat().st_mtime > arf.stat().st_mtime:
        return None
    ra, dec, chip = _points(geometry)
    inside = contains(read_regions(region), ra, dec, frames)
    return ArfPosition(ra[inside], dec[inside], chip[inside], region.name) if inside.any() else None


def points_on_chips(region: RegionFile, geometry: FieldGeometry, frames: Mapping[str, WCS]) -> Points:
    """Points RA, Dec (n,) [deg] of a response region on the chips, at the mean pointing.

    ``frames`` as for `contains`. Raises ResponseMismatch if no part of the region is on the chips.
    """
    ra, dec, _ = _points(geometry)
    inside = contains(region, ra, dec, frames)
    if not inside.any():
        raise ResponseMismatch(
            f"{region.path}: no part of it is on CCD {listed(geometry.chips)}, for which the response is "
            "made; draw it there"
        )
    return ra[inside], dec[inside]


def ccd_at(geometry: FieldGeometry, ra: FloatArray, dec: FloatArray) -> NDArray[np.int64]:
    """CCD (n,) at positions (n,) [deg] for the mean pointing, -1 off the chips."""
    sky = np.stack(world_to_pixel(geometry.wcs, ra, dec))
    found = np.full(len(ra), -1)
    for ccd, matrix in zip(geometry.chips, geometry.to_sky, strict=True):
        x, y = np.linalg.solve(matrix[:, 1:], sky - matrix[:, :1])
        on = (x > 0.5) & (x < CHIP_PIXELS + 0.5)
        found[on & (y > geometry.rows[0] - 0.5) & (y < geometry.rows[1] + 0.5)] = ccd
    return found


def _points(geometry: FieldGeometry) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """A lattice of points on all chips: RA, Dec [deg], CCD."""
    y, x = np.mgrid[geometry.rows[0] : geometry.rows[1] + 1 : _STEP, 1 : CHIP_PIXELS + 1 : _STEP]
    chip_pixels = np.stack([np.ones(x.size), x.ravel(), y.ravel()])
    sky = np.concatenate([matrix @ chip_pixels for matrix in geometry.to_sky], axis=1)
    ra, dec = geometry.wcs.wcs_pix2world(*sky, 1)
    return ra, dec, np.repeat(geometry.chips, x.size)
