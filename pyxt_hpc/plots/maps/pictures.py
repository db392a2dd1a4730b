"""The picture of a map."""

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
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

from pyxt_hpc.arrays.box import bounding_box
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.figures import save
from pyxt_hpc.plots.maps.categories import Classes
from pyxt_hpc.plots.maps.colours import clipped, colour_scale
from pyxt_hpc.plots.maps.contours import draw_contours
from pyxt_hpc.plots.maps.style import AS_USUAL, PictureStyle

MIN_VIEW = 30
"""Smallest field [pixels]; a smaller one has no room for coordinates."""

SIZE = (7.4, 6.0)
"""Width and height of a picture without legend and notes [inch]."""

_LEFT, _BOTTOM, _WIDTH, _HEIGHT = 1.1, 0.54, 4.9, 5.1
"""Left and lower edge, width and height of its axes [inch]."""

_WITHOUT_BAR = 6.2
"""Width of a picture with a legend, and without a colour bar [inch]."""

_LEGEND_EDGE, _LETTER = 1.1, 0.075
"""Width of a row of a legend without its label, and mean width of a letter of the label [inch]."""

NO_VALUE = "0.85"
"""Colour where a map is blank."""

_LEGEND_ROW, _SMALL_LEGEND = 0.2, 4
"""Height of a row of a legend [inch], and number of classes in the legend of a small picture."""

_NOTE_ROW = 0.17
"""Height of a line of notes below the title [inch]."""

PICTURE_CELLS = 600
"""Number of dots across a picture; in larger fields, a dot is a square of pixels."""

_CONTOUR_CELLS = 400
"""Largest side of the image from which contours are drawn: a larger one would take most of the time."""

_MIN_TICKS = 4
_MIN_PLAIN, _MAX_PLAIN = 1e-3, 1e5


@dataclass(frozen=True, eq=False)
class Scene:
    """Properties that all pictures of a cluster share.

    Parameters
    ----------
    wcs_header
        The bundle's sky coordinates as FITS header cards.
    contours
        (ny, nx) image whose contours are drawn, usually the surface brightness; None: no contours.
    kpc_per_arcsec
        For the scale bar; 0: the scale bar has no kpc.
    contour_step
        Distance between values of `contours` [pixels].
    name
        Name of the cluster, for titles.
    """

    wcs_header: str
    contours: NDArray | None = None
    kpc_per_arcsec: float = 0.0
    contour_step: int = 1
    name: str = ""

    def thinned(self) -> "Scene":
        """Copy with only the contour values that are drawn, to send to other processes."""
        if self.contours is None:
            return self
        step = -(-max(self.contours.shape) // _CONTOUR_CELLS)
        return replace(self, contours=self.contours[::step, ::step].copy(), contour_step=step)


@dataclass(frozen=True, eq=False)
class Picture:
    """The data of one map that its picture needs.

    Parameters
    ----------
    values
        (m, n) means of squares of pixels.
    extent
        Edges of `values`: left, right, bottom, top [pixels of the map, from -0.5].
    view
        Edges of the field that the picture shows, in the same order and unit.
    colours, scale
        Name of the colour map, and its scale.
    title, label
        Texts above the map and at the colour bar.
    classes
        Classes of a map of few integers, each of which has a colour; else None.
    extend
        Ends of the scale that values exceed: matplotlib's ``extend`` of a colour bar.
    period, marks, curves, note
        As in `MapProduct`.
    blank
        Meaning of the pixels without a colour, for the legend of a map of few integers.
    """

    values: NDArray
    extent: tuple[float, float, float, float]
    view: tuple[float, float, float, float]
    colours: str
    scale: Normalize
    title: str
    label: str
    classes: Classes | None = None
    extend: str = "neither"
    period: float = 0.0
    marks: tuple[float, ...] = ()
    curves: tuple[NDArray, ...] = ()
    note: str = ""
    blank: str = ""

    @classmethod
    def of(
        cls,
        product: MapProduct,
        style: PictureStyle = AS_USUAL,
        wcs: WCS | None = None,
        cells: int = PICTURE_CELLS,
    ) -> "Picture":
        """The picture of a map, without its empty margins.

        A square of pixels shows their mean, if at least half of them have a value. In maps of integers and of
        directions, whose means have no meaning, it shows its central pixel.

        Parameters
        ----------
        wcs
            Sky coordinates of the map; needed if the style has a centre.
        cells
            Largest number of dots across the map.

        Raises
        ------
        ConfigError
            If the centre is not on the map.
        """
        seen = np.isfinite(product.values)
        if product.shown is not None:
            seen &= product.shown
        ny, nx = seen.shape
        rows, cols = bounding_box(seen)
        bottom, top, left, right = (
            (rows.start, rows.stop, cols.start, cols.stop) if rows.stop else (0, ny, 0, nx)
        )
        extent = max(top - bottom, right - left)
        margin = max(0.03 * extent, 0.5 * (MIN_VIEW - extent))
        view = (left - margin, right - 1 + margin, bottom - margin, top - 1 + margin)
        if style.centre is not None or style.zoom != 1.0:
            view = _closer(view, style, wcs, (ny, nx))
            left, right = (int(np.clip(at, 0, nx)) for at in (view[0], view[1] + 2))
            bottom, top = (int(np.clip(at, 0, ny)) for at in (view[2], view[3] + 2))
            extent = max(top - bottom, right - left)
        step = max(int(extent) // cells, 1)
        part = np.s_[bottom:top, left:right]
        values = product.values[part]
        if product.shown is not None:
            values = np.where(product.shown[part], values, np.nan)
        values = block_means(values, step, product.integer or product.period > 0)
        name, scale = colour_scale(product, style)
        return cls(
            values=values,
            extent=(
                left - 0.5,
                left + step * values.shape[1] - 0.5,
                bottom - 0.5,
                bottom + step * values.shape[0] - 0.5,
            ),
            view=view,
            colours=name,
            scale=scale,
            title=product.title,
            label=f"{product.title}{product.unit and f' [{_typeset(product.unit)}]'}",
            classes=Classes.of(product, values) if product.integer else None,
            extend=clipped(product, scale),
            period=product.period,
            marks=product.marks,
            curves=product.curves,
            note=product.note,
            blank=_meaning_of_blank(product) if product.integer else "",
        )


def _meaning_of_blank(product: MapProduct) -> str:
    """Meaning of the values that a picture of integers does not show; ``no value`` if there are none."""
    if product.shown is None or product.meanings is None:
        return "no value"
    hidden = np.unique(product.values[~product.shown])
    return " or ".join(product.meanings[int(value)] for value in hidden[np.isfinite(hidden)]) or "no value"


def _closer(
    view: tuple[float, float, float, float], style: PictureStyle, wcs: WCS | None, shape: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Zoomed view (left, right, bottom, top), about the centre of the style if it has one."""
    x, y = 0.5 * (view[0] + view[1]), 0.5 * (view[2] + view[3])
    if style.centre is not None and wcs is not None:
        x, y = (float(at) for at in wcs.wcs_world2pix(*style.centre, 0))
        # This form of the condition is also true for NaN.
        if not (-0.5 <= y < shape[0] - 0.5 and -0.5 <= x < shape[1] - 0.5):
            ra, dec = style.centre
            raise ConfigError(f"the centre {ra:.5f} {dec:+.5f} is not on the map: correct --center")
    half_x, half_y = (0.5 * (view[i + 1] - view[i]) / style.zoom for i in (0, 2))
    return x - half_x, x + half_x, y - half_y, y + half_y


def _typeset(unit: str) -> str:
    """A FITS unit with its exponents as superscripts."""
    return re.sub(
        r"\*\*\(([-/0-9]+)\)|\*\*(-?[0-9]+)|(?<=[a-z])(-?[0-9]+)",
        lambda found: f"$^{{{found[1] or found[2] or found[3]}}}$",
        unit,
    )


def block_means(values: NDArray, step: int, integer: bool) -> NDArray:
    """Means of squares of pixels, NaN where fewer than half have a value; for integers the central pixels."""
    if integer:  # flags have more bits than float32 holds
        return values[step // 2 :: step, step // 2 :: step]
    if step == 1:
        return values.astype(np.float32)
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


def frame_of(picture: Picture, scene: Scene) -> tuple[tuple[float, float], tuple[float, float, float, float]]:
    """Width and height of the figure of a picture [inch], and the place of its axes on the figure.

    The place is fixed, since an automatic layout of matplotlib would draw everything twice.
    """
    width, height = SIZE
    legend = 0.0
    if classes := picture.classes:
        legend = _LEGEND_ROW * -(-(len(classes.labels) + 1) // classes.columns)
        width = max(_WITHOUT_BAR, _LEGEND_EDGE + _LETTER * classes.longest)
    height += legend + _NOTE_ROW * (len(picture.note.splitlines()) + (scene.contours is not None))
    box = (_LEFT / width, (_BOTTOM + legend) / height, _WIDTH / width, _HEIGHT / height)
    return (width, height), box


def draw_picture(picture: Picture, scene: Scene, path: Path, dpi: int = AS_USUAL.dpi) -> None:
    """Write the picture of one map with sky axes, a colour bar with its unit, contours and a scale bar.

    The file name decides the format: PNG, or PDF or SVG with editable text.
    """
    wcs = WCS(fits.Header.fromstring(scene.wcs_header))
    size, box = frame_of(picture, scene)
    figure = Figure(figsize=size, dpi=dpi)
    axes = figure.add_axes(box, projection=wcs)
    with mpl.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "pyxt_hpc"}):
        draw_picture_on(axes, picture, scene)
        save(figure, path)
    figure.clear()  # break reference cycles, which would keep many pictures in memory


def draw_picture_on(axes: Any, picture: Picture, scene: Scene, *, small: bool = False) -> None:
    """Draw a picture on axes, with sky coordinates if the axes have them (``projection=wcs``).

    ``small`` is for a sheet of many pictures: axes have no labels.
    """
    wcs = WCS(fits.Header.fromstring(scene.wcs_header))
    classes = picture.classes
    if classes:
        values = classes.positions(picture.values)
        colours: Colormap = ListedColormap(classes.colours)
        scale: Normalize = Normalize(-0.5, len(classes.colours) - 0.5)
    else:
        values, colours, scale = picture.values, mpl.colormaps[picture.colours], picture.scale
    axes.set_facecolor(NO_VALUE)
    image = axes.imshow(
        np.ma.masked_invalid(values),
        origin="lower",
        cmap=colours.with_extremes(bad=NO_VALUE),
        norm=scale,
        interpolation="nearest",
        extent=picture.extent,
    )
    if hasattr(axes, "coords"):
        axes.set_xlabel("Right ascension (ICRS)")
        axes.set_ylabel("Declination (ICRS)")
        axes.coords[0].set_ticklabel(exclude_overlapping=True)
    if classes:
        _legend(axes, classes, "" if np.isfinite(values).all() else picture.blank, small=small)
    else:
        _colour_bar(axes, image, picture, small=small)
    about_contours = ""
    if scene.contours is not None:
        about_contours = draw_contours(axes, scene.contours, scene.contour_step, picture.view)
    _title(axes, picture, scene.name, about_contours, small=small)
    for curve in picture.curves:
        axes.plot(
            curve[:, 1],
            curve[:, 0],
            color="#00e5ff",
            linewidth=1.6,
            solid_capstyle="round",
            path_effects=[withStroke(linewidth=3.2, foreground="black")],
        )
    axes.set_xlim(*picture.view[:2])
    axes.set_ylim(*picture.view[2:])
    _scale_bar(axes, 3600.0 * abs(wcs.wcs.cdelt[1]), scene.kpc_per_arcsec, small=small)


def _title(axes: Any, picture: Picture, name: str, about_contours: str, *, small: bool) -> None:
    if small:
        axes.set_title(picture.label, pad=4, fontsize=9)
        return
    notes = [line for line in (*picture.note.splitlines(), about_contours) if line]
    if notes:
        axes.annotate(
            "\n".join(notes), (0.5, 1.0), (0, 5), "axes fraction", "offset points", ha="center", va="bottom",
            fontsize="small",
        )  # fmt: skip
    pad = 6 + 72 * _NOTE_ROW * len(notes)
    axes.set_title(f"{name}: {picture.title}" if name else picture.title, pad=pad)


def _legend(axes: Any, classes: Classes, blank: str, *, small: bool) -> None:
    chosen = list(range(len(classes.labels)))
    if small:  # only the most frequent classes
        chosen = sorted(sorted(chosen, key=lambda i: -classes.shares[i])[:_SMALL_LEGEND])
    entries = [(classes.colours[i], classes.labels[i]) for i in chosen]
    if blank:
        entries.append((NO_VALUE, blank))
    axes.legend(
        handles=[Patch(facecolor=colour, edgecolor="0.25", label=label) for colour, label in entries],
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.02) if small else (-0.1, -0.12),
        ncols=1 if small else classes.columns,
        fontsize=5.5 if small else "small",
        labelspacing=0.25,
        frameon=False,
        borderaxespad=0.0,
    )


def _colour_bar(axes: Any, image: AxesImage, picture: Picture, *, small: bool) -> None:
    scale = picture.scale
    bar = axes.inset_axes((1.03, 0.0, 0.045, 1.0), axes_class=Axes)
    axes.figure.colorbar(image, cax=bar, label="" if small else picture.label, extend=picture.extend)
    if picture.period:
        bar.set_yticks(np.linspace(0.0, picture.period, 9))
    elif isinstance(scale, LogNorm):
        ticks = _log_ticks(float(scale.vmin or 0), float(scale.vmax or 0))
        bar.set_yticks(ticks, [_number(tick) for tick in ticks])
        bar.yaxis.set_minor_formatter(NullFormatter())
    else:
        bar.ticklabel_format(useOffset=False)
    for mark in picture.marks:
        if (scale.vmin or 0.0) <= mark <= (scale.vmax or 0.0):
            bar.axhline(mark, color="black", linewidth=1.5)
            if small:
                continue
            bar.annotate(
                f"{mark:g}", (0.0, mark), (-2, 0), bar.get_yaxis_transform(), "offset points", ha="right",
                va="center", fontsize="small",
            )  # fmt: skip
    if small:
        bar.tick_params(labelsize=7)


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, at least four if possible."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [digit * 10.0**power for power in powers for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= _MIN_TICKS:
            return ticks
    return [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]


def _number(value: float) -> str:
    """A number as plain digits, or with a power of ten if it is very small or large."""
    if _MIN_PLAIN <= value < _MAX_PLAIN:
        return f"{value:.6g}"
    digits, power = f"{value:.3e}".split("e")
    return rf"{float(digits):g}$\times$10$^{{{int(power)}}}$"


def _scale_bar(axes: Axes, arcsec_per_pixel: float, kpc_per_arcsec: float, *, small: bool) -> None:
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    field = (x1 - x0) * arcsec_per_pixel
    lengths = (10, 20, 30, 60, 120, 300, 600, 1200)
    arcsec = max((length for length in lengths if length < 0.3 * field), default=lengths[0])
    length = arcsec / arcsec_per_pixel
    label = f'{arcsec}"'
    if kpc_per_arcsec:
        label += f" = {float(f'{arcsec * kpc_per_arcsec:.3g}'):g} kpc"
    x, y = x0 + 0.05 * (x1 - x0), y0 + 0.05 * (y1 - y0)
    # Outlined in white, to be visible on every colour.
    line_outline, text_outline = (withStroke(linewidth=w, foreground="white") for w in (5.0, 2.5))
    axes.plot(
        [x, x + length], [y, y], "k-", linewidth=2.5, solid_capstyle="butt", path_effects=[line_outline]
    )
    axes.text(
        x, y + 0.015 * (y1 - y0), label, ha="left", va="bottom", path_effects=[text_outline],
        fontsize=7 if small else None,
    )  # fmt: skip
