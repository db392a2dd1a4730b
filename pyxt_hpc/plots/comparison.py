"""Picture of the differences between the two engines."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyxt_hpc.plots.figures import save
from pyxt_hpc.reference.comparison import NOTICEABLE_SIGMA, EngineComparison

# Okabe & Ito's colours, distinct with any kind of colour vision; each also has its own marker.
_STYLES = {
    "kT": ("#0072B2", "o"),
    "norm": ("#E69F00", "s"),
    "abundance": ("#009E73", "^"),
    "nH": ("#CC79A7", "D"),
}
# Half-heights of the grey bands, within which differences do not matter: Sherpa's conf itself determines the
# ends of intervals only to a few per cent.
_SIDE_PERCENT, _STATISTIC = 5.0, 0.1


def draw_comparison(path: Path, comparison: EngineComparison) -> None:
    """Write a PNG file with the differences of values, intervals and statistic against temperature.

    Symbols are hollow for regions where an engine missed the minimum.
    """
    figure = Figure(figsize=(13.0, 4.6), dpi=130, layout="constrained")
    values, sides, statistic = figure.subplots(1, 3)
    for name in comparison.free:
        colour, marker = _STYLES[name]
        _scatter(values, comparison, comparison.deviation(name), colour, marker, name)
        lower, upper = 100.0 * (comparison.side_ratio(name) - 1.0)
        _scatter(sides, comparison, lower, colour, "v", f"{name}, lower side")
        _scatter(sides, comparison, upper, colour, "^", f"{name}, upper side")
    _scatter(statistic, comparison, -comparison.statistic_difference, "#56B4E9", "s", "each by its own model")
    _scatter(statistic, comparison, comparison.gain, "#D55E00", "o", "both by Sherpa's model")
    _finish(values, "Best values", "(fast - Sherpa) / half the 68% interval", NOTICEABLE_SIGMA, 0.01)
    _finish(sides, "Sides of the 68% intervals", "fast / Sherpa - 1 [%]", _SIDE_PERCENT, 1.0)
    _finish(statistic, "Statistic (above 0: fast is lower)", "Sherpa - fast", _STATISTIC, 0.01)
    for axes in (values, sides, statistic):
        axes.legend(loc="best", fontsize="x-small")
    n, same = len(comparison.regions), int(comparison.same_minimum.sum())
    lines = (
        f"{same} of {n} regions in the same minimum (hollow: an engine missed it). A region takes "
        f"{1e3 * comparison.fast_seconds:.2g} ms (fast), {comparison.sherpa_seconds:.2g} s (Sherpa).",
        f"Sherpa's model: {comparison.model}",
    )
    figure.suptitle("\n".join(lines), fontsize="medium")
    save(figure, path)


def _scatter(
    axes: Axes,
    comparison: EngineComparison,
    values: NDArray[np.float64],
    colour: str,
    marker: str,
    label: str,
) -> None:
    same, usable = comparison.same_minimum, comparison.usable
    kT = comparison.fast["kT"]
    style: dict[str, Any] = {"linestyle": "none", "marker": marker, "color": colour, "markersize": 4.0}
    axes.plot(kT[same], values[same], alpha=0.75, label=label, **style)
    elsewhere = usable & ~same
    axes.plot(kT[elsewhere], values[elsewhere], markerfacecolor="none", **style)


def _finish(axes: Axes, title: str, label: str, band: float, linear: float) -> None:
    """Make the axis linear up to `linear` and logarithmic beyond, to show small scatter and outliers."""
    # The data limits are infinite if there are no points.
    highest = float(np.nan_to_num(np.abs(axes.dataLim.intervaly), posinf=0.0).max())
    extent = 1.5 * (highest if highest > band else band)
    axes.axhspan(-band, band, color="0.92", zorder=0)
    axes.axhline(0.0, color="0.6", linewidth=0.8, zorder=1)
    axes.set_yscale("symlog", linthresh=linear, linscale=1.0)
    axes.set_ylim(-extent, extent)
    positive = linear * np.outer(10.0 ** np.arange(6), [1.0, 2.0, 5.0]).ravel()
    ticks = np.concatenate([-positive[::-1], [0.0], positive])
    ticks = ticks[np.abs(ticks) <= extent]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_title(title)
    axes.set_xlabel("kT of the fast engine [keV]")
    axes.set_ylabel(label)
