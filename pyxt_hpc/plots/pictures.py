"""A PNG picture beside every FITS map."""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

from pyxt_hpc.files.writing import replacing
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.colours import colour_scale

MIN_VIEW = 30
"""Pixels: a smaller field has no room for coordinates."""

_PICTURE_CELLS = 600
"""Dots across the map in a picture: larger fields are drawn from squares of pixels."""

_CONTOUR_CELLS = 400
"""A side of the image that contours are drawn from: finer ones cost more than everything else."""

_N_CONTOURS = 6

_MAX_LEVELS = 12
"""Integers that have a colour each."""

_MIN_TICKS = 4
_MIN_PLAIN, _MAX_PLAIN = 1e-3, 1e5


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
    contour_step
        Pixels from one value of `contours` to the next.
    """

    wcs_header: str
    contours: NDArray | None = None
    kpc_per_arcsec: float = 0.0
    contour_step: int = 1

    def thinned(self) -> "Scene":
        """With no more contour values than are drawn: what is handed to other processes."""
        if self.contours is None:
            return self
        step = -(-max(self.contours.shape) // _CONTOUR_CELLS)
        return replace(self, contours=self.contours[::step, ::step].copy(), contour_step=step)


@dataclass(frozen=True, eq=False)
class Picture:
    """What is drawn of one map: no more of it than a picture can show.

    Parameters
    ----------
    values
        (m, n) means of squares of pixels.
    extent
        Edges of `values`: left, right, bottom, top [pixels of the map, from -0.5].
    view
        The same of what is to be seen.
    colours, scale
        From value to colour.
    title, label
        Above the map and at the colour bar.
    levels, meanings
        The values of a map of few integers, each of which has a colour, and what they mean if that is known.
    """

    values: NDArray
    extent: tuple[float, float, float, float]
    view: tuple[float, float, float, float]
    colours: str
    scale: Normalize
    title: str
    label: str
    levels: tuple[int, ...] = ()
    meanings: tuple[str, ...] = ()

    @classmethod
    def of(cls, product: MapProduct) -> "Picture":
        """The picture of a map, without its empty margins.

        A square has a colour where at least half of its pixels have a value, that of their mean; in maps of
        integers, which have none, that of its middle pixel.
        """
        seen = np.isfinite(product.values)
        ny, nx = seen.shape
        rows, cols = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
        bottom, top, left, right = (
            (rows[0], rows[-1] + 1, cols[0], cols[-1] + 1) if len(rows) else (0, ny, 0, nx)
        )
        extent = max(top - bottom, right - left)
        margin = max(0.03 * extent, 0.5 * (MIN_VIEW - extent))
        step = max(int(extent) // _PICTURE_CELLS, 1)
        values = thinned(product.values[bottom:top, left:right], step, product.integer)
        name, scale = colour_scale(product)
        levels = tuple(np.unique(values[np.isfinite(values)]).astype(int).tolist()) if product.integer else ()
        if len(levels) > _MAX_LEVELS:
            levels = ()
        return cls(
            values=values,
            extent=(
                left - 0.5,
                left + step * values.shape[1] - 0.5,
                bottom - 0.5,
                bottom + step * values.shape[0] - 0.5,
            ),
            view=(left - margin, right - 1 + margin, bottom - margin, top - 1 + margin),
            colours=name,
            scale=scale,
            title=product.title,
            label=f"{product.title}{product.unit and f' [{_typeset(product.unit)}]'}",
            levels=levels,
            meanings=tuple(product.meanings[level] for level in levels) if product.meanings else (),
        )


def _typeset(unit: str) -> str:
    """A FITS unit with its exponents raised."""
    return re.sub(
        r"\*\*\(([-/0-9]+)\)|\*\*(-?[0-9]+)|(?<=[a-z])(-?[0-9]+)",
        lambda found: f"$^{{{found[1] or found[2] or found[3]}}}$",
        unit,
    )


def thinned(values: NDArray, step: int, integer: bool) -> NDArray[np.float32]:
    """Means of squares of pixels, NaN where fewer than half have a value; of integers the middle pixels."""
    if step == 1:
        return values.astype(np.float32)
    if integer:
        return values[step // 2 :: step, step // 2 :: step].astype(np.float32)
    padding = [(0, -n % step) for n in values.shape]
    padded = np.pad(values.astype(np.float32, copy=False), padding, constant_values=np.nan)
    seen = np.isfinite(padded)
    ny, nx = (n // step for n in padded.shape)
    total, number = (
        # first along rows, which is contiguous
        np.add.reduce(image.reshape(ny, step, nx * step), axis=1, dtype=np.float32)
        .reshape(ny, nx, step)
        .sum(-1)
        for image in (np.where(seen, padded, np.float32(0.0)), seen)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(2 * number >= step**2, total / number, np.float32(np.nan))


def draw_picture(picture: Picture, scene: Scene, path: Path) -> None:
    """Draw one map with sky axes, a colour bar with its unit, contours and a scale bar, as a PNG file."""
    wcs = WCS(fits.Header.fromstring(scene.wcs_header))
    figure = Figure(figsize=(7.2, 6.0), dpi=130)
    # a layout found by matplotlib would cost a second drawing
    axes = figure.add_axes((0.125, 0.09, 0.68, 0.85), projection=wcs)
    draw_on(axes, picture, scene)
    with replacing(path) as temporary:
        figure.savefig(temporary, pil_kwargs={"compress_level": 3})
    figure.clear()  # its circles of references would keep many pictures in memory


def draw_on(axes: Any, picture: Picture, scene: Scene) -> None:
    """Draw a picture on axes, with sky coordinates where the axes have them (``projection=wcs``)."""
    wcs = WCS(fits.Header.fromstring(scene.wcs_header))
    values, colours, scale, n = (
        picture.values,
        mpl.colormaps[picture.colours],
        picture.scale,
        len(picture.levels),
    )
    if n:
        values = np.where(np.isfinite(values), np.searchsorted(picture.levels, values), np.nan)
        colours, scale = colours.resampled(n), Normalize(-0.5, n - 0.5)
    image = axes.imshow(
        np.ma.masked_invalid(values),
        origin="lower",
        cmap=colours.with_extremes(bad="0.85"),
        norm=scale,
        interpolation="nearest",
        extent=picture.extent,
    )
    axes.set_title(picture.title)
    if hasattr(axes, "coords"):
        axes.set_xlabel("Right ascension (ICRS)")
        axes.set_ylabel("Declination (ICRS)")
        axes.coords[0].set_ticklabel(exclude_overlapping=True)
    bar = axes.inset_axes((1.03, 0.0, 0.045, 1.0), axes_class=Axes)
    axes.figure.colorbar(image, cax=bar, label=picture.label)
    if n:
        bar.set_yticks(range(n), [str(level) for level in picture.levels])
        bar.minorticks_off()
    elif isinstance(scale, LogNorm):
        ticks = _log_ticks(float(scale.vmin or 0), float(scale.vmax or 0))
        bar.set_yticks(ticks, [_number(tick) for tick in ticks])
        bar.yaxis.set_minor_formatter(NullFormatter())
    if picture.meanings:
        axes.legend(
            handles=[
                Patch(facecolor=colours(i), edgecolor="0.25", label=f"{level}: {meaning}")
                for i, (level, meaning) in enumerate(zip(picture.levels, picture.meanings, strict=True))
            ],
            loc="upper left",
            fontsize="x-small",
        )
    if scene.contours is not None:
        _draw_contours(axes, scene.contours, scene.contour_step)
    axes.set_xlim(*picture.view[:2])
    axes.set_ylim(*picture.view[2:])
    _scale_bar(axes, 3600.0 * abs(wcs.wcs.cdelt[1]), scene.kpc_per_arcsec)


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers, at least four between two ends if some can be found."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [digit * 10.0**power for power in powers for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= _MIN_TICKS:
            return ticks
    return [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]


def _number(value: float) -> str:
    """In the shortest way that is read at once."""
    if _MIN_PLAIN <= value < _MAX_PLAIN:
        return f"{value:.6g}"
    digits, power = f"{value:.3e}".split("e")
    return rf"{float(digits):g}$\times$10$^{{{int(power)}}}$"


def _draw_contours(axes: Axes, image: NDArray, step: int) -> None:
    positive = image[np.isfinite(image) & (image > 0)]
    if len(positive) < 2:
        return
    low, high = np.percentile(positive, [30, 99.8])
    if not high > 1.5 * low:
        return
    y, x = (np.arange(n) * step for n in image.shape)
    # light lines with a dark rim are seen on every colour
    lines = axes.contour(
        x, y, np.ma.masked_invalid(image), levels=np.geomspace(low, high, _N_CONTOURS), colors="white",
        linewidths=0.7,
    )  # fmt: skip
    lines.set_path_effects([withStroke(linewidth=1.5, foreground="0.25")])


def _scale_bar(axes: Axes, arcsec_per_pixel: float, kpc_per_arcsec: float) -> None:
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
