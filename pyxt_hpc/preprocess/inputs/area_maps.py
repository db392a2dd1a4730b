"""The effective area of every pixel from CIAO's exposure maps, instead of the vignetting table.

An exposure map [cm^2 s] includes the mirrors, the position-dependent efficiency and contamination of the
chips, gaps, bad pixels, dither and live time. Divided by its area at the place of the ARF, it gives each
pixel's exposure with the area of that ARF.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import Points, pixel_to_pixel, world_to_pixel
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin, vignetting
from pyxt_hpc.errors import DamagedFile, ResponseMismatch
from pyxt_hpc.files.fits import open_fits, write_fits
from pyxt_hpc.provenance import software

FloatArray = NDArray[np.float64]

# Energies in addition to the ends of the band. The contaminant transmits exp(-tau), where tau is nearly
# proportional to E^-3. For two places whose tau differs by 1 at 0.7 keV, linear interpolation of their ratio
# is accurate to 2%.
_ENERGIES_KEV = (0.85, 1.0, 1.2, 1.49, 2.3, 3.8, 5.0, 6.6)
_FULLY_LIVE = 0.99  # a position with this fraction of the largest exposure was never off its chip
_MAX_CM2 = 2000.0  # more than the area of all of Chandra's mirrors
_AGREE = 0.1  # largest relative difference of map and ARF at the same place
_AGAIN = "make it again: pyxt-hpc generate-responses --force"


@dataclass(frozen=True, eq=False)
class AreaMaps:
    """Exposures (n, ny, nx) [s] with the area of the ARF, at energies (n,) [keV].

    ``wcs``: sky coordinates of the pixels (1-based), which are binned pixels of the observation's sky frame.
    """

    energy_keV: FloatArray
    seconds: NDArray[np.float32]
    wcs: WCS

    def on_grid(self, grid: SkyGrid) -> NDArray[np.float32]:
        """Exposures (n, ny, nx) at pixel centres of a grid, by linear interpolation; NaN outside the maps."""
        row, col = np.mgrid[: grid.shape[0], : grid.shape[1]]
        x, y = pixel_to_pixel(grid.wcs, self.wcs, col + 1.0, row + 1.0)
        return np.stack([_sampled(plane, x, y) for plane in self.seconds])


def area_energies(band_keV: tuple[float, float]) -> tuple[float, ...]:
    """Energies [keV] at which a band needs area maps."""
    inside = [energy for energy in _ENERGIES_KEV if band_keV[0] < energy < band_keV[1]]
    return tuple(round(energy, 3) for energy in (band_keV[0], *inside, band_keV[1]))


def read_exposure_maps(paths: Mapping[float, Path]) -> AreaMaps:
    """Read CIAO's exposure maps by their energies [keV]; the unit of ``seconds`` is cm^2 s.

    Raises MissingInput, DamagedFile.
    """
    planes, frames = [], []
    for path in paths.values():
        with open_fits(path, "exposure map", _AGAIN) as hdus:
            image = next((hdu for hdu in hdus if hdu.data is not None and hdu.data.ndim == 2), None)
            if image is None:
                raise DamagedFile(f"{path}: no image in it; {_AGAIN}")
            planes.append(image.data.astype(np.float32))
            frames.append(WCS(image.header))
    if len({plane.shape for plane in planes}) > 1:
        raise DamagedFile(f"{next(iter(paths.values()))}: its maps differ in size; {_AGAIN}")
    return AreaMaps(np.array(list(paths), float), np.stack(planes), frames[0])


def area_at(
    maps: AreaMaps,
    live: NDArray[np.float32],
    exposure_s: float,
    positions: Points,
    axis: tuple[float, float],
    path: Path,
) -> FloatArray:
    """Mean area (n_energy,) [cm^2] of positions while they were on their chips.

    The area is measured at positions that were never off their chips. The vignetting table corrects for the
    other positions, which may be closer to the optical axis: for example, the gaps where four chips meet.

    Parameters
    ----------
    maps : AreaMaps
        Exposure maps in cm^2 s.
    live : (ny, nx)
        Fraction of the exposure during which each pixel of the maps was on a chip.
    exposure_s : float
        Exposure [s].
    positions
        RA, Dec (n,) [deg] of the place of an ARF, or of the events that weighted it.
    axis
        RA, Dec [deg] of the optical axis.
    path : Path
        Response region, for messages.

    Raises
    ------
    ResponseMismatch
        If none of the positions was on a chip, or the unit of the map cannot be cm^2 s.
    """
    x, y = world_to_pixel(maps.wcs, *positions)
    share = np.nan_to_num(_sampled(live, x, y))
    good = (share > 0) & (share >= _FULLY_LIVE * share.max(initial=0.0))
    if not good.any():
        raise ResponseMismatch(
            f"{path}: no part of the response region was on the chips in good time; draw it again"
        )
    area = np.array([np.nanmean(_sampled(plane, x, y)[good] / share[good]) for plane in maps.seconds])
    table = vignetting(maps.energy_keV, off_axis_arcmin(*positions, *axis))
    area *= table[:, share > 0].mean(axis=1) / table[:, good].mean(axis=1) / exposure_s
    if not ((area > 0) & (area < _MAX_CM2)).all():
        raise ResponseMismatch(
            f"{path}: the area in the response region is {area.min():.3g} to {area.max():.3g} cm^2 by the "
            f"map and {exposure_s:.0f} s; expected a map of cm^2 s (fluximage, units=default) of these events"
        )
    return area


def disagreement(ratio: Sequence[float], energy_keV: Sequence[float], path: Path) -> list[str]:
    """Warning if a map and the ARF have different areas at its place; `ratio` is map over ARF (n,)."""
    worst = int(np.argmax(np.abs(np.log(ratio))))
    if abs(ratio[worst] - 1.0) <= _AGREE:
        return []
    return [
        f"{path}: at {energy_keV[worst]:g} keV CIAO's exposure map has {ratio[worst]:.2f} times the area of "
        "this ARF at the place where it was made, so only relative differences are taken from the map; make "
        "both with the same calibration"
    ]


def write_area_maps(path: Path, maps: AreaMaps, header: Mapping[str, str | float]) -> None:
    """Write maps as a cube with a table of their energies; ``header``: further cards."""
    cube = fits.PrimaryHDU(maps.seconds, maps.wcs.to_header())
    cube.header["BUNIT"] = "s"
    cube.header["CREATOR"] = software()
    cube.header.update(header)
    energies = fits.BinTableHDU.from_columns(
        [fits.Column("ENERGY", "1D", "keV", array=maps.energy_keV)], name="ENERGIES"
    )
    write_fits(path, fits.HDUList([cube, energies]))


def read_area_maps(path: Path) -> AreaMaps:
    """Inverse of `write_area_maps`. Raises MissingInput, DamagedFile."""
    with open_fits(path, "area maps", _AGAIN, ours=True) as hdus:
        header = hdus[0].header.copy()
        return AreaMaps(
            np.asarray(hdus["ENERGIES"].data["ENERGY"], float),
            hdus[0].data.astype(np.float32),
            WCS(header, naxis=2),
        )


def _sampled(image: NDArray[np.float32], x: FloatArray, y: FloatArray) -> NDArray[np.float32]:
    """Values of an image at pixel coordinates (1-based), by linear interpolation; NaN outside the image."""
    return map_coordinates(image, [y - 1.0, x - 1.0], order=1, mode="constant", cval=np.nan)
