"""A PNG picture beside every FITS map."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from pyxt_hpc.files import replacing
from pyxt_hpc.maps.product import MapProduct

# Colour-blind safe and even in lightness: https://matplotlib.org/stable/users/explain/colors/colormaps.html
COLOURS = {"keV": "inferno", "pixel": "cividis", "count": "cividis"}
SMALLEST_VIEW = 30
"""Pixels: a smaller field has no room for coordinates."""


def draw_map(product: MapProduct, wcs_header: str, path: Path) -> None:
    """Draw one map with sky axes, a colour bar with its unit and a scale of one arcminute.

    Parameters
    ----------
    product
        The map.
    wcs_header
        The bundle's sky coordinates as FITS header cards.
    path
        PNG file, written under a temporary name and renamed.
    """
    wcs = WCS(fits.Header.fromstring(wcs_header))
    values = product.values
    seen = np.isfinite(values)
    low, high = np.percentile(values[seen], [1, 99]) if seen.any() else (0.0, 1.0)
    positive = product.logarithmic and low > 0 and high > 1.5 * low
    scale: Normalize = LogNorm(low, high) if positive else Normalize(low, high)
    colours: Colormap = mpl.colormaps[COLOURS.get(product.unit, "viridis")].with_extremes(bad="0.85")

    figure = Figure(figsize=(7.2, 6.0), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(projection=wcs)
    picture = axes.imshow(
        np.ma.masked_invalid(values), origin="lower", cmap=colours, norm=scale, interpolation="nearest"
    )
    axes.set_title(product.title)
    axes.set_xlabel("Right ascension (ICRS)")
    axes.set_ylabel("Declination (ICRS)")
    axes.coords[0].set_ticklabel(exclude_overlapping=True)
    figure.colorbar(picture, ax=axes, label=f"{product.title}{product.unit and f' [{product.unit}]'}")
    _zoom(axes, seen)
    _arcminute(axes, abs(wcs.wcs.cdelt[1]))
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _zoom(axes: mpl.axes.Axes, seen: np.ndarray) -> None:
    """Leave out empty margins."""
    if not seen.any():
        return
    rows, cols = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    extent = max(np.ptp(rows), np.ptp(cols))
    margin = max(0.03 * extent, 0.5 * (SMALLEST_VIEW - extent))
    axes.set_xlim(cols[0] - margin, cols[-1] + margin)
    axes.set_ylim(rows[0] - margin, rows[-1] + margin)


def _arcminute(axes: mpl.axes.Axes, degrees_per_pixel: float) -> None:
    length = 1 / 60 / degrees_per_pixel
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    x, y = x0 + 0.05 * (x1 - x0), y0 + 0.05 * (y1 - y0)
    # Outlined in white, to be seen on every colour.
    line_outline, text_outline = (withStroke(linewidth=w, foreground="white") for w in (5.0, 2.5))
    axes.plot(
        [x, x + length], [y, y], "k-", linewidth=2.5, solid_capstyle="butt", path_effects=[line_outline]
    )
    axes.text(
        x + length / 2, y + 0.015 * (y1 - y0), "1'", ha="center", va="bottom", path_effects=[text_outline]
    )
