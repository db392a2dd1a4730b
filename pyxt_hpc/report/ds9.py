"""A DS9 region file beside a map: every region's pixels as a box in the colour of its value."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from pyxt_hpc.binning.lattice import block_number
from pyxt_hpc.files import replacing
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.report.colours import colour_scale

NO_VALUE = "#b0b0b0"


def write_regions(path: Path, lines: Iterable[str]) -> None:
    """Write DS9 regions in ICRS under a temporary name, then rename the file."""
    text = "\n".join(["# Region file format: DS9 version 4.1", "icrs", *lines, ""])
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="ascii")


def write_bins(product: MapProduct, regions: FittedRegions, path: Path) -> None:
    """Write the bins of a map that is painted from regions.

    A box is the block that a region stands for; its circle, which overlaps many others, is in the tag
    with number and value. The colours are those of the picture.

    Parameters
    ----------
    product
        With ``of_regions``.
    regions
        Of the cluster.
    path
        The file.
    """
    values = np.asarray(product.of_regions, float)
    name, norm = colour_scale(product)
    colours = mpl.colormaps[name](np.ma.masked_invalid(norm(np.where(np.isfinite(values), values, np.nan))))
    bundle, rows, step = regions.bundle, regions.rows, regions.step
    y, x = (block_number(rows[axis], step) * step for axis in ("row", "col"))
    ra, dec = WCS(fits.Header.fromstring(bundle.wcs_header)).wcs_pix2world(x, y, 0)
    side = step * bundle.pixel_scale_arcsec
    write_regions(path, _boxes(ra, dec, side, colours, values, rows, bundle.pixel_scale_arcsec, product.unit))


def _boxes(
    ra: NDArray, dec: NDArray, side: float, colours: NDArray, values: NDArray, rows: NDArray, pixel: float,
    unit: str,
) -> Iterable[str]:  # fmt: skip
    for r, d, rgba, value, row in zip(ra, dec, colours, values, rows, strict=True):
        colour = to_hex(rgba) if np.isfinite(value) else NO_VALUE
        tag = f"region {row['region']}: {value:.4g} {unit}".rstrip()
        yield (
            f'box({r:.6f},{d:.6f},{side:.3f}",{side:.3f}",0) # color={colour} fill=1 '
            f'tag={{{tag}}} tag={{circle {row["radius"] * pixel:.1f}"}}'
        )
