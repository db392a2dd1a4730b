"""Region files in the sky pixels of one observation, for tools that accept no other coordinates."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from pyxt_hpc.chandra.regions.sky import frame_of
from pyxt_hpc.chandra.regions.text import RegionFile, Shape
from pyxt_hpc.chandra.sky.tangent import (
    mean_direction,
    pixel_to_pixel,
    tangent_plane,
    world_to_pixel,
)
from pyxt_hpc.errors import RegionSyntaxError

_HEADER = "# Region file format: CIAO version 1.0"


def physical_text(region: RegionFile, frames: Mapping[str, WCS], wcs: WCS) -> str:
    """Text of a region in CIAO's format, in pixels (from 1) of a tangent plane.

    ``frames`` is as in `contains`. CIAO subtracts a shape only from the shape before it, so shapes that are
    subtracted from the whole region are subtracted on each line. Raises RegionSyntaxError if a coordinate
    frame is unknown or CIAO has no such shape.
    """

    def written(shape: Shape, *, out: bool) -> str:
        outline, *hole = _outlines(region, shape, frames, wcs)
        if out and hole:
            raise RegionSyntaxError(
                f"{region.place(shape)}: CIAO cannot cut out a shape with a hole ({shape.kind}); draw it "
                "without the hole"
            )
        return f"{'-' if out else '*'}{outline}{''.join(f'-{inner}' for inner in hole)}"

    cuts = "".join(written(shape, out=True) for shape in region.cuts)
    lines = []
    for term in region.terms or ((),):
        text = "".join(written(shape, out=shape.negated) for shape in term) + cuts
        if text:
            lines.append(f"field(){text}" if text.startswith("-") else text[1:])
    return "\n".join([_HEADER, *lines, ""])


def _outlines(region: RegionFile, shape: Shape, frames: Mapping[str, WCS], wcs: WCS) -> Iterator[str]:
    """Yield the text of a shape; for a ring that CIAO does not have, the outer outline and then the hole."""
    if shape.kind == "field":
        yield "field()"
        return
    points = np.array(shape.points)
    if shape.system == "icrs":
        plane = tangent_plane(*mean_direction(*points.T))
        points = np.column_stack(world_to_pixel(plane, *points.T))
    else:
        plane = frame_of(region, shape, frames)
    x, y = pixel_to_pixel(plane, wcs, *points.T)
    if shape.kind == "polygon":
        yield f"polygon({','.join(f'{value:.4f}' for point in zip(x, y, strict=True) for value in point)})"
        return
    ahead_x, ahead_y = pixel_to_pixel(plane, wcs, points[:1, 0] + 1.0, points[:1, 1])
    scale = float(np.hypot(ahead_x - x, ahead_y - y)[0])
    turn = math.degrees(math.atan2(ahead_y[0] - y[0], ahead_x[0] - x[0]))
    arcsec = 3600.0 * float(np.mean(proj_plane_pixel_scales(plane)))
    unit = scale / arcsec if shape.in_arcsec else scale
    sizes = [size * unit for size in shape.sizes]
    centre = f"{x[0]:.4f},{y[0]:.4f}"

    def text(name: str, *values: float) -> str:
        return f"{name}({','.join([centre, *(f'{value:.4f}' for value in values)])})"

    if shape.kind == "circle":
        yield text("circle", *sizes)
    elif shape.kind == "annulus":
        yield text("annulus", *sizes) if sizes[0] else text("circle", sizes[1])
    elif shape.kind == "pie":
        yield text("pie", *sizes, *(angle + turn for angle in shape.angles))
    elif len(shape.angles) > 1:
        raise RegionSyntaxError(
            f"{region.place(shape)}: CIAO has no sector of the shape {shape.kind}; draw it with circles or "
            "polygons"
        )
    else:
        name = {"box": "rotbox"}.get(shape.kind, shape.kind)
        angle = shape.angles[0] + turn
        yield text(name, *sizes[-2:], angle)
        if len(sizes) > 2:
            yield text(name, *sizes[:2], angle)
