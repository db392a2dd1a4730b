"""Level-2 event lists: read and write the columns and keywords that pyxt_hpc uses.

Layout (ASC FITS File Designers' Guide): the table ``EVENTS`` has the sky WCS in the keywords of the columns
x, y (TCTYPn, TCRPXn, TCRVLn, TCDLTn). Each CCD has a GTI table; the data subspace of EVENTS names it.
Column names may be in upper or lower case; blank-sky files have no times.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.chandra.keywords import text
from pyxt_hpc.chandra.subspace import LAST_CCD, Subspace
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.fits import open_fits, write_fits

_HINT = "fetch it again from the archive (download_chandra_obsid) or make it again"
_OUR_HINT = "make it again: process-data or remove-sources with --force"

# name: (FITS format, unit, legal minimum, legal maximum), in the order of the archive's level-2 files
_COLUMNS: dict[str, tuple[str, str | None, float | None, float | None]] = {
    "time": ("1D", "s", None, None),
    "ccd_id": ("1I", None, 0, 9),
    "node_id": ("1I", None, 0, 3),
    "expno": ("1J", None, 0, 2147483647),
    "chipx": ("1I", "pixel", 1, 1024),
    "chipy": ("1I", "pixel", 1, 1024),
    "tdetx": ("1I", "pixel", 1, 8192),
    "tdety": ("1I", "pixel", 1, 8192),
    "detx": ("1E", "pixel", 0.5, 8192.5),
    "dety": ("1E", "pixel", 0.5, 8192.5),
    "x": ("1E", "pixel", 0.5, 8192.5),
    "y": ("1E", "pixel", 0.5, 8192.5),
    "pha": ("1J", "adu", 0, 36855),
    "pha_ro": ("1J", "adu", 0, 36855),
    "energy": ("1E", "eV", 0, 1e6),
    "pi": ("1J", "chan", 1, 1024),
    "fltgrade": ("1I", None, 0, 255),
    "grade": ("1I", None, 0, 7),
    "status": ("32X", None, None, None),
}
_READ_AS: dict[str, type] = {
    "time": np.float64, "ccd_id": np.int8, "chipx": np.int16, "chipy": np.int16, "x": np.float64,
    "y": np.float64, "energy": np.float32, "pi": np.int16, "grade": np.int16,
}  # fmt: skip
_FIELDS = {"energy": "energy_eV"}  # fields of an EventList that have another name than their column
_STATUS_BITS = 32
_REQUIRED = ("x", "y", "energy", "pi", "ccd_id")
_STRUCTURAL = re.compile(
    r"^(XTENSION|SIMPLE|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|EXTNAME|HDUNAME|EXTVER|CHECKSUM|DATASUM|EXTEND|END"
    r"|T(TYPE|FORM|UNIT|LMIN|LMAX|DMIN|DMAX|CTYP|CUNI|CRPX|CRVL|CDLT|NULL|SCAL|ZERO|DISP|DIM|BCOL)\d+"
    r"|M(TYPE|FORM)\d+|\d*DS(TYP|VAL|REF|FORM|UNIT)\d+|COMMENT|HISTORY|)$"
)


@dataclass(frozen=True, eq=False)
class EventList:
    """The n events of one observation, in file order.

    ``wcs`` converts sky pixels (FITS convention: the centre of the first pixel is 1) to degrees. ``gti`` has
    the good time intervals (m, 2) [s] of each CCD; it is empty if the file has none. ``status`` is 0 for a
    clean event; ``chipx``, ``chipy`` count from 1. ``extra`` has further columns for writing; reading leaves
    it empty.
    """

    path: Path
    header: fits.Header
    wcs: WCS
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    energy_eV: NDArray[np.float32]
    pi: NDArray[np.int16]
    ccd_id: NDArray[np.int8]
    time: NDArray[np.float64] | None = None
    grade: NDArray[np.int16] | None = None
    status: NDArray[np.uint32] | None = None
    chipx: NDArray[np.int16] | None = None
    chipy: NDArray[np.int16] | None = None
    gti: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    extra: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def select(self, mask: NDArray[Any]) -> "EventList":
        """Events where ``mask`` (n,) bool is true, or at the indices in ``mask`` if it has integers."""
        chosen = {
            f.name: value[mask]
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), np.ndarray)
        }
        return replace(self, **chosen, extra={name: column[mask] for name, column in self.extra.items()})

    def on_chips(self, chips: Sequence[int]) -> "EventList":
        """Events on these CCDs."""
        return self.select(np.isin(self.ccd_id, chips))

    def in_band(self, band_eV: tuple[float, float]) -> NDArray[np.bool_]:
        """Whether each event (n,) has an energy in a band [eV]; the upper end is excluded."""
        return (self.energy_eV >= band_eV[0]) & (self.energy_eV < band_eV[1])

    def in_good_time(self, gti: Mapping[int, NDArray[np.float64]]) -> NDArray[np.bool_]:
        """Whether each event (n,) is in the good time of its own CCD; a CCD without intervals has none."""
        assert self.time is not None
        return gti_arithmetic.in_gti_by_chip(gti, self.ccd_id, self.time)


def concatenate(parts: Sequence[EventList]) -> EventList:
    """Join lists with the same columns; header, WCS and good times are taken from the first list."""
    columns: dict[str, Any] = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(EventList)
        if isinstance(getattr(parts[0], f.name), np.ndarray)
    }
    return replace(parts[0], **columns)


def sky_wcs(header: fits.Header, path: Path | str) -> WCS:
    """WCS of the columns x, y of a table; it converts 1-based sky pixels to RA, Dec [deg].

    Raises DamagedFile, which names ``path``, if these columns are absent or have no tangent-plane WCS in ICRS
    or FK5.
    """
    columns = column_numbers(header)
    try:
        i, j = columns["x"], columns["y"]
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = [str(header[f"TCTYP{n}"]) for n in (i, j)]
        wcs.wcs.crpix = [float(header[f"TCRPX{n}"]) for n in (i, j)]
        wcs.wcs.crval = [float(header[f"TCRVL{n}"]) for n in (i, j)]
        wcs.wcs.cdelt = [float(header[f"TCDLT{n}"]) for n in (i, j)]
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedFile(
            f"{path}: columns x, y have no sky WCS ({error}); expected TCTYPn, TCRPXn, ...; {_HINT}"
        ) from error
    frame = text(header, "RADESYS", text(header, "RADECSYS", "ICRS"))
    if frame not in ("ICRS", "FK5"):  # the two differ by less than a tenth of a pixel
        raise DamagedFile(f"{path}: its positions are in the system {frame}, expected ICRS; {_HINT}")
    if list(wcs.wcs.ctype) == ["XLON-TAN", "XLAT-TAN"]:  # older tools of the Chandra X-ray Center write this
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    if list(wcs.wcs.ctype) != ["RA---TAN", "DEC--TAN"]:
        raise DamagedFile(
            f"{path}: columns x, y have the WCS {list(wcs.wcs.ctype)}; expected RA---TAN, DEC--TAN; {_HINT}"
        )
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def set_sky_wcs(header: fits.Header, wcs: WCS, x_column: int, y_column: int) -> None:
    """Set the keywords that `sky_wcs` reads from a table; column numbers begin with 1."""
    for axis, number in enumerate((x_column, y_column)):
        header[f"TCTYP{number}"] = str(wcs.wcs.ctype[axis])
        header[f"TCRVL{number}"] = float(wcs.wcs.crval[axis])
        header[f"TCRPX{number}"] = float(wcs.wcs.crpix[axis])
        header[f"TCDLT{number}"] = float(wcs.wcs.cdelt[axis])
        header[f"TCUNI{number}"] = "deg"


def column_numbers(header: fits.Header) -> dict[str, int]:
    """Numbers of a table's columns, from 1, by lower-case name."""
    return {str(header[key]).strip().lower(): int(key[5:]) for key in header if re.match(r"TTYPE\d+$", key)}


def read_events(path: Path, *, ours: bool = False) -> EventList:
    """Read the events, the sky WCS and the good time intervals of a level-2 or blank-sky event file.

    ``ours``: a stage of this package wrote the file, so its checksum must be right. Raises MissingInput if
    there is no file, and DamagedFile if it is damaged, is not FITS, has no EVENTS table, lacks a required
    column or is not from Chandra's ACIS.
    """
    path = Path(path)
    with open_fits(path, "event file", _OUR_HINT if ours else _HINT, ours=ours) as hdus:
        table = _events_table(hdus, path)
        header = table.header.copy()
        _check_instrument(header, path)
        names = column_numbers(header)
        absent = [name for name in _REQUIRED if name not in names]
        if absent:
            raise DamagedFile(
                f"{path}: EVENTS has no column {', '.join(absent)}; give the file with all columns (dmcopy "
                "without [cols ...])"
            )
        data = table.data

        def column(name: str, dtype: type) -> Any:
            if name not in names:
                return None
            values = data.field(names[name] - 1).astype(dtype)
            if values.shape != (len(data),):
                raise ValueError(f"column {name} does not have one number per row")
            return values

        return EventList(
            path=path,
            header=header,
            wcs=sky_wcs(header, path),
            status=_status(table, names, path),
            gti=_read_gti(hdus, header, path),
            **{_FIELDS.get(name, name): column(name, dtype) for name, dtype in _READ_AS.items()},
        )


def read_sky_wcs(path: Path, *, ours: bool = False) -> WCS:
    """WCS of an event file's columns x, y, without reading the events; ``ours`` as in `read_events`."""
    return sky_wcs(read_header(path, ours=ours), path)


def read_header(path: Path, *, ours: bool = False) -> fits.Header:
    """Header of an event file's table EVENTS, without reading the events; ``ours`` as in `read_events`."""
    path = Path(path)
    with open_fits(path, "event file", _OUR_HINT if ours else _HINT, ours=ours, first=False) as hdus:
        return _events_table(hdus, path).header.copy()


def write_events(path: Path, events: EventList) -> None:
    """Write a level-2 event file with the columns and keywords of the archive's files.

    The columns of ``events`` and ``events.extra`` are written in the order of the archive's files. The WCS,
    the data subspace and the GTI tables are made from ``events.wcs`` and ``events.gti``; the header's other
    keywords are kept. If ``path`` ends in ``.gz``, the file is compressed. Raises ValueError if ``extra`` has
    a column that level-2 files do not have.
    """
    values = {name: getattr(events, _FIELDS.get(name, name)) for name in (*_READ_AS, "status")}
    unknown = set(events.extra) - (set(_COLUMNS) - set(values))
    if unknown:
        raise ValueError(f"not columns of a level-2 event file: {', '.join(sorted(unknown))}")
    values.update(events.extra)
    order = [name for name in _COLUMNS if values.get(name) is not None]
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name=name, format=_COLUMNS[name][0], unit=_COLUMNS[name][1]) for name in order],
        nrows=len(events),
        name="EVENTS",
    )
    # Fill the rows in the file's layout directly: astropy would copy each column twice.
    rows = table.data.view(np.ndarray)
    for name in order:
        if name == "status":
            table.data["status"][:] = _bits(values[name])
        else:
            rows[name] = values[name]
    header = table.header
    for card in events.header.cards:
        if not _STRUCTURAL.match(card.keyword):
            header[card.keyword] = (card.value, card.comment)
    header["HDUNAME"] = "EVENTS"
    header["HDUCLASS"] = ("OGIP", "format conforms to OGIP/GSFC standards")
    header["HDUCLAS1"] = ("EVENTS", "event list")
    for number, name in enumerate(order, start=1):
        low, high = _COLUMNS[name][2:]
        if low is not None and high is not None:
            integer = _COLUMNS[name][0] in ("1I", "1J")
            header[f"TLMIN{number}"] = int(low) if integer else float(low)
            header[f"TLMAX{number}"] = int(high) if integer else float(high)
    set_sky_wcs(header, events.wcs, order.index("x") + 1, order.index("y") + 1)
    _write_subspace(header, sorted(events.gti))
    tables = [_gti_table(events.gti[ccd], ccd) for ccd in sorted(events.gti)]
    write_fits(path, fits.HDUList([_primary(events.header), table, *tables]))


def _events_table(hdus: fits.HDUList, path: Path) -> fits.BinTableHDU:
    for hdu in hdus[1:]:
        if isinstance(hdu, fits.BinTableHDU) and _block_name(hdu).startswith("EVENTS"):
            return hdu
    found = ", ".join(hdu.name or type(hdu).__name__ for hdu in hdus)
    raise DamagedFile(f"{path}: no EVENTS table (found: {found}); expected a level-2 event file; {_HINT}")


def _block_name(hdu: Any) -> str:
    # CIAO sometimes gives every GTI block the EXTNAME GTI, and numbers the blocks in HDUNAME.
    return str(hdu.header.get("HDUNAME", hdu.name)).strip().upper()


def _check_instrument(header: fits.Header, path: Path) -> None:
    for keyword, expected in (("TELESCOP", "CHANDRA"), ("INSTRUME", "ACIS")):
        found = text(header, keyword, "nothing")
        if found != expected:
            raise DamagedFile(
                f"{path}: {keyword} is {found}, expected {expected}: not an ACIS event file, "
                "and only these can be used"
            )


def _status(table: fits.BinTableHDU, names: Mapping[str, int], path: Path) -> NDArray[np.uint32] | None:
    """Status bits of each event, from 32 bits (as CIAO writes them), from logicals or from a whole number."""
    if "status" not in names:
        return None
    column = table.columns[names["status"] - 1]
    raw = np.ascontiguousarray(table.data.view(np.ndarray)[column.name])
    if re.fullmatch(r"1?[IJK]", column.format):
        return raw.astype(np.int64).astype(np.uint32)
    # Read the raw bytes: astropy would unpack 32 booleans for each event.
    raw = raw.reshape(len(raw), math.prod(raw.shape[1:])).view(np.uint8)
    if re.fullmatch(r"\d*L", column.format) and raw.shape[1] <= _STATUS_BITS:
        missing = np.zeros((len(raw), _STATUS_BITS - raw.shape[1]), dtype=bool)
        raw = np.packbits(np.concatenate([missing, raw == ord("T")], axis=1), axis=1)
    elif not re.fullmatch(r"\d*[XB]", column.format) or raw.shape[1] > _STATUS_BITS // 8:
        raise DamagedFile(
            f"{path}: column status has the format {column.format}, expected 32X (bits); make the file again "
            "with CIAO"
        )
    status = np.zeros(len(raw), dtype=np.uint32)
    for byte in raw.T:
        status = (status << np.uint32(8)) | byte
    return status


def _bits(status: NDArray[np.uint32]) -> NDArray[np.bool_]:
    return np.unpackbits(status.astype(">u4").view(np.uint8).reshape(-1, 4), axis=1).view(np.bool_)


def _read_gti(hdus: fits.HDUList, header: fits.Header, path: Path) -> dict[int, NDArray[np.float64]]:
    tables: dict[str, fits.BinTableHDU] = {}
    for hdu in hdus[1:]:
        if isinstance(hdu, fits.BinTableHDU) and re.fullmatch(r"(STD)?GTI\d*", _block_name(hdu)):
            tables.setdefault(_block_name(hdu), hdu)
    by_ccd = {ccd: block for ccd, block in Subspace.of(header).gti_blocks().items() if block in tables}
    for block, hdu in tables.items():
        number = re.search(r"\d+$", block)
        if "CCD_ID" in hdu.header:
            by_ccd.setdefault(int(hdu.header["CCD_ID"]), block)
        elif number and int(number.group()) <= LAST_CCD:
            by_ccd.setdefault(int(number.group()), block)
    if not by_ccd and len(tables) == 1:
        by_ccd = dict.fromkeys(range(LAST_CCD + 1), next(iter(tables)))
    return {ccd: _gti_array(tables[block], path) for ccd, block in sorted(by_ccd.items())}


def _gti_array(hdu: fits.BinTableHDU, path: Path) -> NDArray[np.float64]:
    if not {"start", "stop"} <= column_numbers(hdu.header).keys():
        raise DamagedFile(
            f"{path}: block {_block_name(hdu)} has no columns START, STOP; make the file again with dmcopy, "
            "or fetch it again from the archive"
        )
    start, stop = (hdu.data[name].astype(np.float64) for name in ("start", "stop"))
    return gti_arithmetic.normalise(np.column_stack([start, stop]))


def _gti_table(gti: NDArray[np.float64], ccd: int) -> fits.BinTableHDU:
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column(name="START", format="1D", unit="s", array=gti[:, 0]),
            fits.Column(name="STOP", format="1D", unit="s", array=gti[:, 1]),
        ],
        name=f"GTI{ccd}",
    )
    hdu.header["HDUNAME"] = f"GTI{ccd}"
    hdu.header["HDUCLASS"] = "OGIP"
    hdu.header["HDUCLAS1"] = "GTI"
    hdu.header["DSTYP1"], hdu.header["DSVAL1"] = "CCD_ID", f"{ccd}:{ccd}"
    return hdu


def _write_subspace(header: fits.Header, ccds: list[int]) -> None:
    for component, ccd in enumerate(ccds, start=1):
        prefix = "" if component == 1 else str(component)
        if component == 1:
            header["DSTYP1"], header["DSTYP2"] = "CCD_ID", "TIME"
        header[f"{prefix}DSVAL1"] = f"{ccd}:{ccd}"
        header[f"{prefix}DSVAL2"] = "TABLE"
        header[f"{prefix}DSREF2"] = f":GTI{ccd}"


def _primary(header: fits.Header) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU()
    for keyword in ("TELESCOP", "INSTRUME", "DETNAM", "OBS_ID", "OBJECT", "DATE-OBS", "TSTART", "TSTOP"):
        if keyword in header:
            hdu.header[keyword] = header[keyword]
    return hdu
