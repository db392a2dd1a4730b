"""Region files as sets of points on the sky."""

import math
from collections.abc import Callable, Mapping
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

from pyxt_hpc.chandra.regionfile import RegionFile, Shape, read_regions
from pyxt_hpc.chandra.tangent import Points, mean_direction, pixel_to_pixel, tangent_plane, world_to_pixel
from pyxt_hpc.errors import RegionSyntaxError

__all__ = ["RegionFile", "contains", "contains_pixels", "extent", "read_regions"]

_CELLS = 512  # a side, of the grid that tells where shapes are at all


def contains(
    region: RegionFile, ra: ArrayLike, dec: ArrayLike, frames: Mapping[str, WCS]
) -> NDArray[np.bool_]:
    """Whether positions lie in the region.

    Parameters
    ----------
    region : RegionFile
    ra, dec : arrays of one shape [deg]
    frames : mapping
        WCS (1-based pixels) that ``physical`` and ``image`` coordinates are in; leave out what is not unique,
        such as ``physical`` when several observations have their own sky frames.

    Raises
    ------
    RegionSyntaxError
        A shape is in a system that is not in ``frames``.
    """
    ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
    return _contains(region, ra.shape, lambda plane: world_to_pixel(plane, ra, dec), frames)


def contains_pixels(
    region: RegionFile,
    wcs: WCS,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    frames: Mapping[str, WCS],
) -> NDArray[np.bool_]:
    """As `contains`, for pixels (1-based) of a tangent plane, such as the events of an observation."""
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
    planes: dict[str, tuple[WCS, Points]] = {}
    for shape in region.shapes:
        if shape.system not in planes:
            # celestial shapes are drawn on a plane of their own, that touches the sky where they are
            wcs = tangent_plane(*_centre(region)) if shape.system == "icrs" else _frame(region, shape, frames)
            planes[shape.system] = wcs, on_plane(wcs)
    simple = not region.cuts and all(len(term) == 1 and not term[0].negated for term in region.terms)
    if simple and len(planes) == 1:
        wcs, (x, y) = next(iter(planes.values()))
        drawn = [term[0] for term in region.terms]
        near = _near(drawn, wcs, x, y)
        x, y = x[near], y[near]
        within = np.zeros(x.shape, dtype=bool)
        for shape in drawn:
            within |= _in_shape(shape, wcs, x, y)
        inside[near] = within
        return inside

    def in_shape(shape: Shape) -> NDArray[np.bool_]:
        wcs, (x, y) = planes[shape.system]
        return _in_shape(shape, wcs, x, y) ^ shape.negated

    for term in region.terms:
        inside |= np.logical_and.reduce([in_shape(shape) for shape in term])
    if not region.terms:
        inside[...] = True  # nothing but cuts: they cut from the whole field
    for shape in region.cuts:
        inside &= ~in_shape(shape)
    return inside


def _near(shapes: list[Shape], wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Points in the cells of a coarse grid that the boxes around the shapes touch.

    Many small shapes and many points: each point is looked at once here, and few of them again.
    """
    if any(shape.kind == "field" for shape in shapes):
        return np.ones(x.shape, dtype=bool)
    boxes = np.array([_corners(_pixel_region(shape, wcs)) for shape in shapes])  # (n, 2, 4)
    low, high = boxes.min(axis=2), boxes.max(axis=2)
    start, size = low.min(axis=0), np.maximum((high.max(axis=0) - low.min(axis=0)) / _CELLS, 1e-6)
    touched = np.zeros((_CELLS, _CELLS), dtype=bool)
    first = ((low - start) / size).astype(int).clip(0, _CELLS - 1)
    last = ((high - start) / size).astype(int).clip(0, _CELLS - 1)
    for (i, j), (k, n) in zip(first, last, strict=True):
        touched[i : k + 1, j : n + 1] = True
    near = np.asarray((x >= start[0]) & (x <= start[0] + _CELLS * size[0]))  # of numbers it is no array
    near &= (y >= start[1]) & (y <= start[1] + _CELLS * size[1])
    cell = [
        np.minimum(((v[near] - s) / step).astype(np.int64), _CELLS - 1)
        for v, s, step in zip((x, y), start, size, strict=True)
    ]
    near[near] = touched[cell[0], cell[1]]
    return near


def extent(region: RegionFile, frames: Mapping[str, WCS]) -> Points:
    """Corners (n,) RA, Dec [deg] of boxes around the shapes, whose union holds the region.

    Raises
    ------
    RegionSyntaxError
        The region has no bounds (empty, ``field()``, only cuts), or a system that is not in ``frames``.
    """
    ra: list[NDArray[np.float64]] = []
    dec: list[NDArray[np.float64]] = []
    for term in region.terms:
        bounded = [shape for shape in term if shape.kind != "field" and not shape.negated]
        if not bounded:
            break
        shape = bounded[0]
        wcs = tangent_plane(*_centre(region)) if shape.system == "icrs" else _frame(region, shape, frames)
        x, y = _corners(_pixel_region(shape, wcs))
        corner_ra, corner_dec = wcs.all_pix2world(x, y, 1)
        ra.append(corner_ra)
        dec.append(corner_dec)
    if not region.terms or len(ra) < len(region.terms):
        raise RegionSyntaxError(f"{region.path}: the region has no bounds; draw one box around the emission")
    return np.concatenate(ra), np.concatenate(dec)


def _frame(region: RegionFile, shape: Shape, frames: Mapping[str, WCS]) -> WCS:
    if shape.kind == "field":
        return tangent_plane(0.0, 0.0)  # any plane will do
    if shape.system not in frames:
        raise RegionSyntaxError(
            f"{region.path}, line {shape.line}: {shape.system} coordinates belong to one image or "
            "observation and it is not clear to which; save the regions in fk5 coordinates"
        )
    return frames[shape.system]


def _centre(region: RegionFile) -> tuple[float, float]:
    """A position near all celestial shapes: the direction of the mean of their points."""
    points = np.array([p for shape in region.shapes if shape.system == "icrs" for p in shape.points])
    return mean_direction(*points.T)


def _in_shape(shape: Shape, wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    inside = np.ones(x.shape, dtype=bool)
    if shape.kind == "field":
        return inside
    pixel_region = _pixel_region(shape, wcs)
    corner_x, corner_y = _corners(pixel_region)
    inside &= (x >= corner_x.min()) & (x <= corner_x.max()) & (y >= corner_y.min()) & (y <= corner_y.max())
    near_x, near_y = x[inside], y[inside]
    within = pixel_region.contains(PixCoord(near_x, near_y))
    if shape.kind == "pie":
        start, stop = (angle + _north(shape, wcs) for angle in shape.angles)
        centre = pixel_region.center
        direction = np.degrees(np.arctan2(near_y - centre.y, near_x - centre.x))
        width = (stop - start) % 360.0 or 360.0
        within &= (direction - start) % 360.0 <= width
    inside[inside] = within
    return inside


def _pixel_region(shape: Shape, wcs: WCS) -> PixelRegion:
    """The shape on the plane of a WCS; a pie is its whole ring."""
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
        axes = [2 * size for size in sizes]  # regions takes full axes, DS9 and CIAO write half of them
        if len(axes) == 2:
            return EllipsePixelRegion(centre, *axes, angle=angle)
        return EllipseAnnulusPixelRegion(centre, axes[0], axes[2], axes[1], axes[3], angle=angle)
    if len(sizes) == 2:
        return RectanglePixelRegion(centre, *sizes, angle=angle)
    return RectangleAnnulusPixelRegion(centre, sizes[0], sizes[2], sizes[1], sizes[3], angle=angle)


def _north(shape: Shape, wcs: WCS) -> float:
    """Rotation of north from +y [deg, counter-clockwise] at a celestial shape; 0 for pixel systems."""
    if shape.system != "icrs":
        return 0.0
    ra, dec = shape.points[0]
    step = 1e-4 if dec < 89 else -1e-4
    x, y = world_to_pixel(wcs, [ra, ra], [dec, dec + step])
    dx, dy = np.sign(step) * (x[1] - x[0]), np.sign(step) * (y[1] - y[0])
    return math.degrees(math.atan2(dy, dx)) - 90.0


def _corners(pixel_region: PixelRegion) -> Points:
    """Corners of a box around a pixel region."""
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
