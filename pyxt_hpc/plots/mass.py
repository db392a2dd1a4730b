"""Pictures of a mass: profiles with the fitted data, and samples of the parameters."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pyxt_hpc.plots.figures import plain_log_ticks
from pyxt_hpc.profiles.mass.annuli import AnnularFits
from pyxt_hpc.profiles.mass.estimate import ClusterMass, Sampled

FloatArray = NDArray[np.float64]

MASS_SIZE = (11.0, 6.6)
"""Width and height of the picture of the profiles [inch]."""

# Okabe & Ito (2008): distinct with any colour vision.
_DATA = "#000000"
_WAYS = {"forward": "#0072B2", "backward": "#D55E00"}

_LEVELS = (0.39, 0.86)
"""Fraction of the samples within the contours: 1 and 2 sigma of a Gaussian in two dimensions."""

_BINS, _MOST = 28, 20_000


def corner_size(mass: ClusterMass) -> tuple[float, float]:
    """Width and height of the picture of the samples [inch]."""
    return 8.5 * len(mass.ways), 8.5


def draw_mass(figure: Figure, mass: ClusterMass, title: str) -> None:
    """Draw temperature, norm, density, mass and gas fraction on an empty figure."""
    figure.set_layout_engine("constrained")
    panels = figure.subplots(2, 3, sharex=True)
    (kT, norm, density), (total, fraction, residual) = panels
    annuli = mass.annuli
    reach = 1.6 * annuli.outermost
    for way, sampled in mass.ways.items():
        colour, posterior = _WAYS[way], sampled.posterior
        for axes, name in ((density, "n_e"), (total, "mass"), (fraction, "gas_fraction")):
            _band(axes, posterior.radius, posterior.profiles[name], colour, way)
        _band(kT, posterior.radius, posterior.profiles["kT"], colour, f"{way}, 3D")
        for axes, predicted in ((kT, posterior.predicted_kT), (norm, posterior.predicted_norm)):
            axes.plot(annuli.radius, predicted[0], color=colour, linestyle="--", label=f"{way}, projected")
        for sphere in posterior.overdensities:
            if np.isfinite(sphere.radius.value):
                total.errorbar(
                    [sphere.radius.value],
                    [sphere.mass.value],
                    yerr=[
                        [sphere.mass.value - sphere.mass.low],
                        [sphere.mass.high - sphere.mass.value],
                    ],
                    color=colour,
                    marker="o",
                    markerfacecolor="white" if sphere.is_extrapolated else colour,
                    zorder=5,
                )
                total.annotate(
                    f"{sphere.overdensity:g}",
                    (sphere.radius.value, sphere.mass.value),
                    textcoords="offset points",
                    xytext=(4, -11 if way == "forward" else 6),
                    color=colour,
                    fontsize="small",
                )
        _residuals(residual, annuli, posterior.predicted_kT[0], colour)
    _points(kT, annuli, annuli.kT, annuli.kT_lo, annuli.kT_hi, annuli.has_kT)
    _points(norm, annuli, annuli.norm, annuli.norm_lo, annuli.norm_hi, annuli.has_norm)
    inner = 0.6 * float(annuli.radius[0])
    for axes, label, logarithmic in (
        (kT, "kT [keV]", False),
        (norm, r"Norm [$10^{14}$ cm$^{-5}$ arcsec$^{-2}$]", True),
        (density, r"$n_e$ [cm$^{-3}$]", True),
        (total, r"Mass [$M_\odot$]", True),
        (fraction, "Gas fraction", False),
        (residual, r"(kT - model)/$\sigma$", False),
    ):
        axes.set_xscale("log")
        axes.set_xlim(inner, reach)
        axes.set_ylabel(label)
        axes.axvspan(annuli.outermost, reach, color="0.92", zorder=0)
        shown = _shown_values(axes, inner, reach)
        if logarithmic and len(shown):
            axes.set_yscale("log")
            axes.set_ylim(0.6 * float(shown.min()), 1.7 * float(shown.max()))
        elif axes is total:
            axes.text(0.5, 0.5, "no mass", transform=axes.transAxes, ha="center")
        plain_log_ticks(axes.xaxis)
        axes.tick_params(which="both", direction="in", top=True, right=True, labelsize="small")
    known = annuli.has_kT
    kT.set_ylim(0.0, min(1.25 * float(annuli.kT_hi[known].max()), 1.8 * float(annuli.kT[known].max())))
    fractions = [
        float(np.nanmax(s.posterior.profiles["gas_fraction"][2][s.posterior.radius < reach], initial=0.0))
        for s in mass.ways.values()
    ]
    fraction.set_ylim(0.0, min(max(1.1 * max(fractions), 0.2), 1.0))
    residual.axhline(0.0, color="0.5", linewidth=0.8)
    for axes in panels[1]:
        axes.set_xlabel("Radius [kpc]")
    kT.legend(frameon=False, fontsize="x-small", loc="best")
    figure.suptitle(f"{title}\n{_summary(mass)}", fontsize="small")


def _summary(mass: ClusterMass) -> str:
    parts = []
    for way, sampled in mass.ways.items():
        sphere = sampled.posterior.overdensities[-1]
        one = sphere.mass
        if np.isfinite(one.value):
            value = rf"${one.value / 1e14:.2f}^{{+{(one.high - one.value) / 1e14:.2f}}}"
            value += rf"_{{-{(one.value - one.low) / 1e14:.2f}}}$"
            beyond = ", extrapolated" if sphere.is_extrapolated else ""
            parts.append(rf"{way}: $M_{{500}}$ = {value} $10^{{14}}\,M_\odot${beyond}")
        else:
            parts.append(f"{way}: no M500")
    return ";   ".join(parts) + "   (grey: beyond the last annulus)"


def _band(axes: Axes, radius: FloatArray, values: FloatArray, colour: str, label: str) -> None:
    axes.plot(radius, values[0], color=colour, linewidth=1.2, label=label)
    axes.fill_between(radius, values[1], values[2], color=colour, alpha=0.25, linewidth=0)


def _points(
    axes: Axes, annuli: AnnularFits, value: FloatArray, low: FloatArray, high: FloatArray, known: NDArray
) -> None:
    x = annuli.radius[known]
    axes.errorbar(
        x,
        value[known],
        xerr=[x - np.maximum(annuli.r_in[known], 0.5 * x), annuli.r_out[known] - x],
        yerr=[(value - low)[known], (high - value)[known]],
        color=_DATA,
        linestyle="none",
        marker="o",
        markersize=3,
        elinewidth=0.8,
        zorder=4,
        label="annuli",
    )


def _residuals(axes: Axes, annuli: AnnularFits, model: FloatArray, colour: str) -> None:
    known, off = annuli.has_kT, annuli.kT - model
    sigma = np.where(off > 0, annuli.kT - annuli.kT_lo, annuli.kT_hi - annuli.kT)
    axes.plot(annuli.radius[known], (off / sigma)[known], "o", color=colour, markersize=4)


def _shown_values(axes: Axes, inner: float, reach: float) -> FloatArray:
    """Positive values of all lines within the radii."""
    shown = [np.zeros(0)]
    for line in axes.get_lines():
        x, y = (np.asarray(data, float) for data in line.get_data())
        shown.append(y[(x > inner) & (x < reach) & np.isfinite(y) & (y > 0)])
    return np.concatenate(shown)


def draw_corner(figure: Figure, mass: ClusterMass, title: str) -> None:
    """Draw the samples of every pair of parameters on an empty figure, a triangle for each method."""
    figure.suptitle(f"{title}: samples of the posterior; contours contain 39% and 86%", fontsize="medium")
    parts = figure.subfigures(1, len(mass.ways), squeeze=False)[0]
    for part, (way, sampled) in zip(parts, mass.ways.items(), strict=True):
        _triangle(part, sampled, _WAYS[way], way)


def _triangle(figure: SubFigure, sampled: Sampled, colour: str, way: str) -> None:
    samples = sampled.samples[:: max(1, len(sampled.samples) // _MOST)]
    n = len(sampled.parameters)
    ranges = [_range(column) for column in samples.T]
    labels = [rf"ln {p.name}" if p.is_log else p.name for p in sampled.parameters]
    grid = figure.add_gridspec(n, n, wspace=0.06, hspace=0.06, left=0.08, right=0.98, bottom=0.08, top=0.93)
    for row in range(n):
        for column in range(row + 1):
            axes = figure.add_subplot(grid[row, column])
            if row == column:
                axes.hist(samples[:, row], bins=_BINS, range=ranges[row], color=colour, histtype="step")
                axes.axvline(float(np.median(samples[:, row])), color="0.5", linewidth=0.8)
            else:
                _contours(axes, samples[:, [column, row]], (ranges[column], ranges[row]), colour)
                axes.set_ylim(ranges[row])
            axes.set_xlim(ranges[column])
            _ticks(axes, row == n - 1, column == 0 and row > 0, labels[column], labels[row])
    figure.text(0.6, 0.8, way, color=colour, fontsize="large")


def _range(values: FloatArray) -> tuple[float, float]:
    low, high = np.percentile(values, (0.2, 99.8))
    margin = max(0.05 * (high - low), 1e-9)
    return float(low - margin), float(high + margin)


def _contours(axes: Axes, pairs: FloatArray, limits: Sequence[tuple[float, float]], colour: str) -> None:
    counts, x, y = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=_BINS, range=limits)
    counts = gaussian_filter(counts, 1.0)  # without it, contours would follow the noise of single bins
    ordered = np.sort(counts.ravel())[::-1]
    share = np.cumsum(ordered) / max(ordered.sum(), 1.0)
    levels = np.unique([ordered[min(int(np.searchsorted(share, one)), len(ordered) - 1)] for one in _LEVELS])
    axes.pcolormesh(x, y, counts.T, cmap="Greys", rasterized=True)
    if levels[0] > 0:
        middle = [0.5 * (edges[1:] + edges[:-1]) for edges in (x, y)]
        axes.contour(*middle, counts.T, levels=levels, colors=colour, linewidths=0.8)


def _ticks(axes: Axes, bottom: bool, left: bool, label: str, own: str) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(2, prune="both"))
    axes.tick_params(direction="in", labelsize=6, labelbottom=bottom, labelleft=left)
    axes.tick_params(axis="x", labelrotation=45)
    if bottom:
        axes.set_xlabel(label, fontsize=7)
    if left:
        axes.set_ylabel(own, fontsize=7)
