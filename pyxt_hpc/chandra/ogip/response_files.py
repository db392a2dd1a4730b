"""Read and write files of responses, ARF and RMF.

Layout: OGIP Calibration Memos CAL/GEN/92-002 and 92-002a (George et al.). F_CHAN counts from the TLMIN of its
own column, even if the CHANNEL column of EBOUNDS begins with another number.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.keywords import text
from pyxt_hpc.chandra.ogip.hduclass import column_in, find_tables
from pyxt_hpc.chandra.ogip.response import GRID_TOLERANCE, Arf, Rmf
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.fits import open_fits, write_fits

Keywords = Mapping[str, str | int | float]

_MAKE_AGAIN = "make it again (CIAO's specextract)"
_CHECK_AGAIN = "make it again: generate-responses with --force"
_NAMES = {
    "SPECRESP": ("SPECRESP", "AXAF_ARF"),
    "RSP_MATRIX": ("MATRIX", "SPECRESP MATRIX", "RSP_MATRIX", "AXAF_RMF"),
    "EBOUNDS": ("EBOUNDS",),
}  # usual names of extensions, by their HDUCLAS2


def read_arf(path: Path, *, ours: bool = False) -> Arf:
    """Read an OGIP effective area file; `ours`: generate-responses made it, so its checksum must be right.

    Raises MissingInput if there is no file, and DamagedFile if it is not FITS, is truncated, lacks a column
    or has invalid numbers or a wrong checksum.
    """
    with open_fits(path, "ARF", _CHECK_AGAIN if ours else _MAKE_AGAIN, ours=ours) as hdus:
        table = _extension(path, "ARF", hdus, "SPECRESP", ("ENERG_LO", "ENERG_HI", "SPECRESP"))
        energy_lo, energy_hi = _energy_bins(path, "ARF", table)
        area = column_in(table, "SPECRESP", "cm**2")
    if not np.all(np.isfinite(area)) or np.any(area < 0):
        raise _damaged(path, "ARF", "SPECRESP has negative or non-finite areas")
    return Arf(energy_lo, energy_hi, area)


def read_rmf(path: Path, *, ours: bool = False) -> Rmf:
    """Read an OGIP redistribution file, with scalar, fixed or variable-length group columns.

    `ours`: generate-responses made it, so its checksum must be right. The number of the first channel is
    TLMIN of F_CHAN, else TLMIN of CHANNEL in EBOUNDS, else 1 (the OGIP default); Sherpa uses the same order.

    Raises MissingInput if there is no file, and DamagedFile if it is not FITS, is truncated, lacks a column,
    or has groups beyond the channels of EBOUNDS, invalid numbers or a wrong checksum.
    """
    columns = ("ENERG_LO", "ENERG_HI", "N_GRP", "F_CHAN", "N_CHAN", "MATRIX")
    with open_fits(path, "RMF", _CHECK_AGAIN if ours else _MAKE_AGAIN, ours=ours) as hdus:
        table = _extension(path, "RMF", hdus, "RSP_MATRIX", columns)
        bounds = _extension(path, "RMF", hdus, "EBOUNDS", ("CHANNEL", "E_MIN", "E_MAX"))
        energy_lo, energy_hi = _energy_bins(path, "RMF", table)
        first_number = _tlmin(table, "F_CHAN", default=_tlmin(bounds, "CHANNEL", default=1))
        groups_in_row = np.asarray(table.data["N_GRP"], dtype=np.int64)
        # Signed integers, since unsigned ones would wrap around below channel 0.
        first = _flatten(table.data["F_CHAN"], groups_in_row).astype(np.int64) - first_number
        length = _flatten(table.data["N_CHAN"], groups_in_row).astype(np.int64)
        row = np.repeat(np.arange(len(energy_lo)), groups_in_row)
        if not len(first) == len(length) == len(row):
            raise _damaged(path, "RMF", "F_CHAN or N_CHAN are shorter than N_GRP says")
        elements = np.bincount(row, weights=length, minlength=len(energy_lo)).astype(np.int64)
        matrix = _flatten(table.data["MATRIX"], elements).astype(np.float64)
        channel_lo, channel_hi = (column_in(bounds, name, "keV") for name in ("E_MIN", "E_MAX"))
        channel_type = text(table.header, "CHANTYPE", text(bounds.header, "CHANTYPE"))

    used = length > 0
    row, length, first = row[used], length[used], first[used]
    if len(matrix) != length.sum():
        raise _damaged(path, "RMF", f"MATRIX has {len(matrix)} elements, but N_CHAN asks for {length.sum()}")
    if np.any(first < 0) or np.any(first + length > len(channel_lo)):
        raise _damaged(
            path,
            "RMF",
            f"MATRIX fills channels {first.min() + first_number} to "
            f"{(first + length).max() + first_number - 1}, but EBOUNDS has {len(channel_lo)} from "
            f"{first_number}, the TLMIN of F_CHAN",
        )
    if not np.all(np.isfinite(matrix)):
        raise _damaged(path, "RMF", "MATRIX has non-finite elements")
    return Rmf(
        energy_lo=energy_lo,
        energy_hi=energy_hi,
        n_group=np.bincount(row, minlength=len(energy_lo)).astype(np.int32),
        first_channel=first.astype(np.int32),
        n_channel=length.astype(np.int32),
        matrix=matrix,
        channel_lo_keV=channel_lo,
        channel_hi_keV=channel_hi,
        first_channel_number=first_number,
        channel_type=channel_type,
    )


def write_arf(path: Path, arf: Arf, *, header: Keywords | None = None) -> None:
    """Write an ARF in OGIP layout (4-byte reals); `header` adds keywords to SPECRESP."""
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("ENERG_LO", "E", "keV", array=arf.energy_lo),
            fits.Column("ENERG_HI", "E", "keV", array=arf.energy_hi),
            fits.Column("SPECRESP", "E", "cm**2", array=arf.area),
        ],
        name="SPECRESP",
    )
    _set_keywords(table, {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "SPECRESP", "HDUVERS": "1.1.0"}, header)
    write_fits(path, fits.HDUList([fits.PrimaryHDU(), table]))


def write_rmf(path: Path, rmf: Rmf, *, header: Keywords | None = None) -> None:
    """Write an RMF in OGIP layout (4-byte reals, variable-length groups); `header` adds keywords."""
    group_edges = np.cumsum(rmf.n_group)[:-1]
    element_edges = np.concatenate([[0], np.cumsum(rmf.n_channel)])[group_edges]
    number = rmf.first_channel + rmf.first_channel_number
    last_number = rmf.first_channel_number + rmf.n_channels - 1
    matrix = fits.BinTableHDU.from_columns(
        [
            fits.Column("ENERG_LO", "E", "keV", array=rmf.energy_lo),
            fits.Column("ENERG_HI", "E", "keV", array=rmf.energy_hi),
            fits.Column("N_GRP", "I", array=rmf.n_group),
            fits.Column("F_CHAN", "PI()", array=_ragged(number, group_edges, np.int16)),
            fits.Column("N_CHAN", "PI()", array=_ragged(rmf.n_channel, group_edges, np.int16)),
            fits.Column("MATRIX", "PE()", array=_ragged(rmf.matrix, element_edges, np.float32)),
        ],
        name="MATRIX",
    )
    common: Keywords = {
        "HDUCLAS1": "RESPONSE", "HDUVERS": "1.3.0", "CHANTYPE": rmf.channel_type, "DETCHANS": rmf.n_channels,
    }  # fmt: skip
    of_matrix: Keywords = {
        "HDUCLAS2": "RSP_MATRIX", "HDUCLAS3": "REDIST", "TLMIN4": rmf.first_channel_number,
        "TLMAX4": last_number, "NUMGRP": int(rmf.n_group.sum()), "NUMELT": len(rmf.matrix),
    }  # fmt: skip
    _set_keywords(matrix, {**common, **of_matrix}, header)
    bounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "J", array=np.arange(rmf.first_channel_number, last_number + 1)),
            fits.Column("E_MIN", "E", "keV", array=rmf.channel_lo_keV),
            fits.Column("E_MAX", "E", "keV", array=rmf.channel_hi_keV),
        ],
        name="EBOUNDS",
    )
    of_bounds: Keywords = {"HDUCLAS2": "EBOUNDS", "TLMIN1": rmf.first_channel_number, "TLMAX1": last_number}
    _set_keywords(bounds, {**common, **of_bounds}, header)
    write_fits(path, fits.HDUList([fits.PrimaryHDU(), matrix, bounds]))


def _damaged(path: Path, what: str, found: str) -> DamagedFile:
    return DamagedFile(f"{path}: {what} is damaged ({found}); {_MAKE_AGAIN}")


def _extension(
    path: Path, what: str, hdus: fits.HDUList, kind: str, columns: tuple[str, ...]
) -> fits.BinTableHDU:
    tables = find_tables(hdus, "RESPONSE", kind, names=_NAMES[kind])
    if not tables:
        found = ", ".join(hdu.name for hdu in hdus[1:]) or "none"
        raise DamagedFile(
            f"{path}: not an {what}: no table with HDUCLAS2 {kind} or the name {' or '.join(_NAMES[kind])}; "
            f"extensions found: {found}; give the {what}, or {_MAKE_AGAIN}"
        )
    if len(tables) > 1:
        raise DamagedFile(
            f"{path}: {len(tables)} tables {kind}, expected one; split the file into one {what} each"
        )
    (hdu,) = tables
    missing = [column for column in columns if column not in {c.upper() for c in hdu.columns.names}]
    if missing:
        raise _damaged(path, what, f"extension {hdu.name} has no column {', '.join(missing)}")
    if len(hdu.data) == 0:
        raise _damaged(path, what, f"extension {hdu.name} has no rows")
    return hdu


def _energy_bins(
    path: Path, what: str, table: fits.BinTableHDU
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lo, hi = (column_in(table, name, "keV") for name in ("ENERG_LO", "ENERG_HI"))
    contiguous = np.all(abs(hi[:-1] - lo[1:]) <= GRID_TOLERANCE * (hi - lo)[:-1])
    if not (np.all(np.isfinite(lo)) and np.all(hi > lo) and lo[0] >= 0 and contiguous):
        raise _damaged(path, what, "ENERG_LO and ENERG_HI are not adjoining, increasing bins")
    return lo, hi


def _tlmin(table: fits.BinTableHDU, column: str, default: int) -> int:
    names = [name.upper() for name in table.columns.names]
    return int(table.header.get(f"TLMIN{names.index(column) + 1}", default))


def _flatten(column: NDArray, count: NDArray[np.int64]) -> NDArray:
    """First `count[i]` entries of each row of a scalar, vector or variable-length column, concatenated."""
    if column.dtype != object:
        table = column.reshape(len(column), -1)
        return table[np.arange(table.shape[1]) < count[:, None]]
    return np.concatenate([np.atleast_1d(cells)[:n] for cells, n in zip(column, count, strict=True)])


def _ragged(values: NDArray, edges: NDArray, dtype: type) -> NDArray:
    rows: list[NDArray] = np.split(values.astype(dtype), edges)
    # Rows are filled in one by one: numpy would make a 2-D array of rows of equal length.
    column = np.empty(len(rows), dtype=object)
    for i, cells in enumerate(rows):
        column[i] = cells
    return column


def _set_keywords(table: fits.BinTableHDU, fixed: Keywords, extra: Keywords | None) -> None:
    # The memos ask for all four.
    table.header.update({"HDUCLASS": "OGIP", "TELESCOP": "CHANDRA", "INSTRUME": "ACIS", "FILTER": "NONE"})
    table.header.update(fixed)
    table.header.update(extra or {})
