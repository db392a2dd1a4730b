"""The effective area of every pixel, from CIAO's exposure maps, in the place of the vignetting table.

An exposure map [cm^2 s] has in it the mirrors, the efficiency and contamination of the chips as they differ
from place to place, gaps, bad pixels, dither and live time. Divided by the area that it has where the ARF was
made, it says how long each pixel was exposed with the area of that ARF.
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

# with the ends of the band; a contaminant lets exp(-tau) through, tau nearly as E^-3: of a place with tau = 1
# more than another at 0.7 keV, lines between these energies are within 2% of the ratio
_ENERGIES_KEV = (0.85, 1.0, 1.2, 1.49, 2.3, 3.8, 5.0, 6.6)
_FULLY_LIVE = 0.99  # share of the most that a place was exposed, so that it was never off its chip
_MAX_CM2 = 2000.0  # all of Chandra's mirrors have less
_AGREE = 0.1  # by which map and ARF may differ where both are of one place
_AGAIN = "make it again: pyxt-hpc generate-responses --force"


@dataclass(frozen=True, eq=False)
class AreaMaps:
    """Exposures (n, ny, nx) [s] with the area of the ARF, at energies (n,) [keV].

    ``wcs``: of the pixels (1-based), those of the observation's own sky binned.
    """

    energy_keV: FloatArray
    seconds: NDArray[np.float32]
    wcs: WCS

    def on_grid(self, grid: SkyGrid) -> NDArray[np.float32]:
        """The same (n, ny, nx) at the centres of another grid's pixels, linear in between; NaN beyond."""
        row, col = np.mgrid[: grid.shape[0], : grid.shape[1]]
        x, y = pixel_to_pixel(grid.wcs, self.wcs, col + 1.0, row + 1.0)
        return np.stack([_sampled(plane, x, y) for plane in self.seconds])


def area_energies(band_keV: tuple[float, float]) -> tuple[float, ...]:
    """Energies [keV] at which the areas of a band have to be known."""
    inside = [energy for energy in _ENERGIES_KEV if band_keV[0] < energy < band_keV[1]]
    return tuple(round(energy, 3) for energy in (band_keV[0], *inside, band_keV[1]))


def read_exposure_maps(paths: Mapping[float, Path]) -> AreaMaps:
    """CIAO's exposure maps by their energies [keV], as they are: ``seconds`` are cm^2 s.

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

    It is measured where a position was never off its chip. What the others differ from these by their angles
    from the axis is by the vignetting table: where four chips meet, those at the gaps are nearer to it.

    Parameters
    ----------
    maps : AreaMaps
        Of cm^2 s.
    live : (ny, nx)
        Share of the exposure that each pixel of the maps was on a chip.
    exposure_s : float
        What it is a share of.
    positions
        RA, Dec (n,) [deg]: where an ARF was made, or the events that it was weighted by.
    axis
        RA, Dec [deg] of the optical axis.
    path : Path
        For messages.

    Raises
    ------
    ResponseMismatch
        None of the positions was on a chip, or the map cannot be one of cm^2 s.
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
    """What to say of the area of a map over that of the ARF (n,) where the ARF was made."""
    worst = int(np.argmax(np.abs(np.log(ratio))))
    if abs(ratio[worst] - 1.0) <= _AGREE:
        return []
    return [
        f"{path}: at {energy_keV[worst]:g} keV CIAO's exposure map has {ratio[worst]:.2f} times the area of "
        "this ARF where it was made: only the differences from place to place are taken from the map; make "
        "both with one calibration"
    ]


def write_area_maps(path: Path, maps: AreaMaps, header: Mapping[str, str | float]) -> None:
    """Write maps as a cube and a table of its energies; ``header``: further cards."""
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
    """An image at pixels (1-based), linear between their centres; NaN beyond the image."""
    return map_coordinates(image, [y - 1.0, x - 1.0], order=1, mode="constant", cval=np.nan)
