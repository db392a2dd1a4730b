"""The colours of a map, the same in its picture and in its DS9 regions."""

import numpy as np
from matplotlib.colors import LogNorm, Normalize

from pyxt_hpc.maps.product import MapProduct

# Colour-blind safe and even in lightness: https://matplotlib.org/stable/users/explain/colors/colormaps.html
_BY_UNIT = {"keV": "inferno", "pixel": "cividis", "count": "cividis", "s": "cividis"}
DIVERGING = "PuOr_r"

_MAX_SIDE = 1000
"""A side of the image that percentiles are taken from: more pixels do not change them."""


def colour_scale(product: MapProduct) -> tuple[str, Normalize]:
    """Name of the colours and their scale, from the 1st to the 99th percentile of values; all integers."""
    values = product.values
    if not product.integer:
        values = values[tuple(slice(None, None, -(-n // _MAX_SIDE)) for n in values.shape)]
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [1, 99]) if len(values) else (0.0, 1.0)
    if product.integer and len(values):
        return "viridis", Normalize(values.min(), max(values.max(), values.min() + 1))
    if product.diverging:
        reach = max(abs(low), abs(high)) or 1.0
        return DIVERGING, Normalize(-reach, reach)
    if product.logarithmic and low > 0 and high > 1.5 * low:
        return _BY_UNIT.get(product.unit, "viridis"), LogNorm(low, high)
    return _BY_UNIT.get(product.unit, "viridis"), Normalize(low, high)
