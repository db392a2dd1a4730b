"""Regions in FITS tables, in CIAO's format.

Layout: ASC FITS Region Binary Table (Rots & McDowell): one shape per row, in columns X, Y, SHAPE, R, ROTANG
and COMPONENT. A component is the intersection of its shapes, and the region is the union of the components;
``!`` before a name negates the shape. wavdetect's source lists have the same columns.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from pyxt_hpc.chandra.events import column_numbers, sky_wcs
from pyxt_hpc.chandra.ogip.hduclass import hduclass
from pyxt_hpc.chandra.regions.text import RegionFile, Shape, ShapeError, parse_shape
from pyxt_hpc.errors import RegionSyntaxError
from pyxt_hpc.files.fits import open_fits

log = logging.getLogger(__name__)

_COLUMNS = ("x", "y", "shape", "r", "rotang")
# Numbers of positions, sizes and angles of each shape; a polygon uses all corners in the row.
_PARTS = {
    "annulus": (1, 2, 0),
    "box": (1, 2, 1),
    "circle": (1, 1, 0),
    "ellipse": (1, 2, 1),
    "field": (0, 0, 0),
    "pie": (1, 2, 2),
    "point": (1, 0, 0),
    "polygon": (-1, 0, 0),
    "rectangle": (2, 0, 0),
    "rotbox": (1, 2, 1),
}


def is_fits(path: Path) -> bool:
    """Whether a file begins like a FITS file or is gzipped; gzipped text is taken for FITS too."""
    try:
        with path.open("rb") as stream:
            begin = stream.read(10)
    except OSError:
        return False  # the attempt to read it as text will raise the error
    return begin.startswith((b"SIMPLE  =", b"\x1f\x8b"))


def read_region_table(path: Path) -> RegionFile:
    """Read a table of regions from a FITS file; if there are several, the log names the table that is read.

    Tables with the class or the name REGION come first. Raises MissingInput or DamagedFile; RegionSyntaxError
    if there is no table of regions or a row is invalid.
    """
    with open_fits(path, "region file", "save the regions again, as text in fk5 coordinates") as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU) and _has_regions(hdu)]
        # The class of a table counts more than its name.
        tables.sort(key=lambda hdu: (hduclass(hdu, 1) != "REGION", hdu.name != "REGION"))
        if not tables:
            found = ", ".join(hdu.name for hdu in hdus[1:]) or "none"
            raise RegionSyntaxError(
                f"{path}: no table with columns X, Y, SHAPE, R, ROTANG (extensions found: {found}); save the "
                "regions in DS9 or CIAO text format"
            )
        table = tables[0]
        if len(tables) > 1:
            others = ", ".join(hdu.name for hdu in tables[1:])
            log.warning(
                "%s: the regions of the table %s are used, and not those of %s", path, table.name, others
            )
        numbers = column_numbers(table.header)
        wcs, system = None, "physical"
        if f"TCTYP{numbers['x']}" in table.header:
            wcs, system = sky_wcs(table.header, path), "table"
        else:
            log.warning("%s: no sky coordinates; X and Y are read as physical coordinates", path)
        names = {name.lower(): name for name in table.columns.names}
        columns = {name: table.data[names[name]] for name in _COLUMNS if name in names}
        component = table.data[names["component"]] if "component" in names else None
    terms: dict[int, tuple[Shape, ...]] = {}
    cuts: list[Shape] = []
    for row in range(len(columns["x"])):
        try:
            shape = _shape({name: np.atleast_1d(c[row]) for name, c in columns.items()}, system, row + 1)
        except ShapeError as error:
            raise RegionSyntaxError(f"{path}, row {row + 1} of {table.name}: {error}") from None
        if component is not None:
            terms[int(component[row])] = (*terms.get(int(component[row]), ()), shape)
        elif shape.negated:  # without components, it is subtracted from the whole region, as in text
            cuts.append(replace(shape, negated=False))
        else:
            terms[row] = (shape,)
    return RegionFile(path, tuple(terms.values()), tuple(cuts), None, wcs)


def _has_regions(hdu: fits.BinTableHDU) -> bool:
    names = {name.lower() for name in hdu.columns.names}
    return {"x", "y", "shape"} <= names


def _shape(row: dict[str, np.ndarray], system: str, number: int) -> Shape:
    written = str(row["shape"][0]).strip().lower()
    name = written.lstrip("!-")
    if name not in _PARTS:
        raise ShapeError(f"shape {name} is unknown; expected one of {', '.join(sorted(_PARTS))}")
    n_point, n_size, n_angle = _PARTS[name]
    points = np.column_stack([row["x"], row["y"]]).astype(float)
    if name == "polygon":
        # Rows are as long as the longest polygon; shorter ones are padded with NaN or with the last corner.
        points = points[np.isfinite(points).all(axis=1)]
        points = points[~np.all(points == np.roll(points, 1, axis=0), axis=1)]
        n_point = len(points)
    none = np.zeros(0)
    values = [*points[:n_point].ravel(), *row.get("r", none)[:n_size], *row.get("rotang", none)[:n_angle]]
    shape = parse_shape(name, [repr(float(value)) for value in values], system, number)
    return replace(shape, negated=written != name)
