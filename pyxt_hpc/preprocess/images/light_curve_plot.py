"""The picture of light curves, with bins and times that were kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from pyxt_hpc.chandra.times.lightcurve import LightCurve
from pyxt_hpc.detect.flares import FlareCleaning
from pyxt_hpc.files.writing import replacing

_KEPT, _CUT, _QUIET = "tab:blue", "tab:red", "black"
_MAX_LINEAR = 5.0  # peak over quiet rate above which the axis is logarithmic


@dataclass(frozen=True, eq=False)
class CleanedCurve:
    """One panel: the light curve of a band and the result of its cleaning."""

    band: str
    curve: LightCurve
    cleaning: FlareCleaning


def draw_light_curves(passes: Sequence[CleanedCurve], title: str, path: Path) -> None:
    """Draw the rate of each pass against time, the quiet mean, the bins kept and cut, and the intervals kept.

    The title has the fraction of the time that all passes together kept.
    """
    figure = Figure(figsize=(9, 0.8 + 2.7 * len(passes)), layout="constrained")
    panels = figure.subplots(len(passes), 1, sharex=True, squeeze=False)[:, 0]
    origin = passes[0].curve.edges[0]
    for axes, one in zip(panels, passes, strict=True):
        _draw(axes, one, origin)
    panels[-1].set_xlabel("time since the start [ks]")
    figure.suptitle(title_of(passes, title))
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def title_of(passes: Sequence[CleanedCurve], title: str) -> str:
    """Title with the fraction of time that is good after the last pass."""
    last = passes[-1]
    kept = float(last.curve.live_s[last.cleaning.good].sum())
    return f"{title}: {kept / max(float(passes[0].curve.live_s.sum()), 1e-9):.1%} of the time kept"


def _draw(axes: Axes, one: CleanedCurve, origin: float) -> None:
    curve, cleaning = one.curve, one.cleaning
    middle = (0.5 * (curve.edges[:-1] + curve.edges[1:]) - origin) / 1000.0
    live = curve.live_s > 0
    rate = curve.rate
    error = np.sqrt(np.maximum(curve.counts, 1)) / np.where(live, curve.live_s, np.nan)
    good = cleaning.good
    for chosen, colour, label in ((live & good, _KEPT, "kept"), (live & ~good, _CUT, "cut")):
        if chosen.any():
            axes.errorbar(
                middle[chosen], rate[chosen], error[chosen], fmt=".", ms=4, color=colour, lw=0.8, label=label
            )
    axes.set_ylabel(f"{one.band} [count/s]")
    for n, (start, stop) in enumerate(cleaning.gti):
        span = ((start - origin) / 1000.0, (stop - origin) / 1000.0)
        axes.axvspan(*span, color=_KEPT, alpha=0.1, lw=0, label="good time" if n == 0 else None)
    axes.axhline(cleaning.mean, color=_QUIET, lw=0.8, label="quiet mean")
    peak = float(np.nanmax(rate))
    if peak > _MAX_LINEAR * cleaning.mean:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(
        f"quiet: {cleaning.mean:.3g} count/s, +- {cleaning.sigma:.2g} a bin; {cleaning.share_kept:.1%} kept",
        loc="left",
        fontsize="small",
    )
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize="small", ncols=4, frameon=False)
