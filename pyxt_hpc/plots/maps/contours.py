"""Contours of the surface brightness over a map, which leave the core free."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

FACTORS = (2.0, 4.0, 8.0)
"""Ratios of successive levels; the first that needs at most `MAX_LEVELS` contours is used."""

MAX_LEVELS = 6
_FIRST = 30.0
"""Percentile of the brightness that is the lowest level."""

_CORE = 0.12
"""Radius of the core, over that of the field; contours enclose at least the area of a core, to leave it
free."""


def contour_levels(image: NDArray) -> NDArray[np.float64]:
    """Contour levels in a constant ratio, of an image (ny, nx) with NaN where it is unknown.

    There are none if the brightness is even, or not above 0.
    """
    values = np.sort(image[np.isfinite(image) & (image > 0)])[::-1]
    if len(values) < 2:
        return np.zeros(0)
    low = float(np.percentile(values, _FIRST))
    high = float(values[int(_CORE**2 * len(values))])
    if not high > 1.2 * low:
        return np.zeros(0)
    for factor in FACTORS:
        n = 1 + int(np.log(high / low) / np.log(factor))
        if n <= MAX_LEVELS:
            break
    return np.asarray(low * factor ** np.arange(min(n, MAX_LEVELS)), np.float64)


def draw_contours(axes: Axes, image: NDArray, step: int, view: tuple[float, float, float, float]) -> str:
    """Draw the contours of an image whose values are `step` pixels apart, at levels for the part in view.

    ``view`` is left, right, bottom, top [pixels]. Returns a text about the contours for the picture, which is
    empty if there are none.
    """
    y, x = (np.arange(n) * step for n in image.shape)
    columns, rows = (x >= view[0]) & (x <= view[1]), (y >= view[2]) & (y <= view[3])
    seen = image[np.ix_(rows, columns)]
    if min(seen.shape) < 2 or not len(levels := contour_levels(seen)):
        return ""
    # Light lines with a dark rim are visible on every colour.
    lines = axes.contour(
        x[columns],
        y[rows],
        np.ma.masked_invalid(seen),
        levels=levels.tolist(),
        colors="white",
        linewidths=0.6,
    )
    lines.set_path_effects([withStroke(linewidth=1.3, foreground="0.25")])
    if len(levels) == 1:
        return "contour: smoothed X-ray surface brightness"
    return f"contours: smoothed X-ray surface brightness, a factor of {levels[1] / levels[0]:g} apart"
