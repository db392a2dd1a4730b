"""Which extension of an OGIP file is which: by its class first, by its name second.

The HDUCLASn keywords say what an extension is (HEASARC's HDUCLAS hierarchy); its name is anybody's choice:
the matrix of an RMF is called MATRIX, SPECRESP MATRIX, RSP_MATRIX, AXAF_RMF.
"""

from collections.abc import Collection

import numpy as np
from astropy import units as u
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.keywords import text


def find_tables(hdus: fits.HDUList, *classes: str, names: Collection[str] = ()) -> list[fits.BinTableHDU]:
    """Tables of a class, in the order of the file; where there is none, those of one of the names.

    ``classes``: HDUCLAS1, HDUCLAS2 ... in upper case; HDUCLASS is not asked for, as CIAO's RMFs have none.
    ``names``: usual names, in upper case.
    """
    tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
    of_class = [
        hdu for hdu in tables if all(hduclass(hdu, n) == name for n, name in enumerate(classes, start=1))
    ]
    return of_class or [hdu for hdu in tables if hdu.name in names]


def hduclass(hdu: fits.BinTableHDU, n: int) -> str:
    """HDUCLASn in upper case, empty where there is none."""
    return text(hdu.header, f"HDUCLAS{n}")


def column_in(table: fits.BinTableHDU, name: str, unit: str) -> NDArray[np.float64]:
    """Numbers of a column in a unit; the column's own TUNIT counts, one without is taken to have this unit.

    Raises ValueError if its unit cannot be converted.
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
