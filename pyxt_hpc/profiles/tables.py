"""Profiles as tables with units, and their files."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from astropy.table import Column, Table
from numpy.typing import NDArray

from pyxt_hpc.fit.flags import flag_names
from pyxt_hpc.profiles.analysis import ClusterProfile
from pyxt_hpc.profiles.brightness.beta_models import BetaProfile
from pyxt_hpc.profiles.brightness.rings import Rings
from pyxt_hpc.provenance import software

_SIGNAL_TO_NOISE, _WIDENING = 3.0, 1.05
"""Rings of the table of brightness are put together until they have this S/N and are so wide."""

_RADII = "of circles with the area of the pixels within; of ellipses the geometric mean of the axes"

_GAS = {
    "n_e": ("cm-3", "electron density, root of the mean square in the shell"),
    "kT": ("keV", "temperature of the shell"),
    "abundance": ("", "[solar] of the shell; no interval where it is frozen"),
    "pressure": ("keV cm-3", "n_e kT"),
    "entropy": ("keV cm2", "kT n_e^(-2/3)"),
    "cooling_time": ("Gyr", "3/2 (n_e + n_i) kT/(n_e n_H Lambda)"),
    "gas_mass": ("solMass", "of the gas within the outer radius"),
}
"""Unit and meaning of every field of `thermodynamics.Gas`."""

_PROJECTED = {
    "kT": ("keV", "temperature of a fit of the annulus alone"),
    "abundance": ("", "[solar] of a fit of the annulus alone"),
    "norm": ("10**14 cm-5", "norm of the whole annulus, sector or not, fitted alone"),
}


def _column(values: Any, unit: str, meaning: str) -> Column:
    return Column(values, unit=unit or None, description=meaning)


def _with_interval(
    table: Table, name: str, unit: str, meaning: str, values: Mapping[str, NDArray[np.float64]]
) -> None:
    table[name] = _column(values["value"], unit, meaning)
    for end, which in (("low", "lower"), ("high", "upper")):
        table[f"{name}_{end[:2]}"] = _column(
            values[end], unit, f"{which} end of the 68% interval, NaN if open or unknown"
        )


def shell_table(profile: ClusterProfile) -> Table:
    """Everything about annuli and shells, a row each, with the covariances of density and temperature."""
    edges, scale = profile.annuli.edges, profile.kpc_per_arcsec
    geometry, rows = profile.geometry, profile.rows
    table = Table(meta=_description(profile))
    table["r_in"] = _column(edges[:-1], "arcsec", f"inner radius, {_RADII}")
    table["r_out"] = _column(edges[1:], "arcsec", "outer radius")
    table["r"] = _column(geometry.radius_kpc / scale, "arcsec", "where the density is that of the column n_e")
    for name in ("r_in", "r_out", "r"):
        table[f"{name}_kpc"] = _column(table[name] * scale, "kpc", f"the same as {name}")
        table[f"{name}_kpc"].unit = "kpc"
    table["area"] = _column(profile.annuli.area_arcmin2, "arcmin2", "of the whole annulus, sector or not")
    table["counts"] = _column(rows["counts"], "ct", "in the band of the spectra")
    table["background_counts"] = _column(rows["background_counts"], "ct", "expected among counts")
    for name, (unit, meaning) in _PROJECTED.items():
        values = {"value": rows[name], "low": rows[f"{name}_lo"], "high": rows[f"{name}_hi"]}
        _with_interval(table, f"projected_{name}", unit, meaning, values)
    table["projected_goodness"] = _column(rows["goodness"], "", "of this fit, in standard deviations")
    flags = [flag_names(value) for value in rows["flags"].tolist()]
    table["projected_flags"] = Column(flags, dtype=str, description="of this fit")
    frozen = np.ptp(profile.gas_draws.abundance, axis=0) == 0
    for name, (unit, meaning) in _GAS.items():
        interval = profile.shells[name]
        values = dict(vars(interval))
        if name == "abundance":
            values |= {end: np.where(frozen, np.nan, values[end]) for end in ("low", "high")}
        _with_interval(table, name, unit, meaning, values)
    table["status"] = Column(profile.status, dtype=str, description="of the shell")
    brightness = profile.density.draws(geometry.radius_kpc)
    low, high = np.percentile(brightness, (15.865, 84.135), axis=0)
    values = {"value": profile.density.best(geometry.radius_kpc), "low": low, "high": high}
    _with_interval(table, "n_e_brightness", "cm-3", "electron density by the brightness, at r", values)
    for name, one, other, unit in (
        ("cov_n_e_n_e", "n_e", "n_e", "cm-6"),
        ("cov_n_e_kT", "n_e", "kT", "keV cm-3"),
        ("cov_kT_kT", "kT", "kT", "keV2"),
    ):
        table[name] = _column(
            _covariance(profile, one, other), unit, f"covariance of {one} here with {other} of every shell"
        )
    table["projection"] = _column(
        profile.projection, "", "share of every shell's emission that is seen in this annulus"
    )
    return table


def _covariance(profile: ClusterProfile, one: str, other: str) -> NDArray[np.float64]:
    """(n, n) of draws; NaN where a shell's value is unknown."""
    first, second = (getattr(profile.gas_draws, name) for name in (one, other))
    both = (first - first.mean(axis=0)).T @ (second - second.mean(axis=0)) / (len(first) - 1)
    for axis, name in enumerate((one, other)):
        known = np.isfinite(profile.shells[name].value)
        both = np.where(known[:, None] if axis == 0 else known, both, np.nan)
    return np.asarray(both)


def grouped_rings(profile: ClusterProfile) -> Rings:
    """Rings wide enough to be looked at."""
    return profile.rings.to_signal_to_noise(_SIGNAL_TO_NOISE, _WIDENING)


def brightness_table(profile: ClusterProfile) -> Table:
    """The brightness in the soft band, a row a ring, with the best beta models."""
    rings, scale = grouped_rings(profile), profile.kpc_per_arcsec
    table = Table(meta=_description(profile))
    unit = "ct s-1 arcmin-2"
    for name, values, its_unit, meaning in (
        ("r_in", rings.edges[:-1], "arcsec", f"inner radius, {_RADII}"),
        ("r_out", rings.edges[1:], "arcsec", "outer radius"),
        ("r", rings.radius, "arcsec", "root of the mean square of the live pixels' radii"),
        ("r_kpc", rings.radius * scale, "kpc", "the same as r"),
        ("counts", rings.counts, "ct", "in the soft band"),
        ("background", rings.background, "ct", "expected among counts"),
        ("background_error", np.sqrt(rings.variance), "ct", "of the background's own counts"),
        ("exposure", rings.exposure, "s arcmin2", "vignetted exposure x live solid angle"),
        ("live", rings.complete, "", "share of the ring, or of its part in the sector, that is live"),
        ("brightness", rings.brightness, unit, "(counts - background)/exposure"),
        ("error", rings.error, unit, "of the brightness, Poisson errors of counts and background"),
    ):
        table[name] = _column(values, its_unit, meaning)
    for model, name in zip(profile.beta_models, ("beta_model", "double_beta_model"), strict=True):
        values = model.cluster(rings.radius) + model.constant
        table[name] = _column(values, unit, "best model, its constant included")
    return table


def _description(profile: ClusterProfile) -> dict[str, Any]:
    """What the profile is of and the numbers that are of the whole of it, for the headers of tables."""
    single, double = profile.beta_models
    density, fit = profile.density, profile.deprojection
    gas = {name: float(np.asarray(value)) for name, value in vars(density.best).items()}
    return {
        "name": profile.name,
        "written by": software(),
        "bundle": profile.fingerprint,
        "sector": None if profile.options.sector is None else list(profile.options.sector),
        "options": {
            key: list(v) if isinstance(v, tuple) else v for key, v in asdict(profile.options).items()
        },
        "center": {"ra_deg": profile.ra_deg, "dec_deg": profile.dec_deg},
        "axis_ratio": profile.frame.axis_ratio,
        "axis_angle_deg": float(np.degrees(profile.frame.angle)),
        "redshift": profile.redshift,
        "kpc_per_arcsec": profile.kpc_per_arcsec,
        "abundance_table": profile.abundance_table,
        "soft_band_keV": list(profile.band.energy_keV),
        "beta_model": _beta(single),
        "double_beta_model": _beta(double),
        "preferred_model": "double_beta_model" if profile.beta_model is double else "beta_model",
        "density_model": gas | {"constant": density.constant, "statistic": density.statistic},
        "edge": None if profile.edge is None else asdict(profile.edge),
        "shells": {"statistic": fit.statistic, "bins": fit.n_bins, "free parameters": fit.n_free},
        "entropy_fit": None if profile.entropy_fit is None else asdict(profile.entropy_fit),
        "core": asdict(profile.core),
    }


def _beta(model: BetaProfile) -> dict[str, float]:
    errors = {f"{name}_error": error for name, error in model.errors.items()}
    return {**model.parameters, **errors, "statistic": model.statistic, "bins": model.n_bins}
