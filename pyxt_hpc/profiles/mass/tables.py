"""Tables of masses: the table of a profile is read, and those of the mass are made."""

import re
from typing import Any

import numpy as np
from astropy.table import Column, Table
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import DamagedFile, ForeignProduct, MissingInput
from pyxt_hpc.files.quoting import one_line
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.fit.cosmology import kpc_per_arcsec
from pyxt_hpc.layout import Layout
from pyxt_hpc.profiles.mass.annuli import AnnularFits
from pyxt_hpc.profiles.mass.estimate import ClusterMass
from pyxt_hpc.profiles.mass.posterior import Interval
from pyxt_hpc.provenance import software

FloatArray = NDArray[np.float64]

_ARCSEC2_PER_ARCMIN2 = 3600.0
_SAME_SCALE = 1e-6
_ENDS = ("", "_lo", "_hi")

_PROFILES = {
    "n_e": ("cm-3", "electron density"),
    "kT": ("keV", "3D temperature at this radius"),
    "mass": ("solMass", "total mass within this radius, in hydrostatic equilibrium"),
    "gas_mass": ("solMass", "gas mass within this radius"),
    "gas_fraction": ("", "gas mass over total mass within this radius"),
}


def read_annuli(config: ClusterConfig, bundle: Bundle, tag: str) -> tuple[AnnularFits, float]:
    """Fits of annuli from the table of a profile, and their mean abundance [solar].

    Parameters
    ----------
    config, bundle
        The cluster.
    tag
        Sector of the profile, such as ``_sector-30-90``; empty without a sector.

    Raises
    ------
    MissingInput
        If there is no such file.
    DamagedFile
        If it is not such a table, or lacks a column.
    ForeignProduct
        If it was made from another bundle or with other cosmological parameters.
    """
    path = Layout.of(config).profile_shells(tag)
    sector = re.sub(r"_sector-(-?[^-]+)-(.+)", r" --sector \1 \2", tag)
    command = f"pyxt-hpc profile-analysis -c {config.path}{sector}"
    if not check_regular(path):
        raise MissingInput(f"there is no profile {path} for a mass: run `{command}` first")
    try:
        table = Table.read(path, format="ascii.ecsv")
        return annuli_of(table, bundle, config, str(path))
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise DamagedFile(
            f"{path}: not a table of a profile ({one_line(str(error))}); make it again with `{command}`"
        ) from error
    except ForeignProduct as error:
        raise ForeignProduct(f"{error}; make it again with `{command}`") from None


def made_from(bundle: Bundle, config: ClusterConfig) -> dict[str, Any]:
    """Header of tables with bundle and scale, which shows whether a profile or a mass is out of date."""
    return {"bundle": bundle.fingerprint, "kpc_per_arcsec": kpc_per_arcsec(config)}


def annuli_of(table: Table, bundle: Bundle, config: ClusterConfig, where: str) -> tuple[AnnularFits, float]:
    """Fits of annuli in a profile's table of shells, and their mean abundance [solar].

    Parameters
    ----------
    table
        Table of annuli and shells.
    bundle, config
        Bundle and cosmology from which the profile must be made.
    where
        Path or description of the table, for messages.

    Raises
    ------
    KeyError, ValueError, TypeError
        If it is not such a table.
    ForeignProduct
        If it was made from another bundle or with other cosmological parameters.
    """
    if table.meta["bundle"] != bundle.fingerprint:
        raise ForeignProduct(f"{where}: made from another bundle")
    made, now = float(table.meta["kpc_per_arcsec"]), kpc_per_arcsec(config)
    if abs(made - now) > _SAME_SCALE * now:
        raise ForeignProduct(
            f"{where}: made with {made:.5g} kpc per arcsec, but hubble_constant and matter_density of "
            f"{config.path} give {now:.5g}"
        )

    def column(name: str) -> FloatArray:
        # no Column, which is slow in every expression
        return np.asarray(np.ma.filled(np.ma.asarray(table[name], np.float64), np.nan))

    area = column("area") * _ARCSEC2_PER_ARCMIN2
    annuli = AnnularFits(
        r_in=column("r_in_kpc"),
        r_out=column("r_out_kpc"),
        counts=column("counts"),
        background=column("background_counts"),
        **{f"kT{end}": column(f"projected_kT{end}") for end in _ENDS},
        **{f"norm{end}": column(f"projected_norm{end}") / area for end in _ENDS},
    )
    metals = column("projected_abundance")
    known, weight = np.isfinite(metals), np.maximum(annuli.counts - annuli.background, 1.0)
    return annuli, float(np.average(metals[known], weights=weight[known])) if known.any() else np.nan


def overdensity_table(mass: ClusterMass, meta: dict[str, Any]) -> Table:
    """Radii and masses at overdensities, a row for each way and overdensity."""
    rows = [(way, sphere) for way, sampled in mass.ways.items() for sphere in sampled.posterior.overdensities]
    table = Table(meta={"written by": software(), **meta, "ways": _description(mass)})
    table["way"] = Column([way for way, _ in rows], dtype=str, description="forward or backward")
    table["overdensity"] = Column(
        [sphere.overdensity for _, sphere in rows], description="in units of the critical density"
    )
    for name, unit, meaning in (
        ("radius", "kpc", "radius of the sphere"),
        ("mass", "solMass", "total mass within this radius"),
        ("gas_mass", "solMass", "gas mass within this radius"),
        ("gas_fraction", "", "gas mass over total mass within this radius"),
    ):
        intervals = [getattr(sphere, name) for _, sphere in rows]
        _add(table, name, unit, meaning, intervals)
    table["extrapolated"] = Column(
        [sphere.is_extrapolated for _, sphere in rows], description="the radius is beyond the last annulus"
    )
    table["note"] = Column(
        [sphere.note for _, sphere in rows], dtype=str, description="why there is no result"
    )
    return table


def profile_table(mass: ClusterMass, meta: dict[str, Any]) -> Table:
    """Profiles of mass and gas, a row for each way and radius."""
    table = Table(meta={"written by": software(), **meta, "ways": _description(mass)})
    posteriors = [sampled.posterior for sampled in mass.ways.values()]
    table["way"] = Column(
        np.repeat([p.way for p in posteriors], [len(p.radius) for p in posteriors]),
        description="forward or backward",
    )
    radius = np.concatenate([p.radius for p in posteriors])
    table["radius"] = Column(radius, unit="kpc")
    for name, (unit, meaning) in _PROFILES.items():
        values = np.concatenate([p.profiles[name] for p in posteriors], axis=1)
        for i, end in enumerate(_ENDS):
            table[f"{name}{end}"] = Column(values[i], unit=unit or None, description=_said(meaning, end))
    table["extrapolated"] = Column(
        radius > mass.annuli.outermost, description="this radius is beyond the last annulus"
    )
    return table


def _add(table: Table, name: str, unit: str, meaning: str, intervals: list[Interval]) -> None:
    for attribute, end in (("value", ""), ("low", "_lo"), ("high", "_hi")):
        values = np.array([getattr(one, attribute) for one in intervals], float)
        table[f"{name}{end}"] = Column(values, unit=unit or None, description=_said(meaning, end))


def _said(meaning: str, end: str) -> str:
    which = {"": "median", "_lo": "lower end of the 68% interval", "_hi": "upper end"}[end]
    return f"{meaning}: {which}"


def _description(mass: ClusterMass) -> dict[str, Any]:
    """Sampling, goodness of fit and parameters of each way."""
    return {
        way: {
            "chi2": s.posterior.chi2,
            "data": s.posterior.n_data,
            "parameters": s.posterior.n_parameters,
            "chi2 that equilibrium costs": s.posterior.excess,
            "converged": s.converged,
            "steps": [chain.steps for chain in s.chains],
            "autocorrelation": s.autocorrelation,
            "R-hat": s.gelman_rubin,
            "medians": {
                name: [float(one.value), float(one.low), float(one.high)]
                for name, one in s.posterior.parameters.items()
            },
        }
        for way, s in mass.ways.items()
    }
