"""A spectrum file: counts per channel, how they were collected, which files belong to it.

Layout: OGIP memos 92-007 and 92-007a (Arnaud, George & Tennant), type I: one spectrum, one row a channel.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.fitsfile import open_fits
from pyxt_hpc.errors import DamagedFile

_MAKE_AGAIN = "make it again (CIAO specextract or dmextract)"
_NONE = ("", "none", "null")


@dataclass(frozen=True, eq=False)
class Pha:
    """One spectrum.

    Attributes
    ----------
    path : Path
    counts : (n_channels,) float64
        Counts, also where the file has rates.
    first_channel_number : int
        Number that the file gives to the channel of row 0.
    exposure_s : float
        Live time [s].
    backscal, areascal : float
        Size of the area that counts come from, in units that source and background share; fraction of
        the effective area that was used.
    grouping : (n_channels,) int16 or None
        1 where a bin begins, -1 where it goes on, 0 for a channel on its own; None: no bins are given.
    quality : (n_channels,) int16
        0 for good channels.
    background_file, arf_file, rmf_file : Path or None
        Files named by BACKFILE, ANCRFILE and RESPFILE; whether they exist is not checked.
    """

    path: Path
    counts: NDArray[np.float64]
    first_channel_number: int
    exposure_s: float
    backscal: float
    areascal: float
    grouping: NDArray[np.int16] | None
    quality: NDArray[np.int16]
    background_file: Path | None
    arf_file: Path | None
    rmf_file: Path | None

    @property
    def area_time(self) -> float:
        """Exposure x area, the measure in which background is scaled to source."""
        return self.exposure_s * self.backscal * self.areascal


def read_pha(path: Path) -> Pha:
    """Read a type I spectrum, plain or ``.gz``.

    Raises
    ------
    MissingInput
        No such file.
    DamagedFile
        Not FITS, truncated, not a spectrum of type I with raw counts, channels that are not consecutive,
        or numbers that make no sense.
    """
    path = with_gz(Path(path))
    with open_fits(path, "spectrum", _MAKE_AGAIN) as hdus:
        table = _spectrum_table(path, hdus)
        header, n = table.header, len(table.data)
        names = [name.upper() for name in table.columns.names]

        def column(name: str, dtype: type) -> NDArray | None:
            return np.asarray(table.data[name], dtype) if name in names else None

        def one_number(name: str, default: float | None) -> float:
            return _one_number(path, name, column(name, np.float64), header.get(name, default))

        exposure = one_number("EXPOSURE", None)
        backscal, areascal = one_number("BACKSCAL", 1.0), one_number("AREASCAL", 1.0)
        channel, counts = column("CHANNEL", np.int64), column("COUNTS", np.float64)
        rate = column("RATE", np.float64)
        grouping, quality = column("GROUPING", np.int16), column("QUALITY", np.int16)
        if grouping is None and header.get("GROUPING", 0) != 0:
            grouping = np.full(n, header["GROUPING"], np.int16)
        if grouping is not None and not grouping.any():
            grouping = None
        if quality is None:
            quality = np.full(n, header.get("QUALITY", 0), np.int16)
        detchans = int(header.get("DETCHANS", n))
        files = [_companion(path, header.get(key)) for key in ("BACKFILE", "ANCRFILE", "RESPFILE")]
    if counts is None and rate is not None:
        counts = rate * exposure
    if channel is None or counts is None:
        raise _damaged(path, f"SPECTRUM has columns {', '.join(names)}, expected CHANNEL and COUNTS or RATE")
    if counts.ndim > 1:
        raise _damaged(path, "several spectra in one table, type II; split it: CIAO dmtype2split")
    if detchans != n or np.any(np.diff(channel) != 1):
        raise _damaged(
            path,
            f"{n} rows for channels {channel[0]} to {channel[-1]}, expected one row for each of {detchans}",
        )
    if not np.all((counts >= 0) & (counts < np.inf)):
        bad = int(np.flatnonzero(~((counts >= 0) & (counts < np.inf)))[0])
        raise _damaged(
            path, f"{counts[bad]} counts in channel {channel[bad]}; expected raw counts, nothing subtracted"
        )
    return Pha(path, counts, int(channel[0]), exposure, backscal, areascal, grouping, quality, *files)


def with_gz(path: Path) -> Path:
    """The path, or with ``.gz`` added if only that file exists."""
    packed = path.with_name(path.name + ".gz")
    return packed if packed.is_file() and not path.is_file() else path


def _damaged(path: Path, found: str) -> DamagedFile:
    return DamagedFile(f"{path}: not a spectrum that can be fitted ({found}); {_MAKE_AGAIN}")


def _spectrum_table(path: Path, hdus: fits.HDUList) -> fits.BinTableHDU:
    for hdu in hdus:
        if hdu.name == "SPECTRUM" and isinstance(hdu, fits.BinTableHDU):
            if len(hdu.data) == 0:
                raise _damaged(path, "extension SPECTRUM has no rows")
            if hdu.header.get("HDUCLAS2", "").upper() == "NET":
                raise _damaged(path, "its background is subtracted already, HDUCLAS2 is NET")
            return hdu
    found = ", ".join(hdu.name for hdu in hdus[1:]) or "none"
    raise _damaged(path, f"no table SPECTRUM; extensions found: {found}")


def _one_number(path: Path, name: str, column: NDArray | None, keyword: float | None) -> float:
    """Value of a quantity that is a keyword or a column of equal numbers."""
    if column is not None and np.ptp(column) > 1e-6 * abs(column).max():
        raise _damaged(path, f"{name} changes from {column.min():.6g} to {column.max():.6g} with the channel")
    value = keyword if column is None else column[0]
    if value is None:
        raise _damaged(path, f"no keyword {name}")
    if not 0 < float(value) < np.inf:
        raise _damaged(path, f"{name} is {value}, expected more than 0")
    return float(value)


def _companion(path: Path, name: str | None) -> Path | None:
    """File that a keyword names, relative to the spectrum's folder."""
    name = (name or "").strip()
    return None if name.lower() in _NONE else with_gz(path.parent / name)
