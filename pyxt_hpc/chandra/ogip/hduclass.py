"""Find extensions of an OGIP file, first by their class, then by their name.

The HDUCLASn keywords give the class of an extension (HEASARC's HDUCLAS hierarchy). Its name is free: the
matrix of an RMF is called MATRIX, SPECRESP MATRIX, RSP_MATRIX or AXAF_RMF.
"""

from collections.abc import Collection

import numpy as np
from astropy import units as u
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.keywords import text


def find_tables(hdus: fits.HDUList, *classes: str, names: Collection[str] = ()) -> list[fits.BinTableHDU]:
    """Tables of a class, in file order; if there are none, the tables with one of the names.

    ``classes``: values of HDUCLAS1, HDUCLAS2 ... in upper case; HDUCLASS is not checked, since CIAO's RMFs
    have none. ``names``: usual names, in upper case.
    """
    tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
    of_class = [
        hdu for hdu in tables if all(hduclass(hdu, n) == name for n, name in enumerate(classes, start=1))
    ]
    return of_class or [hdu for hdu in tables if hdu.name in names]


def hduclass(hdu: fits.BinTableHDU, n: int) -> str:
    """Value of HDUCLASn in upper case; empty if it is absent."""
    return text(hdu.header, f"HDUCLAS{n}")


def column_in(table: fits.BinTableHDU, name: str, unit: str) -> NDArray[np.float64]:
    """Values of a column, converted from its TUNIT to ``unit``; a column without TUNIT is not converted.

    Raises ValueError if TUNIT cannot be converted to ``unit``.
    """
    values = np.asarray(table.data[name], dtype=np.float64)
    index = [column.upper() for column in table.columns.names].index(name)
    written = str(table.columns[index].unit or "").strip()
    if not written or written.lower() == unit.lower():
        return values
    try:
        return values * u.Unit(written).to(unit)
    except (ValueError, u.UnitConversionError):
        raise ValueError(f"column {name} is in {written!r}, expected {unit}") from None
