"""A PNG picture beside every FITS map."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from pyxt_hpc.files import replacing
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.report.colours import colour_scale

SMALLEST_VIEW = 30
"""Pixels: a smaller field has no room for coordinates."""

_CONTOUR_CELLS = 400
"""A side of the image that contours are drawn from: finer ones cost more than everything else."""

_N_CONTOURS = 6


@dataclass(frozen=True, eq=False)
class Scene:
    """What the pictures of a cluster have in common.

    Parameters
    ----------
    wcs_header
        The bundle's sky coordinates as FITS header cards.
    contours
        (ny, nx) image whose contours are drawn, usually the surface brightness; None for none.
    kpc_per_arcsec
        For the scale bar; 0 leaves kpc out.
    """

    wcs_header: str
    contours: NDArray | None = None
    kpc_per_arcsec: float = 0.0


def draw_map(product: MapProduct, scene: Scene, path: Path) -> None:
    """Draw one map with sky axes, a colour bar with its unit, contours and a scale bar.

    Parameters
    ----------
    product
        The map.
    scene
        What goes on all maps of the cluster.
    path
        PNG file, written under a temporary name and renamed.
    """
    wcs = WCS(fits.Header.fromstring(scene.wcs_header))
    seen = np.isfinite(product.values)
    name, scale = colour_scale(product)
    colours = mpl.colormaps[name].with_extremes(bad="0.85")

    figure = Figure(figsize=(7.2, 6.0), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(projection=wcs)
    picture = axes.imshow(
        np.ma.masked_invalid(product.values),
        origin="lower",
        cmap=colours,
        norm=scale,
        interpolation="nearest",
    )
    axes.set_title(product.title)
    axes.set_xlabel("Right ascension (ICRS)")
    axes.set_ylabel("Declination (ICRS)")
    axes.coords[0].set_ticklabel(exclude_overlapping=True)
    figure.colorbar(picture, ax=axes, label=f"{product.title}{product.unit and f' [{product.unit}]'}")
    if scene.contours is not None:
        _draw_contours(axes, scene.contours)
    _zoom(axes, seen)
    _scale_bar(axes, 3600.0 * abs(wcs.wcs.cdelt[1]), scene.kpc_per_arcsec)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _draw_contours(axes: mpl.axes.Axes, image: NDArray) -> None:
    step = -(-max(image.shape) // _CONTOUR_CELLS)
    thin = image[::step, ::step]
    positive = thin[np.isfinite(thin) & (thin > 0)]
    if len(positive) < 2:
        return
    low, high = np.percentile(positive, [30, 99.8])
    if not high > 1.5 * low:
        return
    y, x = (np.arange(n) * step for n in thin.shape)
    # light lines with a dark rim are seen on every colour
    lines = axes.contour(
        x, y, np.ma.masked_invalid(thin), levels=np.geomspace(low, high, _N_CONTOURS), colors="white",
        linewidths=0.7,
    )  # fmt: skip
    lines.set_path_effects([withStroke(linewidth=1.5, foreground="0.25")])


def _zoom(axes: mpl.axes.Axes, seen: np.ndarray) -> None:
    """Leave out empty margins."""
    if not seen.any():
        return
    rows, cols = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    extent = max(np.ptp(rows), np.ptp(cols))
    margin = max(0.03 * extent, 0.5 * (SMALLEST_VIEW - extent))
    axes.set_xlim(cols[0] - margin, cols[-1] + margin)
    axes.set_ylim(rows[0] - margin, rows[-1] + margin)


def _scale_bar(axes: mpl.axes.Axes, arcsec_per_pixel: float, kpc_per_arcsec: float) -> None:
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    field = (x1 - x0) * arcsec_per_pixel
    lengths = (10, 20, 30, 60, 120, 300, 600, 1200)
    arcsec = max((length for length in lengths if length < 0.3 * field), default=lengths[0])
    length = arcsec / arcsec_per_pixel
    label = f'{arcsec}"'
    if kpc_per_arcsec:
        label += f" = {float(f'{arcsec * kpc_per_arcsec:.3g}'):g} kpc"
    x, y = x0 + 0.05 * (x1 - x0), y0 + 0.05 * (y1 - y0)
    # Outlined in white, to be seen on every colour.
    line_outline, text_outline = (withStroke(linewidth=w, foreground="white") for w in (5.0, 2.5))
    axes.plot(
        [x, x + length], [y, y], "k-", linewidth=2.5, solid_capstyle="butt", path_effects=[line_outline]
    )
    axes.text(x, y + 0.015 * (y1 - y0), label, ha="left", va="bottom", path_effects=[text_outline])
