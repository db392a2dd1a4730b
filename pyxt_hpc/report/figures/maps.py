"""Maps of a page: a number for every region, or a small image, in the colours of the pictures."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from numpy.typing import NDArray

from pyxt_hpc.calibrate.products import TITLES
from pyxt_hpc.calibrate.trust import MEANINGS as TRUST
from pyxt_hpc.errors import EmptySelection, PyxtError
from pyxt_hpc.files.fits import open_fits
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.maps.catalogue import ERRORS, map_names, named_maps
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.kinds.quantities import DIAGNOSTICS
from pyxt_hpc.maps.product import BLANK, MapProduct, map_product
from pyxt_hpc.plots.maps.categories import MAX_CLASSES
from pyxt_hpc.plots.maps.colours import colour_scale
from pyxt_hpc.plots.maps.pictures import block_means
from pyxt_hpc.report.figures.grid import Grid
from pyxt_hpc.report.figures.payload import PackedArrays

log = logging.getLogger(__name__)

_LEVELS = 4095
"""Number of levels between the lowest and highest value of a pixel map; 0 is blank."""

_CELLS = 420
"""Largest side of a pixel map [pixels], enough to show all of it."""

_N_COLOURS = 256

_MAPS = (
    *("temperature", "norm", "norm_per_area", "abundance", "column_density"),
    *("density", "pressure", "entropy", "cooling_time", "surface_brightness"),
    *DIAGNOSTICS,
    *("scale", "signal_to_noise", "gradient_4pix", "residual_beta_significance"),
)
"""Maps that are made for a page, with their errors, in the order of the page; maps of `_STORED` follow."""

_PIXEL_MAPS = (
    "surface_brightness",
    "scale",
    "signal_to_noise",
    "gradient_4pix",
    "residual_beta_significance",
    "mach",
)
"""Maps whose values differ between pixels of a region; missing ones are left out silently."""

_STORED = (
    *((name, title, "calibrate", name != "trust") for name, title in TITLES.items()),
    ("mach", "Mach number", "find-shocks", False),
)
"""Maps of other commands: name, title, command, whether the colours diverge from 0."""


@dataclass
class PageMap:
    """A map for the page's JavaScript.

    Attributes
    ----------
    name, title, unit, comment
        As in `MapProduct`.
    column, image
        Name of its array: a number for every region, or an image on its own grid.
    colours
        Name of the colour map, edges of the values of each colour, whether the scale is logarithmic.
    grid
        First pixel, step and shape of an image.
    levels
        Lowest level of an image and the distance of levels; whether these are of the logarithm.
    categories, meanings
        For maps of few integers: the integers, each of which has a colour, and their meanings.
    errors
        Columns of the errors by their kind.
    """

    name: str
    title: str
    unit: str
    comment: str
    colours: dict[str, Any]
    column: str = ""
    image: str = ""
    grid: dict[str, Any] = field(default_factory=dict)
    levels: dict[str, Any] = field(default_factory=dict)
    categories: list[int] = field(default_factory=list)
    meanings: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def page_maps(regions: FittedRegions, grid: Grid, payload: PackedArrays) -> list[PageMap]:
    """Make the maps of the page and add their arrays to the payload."""
    found: dict[str, PageMap] = {}
    for product in _products(regions):
        name = product.name
        ending = next((e for e in ERRORS if name.endswith(e) and name.removesuffix(e) in found), "")
        values = _of_regions(product.values, regions, grid)
        if ending:
            errors = found[name.removesuffix(ending)].errors
            # If both sides are known, the page uses half their sum.
            if values is not None and ending != "_fractional_error" and len(errors) < 2:
                errors[ending.removeprefix("_error").removeprefix("_") or "both"] = payload.add(name, values)
            continue
        if values is None and name not in _PIXEL_MAPS:
            continue
        made = PageMap(name, product.title, product.unit, product.comment, page_colours(product))
        if values is not None:
            if product.integer:
                _name_categories(made, values, product.meanings or {})
            made.column = payload.add(name, values)
        else:
            made.image = add_image(made, product.values, grid.first_row, grid.first_col, payload)
        found[name] = made
    return [found[name] for name in (*_MAPS, *(name for name, *_ in _STORED)) if name in found]


def add_image(made: PageMap, values: NDArray, first_row: int, first_col: int, payload: PackedArrays) -> str:
    """Add a map of pixels as integers at lower resolution, beginning at the first row and column."""
    values = values[first_row:, first_col:]
    step = max(-(-max(values.shape) // _CELLS), 1)
    small = block_means(values, step, integer=False)
    seen = np.isfinite(small)
    logarithmic = made.colours["logarithmic"] and bool((small[seen] > 0).all())
    scaled = np.log(np.where(seen, small, 1.0)) if logarithmic else np.where(seen, small, 0.0)
    low, high = (float(f(scaled[seen])) for f in (np.min, np.max)) if seen.any() else (0.0, 1.0)
    width = (high - low) / (_LEVELS - 1) or 1.0
    codes = np.where(seen, 1 + np.rint((scaled - low) / width), 0).astype(np.uint16)
    made.grid = {"row": first_row, "col": first_col, "step": step, "shape": list(small.shape)}
    made.levels = {"low": low, "width": width, "logarithmic": logarithmic}
    return payload.add(f"image_{made.name}", codes, differences=True)


def page_colours(product: MapProduct) -> dict[str, Any]:
    """Colours of a map's picture: name of the colour map, and edges of the values of each colour."""
    name, scale = colour_scale(product)
    return {"map": name, "edges": scale_edges(scale), "logarithmic": isinstance(scale, LogNorm)}


def scale_edges(scale: Normalize) -> list[float]:
    """Edges of the values of each colour of a scale."""
    return [float(f"{v:.6g}") for v in np.asarray(scale.inverse(np.linspace(0.0, 1.0, _N_COLOURS + 1)))]


def colour_tables(maps: Iterable[PageMap]) -> dict[str, list[str]]:
    """Hexadecimal colours of every colour map in use."""
    names = sorted({made.colours["map"] for made in maps})
    return {
        name: [mpl.colors.to_hex(c) for c in mpl.colormaps[name](np.linspace(0.0, 1.0, _N_COLOURS))]
        for name in names
    }


def _name_categories(made: PageMap, values: NDArray, meanings: Mapping[int, str]) -> None:
    """Give every integer of a map its own colour, if there are few."""
    levels = np.unique(values[np.isfinite(values)])
    made.meanings = {str(int(v)): meanings[int(v)] for v in levels if int(v) in meanings}
    if not 0 < len(levels) <= MAX_CLASSES:
        return
    between = 0.5 * (levels[1:] + levels[:-1])
    borders = np.concatenate([[levels[0] - 0.5], between, [levels[-1] + 0.5]])
    edges = np.interp(np.linspace(0.0, len(levels), _N_COLOURS + 1), np.arange(len(borders)), borders)
    made.categories = levels.astype(int).tolist()
    made.colours["edges"] = edges.tolist()


def _products(regions: FittedRegions) -> Iterator[MapProduct]:
    with suppress(EmptySelection):  # a cluster too faint for a smooth model has no residuals, the last maps
        yield from named_maps(regions, map_names(_MAPS))
    yield from _of_other_commands(regions)


def _of_other_commands(regions: FittedRegions) -> Iterator[MapProduct]:
    """Maps of `_STORED` that were made from these fits."""
    for name, title, command, diverging in _STORED:
        path = regions.layout.map(name)
        if not check_regular(path):
            continue
        again = f"run `pyxt-hpc {command} -c {regions.config.path}` again"
        try:
            with open_fits(path, "map", again, ours=True) as hdus:
                values, header = np.array(hdus[0].data), hdus[0].header
                made_from = header.get("BUNDLEID"), header.get("RESULTID")
        except PyxtError as error:
            log.warning("left out of the report: %s", error)
            continue
        now = regions.bundle.fingerprint[:16], regions.fingerprint[:16]
        if made_from != now or values.shape != regions.bundle.mask.shape:
            log.warning("left out of the report: %s: made from other fits: %s", path, again)
            continue
        meanings = None
        if integer := name == "trust":
            values = np.where(values == BLANK, np.nan, values)
            meanings = {int(one): meaning for one, meaning in TRUST.items()}
        yield map_product(
            regions,
            name,
            title,
            "",
            values.astype(np.float32),
            f"by pyxt-hpc {command}",
            diverging=diverging,
            integer=integer,
            meanings=meanings,
        )


def _of_regions(values: NDArray, regions: FittedRegions, grid: Grid) -> NDArray[np.float32] | None:
    """Value of every region on the page (k,); None if the value differs between pixels of a region."""
    column = values.ravel()[grid.at].astype(np.float32)
    seen = grid.labels > 0
    painted = grid.cut(values)
    same = np.array_equal(painted[seen], column[grid.labels[seen] - 1], equal_nan=True)
    return column if same else None
