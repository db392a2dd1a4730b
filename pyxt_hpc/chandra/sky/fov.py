"""The field of view of an observation: the outline of each chip on the sky.

A FOV file has a table ``FOV`` with a polygon for each chip, in sky pixels with a WCS. Its columns are vectors
X and Y of the corners, SHAPE, COMPONENT and CCD_ID. Vectors are padded with a repeated corner or NaN.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from regions import PixCoord, PolygonPixelRegion

from pyxt_hpc.chandra.events import set_sky_wcs, sky_wcs
from pyxt_hpc.chandra.sky.tangent import tangent_plane, world_to_pixel
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.fits import open_fits, table_with, write_fits

_HINT = "it comes with the observation (primary/*fov1.fits) or from CIAO's skyfov"

_TOLERANCE_ARCSEC = 30.0

Polygons = dict[int, list[NDArray[np.float64]]]


def read_fov(path: Path) -> Polygons:
    """Read the outlines of each CCD: polygons (n_corner, 2) of RA, Dec [deg].

    Raises MissingInput if there is no file, and DamagedFile if it is not FITS or has no table of polygons
    with CCD_ID and sky positions.
    """
    path = Path(path)
    with open_fits(path, "field-of-view file", _HINT) as hdus:
        hdu = table_with(hdus, "x", "y", "ccd_id")
        if hdu is None:
            raise DamagedFile(f"{path}: no table of chip outlines with columns X, Y, CCD_ID; {_HINT}")
        wcs = sky_wcs(hdu.header, path)
        x, y, ccd_id = (hdu.data[name].astype(np.float64) for name in ("x", "y", "ccd_id"))
        if ccd_id.ndim != 1:
            raise DamagedFile(f"{path}: CCD_ID has several numbers per row, expected one; {_HINT}")
        has_shapes = "shape" in (name.lower() for name in hdu.columns.names)
        shapes = hdu.data["shape"] if has_shapes else ["Polygon"] * len(x)
    polygons: Polygons = {}
    for row, shape in enumerate(shapes):
        if str(shape).strip().lower() != "polygon":
            raise DamagedFile(f"{path}: an outline has the shape {shape}, expected Polygon; {_HINT}")
        corners = _corners(x[row], y[row])
        if len(corners) >= 3:
            sky = np.column_stack(wcs.all_pix2world(*corners.T, 1))
            polygons.setdefault(int(ccd_id[row]), []).append(sky)
    if not polygons:
        raise DamagedFile(f"{path}: has no outline of a chip; {_HINT}")
    return polygons


def write_fov(path: Path, polygons: Polygons, wcs: WCS, header: fits.Header) -> None:
    """Write outlines (RA, Dec [deg]) as a FOV file in sky pixels of ``wcs``, with keywords of ``header``."""
    rows = [(ccd, outline) for ccd in sorted(polygons) for outline in polygons[ccd]]
    longest = max(len(outline) for _, outline in rows)
    positions = np.full((2, len(rows), longest), np.nan)
    for row, (_, outline) in enumerate(rows):
        positions[:, row, : len(outline)] = world_to_pixel(wcs, *outline.T)
    columns = [
        fits.Column("X", f"{longest}D", unit="pixel", array=positions[0]),
        fits.Column("Y", f"{longest}D", unit="pixel", array=positions[1]),
        fits.Column("SHAPE", "16A", array=["Polygon"] * len(rows)),
        fits.Column("COMPONENT", "1J", array=np.arange(1, len(rows) + 1)),
        fits.Column("CCD_ID", "1I", array=[ccd for ccd, _ in rows]),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="FOV")
    for keyword in ("TELESCOP", "INSTRUME", "DETNAM", "OBS_ID", "OBJECT"):
        if keyword in header:
            table.header[keyword] = header[keyword]
    table.header["HDUCLASS"], table.header["HDUCLAS1"] = "ASC", "REGION"
    table.header["MTYPE1"], table.header["MFORM1"] = "POS", "X,Y"
    set_sky_wcs(table.header, wcs, 1, 2)
    write_fits(path, fits.HDUList([fits.PrimaryHDU(), table]))


def check_outlines(outlines: Polygons, fov_polygons: Polygons, fov_path: Path) -> None:
    """Check that a FOV file has the same pointing as the events.

    Each chip of ``outlines`` must lie within its outline in the file, with a tolerance of 30 arcsec, since
    the outline in the file may include the dither. Raises DamagedFile if a chip is not in the file or is at
    another position on the sky.
    """
    for ccd, polygons in outlines.items():
        if ccd not in fov_polygons:
            found = ", ".join(str(n) for n in sorted(fov_polygons))
            raise DamagedFile(f"{fov_path}: no outline of CCD {ccd} (found {found}); {_HINT}")
        for polygon in polygons:
            plane = tangent_plane(float(polygon[0, 0]), float(polygon[0, 1]), 1.0)
            points = np.column_stack(world_to_pixel(plane, *polygon.T))
            known = [np.column_stack(world_to_pixel(plane, *sky.T)) for sky in fov_polygons[ccd]]
            outside = np.min([distance_outside(points, corners) for corners in known], axis=0).max()
            if not outside <= _TOLERANCE_ARCSEC:  # NaN means: on the other half of the sky
                raise DamagedFile(
                    f"{fov_path}: CCD {ccd} is {outside:.0f} arcsec from its place in the events, expected "
                    f"up to {_TOLERANCE_ARCSEC:g}: the file is of another pointing; {_HINT}"
                )


def distance_outside(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (n,) of points (n, 2) from a polygon (m, 2), 0 inside; NaN if the polygon has NaN."""
    if not np.isfinite(corners).all():
        return np.full(len(points), np.nan)
    edge = np.roll(corners, -1, axis=0) - corners
    to_point = points[:, None] - corners
    along = np.clip(np.sum(to_point * edge, axis=2) / np.sum(edge**2, axis=1), 0.0, 1.0)
    nearest = np.linalg.norm(to_point - along[:, :, None] * edge, axis=2).min(axis=1)
    inside = PolygonPixelRegion(PixCoord(*corners.T)).contains(PixCoord(*points.T))
    return np.where(inside, 0.0, nearest)


def _corners(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners (n, 2) of one row, without padding."""
    corners = np.column_stack([np.atleast_1d(x), np.atleast_1d(y)])
    corners = corners[np.isfinite(corners).all(axis=1)]
    repeated = np.all(corners == np.roll(corners, 1, axis=0), axis=1)
    return corners[~repeated]
