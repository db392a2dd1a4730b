"""Picture of a calibration: bias and coverage of kT in classes of S/N, kT and background."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyxt_hpc.calibrate.calibration import CLASSES, Calibration
from pyxt_hpc.calibrate.recovery import NOMINAL
from pyxt_hpc.calibrate.trust import MISS
from pyxt_hpc.files.quoting import several
from pyxt_hpc.plots.figures import save

_COLOUR = "#0072B2"  # Okabe & Ito's blue
_MAX_LABELS = 6


def draw_calibration(path: Path, name: str, calibration: Calibration) -> None:
    """Write a PNG file: bias and coverage, in a column of panels for each variable that sorts regions."""
    figure = Figure(figsize=(11.0, 5.6), dpi=130, layout="constrained")
    panels = figure.subplots(2, len(CLASSES), sharey="row")
    for (variable, (unit, _)), (above, below) in zip(CLASSES.items(), panels.T, strict=True):
        found = [(one, of["kT"]) for one, of in calibration.summaries if one.variable == variable]
        at = np.arange(len(found))
        _points(above, at, [100.0 * s.bias for _, s in found], [100.0 * s.bias_error for _, s in found])
        errors = [100.0 * s.coverage_error for _, s in found]
        _points(below, at, [100.0 * s.coverage for _, s in found], errors)
        above.axhline(0.0, color="0.4", linewidth=0.8)
        below.axhline(100.0 * NOMINAL, color="0.4", linewidth=0.8)
        below.axhspan(100.0 * (NOMINAL - MISS), 100.0 * (NOMINAL + MISS), color="0.92", zorder=0)
        labels = [
            f"{one.low:g}-{one.high:g}" if np.isfinite(one.high) else f">{one.low:g}" for one, _ in found
        ]
        for axes in (above, below):
            axes.set_xticks(at, labels, fontsize="small", rotation=45 * (len(labels) > _MAX_LABELS))
            axes.set_xlim(-0.6, len(found) - 0.4)
            axes.tick_params(direction="in", right=True)
        below.set_xlabel(f"{variable}{unit and f' [{unit}]'}")
    panels[0, 0].set_ylabel("Bias of kT [%]")
    panels[1, 0].set_ylabel("Coverage of 68% intervals [%]")
    whole = calibration.summaries[0][1]["kT"]
    wrong = "".join(
        f", {what} {simulated:g} simulated instead of {fitted:g}"
        for what, (simulated, fitted) in calibration.setup.wrong.items()
    )
    figure.suptitle(
        f"{name}: {several(len(calibration.rows), 'region')} simulated "
        f"{several(calibration.setup.draws, 'time')} from their own fits{wrong}\n"
        f"bias {100 * whole.bias:+.2f}%, coverage {100 * whole.coverage:.1f}%   "
        f"(grey: within {MISS:.0%} of the nominal coverage)",
        fontsize="medium",
    )
    save(figure, path)


def _points(axes: Axes, at: np.ndarray, values: list[float], errors: list[float]) -> None:
    axes.errorbar(at, values, yerr=errors, fmt="o", color=_COLOUR, markersize=4.0, capsize=2.0)
