"""Spectrum files: counts per channel, exposure and areas, names of the files that belong to the spectrum.

Layout: OGIP memos 92-007 and 92-007a (Arnaud, George & Tennant), type I: one spectrum, one row per channel.
Files are refused if they ask for something that the fits do not support: corrections, systematic errors or
errors that are not Poisson errors.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.keywords import text, truth
from pyxt_hpc.chandra.ogip.hduclass import find_tables, hduclass
from pyxt_hpc.chandra.ogip.response_files import Keywords
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.fits import open_fits, write_fits
from pyxt_hpc.files.writing import with_gz

log = logging.getLogger(__name__)

_MAKE_AGAIN = "make it again (CIAO specextract or dmextract)"
_NONE = ("", "none", "null")
_BACKGROUND = ("BKG", "BACKGROUND")  # HDUCLAS2
# Largest relative rounding error of counts computed as a 4-byte rate times the exposure.
_WHOLE = 1e-5


@dataclass(frozen=True, eq=False)
class Pha:
    """One spectrum, from the HDU with the index ``extension`` of a file.

    ``counts`` (n_channels,) are counts even if the file has rates. ``first_channel_number`` is the number of
    the first channel in the file. ``exposure_s`` [s] is the live time. ``backscal`` is the size of the
    extraction area, in units common to source and background; ``areascal`` is the fraction of the effective
    area that was used. Both are 1 if the file does not give them; ``stated`` has the keywords that it gives.

    ``grouping`` (n_channels,) is 1 where a bin begins, -1 where it continues, 0 for an ungrouped channel;
    None if the file has no grouping. ``quality`` (n_channels,) is 0 for good channels.

    ``background_file``, ``arf_file``, ``rmf_file`` come from BACKFILE, ANCRFILE and RESPFILE; they may not
    exist. ``channel_type``, ``instrument`` are CHANTYPE and INSTRUME in upper case, empty if they are absent.
    """

    path: Path
    extension: int
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
    channel_type: str
    instrument: str
    stated: frozenset[str]

    @property
    def area_time(self) -> float:
        """Exposure x backscal x areascal; the ratio of source to background scales the background."""
        return self.exposure_s * self.backscal * self.areascal


def read_pha(path: Path, *, background: bool = False) -> Pha:
    """Read a type I spectrum, plain or ``.gz``.

    ``background``: if the file has a source and a background spectrum (HDUCLAS2 TOTAL and BKG), read the
    background.

    Raises MissingInput if there is no file. Raises DamagedFile if it is not FITS, is truncated, is not a
    spectrum of type I with raw counts, has channels that are not consecutive or invalid numbers, or asks for
    something that the fits do not support.
    """
    path = with_gz(Path(path))
    with open_fits(path, "spectrum", _MAKE_AGAIN) as hdus:
        table = _spectrum_table(path, hdus, background)
        header, n, extension = table.header, len(table.data), list(hdus).index(table)
        names = [name.upper() for name in table.columns.names]

        def column(name: str, dtype: type) -> NDArray | None:
            return np.asarray(table.data[name], dtype) if name in names else None

        def one_number(name: str, default: float | None) -> float:
            return _one_number(path, name, column(name, np.float64), header.get(name, default))

        stated = frozenset(n for n in ("BACKSCAL", "AREASCAL") if n in names or n in header)
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
        if grouping is not None and not np.isin(grouping, (-1, 0, 1)).all():
            raise _damaged(path, "GROUPING has other values than -1, 0 and 1")
        _refuse_corrections(path, header, column("SYS_ERR", np.float64))
        poisson = truth(header, "POISSERR") is not False
        channel_type, instrument = text(header, "CHANTYPE"), text(header, "INSTRUME")
        detchans = int(header.get("DETCHANS", n))
        background_file, arf_file, rmf_file = (
            _companion(path, header.get(key)) for key in ("BACKFILE", "ANCRFILE", "RESPFILE")
        )
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
    counts = _whole(path, counts, poisson)
    return Pha(
        path=path,
        extension=extension,
        counts=counts,
        first_channel_number=int(channel[0]),
        exposure_s=exposure,
        backscal=backscal,
        areascal=areascal,
        grouping=grouping,
        quality=quality,
        background_file=background_file,
        arf_file=arf_file,
        rmf_file=rmf_file,
        channel_type=channel_type,
        instrument=instrument,
        stated=stated,
    )


def write_pha(path: Path, pha: Pha, *, is_background: bool = False, header: Keywords | None = None) -> None:
    """Write a spectrum of whole counts in OGIP layout, type I; `header` adds keywords to SPECTRUM.

    BACKFILE, ANCRFILE and RESPFILE have no folder, since these files are in the folder of the spectrum.
    """
    first, n = pha.first_channel_number, len(pha.counts)
    columns = [
        fits.Column("CHANNEL", "J", array=np.arange(first, first + n)),
        fits.Column("COUNTS", "J", "count", array=pha.counts),
        fits.Column("QUALITY", "I", array=pha.quality),
    ]
    ungrouped = {"GROUPING": 0} if pha.grouping is None else {}  # the memo asks for a keyword or a column
    if pha.grouping is not None:
        columns.append(fits.Column("GROUPING", "I", array=pha.grouping))
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    companions = {"BACKFILE": pha.background_file, "ANCRFILE": pha.arf_file, "RESPFILE": pha.rmf_file}
    table.header.update(
        {
            "HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "HDUVERS": "1.2.1",
            "HDUCLAS2": "BKG" if is_background else "TOTAL", "HDUCLAS3": "COUNT", "HDUCLAS4": "TYPE:I",
            "CHANTYPE": pha.channel_type, "DETCHANS": n, "TLMIN1": first, "TLMAX1": first + n - 1,
            "POISSERR": True, "SYS_ERR": 0, "TELESCOP": "CHANDRA", "INSTRUME": pha.instrument,
            "EXPOSURE": pha.exposure_s, "BACKSCAL": pha.backscal, "AREASCAL": pha.areascal,
            "FILTER": "NONE", "CORRFILE": "none", "CORRSCAL": 1.0,
            **ungrouped,
            **{keyword: "none" if file is None else file.name for keyword, file in companions.items()},
            **(header or {}),
        }
    )  # fmt: skip
    write_fits(path, fits.HDUList([fits.PrimaryHDU(), table]))


def _damaged(path: Path, found: str) -> DamagedFile:
    return DamagedFile(f"{path}: not a spectrum that can be fitted ({found}); {_MAKE_AGAIN}")


def _refuse_corrections(path: Path, header: fits.Header, systematic: NDArray | None) -> None:
    """Raise DamagedFile if the spectrum asks for a correction file or for systematic errors."""
    correction, scale = str(header.get("CORRFILE", "")).strip(), float(header.get("CORRSCAL", 1.0))
    if correction.lower() not in _NONE and scale != 0.0:
        raise DamagedFile(
            f"{path}: CORRFILE asks to subtract {scale:g} x {correction}, which these fits do not do; set "
            "CORRSCAL to 0 to fit without, or add the correction to the background spectrum"
        )
    errors = np.atleast_1d(header.get("SYS_ERR", 0.0) if systematic is None else systematic)
    if np.any(errors != 0):
        raise DamagedFile(
            f"{path}: SYS_ERR asks for systematic errors of {100 * np.nanmax(errors):.3g}%, which the "
            "statistics of these fits do not have; set SYS_ERR to 0 to fit without"
        )


def _whole(path: Path, counts: NDArray, poisson: bool) -> NDArray:
    """Counts, rounded if all of them are whole numbers within rounding errors."""
    nearest = np.rint(counts)
    broken = abs(counts - nearest) > _WHOLE * np.maximum(counts, 1.0)
    if not broken.any():
        if not poisson:
            log.info("%s: POISSERR is F, but the counts are whole numbers: Poisson errors are used", path)
        return nearest
    example = counts[np.flatnonzero(broken)[0]]
    if not poisson:
        raise DamagedFile(
            f"{path}: POISSERR is F and the counts are not whole numbers (e.g. {example:.4g}): they are "
            "weighted or corrected, and Poisson statistics do not hold; give the raw counts"
        )
    log.warning(
        "%s: counts that are not whole numbers, e.g. %.4g, are treated as Poisson counts", path, example
    )
    return counts


def _spectrum_table(path: Path, hdus: fits.HDUList, background: bool) -> fits.BinTableHDU:
    tables = find_tables(hdus, "SPECTRUM", names=("SPECTRUM",))
    if not tables:
        found = ", ".join(hdu.name for hdu in hdus[1:]) or "none"
        raise _damaged(path, f"no table SPECTRUM; extensions found: {found}")
    of_background = [hdu for hdu in tables if hduclass(hdu, 2) in _BACKGROUND]
    of_source = [hdu for hdu in tables if hduclass(hdu, 2) not in _BACKGROUND]
    if background and len(tables) > 1 and not of_background:
        raise _damaged(path, f"{len(tables)} spectra and none has HDUCLAS2 BKG, the background")
    chosen = (of_background or of_source) if background else (of_source or of_background)
    if len(chosen) > 1:
        raise _damaged(path, f"{len(chosen)} spectra of one kind, expected one; split the file")
    hdu = chosen[0]
    if not background and not of_source:
        log.warning("%s: is a background spectrum (HDUCLAS2 is BKG), but is used as a source spectrum", path)
    if len(hdu.data) == 0:
        raise _damaged(path, f"extension {hdu.name} has no rows")
    if hduclass(hdu, 2) == "NET":
        raise _damaged(path, "its background is subtracted already, HDUCLAS2 is NET")
    return hdu


def _one_number(path: Path, name: str, column: NDArray | None, keyword: float | None) -> float:
    """Positive value of a quantity, given by a keyword or by a column of equal numbers."""
    if column is not None and np.ptp(column) > 1e-6 * abs(column).max():
        raise _damaged(path, f"{name} changes from {column.min():.6g} to {column.max():.6g} with the channel")
    value = keyword if column is None else np.nan if np.isnan(column).any() else column[0]
    if value is None:
        raise _damaged(path, f"no keyword {name}")
    if not 0 < float(value) < np.inf:
        raise _damaged(path, f"{name} is {value}, expected more than 0")
    return float(value)


def _companion(path: Path, name: str | None) -> Path | None:
    """Path of the file that a keyword names, relative to the spectrum's folder; None if it names none."""
    name = (name or "").strip()
    return None if name.lower() in _NONE else with_gz(path.parent / name)
