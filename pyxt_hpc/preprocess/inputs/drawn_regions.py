"""Region files that people draw: meaning of their coordinates, and check that shapes are on the field."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import read_sky_wcs
from pyxt_hpc.chandra.regions.sky import off_the_field, read_regions
from pyxt_hpc.chandra.regions.text import RegionFile, Shape
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.files.fits import open_fits
from pyxt_hpc.layout import Layout

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FieldRegions:
    """The regions of stage 2 (None: not drawn) and their coordinate systems."""

    sources: RegionFile
    exclude: RegionFile | None
    background: RegionFile | None
    frames: Mapping[str, WCS]


@dataclass(frozen=True, eq=False)
class RegionReader:
    """Reader of region files that were drawn on the merged field.

    ``frames``, as for `regions.contains`: WCS of ``physical`` coordinates, which are sky pixels of the
    ``first`` observation, and of ``image`` coordinates, which are pixels of the merged images by their names.
    ``wcs``, ``seen`` (ny, nx): pixels of the merged images (1-based), and whether any observation saw them.
    """

    frames: Mapping[str, WCS]
    first: str
    wcs: WCS
    seen: NDArray[np.bool_]

    @classmethod
    def of(cls, layout: Layout, obsids: Sequence[str]) -> "RegionReader":
        """Reader for the observations of a cluster, after stage 1. Raises MissingInput, DamagedFile."""
        frame = read_sky_wcs(layout.filtered_events(obsids[0]), ours=True)
        hint = "make it again: pyxt-hpc process-data --force"
        with open_fits(layout.merged_exposure, "merged exposure map", hint, ours=True) as hdus:
            wcs, seen = WCS(hdus[0].header), hdus[0].data > 0
        images = (layout.merged_brightness, layout.merged_counts, layout.merged_exposure,
                  layout.merged_background, layout.merged_psf, layout.source_free_brightness,
                  layout.filled_brightness)  # fmt: skip
        return cls({"physical": frame, **{path.name: wcs for path in images}}, obsids[0], wcs, seen)

    def read(self, path: Path) -> RegionFile:
        """Read a region file and check that its shapes are on the field.

        Raises the errors of `read_regions`; RegionSyntaxError for coordinates of an unknown image;
        EmptySelection if a shape, or all shapes that are cut out, touch no pixel that was seen.
        """
        region = read_regions(path)
        if _in_pixels(region):
            log.info(
                "%s: physical coordinates are sky pixels of ObsID %s, as the merged image has them",
                path,
                self.first,
            )
        if region.drawn_on and region.drawn_on not in self.frames and _in_pixels(region):
            log.warning(
                "%s: drawn on %s; if the sky pixels of that file are not those of ObsID %s, save it in fk5",
                path,
                region.drawn_on,
                self.first,
            )
        off = off_the_field(region, self.frames, self.wcs, self.seen)
        cut = [shape for shape in region.shapes if shape.negated or shape in region.cuts]
        wrong = [shape for shape in off if shape not in cut] or (off if cut and set(cut) <= set(off) else [])
        if wrong:
            raise EmptySelection(f"{_lines(region, wrong)}: {_ADVICE}")
        if off:
            log.warning("%s: cut out nothing, for %s", _lines(region, off), _ADVICE)
        return region


def _in_pixels(region: RegionFile) -> bool:
    return any(shape.system == "physical" and shape.points for shape in region.shapes)


_ADVICE = (
    "no pixel that any observation saw is inside; if the coordinates are those of another image, save the "
    "regions again in fk5 coordinates, otherwise remove the shapes"
)


def _lines(region: RegionFile, shapes: Sequence[Shape]) -> str:
    """File and lines of some shapes, with kind and position of the first."""
    numbers = sorted({shape.line for shape in shapes})
    listed = ", ".join(map(str, numbers[:10])) + (" ..." if len(numbers) > 10 else "")
    first, n = shapes[0], len(region.shapes)
    x, y = first.points[0]
    place = region.place(first).removesuffix(str(first.line))
    # fk5 coordinates have been converted to ICRS, which differs by a few milliarcsec.
    at = f"{x:.4f}, {y:.4f}" if first.system == "icrs" else f"{x:.6g}, {y:.6g}"
    return f"{place}{listed} ({len(shapes)} of {n} shapes, {first.kind} at {at} {first.system})"
