"""Pictures of radial profiles: brightness with its models, and properties of the gas."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.plots.figures import plain_log_ticks
from pyxt_hpc.profiles.analysis import ClusterProfile
from pyxt_hpc.profiles.gas.thermodynamics import Gas, Intervals, ShellGeometry
from pyxt_hpc.profiles.tables import grouped_rings

FloatArray = NDArray[np.float64]

# Okabe & Ito (2008): distinct with any colour vision.
_SHELLS, _ANNULI, _MODEL, _SECOND = "#000000", "#D55E00", "#0072B2", "#009E73"

_PANELS = (
    ("kT", "kT [keV]", False),
    ("n_e", r"$n_e$ [cm$^{-3}$]", True),
    ("pressure", r"Pressure [keV cm$^{-3}$]", True),
    ("entropy", r"Entropy [keV cm$^2$]", True),
    ("cooling_time", "Cooling time [Gyr]", True),
    ("gas_mass", r"Gas mass [$M_\odot$]", True),
)


BRIGHTNESS_SIZE, GAS_SIZE = (7.2, 6.0), (11.0, 6.6)
"""Width and height of the pictures [inch]."""


_LEGEND_SHARE = 0.25
"""Height of two lines of a legend over that of the data above it, with room to spare."""


def draw_brightness(figure: Figure, profile: ClusterProfile) -> None:
    """Draw the brightness, its models and the residuals on an empty figure."""
    figure.set_layout_engine("constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    rings, model = grouped_rings(profile), profile.beta_model
    seen = rings.exposure > 0
    radius, value, error = (a[seen] for a in (rings.radius, rings.brightness, rings.error))
    constant = model.constant
    wide = np.array([radius - rings.edges[:-1][seen], rings.edges[1:][seen] - radius])
    style = {"linestyle": "none", "marker": "o", "markersize": 2.5, "elinewidth": 0.8, "color": _SHELLS}
    axes.errorbar(radius, value, yerr=error, xerr=np.maximum(wide, 0.0), label="data", **style)
    fine = np.geomspace(max(float(radius[0]), 0.3), float(radius[-1]), 400)
    two = len(model.peaks) > 1
    axes.plot(
        fine, model.cluster(fine) + constant, color=_MODEL, label="two beta models" if two else "beta model"
    )
    if two:
        for i, label in enumerate(("each of them", None)):
            axes.plot(fine, model.component(i, fine), color=_MODEL, linestyle=":", linewidth=0.9, label=label)
    if constant > 0:
        axes.axhline(constant, color="0.6", linestyle="--", linewidth=0.8, label="constant")
    if (edge := profile.edge) is not None:
        near = fine[(fine >= edge.r_min) & (fine <= edge.r_max)]
        text = f'edge at {edge.radius:.1f}", density {_numbers(edge.jump, edge.jump_lo, edge.jump_hi)}'
        axes.plot(near, edge.brightness(near) + edge.constant, color=_ANNULI, linewidth=1.6, label=text)
        axes.axvline(edge.radius, color=_ANNULI, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    positive = value[value > 0]
    axes.set_ylim(max(0.3 * float(positive.min()), 1e-5 * float(positive.max())), 2.0 * float(positive.max()))
    low, high = profile.band.energy_keV
    axes.set_ylabel(rf"Surface brightness, {low:g}-{high:g} keV [ct s$^{{-1}}$ arcmin$^{{-2}}$]")
    axes.legend(framealpha=1.0, edgecolor="none", fontsize="small", loc="lower left")
    expected = model.cluster(radius) + constant
    below.errorbar(radius, (value - expected) / error, yerr=1.0, **style)
    below.axhline(0.0, color=_MODEL, linewidth=0.8)
    below.set_ylabel(r"Residual [$\sigma$]")
    below.set_xlabel("Radius [arcsec]")
    _in_kpc(axes, profile.kpc_per_arcsec)
    for each in (axes, below):
        each.tick_params(which="both", direction="in", right=True)
    figure.suptitle(_title(profile), fontsize="medium")
    figure.align_ylabels()


def draw_gas(figure: Figure, profile: ClusterProfile) -> None:
    """Draw temperature, density, pressure, entropy, cooling time and gas mass on an empty figure."""
    figure.set_layout_engine("constrained")
    panels = figure.subplots(2, 3, sharex=True).ravel()
    geometry = profile.geometry
    outer = geometry.edges_kpc[1:]
    for axes, (name, label, logarithmic) in zip(panels, _PANELS, strict=True):
        at = outer if name == "gas_mass" else geometry.radius_kpc
        _points(axes, profile, at, profile.shells[name], _SHELLS, "shells", is_sum=name == "gas_mass")
        axes.set_xscale("log")
        if logarithmic:
            axes.set_yscale("log")
        axes.set_ylabel(label)
        axes.tick_params(which="both", direction="in", right=True)
    rows = profile.rows
    middle = np.sqrt(0.5 * (geometry.edges_kpc[1:] ** 2 + geometry.edges_kpc[:-1] ** 2))
    projected = Intervals(rows["kT"], rows["kT_lo"], rows["kT_hi"])
    _points(panels[0], profile, middle, projected, _ANNULI, "annuli, projected")
    hottest = np.nanmax(np.concatenate([rows["kT"], _value(profile, "kT")]))
    panels[0].set_ylim(0.0, 1.5 * float(hottest))
    panels[0].legend(frameon=False, fontsize="small")
    fine = np.geomspace(0.5 * geometry.radius_kpc[0], geometry.edges_kpc[-1], 200)
    draws = profile.density.draws(fine)
    low, high = np.percentile(draws, (15.865, 84.135), axis=0)
    panels[1].fill_between(fine, low, high, color=_MODEL, alpha=0.3, linewidth=0)
    panels[1].plot(fine, profile.density.best(fine), color=_MODEL, linewidth=1.2, label="from the brightness")
    panels[1].legend(frameon=False, fontsize="small")
    if (fit := profile.entropy_fit) is not None:
        text = (
            rf"$K_0 = {fit.K0:.0f} \pm {fit.K0_error:.0f}$, $K_{{100}} = {fit.K100:.0f} \pm "
            rf"{fit.K100_error:.0f}$, $\alpha = {fit.alpha:.2f} \pm {fit.alpha_error:.2f}$"
        )
        panels[3].plot(fine, fit(fine), color=_MODEL, linewidth=1.2, label=text)
        low, high = panels[3].get_ylim()
        panels[3].set_ylim(low * (low / high) ** _LEGEND_SHARE, high)  # below everything that is drawn
        panels[3].legend(frameon=False, fontsize="x-small", loc="lower right")
    thin = np.append(0.0, np.geomspace(0.1 * geometry.radius_kpc[0], geometry.edges_kpc[-1], 400))
    panels[5].plot(
        thin[1:], _enclosed(profile, thin), color=_MODEL, linewidth=1.2, label="from the brightness"
    )
    panels[5].set_ylim(0.5 * float(_value(profile, "gas_mass")[0]), None)
    panels[5].set_xlim(0.7 * float(geometry.radius_kpc[0]), 1.15 * float(geometry.edges_kpc[-1]))
    for axes in panels[3:]:
        axes.set_xlabel("Radius [kpc]")
    plain_log_ticks(panels[0].xaxis)
    plain_log_ticks(panels[4].yaxis)
    core = profile.core
    time = f"{core.cooling_time:.2g} Gyr: " if np.isfinite(core.cooling_time) else ""
    words = [f"central cooling time {time}{core.by_cooling_time}"]
    if np.isfinite(core.concentration):
        words.append(rf"$c_{{SB}}$ = {core.concentration:.3f}: {core.by_concentration}")
    figure.suptitle(f"{_title(profile)}\n{';   '.join(words)}", fontsize="medium")
    figure.align_ylabels()


def _value(profile: ClusterProfile, name: str) -> FloatArray:
    return profile.shells[name].value


def _enclosed(profile: ClusterProfile, edges: FloatArray) -> FloatArray:
    """Gas mass within radii by the density model of the brightness, at the median abundance of the shells."""
    geometry = ShellGeometry.of(edges, profile.density.best)
    n = profile.density.best(geometry.radius_kpc)
    abundance = np.full(len(n), float(np.nanmedian(profile.gas.abundance)))
    return Gas.of(n, np.ones(len(n)), abundance, geometry, profile.abundance_table).gas_mass


def _points(
    axes: Axes,
    profile: ClusterProfile,
    radius: FloatArray,
    interval: Intervals,
    colour: str,
    label: str,
    *,
    is_sum: bool = False,
) -> None:
    """Draw values with their intervals, without bars at open ends; limits are triangles."""
    edges = profile.geometry.edges_kpc
    known = np.isfinite(interval.value)
    down = np.where(np.isfinite(interval.low), interval.value - interval.low, 0.0)
    up = np.where(np.isfinite(interval.high), interval.high - interval.value, 0.0)
    across = None if is_sum else np.maximum([radius - edges[:-1], edges[1:] - radius], 0.0)[:, known]
    axes.errorbar(
        radius[known],
        interval.value[known],
        yerr=np.maximum([down[known], up[known]], 0.0),
        xerr=across,
        color=colour,
        linestyle="none",
        marker="o",
        markersize=3,
        elinewidth=0.8,
        label=label,
    )
    for end, other, marker in ((interval.high, interval.low, "v"), (interval.low, interval.high, "^")):
        limits = ~known & np.isfinite(end) & ~np.isfinite(other)
        axes.plot(radius[limits], end[limits], color=colour, linestyle="none", marker=marker, markersize=4)


def _in_kpc(axes: Axes, scale: float) -> None:
    def to_kpc(arcsec: ArrayLike) -> FloatArray:
        return np.asarray(arcsec, float) * scale

    def to_arcsec(kpc: ArrayLike) -> FloatArray:
        return np.asarray(kpc, float) / scale

    top = axes.secondary_xaxis("top", functions=(to_kpc, to_arcsec))
    top.set_xlabel("Radius [kpc]")


def _numbers(value: float, low: float, high: float) -> str:
    ends = " to ".join(f"{end:.2f}" if np.isfinite(end) else "?" for end in (low, high))
    return f"x {value:.2f} ({ends})"


def _title(profile: ClusterProfile) -> str:
    sector = profile.options.sector
    where = "" if sector is None else f", sector {sector[0]:g} to {sector[1]:g} degrees"
    return f"{profile.name}{where}: centre {profile.ra_deg:.5f} {profile.dec_deg:+.5f} (ICRS)"
