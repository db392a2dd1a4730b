"""Photoelectric absorption by the interstellar medium: phabs and TBabs from tabulated cross-sections.

``phabs`` with ``bcmc``: Balucinska-Church & McCammon 1992 (ApJ 400, 699), He of Yan et al. 1998 (ApJ 496,
1044); with ``vern``: Verner et al. 1996 (ApJ 465, 487). ``tbabs``: Wilms, Allen & McCray 2000 (ApJ 542,
914), gas, H2 and grains, version 2.3 with fine structure at the edges. `pyxt_hpc.data.makers` samples them in
XSPEC; bins are treated as in XSPEC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.errors import ConfigError, DamagedFile
from pyxt_hpc.files.hdf5 import open_hdf5
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.spectra.models.abundances import DEFAULT_TABLE, abundances

TABLE_PATH = Path(str(files("pyxt_hpc") / "data" / "tables" / "absorption.h5"))
MODELS = ("phabs", "tbabs")
CROSS_SECTIONS = ("bcmc", "vern", "tbabs")
ATOMIC_NUMBERS = np.array([1, 2, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 20, 24, 26, 27, 28])

_H_PER_nH = 1e22
# Nodes closer than this (relative) are the two sides of an edge.
_EDGE_WIDTH = 1e-5
# TBabs' defaults (Wilms et al. 2000, table 2 and section 2.4): fraction of each element in the gas, grains
_IN_GAS = np.array([1, 1, 0.5, 1, 0.6, 1, 0.25, 0.2, 0.02, 0.1, 0.6, 0.5, 1, 0.003, 0.03, 0.3, 0.05, 0.04])
_GRAIN_DENSITY = 1.0  # g cm^-3
_GRAIN_RADIUS_cm = (0.025e-4, 0.25e-4)
_GRAIN_SLOPE = 3.5
_ATOMIC_MASS = """1.008 4.0026 12.011 14.007 15.999 20.180 22.990 24.305 26.982
    28.085 32.06 35.45 39.948 40.078 51.996 55.845 58.933 58.693"""
_ATOMIC_MASS_g = 1.66053907e-24 * np.array(_ATOMIC_MASS.split(), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class CrossSections:
    """Cross-sections of 18 elements, interpolated linearly in ln E between nodes.

    Attributes
    ----------
    log_energy : (n,) float64
        ln of the energy [keV], ascending.
    log_sigma_e3 : (18, n) float64
        ln of cross-section times energy cubed [cm^2 keV^3], for `ATOMIC_NUMBERS`.
    """

    log_energy: NDArray[np.float64]
    log_sigma_e3: NDArray[np.float64]

    def at(self, energy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cross-sections (18, n_energy) [cm^2] at `energy` [keV]; as E^-3 outside the table."""
        log_energy = np.log(np.maximum(energy, 1e-3))
        rows = [np.interp(log_energy, self.log_energy, row) for row in self.log_sigma_e3]
        return np.exp(np.array(rows) - 3.0 * log_energy)

    def mean_of_ends(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cross-sections (18, n_bin) of bins as in XSPEC's `vern` and TBabs: the mean of both edges."""
        at_edges = self.at(edges)
        return 0.5 * (at_edges[:, :-1] + at_edges[:, 1:])

    def log_mean(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cross-sections (18, n_bin) of bins as in XSPEC's `bcmc`.

        This is the value at the bin's centre; for bins with an absorption edge, the mean of ln(sigma E^3).
        """
        middle = 0.5 * (edges[:-1] + edges[1:])
        sigma = self.at(middle)
        node = np.exp(self.log_energy)
        jumps = node[1:][np.diff(self.log_energy) < _EDGE_WIDTH]
        with_edge = np.flatnonzero(np.diff(np.searchsorted(jumps, edges)))
        for i in with_edge:
            inside = (node > edges[i]) & (node < edges[i + 1])
            x = np.concatenate([[edges[i]], node[inside], [edges[i + 1]]])
            for z, row in enumerate(self.log_sigma_e3):
                y = np.interp(np.log(np.maximum(x, 1e-3)), self.log_energy, row)
                mean = np.trapezoid(y, x) / (x[-1] - x[0])
                sigma[z, i] = np.exp(mean) / middle[i] ** 3
        return sigma


@lru_cache
def load_cross_sections() -> Mapping[str, CrossSections]:
    """Tables of the package, by the names in `CROSS_SECTIONS`.

    Raises
    ------
    DamagedFile
        If the installed table cannot be read.
    """
    try:
        with open_hdf5(TABLE_PATH) as file:
            tables = {
                name: CrossSections(
                    np.log(file[name]["energy"][()]), file[name]["log_sigma_e3"][()].astype(np.float64)
                )
                for name in CROSS_SECTIONS
            }
    except (OSError, KeyError) as error:
        raise DamagedFile(
            f"{TABLE_PATH}: cross-sections cannot be read ({error}); install pyxt_hpc again"
        ) from error
    return MappingProxyType(tables)


def transmission(
    energy_edges: ArrayLike,
    nH: float,
    model: str = "phabs",
    cross_sections: str = "bcmc",
    abundance_table: str = DEFAULT_TABLE,
) -> NDArray[np.float64]:
    """Fraction of the photons of each bin that a column of cold gas transmits.

    Parameters
    ----------
    energy_edges : (n_bin + 1,)
        [keV], ascending.
    nH : float
        Column density of hydrogen [1e22 cm^-2].
    model : str
        ``phabs`` or ``tbabs``.
    cross_sections : str
        ``bcmc`` or ``vern``, for phabs; TBabs has its own.
    abundance_table : str
        A name of `abundances.load_abundances`; TBabs is meant for ``wilm``.

    Returns
    -------
    (n_bin,) float64

    Raises
    ------
    ConfigError
        Unknown model, cross-sections or abundance table.
    """
    if model not in MODELS:
        raise ConfigError(f"absorption model {quoted(model)} is unknown; choose one of {', '.join(MODELS)}")
    if cross_sections not in ("bcmc", "vern"):
        raise ConfigError(f"cross-sections {cross_sections!r} are unknown; choose one of bcmc, vern")
    edges = np.asarray(energy_edges, dtype=np.float64)
    abundance = abundances(abundance_table)[ATOMIC_NUMBERS - 1]
    tables = load_cross_sections()
    if model == "tbabs":
        per_hydrogen = _with_grains(tables["tbabs"].mean_of_ends(edges), abundance)
    elif cross_sections == "bcmc":
        per_hydrogen = abundance @ tables["bcmc"].log_mean(edges)
    else:
        per_hydrogen = abundance @ tables["vern"].mean_of_ends(edges)
    return np.exp(-nH * _H_PER_nH * per_hydrogen)


def _with_grains(sigma: NDArray[np.float64], abundance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross-section (n_bin,) per H atom of gas and of grains, including self-shielding within grains.

    Wilms et al. 2000, eq. 7-9: a grain of radius a has the mean optical depth 4/3 a rho <sigma> / <m>.
    """
    in_grains = abundance * (1.0 - _IN_GAS)
    grains = in_grains @ sigma
    depth_per_cm = 4.0 / 3.0 * _GRAIN_DENSITY * grains / (in_grains @ _ATOMIC_MASS_g)
    log_lo, log_hi = np.log(_GRAIN_RADIUS_cm)
    x, weight = np.polynomial.legendre.leggauss(24)
    radius = np.exp(0.5 * (log_hi - log_lo) * x + 0.5 * (log_hi + log_lo))
    mass = weight * radius ** (4.0 - _GRAIN_SLOPE)
    depth = np.maximum(np.outer(radius, depth_per_cm), 1e-12)
    seen = mass @ (-np.expm1(-depth) / depth) / mass.sum()
    return (abundance * _IN_GAS) @ sigma + grains * seen
