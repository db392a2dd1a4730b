"""The picture of a light curve with what was kept of it."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyxt_hpc.chandra.lightcurve import FlareCleaning, LightCurve
from pyxt_hpc.files import replacing


def draw_light_curve(curve: LightCurve, cleaning: FlareCleaning, title: str, path: Path) -> None:
    """Draw rate against time since the start, with the bins left out and the quiet mean."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    kiloseconds = (0.5 * (curve.edges[:-1] + curve.edges[1:]) - curve.edges[0]) / 1000.0
    rate = curve.rate
    error = np.sqrt(np.maximum(curve.counts, 1)) / np.where(curve.live_s > 0, curve.live_s, np.nan)
    bad = ~cleaning.good
    for chosen, colour, label in ((~bad, "tab:blue", "kept"), (bad, "tab:red", "left out")):
        axes.errorbar(
            kiloseconds[chosen],
            rate[chosen],
            error[chosen],
            fmt=".",
            color=colour,
            label=label,
            elinewidth=0.8,
        )
    axes.axhline(cleaning.mean, color="black", linewidth=0.8)
    axes.set_xlabel("time since the start [ks]")
    axes.set_ylabel("9-12 keV rate [count/s]")
    axes.set_title(f"{title}: {cleaning.share_kept:.1%} kept")
    axes.legend(loc="upper right")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_light_curves(passes, title, path):
    path.write_text("")
