"""Region files as sets of points on the sky."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import ArrayLike, NDArray
from regions import (
    CircleAnnulusPixelRegion,
    CirclePixelRegion,
    EllipseAnnulusPixelRegion,
    EllipsePixelRegion,
    PixCoord,
    PixelRegion,
    PolygonPixelRegion,
    RectangleAnnulusPixelRegion,
    RectanglePixelRegion,
)

from pyxt_hpc.chandra.regions.table import is_fits, read_region_table
from pyxt_hpc.chandra.regions.text import RegionFile, Shape, parse_regions
from pyxt_hpc.chandra.sky.tangent import (
    Points,
    mean_direction,
    pixel_to_pixel,
    separation,
    tangent_plane,
    world_to_pixel,
)
from pyxt_hpc.errors import RegionSyntaxError
from pyxt_hpc.files.text import read_text
from pyxt_hpc.files.writing import check_regular

__all__ = ["RegionFile", "contains", "contains_pixels", "extent", "frame_of", "off_the_field", "read_regions"]

_CELLS = 512  # cells per side of the coarse grid around the shapes
_ONE_PLANE_DEG = 1.0  # celestial shapes within this distance share a plane, which is accurate to 2e-4
_SAMPLES = 48  # points per side in the check whether a shape touches the field


def read_regions(path: Path) -> RegionFile:
    """Read a region file, text or FITS; an empty file is valid and contains no point.

    Raises MissingInput if there is no file, DamagedFile if it is a damaged FITS file or is not readable as
    text, and RegionSyntaxError, with file, line and fault, if a shape is invalid.
    """
    path = Path(path)
    if check_regular(path) and is_fits(path):
        return read_region_table(path)
    text = read_text(path, "draw the regions in DS9 and save them in fk5 coordinates")
    return parse_regions(text, path)


def contains(
    region: RegionFile, ra: ArrayLike, dec: ArrayLike, frames: Mapping[str, WCS]
) -> NDArray[np.bool_]:
    """Whether positions [deg], arrays of the same shape, are in the region.

    ``frames`` has the WCS (pixels from 1) of ``physical`` coordinates and, by file name, the WCS of each
    image that ``image`` coordinates can belong to. Ambiguous systems must be left out, such as ``physical``
    if several observations have their own sky frames; RegionSyntaxError is raised if a shape is in a system
    left out.
    """
    ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
    return _contains(region, ra.shape, lambda plane: world_to_pixel(plane, ra, dec), frames)


def contains_pixels(
    region: RegionFile, wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64], frames: Mapping[str, WCS]
) -> NDArray[np.bool_]:
    """Whether pixels (from 1) of a tangent plane, such as events, are in the region; else like `contains`."""
    return _contains(region, x.shape, lambda plane: pixel_to_pixel(wcs, plane, x, y), frames)


def _contains(
    region: RegionFile,
    shape_of_points: tuple[int, ...],
    on_plane: Callable[[WCS], Points],
    frames: Mapping[str, WCS],
) -> NDArray[np.bool_]:
    inside = np.zeros(shape_of_points, dtype=bool)
    if region.is_empty or inside.size == 0:
        return inside
    planes = _planes(region, frames)
    points = {key: on_plane(wcs) for key, wcs in planes.items()}
    simple = not region.cuts and all(len(term) == 1 and not term[0].negated for term in region.terms)
    if simple and len(planes) == 1 and all(shape.kind != "field" for shape in region.shapes):
        key, wcs = next(iter(planes.items()))
        x, y = points[key]
        drawn = [term[0] for term in region.terms]
        near = _near(drawn, wcs, x, y)
        x, y = x[near], y[near]
        within = np.zeros(x.shape, dtype=bool)
        for shape in drawn:
            within |= _in_shape(shape, wcs, x, y)
        inside[near] = within
        return inside

    def in_shape(shape: Shape) -> NDArray[np.bool_]:
        if shape.kind == "field":  # it contains all points, in any system
            return np.full(shape_of_points, not shape.negated)
        key = _plane_key(region, shape, planes)
        return _in_shape(shape, planes[key], *points[key]) ^ shape.negated

    for term in region.terms:
        inside |= np.logical_and.reduce([in_shape(shape) for shape in term])
    if not region.terms:
        inside[...] = True  # all shapes are subtracted, so they are subtracted from the whole field
    for shape in region.cuts:
        inside &= ~in_shape(shape)
    return inside


_PlaneKey = str | tuple[float, float]


def _planes(region: RegionFile, frames: Mapping[str, WCS]) -> dict[_PlaneKey, WCS]:
    """Planes in which the shapes are evaluated.

    Each pixel system has its own plane. Planes of celestial shapes touch the sky near these shapes, so that a
    shape does not depend on other shapes far away.
    """
    planes: dict[_PlaneKey, WCS] = {}
    celestial = [s for s in region.shapes if s.system == "icrs" and s.points]
    if celestial:
        centre = mean_direction(*np.array([p for shape in celestial for p in shape.points]).T)
        if all(separation(*point, *centre) < _ONE_PLANE_DEG for shape in celestial for point in shape.points):
            planes[centre] = tangent_plane(*centre)
    for shape in region.shapes:
        if shape.kind == "field":
            continue
        if shape.system != "icrs":
            planes[shape.system] = frame_of(region, shape, frames)
        elif not any(
            isinstance(key, tuple) and separation(*shape.points[0], *key) < _ONE_PLANE_DEG for key in planes
        ):
            own = mean_direction(*np.array(shape.points).T)
            planes[own] = tangent_plane(*own)
    return planes


def _plane_key(region: RegionFile, shape: Shape, planes: Mapping[_PlaneKey, WCS]) -> _PlaneKey:
    if shape.system != "icrs":
        return shape.system
    touching = [key for key in planes if isinstance(key, tuple)]
    return min(touching, key=lambda key: separation(*shape.points[0], *key))


def off_the_field(
    region: RegionFile, frames: Mapping[str, WCS], wcs: WCS, seen: NDArray[np.bool_]
) -> list[Shape]:
    """Shapes, also subtracted and negated ones, that touch no observed pixel.

    ``wcs`` is a tangent plane (pixels from 1); ``seen`` (ny, nx) is true for its observed pixels.
    """
    row, col = np.nonzero(seen)
    x, y = col + 1.0, row + 1.0
    off = []
    for shape in region.shapes:
        if shape.kind == "field":
            continue
        (plane,) = _planes(replace(region, terms=((shape,),), cuts=()), frames).values()
        # A small shape can be between the centres of pixels; the points in a large shape can miss a pixel.
        if _touches(shape, plane, wcs, seen):
            continue
        if not _in_shape(shape, plane, *pixel_to_pixel(wcs, plane, x, y)).any():
            off.append(shape)
    return off


def _touches(shape: Shape, plane: WCS, wcs: WCS, seen: NDArray[np.bool_]) -> bool:
    """Whether any of the sample points in a shape is on an observed pixel."""
    corner_x, corner_y = _corners(_pixel_region(shape, plane))
    part = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    x, y = np.meshgrid(*(v.min() + np.ptp(v) * part for v in (corner_x, corner_y)))
    inside = _in_shape(shape, plane, x, y)
    col, row = (np.floor(v + 0.5) - 1 for v in pixel_to_pixel(plane, wcs, x[inside], y[inside]))
    with np.errstate(invalid="ignore"):
        on = (row >= 0) & (row < seen.shape[0]) & (col >= 0) & (col < seen.shape[1])
    return bool(seen[row[on].astype(int), col[on].astype(int)].any())


def _near(shapes: list[Shape], wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each point is in a cell of a coarse grid that overlaps the bounding box of a shape.

    With many points and many small shapes, this saves time: only few points need to be compared with shapes.
    """
    boxes = np.array([_corners(_pixel_region(shape, wcs)) for shape in shapes])  # (n, 2, 4)
    low, high = boxes.min(axis=2), boxes.max(axis=2)
    start, size = low.min(axis=0), np.maximum((high.max(axis=0) - low.min(axis=0)) / _CELLS, 1e-6)
    touched = np.zeros((_CELLS, _CELLS), dtype=bool)
    first = ((low - start) / size).astype(int).clip(0, _CELLS - 1)
    last = ((high - start) / size).astype(int).clip(0, _CELLS - 1)
    for (i, j), (k, n) in zip(first, last, strict=True):
        touched[i : k + 1, j : n + 1] = True
    # For a single point, the comparison gives no array.
    near = np.asarray((x >= start[0]) & (x <= start[0] + _CELLS * size[0]))
    near &= (y >= start[1]) & (y <= start[1] + _CELLS * size[1])
    cell = [
        np.minimum(((v[near] - s) / step).astype(np.int64), _CELLS - 1)
        for v, s, step in zip((x, y), start, size, strict=True)
    ]
    near[near] = touched[cell[0], cell[1]]
    return near


def extent(region: RegionFile, frames: Mapping[str, WCS]) -> Points:
    """RA, Dec (n,) [deg] of the corners of boxes around shapes; the union of the boxes contains the region.

    Raises RegionSyntaxError if the region has no bounds (no shape, ``field()``, only subtracted shapes), or
    if a system is not in ``frames``.
    """
    planes = _planes(region, frames)
    ra: list[NDArray[np.float64]] = []
    dec: list[NDArray[np.float64]] = []
    for term in region.terms:
        bounded = [shape for shape in term if shape.kind != "field" and not shape.negated]
        if not bounded:
            break
        shape = bounded[0]
        wcs = planes[_plane_key(region, shape, planes)]
        x, y = _corners(_pixel_region(shape, wcs))
        corner_ra, corner_dec = wcs.all_pix2world(x, y, 1)
        ra.append(corner_ra)
        dec.append(corner_dec)
    if not region.terms or len(ra) < len(region.terms):
        raise RegionSyntaxError(f"{region.path}: the region has no bounds; draw one box around the emission")
    return np.concatenate(ra), np.concatenate(dec)


def frame_of(region: RegionFile, shape: Shape, frames: Mapping[str, WCS]) -> WCS:
    """WCS of a shape that is given in pixels. Raises RegionSyntaxError if it is unknown."""
    if shape.system == "table":
        assert region.wcs is not None
        return region.wcs
    if shape.system == "image":
        if region.drawn_on is not None and region.drawn_on in frames:
            return frames[region.drawn_on]
        known = [name for name in frames if name != "physical"]
        said = f"{region.drawn_on} is not known" if region.drawn_on else "the file does not say which"
        advice = f", or, if the image is {known[0]}, add the line '# Filename: {known[0]}'" if known else ""
        raise RegionSyntaxError(
            f"{region.place(shape)}: image coordinates belong to one image, and {said}; save the regions in "
            f"fk5 or physical coordinates{advice}"
        )
    if shape.system not in frames:
        raise RegionSyntaxError(
            f"{region.place(shape)}: {shape.system} coordinates belong to one image or observation, and it "
            "is not clear to which; save the regions in fk5 coordinates"
        )
    return frames[shape.system]


def _in_shape(shape: Shape, wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    inside = np.ones(x.shape, dtype=bool)
    pixel_region = _pixel_region(shape, wcs)
    corner_x, corner_y = _corners(pixel_region)
    inside &= (x >= corner_x.min()) & (x <= corner_x.max()) & (y >= corner_y.min()) & (y <= corner_y.max())
    near_x, near_y = x[inside], y[inside]
    within = pixel_region.contains(PixCoord(near_x, near_y))
    if len(shape.angles) > 1:  # a sector
        *turned, start, stop = shape.angles
        turn = _north(shape, wcs) + sum(turned)
        start, stop = start + turn, stop + turn
        centre = pixel_region.center
        direction = np.degrees(np.arctan2(near_y - centre.y, near_x - centre.x))
        width = (stop - start) % 360.0 or 360.0
        within &= (direction - start) % 360.0 <= width
    inside[inside] = within
    return inside


def _pixel_region(shape: Shape, wcs: WCS) -> PixelRegion:
    """Convert a shape to pixels of a WCS; a sector becomes the whole ring."""
    points = np.array(shape.points)
    x, y = world_to_pixel(wcs, *points.T) if shape.system == "icrs" else points.T
    if shape.kind == "polygon":
        return PolygonPixelRegion(PixCoord(x, y))
    centre = PixCoord(float(x[0]), float(y[0]))
    scale = 1.0 / (3600.0 * float(np.mean(proj_plane_pixel_scales(wcs)))) if shape.in_arcsec else 1.0
    sizes = [size * scale for size in shape.sizes]
    if shape.kind == "circle":
        return CirclePixelRegion(centre, sizes[0])
    if shape.kind in ("annulus", "pie"):
        if sizes[0] == 0:
            return CirclePixelRegion(centre, sizes[1])
        return CircleAnnulusPixelRegion(centre, *sizes)
    angle: Any = (shape.angles[0] + _north(shape, wcs)) * u.deg
    if shape.kind == "ellipse":
        axes = [2 * size for size in sizes]  # DS9 and CIAO write half axes
        if len(axes) == 2:
            return EllipsePixelRegion(centre, *axes, angle=angle)
        return EllipseAnnulusPixelRegion(centre, axes[0], axes[2], axes[1], axes[3], angle=angle)
    if len(sizes) == 2:
        return RectanglePixelRegion(centre, *sizes, angle=angle)
    return RectangleAnnulusPixelRegion(centre, sizes[0], sizes[2], sizes[1], sizes[3], angle=angle)


def _north(shape: Shape, wcs: WCS) -> float:
    """Angle [deg], counter-clockwise, from +y to north at a celestial shape; 0 for pixel systems."""
    if shape.system != "icrs":
        return 0.0
    ra, dec = shape.points[0]
    step = 1e-4 if dec < 89 else -1e-4
    x, y = world_to_pixel(wcs, [ra, ra], [dec, dec + step])
    dx, dy = np.sign(step) * (x[1] - x[0]), np.sign(step) * (y[1] - y[0])
    return math.degrees(math.atan2(dy, dx)) - 90.0


def _corners(pixel_region: PixelRegion) -> Points:
    """Corners of the bounding box of a pixel region."""
    if isinstance(pixel_region, PolygonPixelRegion):
        x, y = np.asarray(pixel_region.vertices.x), np.asarray(pixel_region.vertices.y)
    else:
        half_x, half_y = _half_sizes(pixel_region)
        x = pixel_region.center.x + np.array([-half_x, half_x])
        y = pixel_region.center.y + np.array([-half_y, half_y])
    low_x, high_x, low_y, high_y = x.min(), x.max(), y.min(), y.max()
    return np.array([low_x, high_x, high_x, low_x]), np.array([low_y, low_y, high_y, high_y])


def _half_sizes(pixel_region: PixelRegion) -> tuple[float, float]:
    if isinstance(pixel_region, CirclePixelRegion):
        return pixel_region.radius, pixel_region.radius
    if isinstance(pixel_region, CircleAnnulusPixelRegion):
        return pixel_region.outer_radius, pixel_region.outer_radius
    annulus = isinstance(pixel_region, EllipseAnnulusPixelRegion | RectangleAnnulusPixelRegion)
    width = pixel_region.outer_width if annulus else pixel_region.width
    height = pixel_region.outer_height if annulus else pixel_region.height
    cosine = abs(math.cos(pixel_region.angle.to_value(u.rad)))
    sine = abs(math.sin(pixel_region.angle.to_value(u.rad)))
    if isinstance(pixel_region, EllipsePixelRegion | EllipseAnnulusPixelRegion):
        return 0.5 * math.hypot(width * cosine, height * sine), 0.5 * math.hypot(
            width * sine, height * cosine
        )
    return 0.5 * (width * cosine + height * sine), 0.5 * (width * sine + height * cosine)
