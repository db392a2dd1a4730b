"""The colours of a map, in its picture and in its DS9 regions."""

import numpy as np
from matplotlib.colors import LogNorm, Normalize

from pyxt_hpc.arrays.thin import thin
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.maps.style import AS_USUAL, PictureStyle

# Perceptually uniform and safe for colour-blind readers:
# https://matplotlib.org/stable/users/explain/colors/colormaps.html
_BY_UNIT = {"keV": "inferno", "pixel": "cividis", "count": "cividis", "s": "cividis"}
_OTHERS = "viridis"
DIVERGING = "PuOr_r"
CYCLIC = "twilight_shifted"

_PERCENTILES = (0.5, 99.5)
_LOGARITHMIC_FROM = 3.0
"""Ratio of the ends of a scale above which ``auto`` makes it logarithmic."""


def colour_scale(product: MapProduct, style: PictureStyle = AS_USUAL) -> tuple[str, Normalize]:
    """Name of the colour map, and its scale.

    The scale covers the 0.5th to the 99.5th percentile of the values. For integers it covers all values. For
    a diverging quantity it is symmetric about 0, and includes every mark. Limits of the product or the style
    replace these ends.
    """
    if not style.colours_are_for(product.name):
        style = AS_USUAL
    values = product.values if product.shown is None else np.where(product.shown, product.values, np.nan)
    values = values if product.integer else thin(values)
    values = values[np.isfinite(values)]
    if product.period:
        return style.cmap or CYCLIC, Normalize(0.0, product.period)
    if product.integer and len(values):
        return style.cmap or _OTHERS, Normalize(values.min(), max(values.max(), values.min() + 1))
    if product.limits is not None:
        low, high = product.limits
    else:
        low, high = np.percentile(values, _PERCENTILES) if len(values) else (0.0, 1.0)
    may_be_log = not product.diverging and (product.logarithmic or style.scale == "log")
    if may_be_log and style.scale != "linear" and low <= 0 and (values > 0).any():
        low = np.percentile(values[values > 0], _PERCENTILES[0])  # noise reaches below 0
    if product.diverging:
        reach = max(abs(low), abs(high), *(1.2 * abs(mark) for mark in product.marks)) or 1.0
        low, high = -reach, reach
    low, high = _ends(float(low), float(high), style)
    name = style.cmap or _usual_colours(product)
    wide = product.logarithmic and not product.diverging and high > _LOGARITHMIC_FROM * low
    if low > 0 and (style.scale == "log" or (style.scale == "auto" and wide)):
        return name, LogNorm(low, high)
    return name, Normalize(low, high)


def _usual_colours(product: MapProduct) -> str:
    if product.diverging:
        return DIVERGING
    # Errors have other colours than their quantity, so that nobody confuses them.
    return _OTHERS if "_error" in product.name else _BY_UNIT.get(product.unit, _OTHERS)


def _ends(low: float, high: float, style: PictureStyle) -> tuple[float, float]:
    low = low if style.vmin is None else style.vmin
    high = high if style.vmax is None else style.vmax
    if high > low:
        return low, high
    # All values are equal, or an end of the style is beyond all values.
    step = 0.05 * abs(high if style.vmin is None else low) or 1.0
    return (high - step, high) if style.vmin is None and style.vmax is not None else (low, low + step)


def clipped(product: MapProduct, scale: Normalize) -> str:
    """Ends of the scale that values exceed, as matplotlib's ``extend`` of a colour bar."""
    values = product.values if product.shown is None else product.values[product.shown]
    with np.errstate(invalid="ignore"):
        below = bool(np.any(values < scale.vmin))
        above = bool(np.any(values > scale.vmax))
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (bool(below), bool(above)), "neither"
    )
