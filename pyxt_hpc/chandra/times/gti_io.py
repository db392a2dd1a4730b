"""FITS files of good time intervals and light curves, in CIAO's formats.

Intervals have the columns START, STOP (OGIP memo OGIP/93-003), as from `dmgti` and `deflare`; light curves
have the columns of `dmextract` with ``opt=ltc1``.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import column_numbers
from pyxt_hpc.chandra.keywords import live_time_share, number
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.chandra.times.lightcurve import LightCurve
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.fits import open_fits, write_fits

MJDREF = 50814.0  # zero point of Chandra's clock, 1998.0 TT
_GTI_HINT = "make it again, for example with CIAO's dmgti or deflare"
_FROM_EVENTS = (
    "ORIGIN", "MISSION", "TELESCOP", "INSTRUME", "DETNAM", "OBJECT", "OBS_ID", "DATE-OBS", "DATE-END",
    "TIMESYS", "TIMEUNIT", "TIMEREF", "TASSIGN", "CLOCKAPP", "TIERRELA", "TIERABSO", "TIMEVERS", "TIMEPIXR",
    "TIMEDEL", "TSTART", "TSTOP",
)  # fmt: skip
# Keywords of the data subspace of a filter file, as written by CIAO's module lightcurves.
_TIMES_OF_GTI = {"DSTYP1": "TIME", "DSVAL1": "TABLE", "DSFORM1": "D", "DSUNIT1": "s", "DSREF1": ":GTI"}


def write_gti(path: Path, gti: NDArray[np.float64], events_header: fits.Header) -> None:
    """Write good time intervals (m, 2) [s] for users, for CIAO (``evt.fits[@path]``) and for `read_gti`.

    The time system's keywords are copied from the header of the events. As in CIAO's filter files, an empty
    table FILTER comes first; its data subspace refers to the times of the table GTI.
    """
    table = _table("GTI", [("START", "1D", "s", gti[:, 0]), ("STOP", "1D", "s", gti[:, 1])], events_header)
    table.header["HDUCLAS2"] = "STANDARD"
    table.header["ONTIME"] = (gti_arithmetic.ontime(gti), "[s] sum of the intervals")
    selection = _table("FILTER", [("TIME", "1D", "s", np.empty(0))], events_header)
    selection.header["HDUCLASS"] = ("ASC", "the data subspace is what this table is for")
    for hdu in (selection, table):
        hdu.header["CONTENT"] = "GTI"
        hdu.header.update(_TIMES_OF_GTI)
    write_fits(path, fits.HDUList([fits.PrimaryHDU(), selection, table]))


def read_gti(path: Path) -> NDArray[np.float64]:
    """Read good time intervals (m, 2) [s], sorted and disjoint, from the table with the columns START, STOP.

    If several tables have them, the first must be called GTI, as in files of dmgti. TIMEZERO is not applied,
    so it must be the same as that of the events (0 for Chandra). The caller must check that the intervals
    belong to the observation.

    Raises MissingInput if there is no file. Raises DamagedFile if it is not FITS, or if it has no such table,
    no interval, an interval that ends before it begins, times that are not numbers, or another clock than
    Chandra's.
    """
    path = Path(path)
    with open_fits(path, "GTI file", _GTI_HINT) as hdus:
        table = _gti_table(hdus, path)
        start, stop = (table.data[name].astype(np.float64) for name in ("start", "stop"))
        header = table.header
    if len(start) == 0:
        raise DamagedFile(f"{path}: has no interval, so no time would be left; {_GTI_HINT}")
    if start.ndim != 1 or start.shape != stop.shape:
        raise DamagedFile(f"{path}: START, STOP do not have one number per row; {_GTI_HINT}")
    if not np.isfinite([start, stop]).all():
        raise DamagedFile(f"{path}: START, STOP contain values that are not times (NaN); {_GTI_HINT}")
    if (wrong := np.flatnonzero(stop < start)).size:
        row = int(wrong[0])
        raise DamagedFile(
            f"{path}: interval {row + 1} ends before it begins (START {start[row]:.3f}, "
            f"STOP {stop[row]:.3f}); {_GTI_HINT}"
        )
    _refuse_other_clock(header, path)
    gti = gti_arithmetic.normalise(np.column_stack([start, stop]))
    if len(gti) == 0:
        raise DamagedFile(f"{path}: all intervals are empty; {_GTI_HINT}")
    return gti


def write_light_curve(path: Path, curve: LightCurve, events_header: fits.Header) -> None:
    """Write a light curve with the columns of dmextract.

    EXPOSURE and COUNT_RATE are corrected for the dead time (DTCOR), as in dmextract. Bins without live time
    have the rate 0, so that deflare ignores them.
    """
    share = live_time_share(events_header) or 1.0
    exposure = curve.live_s * share
    rate, error = (
        np.divide(v, exposure, out=np.zeros(len(exposure)), where=exposure > 0)
        for v in (curve.counts, np.sqrt(curve.counts))
    )
    low, high = curve.edges[:-1], curve.edges[1:]
    columns = [
        ("TIME_BIN", "1J", "chan", np.arange(1, len(low) + 1)),
        ("TIME_MIN", "1D", "s", low),
        ("TIME", "1D", "s", 0.5 * (low + high)),
        ("TIME_MAX", "1D", "s", high),
        ("COUNTS", "1J", "count", curve.counts),
        ("STAT_ERR", "1D", "count", np.sqrt(curve.counts)),
        ("EXPOSURE", "1D", "s", exposure),
        ("COUNT_RATE", "1D", "count/s", rate),
        ("COUNT_RATE_ERR", "1D", "count/s", error),
    ]
    table = _table("LIGHTCURVE", columns, events_header)
    table.header["HDUCLAS2"], table.header["HDUCLAS3"] = "TOTAL", "COUNT"
    table.header["DTCOR"] = share
    table.header["TIMEDEL"] = (float(np.diff(curve.edges)[0]), "[s]")
    write_fits(path, fits.HDUList([fits.PrimaryHDU(), table]))


def _table(
    name: str, columns: list[tuple[str, str, str, NDArray[np.generic]]], events_header: fits.Header
) -> fits.BinTableHDU:
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name=title, format=form, unit=unit, array=array)
            for title, form, unit, array in columns
        ],
        name=name,
    )
    header = table.header
    header["HDUNAME"] = name
    header["HDUCLASS"] = ("OGIP", "format conforms to OGIP/GSFC standards")
    header["HDUCLAS1"] = name
    for keyword in _FROM_EVENTS:
        if keyword in events_header:
            header[keyword] = (events_header[keyword], events_header.comments[keyword])
    header["MJDREF"] = (_reference(events_header) or MJDREF, "[d] MJD zero point for times")
    header["TIMEZERO"] = (number(events_header, "TIMEZERO") or 0.0, "[s] clock correction")
    return table


def _gti_table(hdus: fits.HDUList, path: Path) -> fits.BinTableHDU:
    tables = [hdu for hdu in hdus[1:] if isinstance(hdu, fits.BinTableHDU)]
    fitting = [hdu for hdu in tables if {"start", "stop"} <= column_numbers(hdu.header).keys()]
    if not fitting:
        found = ", ".join(hdu.name or "a table without a name" for hdu in tables) or "none"
        raise DamagedFile(f"{path}: no table with the columns START, STOP (tables: {found}); {_GTI_HINT}")
    if len(fitting) > 1 and str(fitting[0].header.get("HDUNAME", "")).upper() != "GTI":
        named = ", ".join(str(hdu.header.get("HDUNAME", hdu.name)) for hdu in fitting)
        raise DamagedFile(
            f"{path}: {len(fitting)} tables with START, STOP ({named}), expected one (event "
            "files have several); give a file with only the intervals that are to be used"
        )
    return fitting[0]


def _reference(header: fits.Header) -> float | None:
    whole, days = number(header, "MJDREF"), number(header, "MJDREFI")
    if whole is not None or days is None:
        return whole
    return days + (number(header, "MJDREFF") or 0.0)


def _refuse_other_clock(header: fits.Header, path: Path) -> None:
    reference = _reference(header)
    # The tolerance allows for the minute between UTC and TT, which other missions add to the fraction.
    if reference is not None and abs(reference - MJDREF) > 0.01:
        raise DamagedFile(
            f"{path}: its times count from MJD {reference:g}, expected {MJDREF:g}, Chandra's clock; "
            f"{_GTI_HINT}"
        )
