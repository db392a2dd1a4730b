"""The dither of an observation from its aspect solution, in place of the dither measured from its events."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pyxt_hpc.chandra.sky.geometry import FieldGeometry, FloatArray
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.fits import open_fits, table_with

_STEP_S = 4.0
_MAX_GAP_S = 60.0
_AXIS_TOLERANCE_ARCMIN = 1.0  # changes the vignetting by at most 2%
_TOLERANCE = 3.0  # pixels rms between aspect solution and events; the drift of the SIM is about 1


def with_aspect(
    geometry: FieldGeometry, aspect_paths: Sequence[Path], axis: tuple[float, float] | None = None
) -> FieldGeometry:
    """Return the geometry with the dither of aspect solutions (``pcadf*_asol1.fits``).

    ``axis``: RA_PNT, DEC_PNT [deg] from the header of the events, to be compared with the mean pointing.
    Raises MissingInput if a file is absent; DamagedFile if a file is not an aspect solution, or if the aspect
    does not cover the good time, or differs from the motion of the events or from ``axis``.
    """
    parts = [_read_aspect(Path(path)) for path in aspect_paths]
    names = ", ".join(str(path) for path in aspect_paths)
    time, ra, dec = np.concatenate(parts, axis=1)
    order = np.argsort(time, kind="stable")
    time, ra, dec = time[order], ra[order], dec[order]
    away = np.clip(np.searchsorted(time, geometry.time), 1, len(time) - 1)
    distance = np.minimum(np.abs(time[away] - geometry.time), np.abs(time[away - 1] - geometry.time))
    missed = float(np.mean(distance > _MAX_GAP_S))
    if missed > 0.01:
        raise DamagedFile(
            f"{names}: covers {time[0]:.0f} to {time[-1]:.0f} s, but not {100 * missed:.0f}% of the good "
            f"time of the events ({geometry.time[0]:.0f} to {geometry.time[-1]:.0f} s); give all aspect "
            "solutions of this observation, or none"
        )
    position = np.column_stack(world_to_pixel(geometry.wcs, ra, dec))

    def at(times: FloatArray) -> FloatArray:
        return np.column_stack([np.interp(times, time, p) for p in position.T])

    seen = at(geometry.time)
    seen -= seen.mean(axis=0)
    difference = float(np.sqrt(np.mean((seen - geometry.dither) ** 2)))
    if not difference < _TOLERANCE:  # NaN means: on the other half of the sky
        raise DamagedFile(
            f"{names}: the pointing moves differently from the events, by {difference:.1f} sky pixels rms, "
            f"expected less than {_TOLERANCE:g}; remove the files (the dither is then measured from the "
            "events)"
        )
    if axis is not None:
        _check_axis(axis, np.average(at(geometry.time), axis=0), geometry, names)
    fine = _finer(geometry.time)
    dither = at(fine)
    return replace(geometry, time=fine, dither=dither - dither.mean(axis=0))


def _check_axis(axis: tuple[float, float], mean: FloatArray, geometry: FieldGeometry, names: str) -> None:
    """Raise DamagedFile unless the header's optical axis [deg] agrees with the mean pointing [pixels]."""
    ra, dec = (float(degrees) for degrees in geometry.wcs.wcs_pix2world(*mean, 1))
    away = float(off_axis_arcmin(ra, dec, *axis))
    if not away < _AXIS_TOLERANCE_ARCMIN:
        raise DamagedFile(
            f"{names}: pointed at RA {ra:.4f}, Dec {dec:.4f} on average, but RA_PNT, DEC_PNT of the events "
            f"are {axis[0]:.4f}, {axis[1]:.4f}, {away:.1f} arcmin away, so that the vignetting would be "
            "wrong; copy RA_PNT and DEC_PNT from the archive's evt2 file (dmhedit)"
        )


def _finer(time: FloatArray) -> FloatArray:
    """Times at steps of at most `_STEP_S`, evenly spaced over bins with these middles."""
    width = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    n = max(1, int(np.ceil(width / _STEP_S)))
    within = ((np.arange(n) + 0.5) / n - 0.5) * width
    return np.sort((time[:, None] + within).ravel())


def _read_aspect(path: Path) -> FloatArray:
    """Time [s], RA, Dec [deg] of an aspect solution as (3, n), without rows that are not finite."""
    hint = "remove the file, or fetch it again"
    with open_fits(path, "aspect solution", hint) as hdus:
        hdu = table_with(hdus, "time", "ra", "dec")
        if hdu is None:
            raise DamagedFile(f"{path}: no table ASPSOL with columns time, ra, dec, roll; {hint}")
        values = np.array([hdu.data[name] for name in ("time", "ra", "dec")], dtype=np.float64)
    if values.ndim == 2:
        values = values[:, np.isfinite(values).all(axis=0)]
    if values.ndim != 2 or values.shape[1] < 2:
        raise DamagedFile(f"{path}: table ASPSOL has fewer than two pointings; {hint}")
    return values
