"""The DS9 region file of a map: the pixels of every region as a shape in the colour of its value."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from pyxt_hpc.binning.lattice import block_number, lattice
from pyxt_hpc.files.writing import write_text
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.ds9.outlines import outlines
from pyxt_hpc.plots.maps.colours import colour_scale
from pyxt_hpc.plots.maps.style import AS_USUAL, PictureStyle

NO_VALUE = "#b0b0b0"

_BYTES_OF_VALUE = 45
"""Length of the colour, the value and its unit in a line."""

MAX_BOXES = 60_000
"""DS9 reads this number of boxes in seconds, and ten times more in minutes."""


def write_regions(path: Path, lines: Iterable[str], remark: str = "") -> None:
    """Write a file of DS9 regions in ICRS."""
    head = ["# Region file format: DS9 version 4.1", *filter(None, [remark]), "icrs"]
    text = "\n".join([*head, *lines, ""])
    write_text(path, text)


@dataclass(frozen=True, eq=False)
class Boxes:
    """The regions of a cluster as DS9 shapes, which are the same for every map.

    A circular region is drawn as its block of pixels, because circles overlap; a tag has its radius. If there
    are more blocks than DS9 can show, a box is a square of blocks with the value of the region nearest to its
    centre, as at a lower resolution. Bins that share no pixel are polygons along the edges of their pixels.
    Bins inside a hole of another are drawn later, and cover the hole.

    Parameters
    ----------
    chosen
        (n,) indices of the regions that are shown.
    boxes, tags
        (n,) texts before and after the value.
    remark
        Comment at the beginning of the file.
    """

    chosen: NDArray[np.int64]
    boxes: list[str]
    tags: list[str]
    remark: str

    @classmethod
    def of(cls, regions: FittedRegions, max_boxes: int = MAX_BOXES) -> "Boxes":
        """Boxes of the fitted regions, at most `max_boxes`."""
        if regions.labels is not None:
            return cls._polygons(regions, regions.labels)
        bundle, rows, step = regions.bundle, regions.rows, regions.step
        y, x = (block_number(rows[axis], step) for axis in ("row", "col"))
        chosen, joined = np.arange(len(rows)), 1
        while len(chosen) > max_boxes:
            joined += 2
            position = np.full((y.max() + 1, x.max() + 1), -1)
            position[y, x] = np.arange(len(rows))
            chosen = position[lattice(position >= 0, joined)]
        side = joined * step
        y, x = (block_number(axis[chosen], joined) * side for axis in (y, x))
        ra, dec = bundle.wcs.wcs_pix2world(x, y, 0)
        width = f'{side * bundle.pixel_scale_arcsec:.3f}"'
        radius = rows["radius"][chosen] * bundle.pixel_scale_arcsec
        numbers = rows["region"][chosen].tolist()
        blocks = f", the one in the middle of {joined} x {joined} blocks" if joined > 1 else ""
        return cls(
            chosen,
            [
                f"box({r:.6f},{d:.6f},{width},{width},0)"
                for r, d in zip(ra.tolist(), dec.tolist(), strict=True)
            ],
            [
                f'}} tag={{region {n}}} tag={{circle {r:.1f}"}}'
                for n, r in zip(numbers, radius.tolist(), strict=True)
            ],
            f"# {len(chosen)} of {len(rows)} regions{blocks}: a region fills {side} x {side} pixels",
        )

    @classmethod
    def _polygons(cls, regions: FittedRegions, labels: NDArray) -> "Boxes":
        """One polygon for each connected part of a bin, the largest first."""
        rows, wcs = regions.rows, regions.bundle.wcs
        drawn = [
            (float(np.prod(np.ptp(corners, axis=0))), i, corners)
            for i, own in enumerate(outlines(labels, rows["region"]))
            for corners in own
        ]
        drawn.sort(key=lambda one: -one[0])
        shapes, tags = [], []
        for _, i, corners in drawn:
            ra, dec = wcs.wcs_pix2world(corners[:, 1], corners[:, 0], 0)
            points = ",".join(f"{r:.6f},{d:.6f}" for r, d in zip(ra.tolist(), dec.tolist(), strict=True))
            shapes.append(f"polygon({points})")
            tags.append(f"}} tag={{region {rows['region'][i]}}}")
        chosen = np.array([i for _, i, _ in drawn], np.int64)
        return cls(chosen, shapes, tags, f"# {len(rows)} bins that share no pixel, {len(shapes)} polygons")

    @property
    def size(self) -> int:
        """Approximate size of a file of them [bytes]."""
        return sum(map(len, self.boxes)) + sum(map(len, self.tags)) + _BYTES_OF_VALUE * len(self.boxes)

    def write(self, product: MapProduct, path: Path) -> None:
        """Write the file of a map that has ``of_regions``, in the colours of its picture."""
        write_boxes(self, *self.coloured(product), path)

    def coloured(self, product: MapProduct, style: PictureStyle = AS_USUAL) -> tuple[NDArray, NDArray, str]:
        """Values (n,) of the boxes, their colours (n,) and the unit."""
        values = np.asarray(product.of_regions, float)[self.chosen]
        name, norm = colour_scale(product, style)
        table = np.array([*(to_hex(colour) for colour in mpl.colormaps[name](np.arange(256))), NO_VALUE])
        share = np.ma.filled(norm(np.ma.masked_invalid(values)), np.nan)
        index = np.where(np.isfinite(share), np.clip(np.nan_to_num(share), 0.0, 1.0) * 255.0, 256.0)
        return values, table[np.rint(index).astype(int)], product.unit


def write_boxes(boxes: Boxes, values: NDArray, colours: NDArray, unit: str, path: Path) -> None:
    """Write boxes with given values and colours; another process may run this."""
    unit = unit and f" {unit}"
    parts = zip(boxes.boxes, colours.tolist(), values.tolist(), boxes.tags, strict=True)
    lines = (
        f"{box} # color={colour} fill=1 tag={{{value:.4g}{unit}{tag}" for box, colour, value, tag in parts
    )
    write_regions(path, lines, boxes.remark)
