"""The picture of a fitted spectrum: data, model, background and residuals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from pyxt_hpc.files.writing import refuse_to_replace
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.single.fit import FittedSpectrum, SingleFit
from pyxt_hpc.fit.single.rounding import power_and_decimals
from pyxt_hpc.plots.figures import write_figure
from pyxt_hpc.spectra.goodness import statistic_per_bin

SIZE = (7.6, 6.0)
"""Width and height of the picture [inch]."""

# Okabe & Ito (2008): distinct with any colour vision. If there are more observations than colours, their
# spectra are added.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Fewest counts of a point in the picture of one and of several observations (3 and 5 sigma), and its greatest
# width as a fraction of all bins. The fit has finer bins.
COUNTS_OF_POINT, COUNTS_OF_SEVERAL, _MAX_POINT = 9, 25, 1 / 12
_TICKS_KEV = (0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10)
# Largest number of decades shown below the brightest point.
_DECADES = 4.0
_PARAMETERS = {
    "kT": ("kT", "keV"),
    "norm": ("norm", ""),
    "abundance": ("Z", "solar"),
    "nH": ("nH", r"$10^{22}$ cm$^{-2}$"),
}


def draw_spectrum(path: Path, fit: SingleFit, name: str) -> None:
    """Write a PNG file with data, models and background above, and signed residuals below.

    Neighbouring bins are joined for display until a point has enough counts. A residual is the signed square
    root of the point's contribution to the statistic; for many counts its unit is one standard deviation.
    """
    refuse_to_replace(path, (b"\x89PNG", b"%PDF", b"<?xml", b"%!PS", b"RIFF", b"\xff\xd8"), "a picture")
    write_figure(path, SIZE, draw_spectrum_on, fit, name)


def draw_spectrum_on(figure: Figure, fit: SingleFit, name: str) -> None:
    """Draw the picture of `draw_spectrum` on an empty figure."""
    figure.set_layout_engine("constrained")
    drawn = [_as_drawn(observation) for observation in fit.observations]
    if len(drawn) > len(COLOURS):
        drawn = [added_up(drawn)]
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    min_counts = COUNTS_OF_POINT if len(drawn) == 1 else COUNTS_OF_SEVERAL
    points = [join_bins(one, fit.options.statistic, min_counts) for one in drawn]
    for colour, one, its_points in zip(COLOURS, drawn, points, strict=False):
        _draw_points(axes, below, its_points, colour, faint=len(drawn) > 1)
        _draw_models(axes, one, colour)
    _style(axes, below, drawn, points)
    figure.align_ylabels()
    _legend(axes, [one.name for one in drawn])
    figure.suptitle(f"{name}\n{_summary(fit)}", fontsize="medium", linespacing=1.25)


@dataclass(frozen=True, eq=False)
class DrawnSpectrum:
    """Spectrum of one observation, or the sum of several, in the bins of the fit.

    `energy` (n_bin, 2): edges [keV]. `per` (n_bin,): exposure times width [s keV]. All others (n_bin,):
    observed counts of the source and the background spectrum; expected counts of source and background in the
    source spectrum.
    """

    name: str
    energy: NDArray[np.float64]
    per: NDArray[np.float64]
    counts: NDArray[np.float64]
    background: NDArray[np.float64]
    ratio: float
    source_model: NDArray[np.float64]
    background_model: NDArray[np.float64]


def _as_drawn(observation: FittedSpectrum) -> DrawnSpectrum:
    spectrum = observation.spectrum
    energy = spectrum.energy_edges
    return DrawnSpectrum(
        name=spectrum.name,
        energy=energy,
        per=spectrum.exposure_s * np.ptp(energy, axis=1),
        counts=observation.counts,
        background=observation.background,
        ratio=spectrum.ratio,
        source_model=observation.model,
        background_model=observation.background_model / spectrum.ratio,
    )


def added_up(drawn: Sequence[DrawnSpectrum]) -> DrawnSpectrum:
    """Sum of observations, in the bins of that with the fewest; rates become means weighted by exposure."""
    energy = min((one.energy for one in drawn), key=len)
    at = [np.clip(np.searchsorted(energy[:, 0], d.energy.mean(axis=1)) - 1, 0, None) for d in drawn]

    def total(name: str) -> NDArray[np.float64]:
        weights = np.concatenate([getattr(one, name) for one in drawn])
        return np.asarray(np.bincount(np.concatenate(at), weights, len(energy)), np.float64)

    background = total("background")
    scaled = sum(float(one.background.sum()) / one.ratio for one in drawn)
    return DrawnSpectrum(
        name=f"{len(drawn)} observations",
        energy=energy,
        per=total("per"),
        counts=total("counts"),
        background=background,
        ratio=float(background.sum()) / scaled if scaled > 0 else 1.0,
        source_model=total("source_model"),
        background_model=total("background_model"),
    )


@dataclass(frozen=True, eq=False)
class Points:
    """Points of the picture, (n_point,) each: energies [keV], rates [count s^-1 keV^-1], signed residuals."""

    energy: NDArray[np.float64]
    half_width: NDArray[np.float64]
    rate: NDArray[np.float64]
    error_lo: NDArray[np.float64]
    error_hi: NDArray[np.float64]
    residual: NDArray[np.float64]


def join_bins(drawn: DrawnSpectrum, statistic: str, min_counts: int) -> Points:
    """Join neighbouring bins until a point has `min_counts` counts or the greatest width."""
    starts = np.array(list(_starts(drawn, min_counts)))
    S, B, m, per = (
        np.add.reduceat(a, starts) for a in (drawn.counts, drawn.background, drawn.source_model, drawn.per)
    )
    low, high = drawn.energy[starts, 0], drawn.energy[np.append(starts[1:], len(drawn.energy)) - 1, 1]
    excess = S - B / drawn.ratio - m
    share = np.maximum(statistic_per_bin(statistic, S, B, m, drawn.ratio), 0.0)
    # Gehrels (1986, ApJ 303, 336), equations 7 and 14
    some = np.maximum(S, 1.0)
    lower = S * (1.0 - np.maximum(1.0 - 1.0 / (9.0 * some) - 1.0 / (3.0 * np.sqrt(some)), 0.0) ** 3)
    upper = 1.0 + np.sqrt(S + 0.75)
    return Points(
        energy=0.5 * (low + high),
        half_width=0.5 * (high - low),
        rate=S / per,
        error_lo=lower / per,
        error_hi=upper / per,
        residual=np.sign(excess) * np.sqrt(share),
    )


def _starts(drawn: DrawnSpectrum, min_counts: int) -> Iterator[int]:
    """First bin of each point; no point extends over a gap."""
    widest = max(int(_MAX_POINT * len(drawn.counts)), 1)
    after_gap = np.append(True, _gaps(drawn.energy))
    first, total = 0, 0.0
    for i, value in enumerate(drawn.counts):
        if after_gap[i] or total >= min_counts or i - first >= widest:
            yield i
            first, total = i, 0.0
        total += value


def _gaps(energy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether there is a gap between a bin and the next, (n_bin - 1,)."""
    return energy[1:, 0] > energy[:-1, 1] * (1 + 1e-6)


def _draw_points(axes: Axes, below: Axes, points: Points, colour: str, *, faint: bool) -> None:
    style: dict[str, Any] = {
        "color": colour,
        "linestyle": "none",
        "elinewidth": 0.8,
        "markersize": 2.5,
        "zorder": 3,
    }
    if faint:
        style |= {"alpha": 0.7, "elinewidth": 0.6}
    some, none = points.rate > 0, points.rate <= 0
    axes.errorbar(
        points.energy[some],
        points.rate[some],
        xerr=points.half_width[some],
        yerr=[points.error_lo[some], points.error_hi[some]],
        marker="o",
        **style,
    )
    # upper limits
    axes.errorbar(
        points.energy[none], points.error_hi[none], xerr=points.half_width[none], marker="v", **style
    )
    one = np.ones(len(points.energy))
    below.errorbar(points.energy, points.residual, xerr=points.half_width, yerr=one, marker="o", **style)


def _draw_models(axes: Axes, drawn: DrawnSpectrum, colour: str) -> None:
    for counts, line, width in (
        (drawn.source_model + drawn.background_model, "-", 1.3),
        (drawn.source_model, "--", 1.0),
        (drawn.background_model, ":", 1.1),
    ):
        if counts.any():
            axes.plot(
                *_steps(drawn.energy, counts / drawn.per), line, color=colour, linewidth=width, zorder=4
            )


def _steps(energy: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Corners of a histogram, with NaN at gaps between bins."""
    x, y = energy.ravel(), np.repeat(values, 2)
    gap = 2 * np.flatnonzero(_gaps(energy)) + 2
    return np.insert(x, gap, np.nan), np.insert(y, gap, np.nan)


def _style(axes: Axes, below: Axes, drawn: Sequence[DrawnSpectrum], points: Sequence[Points]) -> None:
    low = min(one.energy.min() for one in drawn) / 1.03
    high = max(one.energy.max() for one in drawn) * 1.03
    brightest = max(float((one.rate + one.error_hi).max()) for one in points)
    faintest = min(0.3 * float(one.rate[one.rate > 0].min(initial=brightest)) for one in points)
    backgrounds = [float(np.median(one.background_model / one.per)) for one in drawn]
    faintest = min([faintest, *(0.5 * level for level in backgrounds if level > 0)])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(max(faintest, brightest / 10**_DECADES), 2.5 * brightest)
    axes.set_ylabel(r"Counts s$^{-1}$ keV$^{-1}$")
    below.axhline(0.0, color="0.4", linewidth=0.8)
    below.set_ylabel(r"Residual [$\sigma$]")
    below.set_xlabel("Energy [keV]")
    below.xaxis.set_major_locator(FixedLocator([tick for tick in _TICKS_KEV if low <= tick <= high]))
    below.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    below.xaxis.set_minor_formatter(NullFormatter())
    reach = max(3.5, *(float(abs(one.residual).max()) + 1.3 for one in points))
    below.set_ylim(-reach, reach)
    below.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    for each in (axes, below):
        each.tick_params(which="both", direction="in", top=True, right=True)


def _legend(axes: Axes, names: Sequence[str]) -> None:
    grey = "black" if len(names) == 1 else "0.3"
    entries = [
        Line2D([], [], color=grey, marker="o", markersize=3, linewidth=0.8, label="Data"),
        Line2D([], [], color=grey, linewidth=1.3, label="Source + background"),
        Line2D([], [], color=grey, linewidth=1.0, linestyle="--", label="Source model"),
        Line2D([], [], color=grey, linewidth=1.1, linestyle=":", label="Background, scaled"),
    ]
    if len(names) > 1:
        observations = [
            Line2D([], [], color=c, linewidth=3, label=n) for c, n in zip(COLOURS, names, strict=False)
        ]
        rows = max(len(entries), len(observations))
        # The legend fills its columns one after the other.
        filler = [Line2D([], [], linestyle="none", label=" ")] * rows
        entries = [*(entries + filler)[:rows], *(observations + filler)[:rows]]
    axes.legend(
        handles=entries, fontsize="small", frameon=False, loc="upper right", ncols=1 if len(names) == 1 else 2
    )


def _summary(fit: SingleFit) -> str:
    """Parameters on one line, quality of the fit on the next."""
    row, options = fit.row, fit.options
    if not np.isfinite(row["kT"]):
        failed = FitFlag(int(row["flags"])) & FitFlag.FAILED
        return (
            "no fit: it failed"
            if failed
            else f"no fit: {options.statistic} finds nothing above the background"
        )
    parts = []
    for name in options.free:
        label, unit = _PARAMETERS[name]
        value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_lo", "_hi"))
        parts.append(_with_errors(label, value, low, high, unit))
    several = f"{len(fit.observations)} observations,   " if len(fit.observations) > 1 else ""
    quality = rf"{options.statistic}/dof = {row['statistic']:.1f}/{row['dof']},   "
    return f"{',   '.join(parts)}\n{several}{quality}goodness of fit ${fit.goodness:+.1f}\\,\\sigma$"


def _with_errors(label: str, value: float, lo: float, hi: float, unit: str) -> str:
    """A value with its errors, to two digits of the smaller error; "?" for an open end."""
    power, digits = power_and_decimals(value, lo, hi, plain=range(-2, 4))
    scale = 10.0**power
    plus, minus = (f"{abs(end - value) / scale:.{digits}f}" if np.isfinite(end) else "?" for end in (hi, lo))
    factor = rf" \times 10^{{{power}}}" if power else ""
    return rf"{label} = ${value / scale:.{digits}f}^{{+{plus}}}_{{-{minus}}}{factor}$ {unit}".rstrip()
