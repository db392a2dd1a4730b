"""The gas that temperature and emission tell of: density, pressure, entropy, cooling time."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy import units
from numpy.typing import NDArray

from pyxt_hpc.maps.paint import Measured
from pyxt_hpc.spectra.abundances import DEFAULT_TABLE, abundances
from pyxt_hpc.spectra.plasma import load_plasma

_N_TRACE = 2
"""Elements from this index on (atomic number 3) scale with the abundance."""

_CM_PER_KPC = float(units.kpc.to(units.cm))
_SR_PER_ARCMIN2 = float((units.arcmin**2).to(units.sr))
_ERG_PER_KEV = float(units.keV.to(units.erg))
_S_PER_GYR = float(units.Gyr.to(units.s))


@dataclass(frozen=True)
class Particles:
    """Numbers of particles per hydrogen nucleus in fully ionised gas."""

    electrons: float
    nuclei: float

    @classmethod
    def of(cls, abundance: float, table: str = DEFAULT_TABLE) -> "Particles":
        """In gas whose metals have an abundance [solar] of a table."""
        number = abundances(table).copy()
        number[_N_TRACE:] *= abundance
        charge = np.arange(1, len(number) + 1)
        return cls(float(number @ charge), float(number.sum()))


def electron_density(
    norm_per_area: NDArray, depth_kpc: NDArray | float, redshift: float, particles: Particles
) -> NDArray[np.float64]:
    """Density of gas that fills a column evenly.

    XSPEC's norm is 1e-14/(4 pi (D_A (1 + z))^2) int n_e n_H dV; with a volume of D_A^2 x solid angle x depth
    the distance cancels.

    Parameters
    ----------
    norm_per_area
        [1e-14 cm^-5 arcmin^-2].
    depth_kpc
        Of the column along the line of sight.
    redshift, particles
        Of the gas.

    Returns
    -------
    numpy.ndarray
        n_e [cm^-3].
    """
    measure = norm_per_area * 1e14 * 4.0 * np.pi * (1.0 + redshift) ** 2 / _SR_PER_ARCMIN2
    return np.sqrt(particles.electrons * measure / (depth_kpc * _CM_PER_KPC))


@lru_cache(maxsize=8)
def _cooling_function(abundance: float, table: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    edges = np.geomspace(0.01, 200.0, 2001)
    plasma = load_plasma()
    light, metals = plasma.components(edges, 0.0, table)
    energy = np.sqrt(edges[1:] * edges[:-1]) * _ERG_PER_KEV
    # flux at norm 1, times 4 pi D^2, per emission measure: 4 pi D^2 x 1e14
    return plasma.kT, 1e-14 * ((light + abundance * metals) @ energy)


def cooling_function(kT: NDArray, abundance: float, table: str = DEFAULT_TABLE) -> NDArray[np.float64]:
    """Emission per n_e n_H of gas of temperature `kT` [keV] from 0.01 to 200 keV [erg cm^3 s^-1] (APEC)."""
    return np.interp(kT, *_cooling_function(float(abundance), table))


def cooling_time(
    kT: NDArray, density: NDArray, abundance: float, table: str = DEFAULT_TABLE
) -> NDArray[np.float64]:
    """Thermal energy over emission, 3/2 (n_e + n_i) kT/(n_e n_H Lambda) [Gyr].

    As Cavagnolo et al. 2009, ApJS 182, 12; at constant pressure it is longer by 5/3.

    Parameters
    ----------
    kT
        [keV].
    density
        n_e [cm^-3].
    abundance, table
        Of metals [solar].
    """
    particles = Particles.of(abundance, table)
    energy = 1.5 * (1.0 + particles.nuclei / particles.electrons) * kT * _ERG_PER_KEV
    emission = density / particles.electrons * cooling_function(kT, abundance, table)
    return energy / emission / _S_PER_GYR


def cooling_slope(kT: NDArray, abundance: float, table: str = DEFAULT_TABLE) -> NDArray[np.float64]:
    """d ln Lambda / d ln kT at `kT` [keV]."""
    above, below = (cooling_function(kT * factor, abundance, table) for factor in (1.1, 1 / 1.1))
    return np.log(above / below) / (2.0 * np.log(1.1))


def power_law(
    value: NDArray,
    kT: Measured,
    norm: Measured,
    kT_power: NDArray | float,
    norm_power: float,
    correlation: NDArray | float,
) -> Measured:
    """Errors of something proportional to kT^a norm^b.

    The relative variance is a^2 s_T^2 + b^2 s_n^2 + 2 a b rho s_T s_n, s being the relative errors on the
    sides that move the result the same way.

    Parameters
    ----------
    value
        The result.
    kT, norm
        What was fitted.
    kT_power, norm_power
        a and b.
    correlation
        rho of the errors of kT and norm.
    """

    a, b = np.asarray(kT_power, float), norm_power

    def side(up: bool) -> NDArray:
        # where a is 0 an open interval of kT does not matter
        s_T = np.where(a == 0, 0.0, a * np.where((a > 0) == up, kT.plus, kT.minus) / kT.value)
        s_n = b * (norm.plus if (b > 0) == up else norm.minus) / norm.value
        return value * np.sqrt(np.maximum(s_T**2 + s_n**2 + 2.0 * correlation * s_T * s_n, 0.0))

    with np.errstate(divide="ignore", invalid="ignore"):  # norm 0 has no relative error
        return Measured(np.where(np.isfinite(value), value, np.nan), side(up=False), side(up=True))
