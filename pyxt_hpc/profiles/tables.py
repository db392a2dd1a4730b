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
"""S/N, and ratio of outer to inner radius, to which rings are joined for the table of the brightness."""

_RADII = "that of a circle with the area of the pixels within (ellipses: geometric mean of the semi-axes)"

_GAS = {
    "n_e": ("cm-3", "electron density, root mean square in the shell"),
    "kT": ("keV", "temperature of the shell"),
    "abundance": ("", "abundance [solar] of the shell; without an interval if it is frozen"),
    "pressure": ("keV cm-3", "n_e kT"),
    "entropy": ("keV cm2", "kT n_e^(-2/3)"),
    "cooling_time": ("Gyr", "3/2 (n_e + n_i) kT/(n_e n_H Lambda)"),
    "gas_mass": ("solMass", "gas mass within the outer radius"),
}
"""Unit and meaning of every field of `thermodynamics.Gas`."""

_PROJECTED = {
    "kT": ("keV", "temperature from a fit of the annulus alone"),
    "abundance": ("", "abundance [solar] from a fit of the annulus alone"),
    "norm": ("10**14 cm-5", "norm of the whole annulus from a fit of the annulus alone"),
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
    """Table of annuli and shells, a row for each, with the covariances of density and temperature."""
    edges, scale = profile.annuli.edges, profile.kpc_per_arcsec
    geometry, rows = profile.geometry, profile.rows
    table = Table(meta=_description(profile))
    table["r_in"] = _column(edges[:-1], "arcsec", f"inner radius, {_RADII}")
    table["r_out"] = _column(edges[1:], "arcsec", "outer radius")
    table["r"] = _column(geometry.radius_kpc / scale, "arcsec", "radius where the density is n_e")
    for name in ("r_in", "r_out", "r"):
        table[f"{name}_kpc"] = _column(table[name] * scale, "kpc", f"the same as {name}")
        table[f"{name}_kpc"].unit = "kpc"
    table["area"] = _column(profile.annuli.area_arcmin2, "arcmin2", "area of the whole annulus")
    table["counts"] = _column(rows["counts"], "ct", "counts in the band of the spectra")
    table["background_counts"] = _column(rows["background_counts"], "ct", "expected background among them")
    for name, (unit, meaning) in _PROJECTED.items():
        values = {"value": rows[name], "low": rows[f"{name}_lo"], "high": rows[f"{name}_hi"]}
        _with_interval(table, f"projected_{name}", unit, meaning, values)
    table["projected_goodness"] = _column(rows["goodness"], "", "goodness of this fit [sigma]")
    flags = [flag_names(value) for value in rows["flags"].tolist()]
    table["projected_flags"] = Column(flags, dtype=str, description="flags of this fit")
    frozen = np.ptp(profile.gas_draws.abundance, axis=0) == 0
    for name, (unit, meaning) in _GAS.items():
        interval = profile.shells[name]
        values = dict(vars(interval))
        if name == "abundance":
            values |= {end: np.where(frozen, np.nan, values[end]) for end in ("low", "high")}
        _with_interval(table, name, unit, meaning, values)
    table["status"] = Column(profile.status, dtype=str, description="status of the shell")
    brightness = profile.density.draws(geometry.radius_kpc)
    low, high = np.percentile(brightness, (15.865, 84.135), axis=0)
    values = {"value": profile.density.best(geometry.radius_kpc), "low": low, "high": high}
    _with_interval(table, "n_e_brightness", "cm-3", "electron density from the brightness, at r", values)
    for name, one, other, unit in (
        ("cov_n_e_n_e", "n_e", "n_e", "cm-6"),
        ("cov_n_e_kT", "n_e", "kT", "keV cm-3"),
        ("cov_kT_kT", "kT", "kT", "keV2"),
    ):
        table[name] = _column(
            _covariance(profile, one, other),
            unit,
            f"covariance of {one} of this shell with {other} of every shell",
        )
    table["projection"] = _column(
        profile.projection, "", "fraction of every shell's emission in this annulus"
    )
    return table


def _covariance(profile: ClusterProfile, one: str, other: str) -> NDArray[np.float64]:
    """Covariance (n, n) of the draws; NaN where a shell's value is unknown."""
    first, second = (getattr(profile.gas_draws, name) for name in (one, other))
    both = (first - first.mean(axis=0)).T @ (second - second.mean(axis=0)) / (len(first) - 1)
    for axis, name in enumerate((one, other)):
        known = np.isfinite(profile.shells[name].value)
        both = np.where(known[:, None] if axis == 0 else known, both, np.nan)
    return np.asarray(both)


def grouped_rings(profile: ClusterProfile) -> Rings:
    """Rings joined for pictures and tables."""
    return profile.rings.to_signal_to_noise(_SIGNAL_TO_NOISE, _WIDENING)


def brightness_table(profile: ClusterProfile) -> Table:
    """Table of the brightness in the soft band, a row for each ring, with the best beta models."""
    rings, scale = grouped_rings(profile), profile.kpc_per_arcsec
    table = Table(meta=_description(profile))
    unit = "ct s-1 arcmin-2"
    for name, values, its_unit, meaning in (
        ("r_in", rings.edges[:-1], "arcsec", f"inner radius, {_RADII}"),
        ("r_out", rings.edges[1:], "arcsec", "outer radius"),
        ("r", rings.radius, "arcsec", "root mean square radius of the live pixels"),
        ("r_kpc", rings.radius * scale, "kpc", "the same as r"),
        ("counts", rings.counts, "ct", "counts in the soft band"),
        ("background", rings.background, "ct", "expected background among them"),
        ("background_error", np.sqrt(rings.variance), "ct", "Poisson error of the background"),
        ("exposure", rings.exposure, "s arcmin2", "vignetted exposure x live solid angle"),
        ("live", rings.complete, "", "live fraction of the ring, or of its part in the sector"),
        ("brightness", rings.brightness, unit, "(counts - background)/exposure"),
        ("error", rings.error, unit, "Poisson error of the brightness, including that of the background"),
    ):
        table[name] = _column(values, its_unit, meaning)
    for model, name in zip(profile.beta_models, ("beta_model", "double_beta_model"), strict=True):
        values = model.cluster(rings.radius) + model.constant
        table[name] = _column(values, unit, "best model, including its constant")
    return table


def _description(profile: ClusterProfile) -> dict[str, Any]:
    """Header of the tables: options, and results that belong to the whole profile."""
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
