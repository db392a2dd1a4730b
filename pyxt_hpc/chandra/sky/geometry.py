"""Positions of an observation's chips on the sky, and their motion by the dither.

Level-2 events have both chip pixel and sky position, so the geometry can be measured from the events: for
each CCD, an affine map from chip to sky pixels at the mean pointing; for all CCDs together, the dither, which
is the shift of that map with time (a Lissajous figure, for ACIS 8 arcsec with periods of 1000 and 707 s).
Over a chip the true map is affine to 0.02 pixel (tilt of the chips, 10 m focal length).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList, set_sky_wcs, sky_wcs
from pyxt_hpc.chandra.keywords import number
from pyxt_hpc.chandra.sky.fov import Polygons
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.fits import open_fits, write_fits

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

CHIP_PIXELS = 1024
_ALL_COLUMNS = "give the file with all columns (dmcopy without [cols ...])"
_MAX_EVENTS = 200_000  # this number of events gives errors far smaller than a pixel
_MIN_EVENTS = 30  # on each chip
_MIN_EVENTS_IN_BIN = 4
_MAX_SPAN_S = 1e6  # an orbit of Chandra takes 2.3e5 s, and an observation ends with it
_MIN_SPREAD = 10.0  # chip pixels rms in each direction, needed for the chip's scale and orientation
_SCALE_TOLERANCE = 0.03
_ROW_SLACK = 1  # FIRSTROW counts from 0 or from 1
_MAX_SCATTER = 1.0  # pixels rms; randomisation by half a pixel on either side gives 0.4
_MAX_OUTLIERS = 0.05
_ITERATIONS = 50
_CONVERGED = 1e-3  # pixels
# The length of the time bins balances two errors: the scatter of the mean in a bin, and the loss of the
# dither's peaks by averaging and linear interpolation, amplitude (2 pi / period)^2 length^2 / 8.
_SCATTER = 0.41  # pixels
_MIN_BIN_S, _MAX_BIN_S = 10.0, 60.0
_CURVATURE = 16.3 * (2 * np.pi / 707.0) ** 2 / 8 / np.sqrt(2)  # pixels s^-2, rms
_AIMPOINTS = {3: (950.0, 985.0), 7: (215.0, 515.0)}  # chipx, chipy on I3 and S3


@dataclass(frozen=True, eq=False)
class FieldGeometry:
    """Positions of the chips of one observation on the sky; ``wcs`` is the WCS of the sky pixels, from 1.

    ``chips`` are n_chip CCDs. ``to_sky`` (n_chip, 2, 3) gives the sky pixels at the mean pointing: x =
    to_sky[k, 0] @ (1, chipx, chipy) and y = to_sky[k, 1] @ (1, chipx, chipy). ``rows`` are the first and last
    chipy in use.

    ``time`` (n,) [s] is ascending and within the good time; each value represents an equal part of it.
    ``dither`` (n, 2) is the shift of the sky position x, y from its mean at these times [sky pixels].
    """

    wcs: WCS
    chips: tuple[int, ...]
    to_sky: FloatArray
    rows: tuple[int, int]
    time: FloatArray
    dither: FloatArray

    def of_chips(self, chips: Sequence[int]) -> "FieldGeometry":
        """Geometry of only these chips; their order does not change."""
        kept = np.isin(self.chips, chips)
        return replace(self, chips=tuple(np.array(self.chips)[kept].tolist()), to_sky=self.to_sky[kept])

    def dither_at(self, time: FloatArray) -> FloatArray:
        """Dither (n, 2) at other times [s], by linear interpolation."""
        return np.column_stack([np.interp(time, self.time, shift) for shift in self.dither.T])


def measure_geometry(events: EventList, chips: Sequence[int]) -> FieldGeometry:
    """Measure the geometry by least squares of sky on chip positions, in turns with the dither in time bins.

    The bins are 10 to 60 s long, depending on the count rate. The accuracy of the dither is logged: about
    0.05 pixel at 5 events per second, and 0.3 at the lowest accepted rate.

    Raises DamagedFile if a column chipx, chipy or time is absent; if there are too few events, or the events
    of a chip lie on a point or a line; if sky positions do not follow from chip positions; if events are
    outside the rows of FIRSTROW, NROWS; or if the times span more than an observation can.
    """
    path, chips = events.path, tuple(sorted(chips))
    columns = {"chipx": events.chipx, "chipy": events.chipy, "time": events.time}
    if absent := [name for name, values in columns.items() if values is None]:
        raise DamagedFile(f"{path}: EVENTS has no column {', '.join(absent)}; {_ALL_COLUMNS}")
    assert events.chipx is not None
    assert events.chipy is not None
    assert events.time is not None
    use = np.flatnonzero(
        np.isin(events.ccd_id, chips)
        & np.isfinite(events.x)
        & np.isfinite(events.y)
        & np.isfinite(events.time)
    )
    use = use[:: max(1, -(-len(use) // _MAX_EVENTS))]
    chip = np.column_stack([events.chipx[use], events.chipy[use]]).astype(np.float64)
    sky = np.column_stack([events.x[use], events.y[use]])
    members = [np.flatnonzero(events.ccd_id[use] == ccd) for ccd in chips]
    for ccd, on in zip(chips, members, strict=True):
        _check_spread(chip[on], f"{path}: CCD {ccd}")
    rows = _rows(events.header, chip[:, 1], path)

    time = events.time[use]
    length = _bin_length(time, path)
    start = time.min()
    bins = ((time - start) / length).astype(np.int64)
    to_sky, shift, kept = _solve(chip, sky, members, bins)
    _check_solution(to_sky, chip, sky, members, shift[bins], kept, chips, path)

    number = np.bincount(bins[kept], minlength=len(shift))
    good = number >= max(1.0, 0.25 * np.median(number[number > 0]))
    elapsed = np.bincount(bins[kept], (time - start)[kept], len(shift))
    dither = shift[good]
    to_sky[:, :, 0] += dither.mean(axis=0)
    error = np.hypot(_SCATTER / np.sqrt(number[good].mean()), _CURVATURE * length**2)
    log.debug(
        "%s: dither in bins of %.0f s, rms %.2f pixels in x and %.2f in y, measured to %.2f pixels",
        path, length, *dither.std(axis=0), error,
    )  # fmt: skip
    return FieldGeometry(
        events.wcs, chips, to_sky, rows, start + elapsed[good] / number[good], dither - dither.mean(axis=0)
    )


def aimpoint_off_arcmin(geometry: FieldGeometry, axis: tuple[float, float]) -> float | None:
    """Angle [arcmin] between Chandra's nominal aimpoint on the chips and an axis RA, Dec [deg].

    The aimpoint on I3 is used or, without I3, the one on S3; None without these chips. Unless the instrument
    module (SIM) is shifted, the aimpoint has stayed within half an arcmin of this position over the mission
    (Proposers' Observatory Guide, ch. 6).
    """
    for ccd, place in _AIMPOINTS.items():
        if ccd in geometry.chips:
            matrix = geometry.to_sky[geometry.chips.index(ccd)]
            ra, dec = geometry.wcs.wcs_pix2world(*(matrix @ np.array([1.0, *place])), 1)
            return float(off_axis_arcmin(ra, dec, *axis))
    return None


def chip_outlines(geometry: FieldGeometry) -> Polygons:
    """Outline of each chip's rows in use at the mean pointing: a polygon (4, 2) of RA, Dec [deg] per CCD."""
    low, high = 0.5, CHIP_PIXELS + 0.5
    first, last = geometry.rows[0] - 0.5, geometry.rows[1] + 0.5
    corners = np.array([[1, low, first], [1, high, first], [1, high, last], [1, low, last]])
    outlines: Polygons = {}
    for ccd, matrix in zip(geometry.chips, geometry.to_sky, strict=True):
        outlines[ccd] = [np.column_stack(geometry.wcs.wcs_pix2world(*(matrix @ corners.T), 1))]
    return outlines


def write_geometry(path: Path, geometry: FieldGeometry) -> None:
    """Write the geometry as FITS tables: CHIPS with one row per CCD, DITHER with one row per time."""
    chips = fits.BinTableHDU.from_columns(
        [
            fits.Column("X", "3D", unit="pixel", array=geometry.to_sky[:, 0]),
            fits.Column("Y", "3D", unit="pixel", array=geometry.to_sky[:, 1]),
            fits.Column("CCD_ID", "1I", array=geometry.chips),
        ],
        name="CHIPS",
    )
    chips.header["COMMENT"] = "X, Y: coefficients of 1, chipx, chipy"
    set_sky_wcs(chips.header, geometry.wcs, 1, 2)
    chips.header["FIRSTROW"] = geometry.rows[0]
    chips.header["NROWS"] = geometry.rows[1] - geometry.rows[0] + 1
    dither = fits.BinTableHDU.from_columns(
        [
            fits.Column("TIME", "1D", unit="s", array=geometry.time),
            fits.Column("DX", "1D", unit="pixel", array=geometry.dither[:, 0]),
            fits.Column("DY", "1D", unit="pixel", array=geometry.dither[:, 1]),
        ],
        name="DITHER",
    )
    write_fits(Path(path), fits.HDUList([fits.PrimaryHDU(), chips, dither]))


def read_geometry(path: Path) -> FieldGeometry:
    """Read a file of `write_geometry`. Raises MissingInput or DamagedFile."""
    path = Path(path)
    hint = "make it again: pyxt-hpc process-data"
    with open_fits(path, "geometry file", hint, ours=True) as hdus:
        chips, dither = hdus["CHIPS"], hdus["DITHER"]
        first = int(chips.header["FIRSTROW"])
        return FieldGeometry(
            wcs=sky_wcs(chips.header, path),
            chips=tuple(int(ccd) for ccd in chips.data["CCD_ID"]),
            to_sky=np.stack([chips.data["X"], chips.data["Y"]], axis=1).astype(np.float64),
            rows=(first, first + int(chips.header["NROWS"]) - 1),
            time=dither.data["TIME"].astype(np.float64),
            dither=np.column_stack([dither.data["DX"], dither.data["DY"]]).astype(np.float64),
        )


def _solve(
    chip: FloatArray, sky: FloatArray, members: list[NDArray[np.int64]], bins: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Affine maps (n_chip, 2, 3), shift (n_bin, 2), and whether each event (n,) agrees with them."""
    # Positions are centred and scaled, since normal equations of raw pixels lose half of the digits.
    middle = (CHIP_PIXELS + 1) / 2
    design = np.column_stack([np.ones(len(chip)), (chip - middle) / middle])
    kept = np.ones(len(chip), dtype=bool)
    shift = np.zeros((int(bins.max()) + 1, 2))
    maps = np.zeros((len(members), 3, 2))
    residual = np.empty_like(sky)
    for iteration in range(_ITERATIONS):
        for k, on in enumerate(members):
            good = on[kept[on]]
            target = sky[good] - shift[bins[good]]
            maps[k] = np.linalg.lstsq(design[good].T @ design[good], design[good].T @ target, rcond=None)[0]
            residual[on] = sky[on] - design[on] @ maps[k]
        # At first, medians are used: an outlier not yet rejected would shift the mean of its bin.
        average = _medians if iteration < 2 else _means
        new = average(residual, bins, kept, len(shift))
        new -= new[bins[kept]].mean(axis=0)
        distance = np.hypot(*(residual - new[bins]).T)
        kept = distance < max(2.0, 6.0 * float(np.median(distance)))
        change, shift = float(np.abs(new - shift).max()), new
        if iteration > 2 and change < _CONVERGED:
            break
    to_sky = np.empty((len(members), 2, 3))
    to_sky[:, :, 1:] = maps[:, 1:].transpose(0, 2, 1) / middle
    to_sky[:, :, 0] = maps[:, 0] - middle * to_sky[:, :, 1:].sum(axis=2)
    return to_sky, shift, kept


def _means(values: FloatArray, bins: NDArray[np.int64], kept: NDArray[np.bool_], n_bin: int) -> FloatArray:
    """Mean (n_bin, 2) of the kept values in each bin; 0 in empty bins."""
    number = np.maximum(np.bincount(bins[kept], minlength=n_bin), 1)
    return np.column_stack([np.bincount(bins[kept], v[kept], n_bin) / number for v in values.T])


def _medians(values: FloatArray, bins: NDArray[np.int64], kept: NDArray[np.bool_], n_bin: int) -> FloatArray:
    """Lower median (n_bin, 2) of the kept values in each bin; 0 in empty bins."""
    number = np.bincount(bins[kept], minlength=n_bin)
    filled = number > 0
    middle = (np.cumsum(number) - number + (number - 1) // 2)[filled]
    result = np.zeros((n_bin, 2))
    for axis, v in enumerate(values.T):
        result[filled, axis] = v[kept][np.lexsort((v[kept], bins[kept]))[middle]]
    return result


def _bin_length(time: FloatArray, path: Path) -> float:
    """Bin length [s] that gives the smallest error of the dither at the count rate of these events."""
    if np.ptp(time) > _MAX_SPAN_S:
        raise DamagedFile(
            f"{path}: its events span {np.ptp(time):.3g} s, expected less than {_MAX_SPAN_S:g}: it was "
            "merged from several observations; give one file for each"
        )
    step = 10.0 * _MIN_BIN_S  # steps without an event are gaps and do not count for the rate
    observed = step * len(np.unique((time / step).astype(np.int64)))
    rate = len(time) / observed
    if rate * _MAX_BIN_S < _MIN_EVENTS_IN_BIN:
        raise DamagedFile(
            f"{path}: {len(time)} events in {observed:.0f} s, expected at least {_MIN_EVENTS_IN_BIN} in "
            f"{_MAX_BIN_S:.0f} s to see the dither; take the observation out of observation_ids"
        )
    best = (_SCATTER**2 / (4 * rate * _CURVATURE**2)) ** 0.2
    return float(np.clip(best, _MIN_BIN_S, _MAX_BIN_S))


def rows_of(header: fits.Header) -> tuple[int, int] | None:
    """First and last row (from 1) of the chips that were read, by FIRSTROW and NROWS; None if invalid.

    An absent FIRSTROW counts as 1, and an absent NROWS as 1024.
    """
    said = {"FIRSTROW": 1.0, "NROWS": float(CHIP_PIXELS)}
    for keyword in said.keys() & header.keys():
        said[keyword] = number(header, keyword) or 0.0
    first = int(said["FIRSTROW"])
    last = first + int(said["NROWS"]) - 1
    return (max(1, first), last) if 0 <= first < last <= CHIP_PIXELS else None


def _rows(header: fits.Header, chipy: FloatArray, path: Path) -> tuple[int, int]:
    if "FIRSTROW" not in header or "NROWS" not in header:
        log.warning("%s: no FIRSTROW, NROWS: 1 and %d are assumed, the full frame", path, CHIP_PIXELS)
    rows = rows_of(header)
    if rows is None or chipy.min() < rows[0] - _ROW_SLACK or chipy.max() > rows[1] + _ROW_SLACK:
        raise DamagedFile(
            f"{path}: FIRSTROW, NROWS are {header.get('FIRSTROW')}, {header.get('NROWS')}, but events have "
            f"chipy {chipy.min():.0f} to {chipy.max():.0f}: copy both keywords from the archive's evt2 file "
            "(dmhedit)"
        )
    return rows


def _check_spread(chip: FloatArray, name: str) -> None:
    if len(chip) < _MIN_EVENTS:
        raise DamagedFile(
            f"{name} has {len(chip)} events, expected at least {_MIN_EVENTS} to see where it is on the sky; "
            "take the observation out of observation_ids"
        )
    if np.linalg.eigvalsh(np.cov(chip.T))[0] < _MIN_SPREAD**2:
        raise DamagedFile(
            f"{name}: chipx, chipy of its events lie on a point or a line, expected all over it: the columns "
            "were overwritten, or the events were filtered; give the file as chandra_repro or the archive "
            "left it"
        )


def _check_solution(
    to_sky: FloatArray,
    chip: FloatArray,
    sky: FloatArray,
    members: list[NDArray[np.int64]],
    shift: FloatArray,
    kept: NDArray[np.bool_],
    chips: tuple[int, ...],
    path: Path,
) -> None:
    for ccd, on, matrix in zip(chips, members, to_sky, strict=True):
        good = on[kept[on]]
        scales = np.linalg.svd(matrix[:, 1:], compute_uv=False)
        residual = sky[good] - shift[good] - matrix[:, 0] - chip[good] @ matrix[:, 1:].T
        scatter = float(np.sqrt(np.mean(residual**2))) if len(good) else np.inf
        outliers = 1.0 - len(good) / len(on)
        if (
            np.abs(scales - 1.0).max() > _SCALE_TOLERANCE
            or scatter > _MAX_SCATTER
            or outliers > _MAX_OUTLIERS
        ):
            raise DamagedFile(
                f"{path}: CCD {ccd}: x, y do not follow from chipx, chipy (scale {scales[0]:.3f}, scatter "
                f"{scatter:.2f} pixels, {100 * outliers:.0f}% outliers; expected 1, below "
                f"{_MAX_SCATTER:g}, below {100 * _MAX_OUTLIERS:.0f}%): it was merged from several "
                "observations, or other software changed its positions; give the file as chandra_repro or "
                "the archive left it"
            )
