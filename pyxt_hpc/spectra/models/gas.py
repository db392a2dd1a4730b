"""Fully ionised gas: particles, density from the emission, and cooling time."""

from dataclasses import dataclass

import numpy as np
from astropy import units
from numpy.typing import NDArray

from pyxt_hpc.spectra.models.abundances import DEFAULT_TABLE, abundances
from pyxt_hpc.spectra.models.cooling import cooling_table

_N_TRACE = 2
"""Elements from this index on (atomic number 3) scale with the abundance."""

CM_PER_KPC = float(units.kpc.to(units.cm))
_SR_PER_ARCMIN2 = float((units.arcmin**2).to(units.sr))
_ERG_PER_KEV = float(units.keV.to(units.erg))
_S_PER_GYR = float(units.Gyr.to(units.s))

# fmt: off
_WEIGHTS = np.array([
    1.008, 4.0026, 6.94, 9.0122, 10.81, 12.011, 14.007, 15.999, 18.998, 20.180, 22.990, 24.305, 26.982,
    28.085, 30.974, 32.06, 35.45, 39.95, 39.098, 40.078, 44.956, 47.867, 50.942, 51.996, 54.938, 55.845,
    58.933, 58.693, 63.546, 65.38,
])
# fmt: on
"""Standard atomic weights of atomic numbers 1 to 30, abridged (CIAAW)."""


@dataclass(frozen=True)
class Particles:
    """Particles and mass per hydrogen nucleus in fully ionised gas, for one or many regions."""

    electrons: NDArray[np.float64]
    nuclei: NDArray[np.float64]
    mass: NDArray[np.float64]
    """Mass [u]; divided by `electrons` it is the mean molecular weight per electron."""

    @classmethod
    def of(cls, abundance: NDArray | float, table: str = DEFAULT_TABLE) -> "Particles":
        """Particles of gas with a metal abundance [solar] relative to a table."""
        number = abundances(table)
        charges = number * np.arange(1, len(number) + 1)
        metals = np.asarray(abundance, float)
        electrons, nuclei, mass = (
            each[:_N_TRACE].sum() + metals * each[_N_TRACE:].sum()
            for each in (charges, number, number * _WEIGHTS)
        )
        return cls(electrons, nuclei, mass)

    @property
    def mu(self) -> NDArray[np.float64]:
        """Mean mass of a particle, including electrons [u]."""
        return self.mass / (self.electrons + self.nuclei)

    @property
    def mu_e(self) -> NDArray[np.float64]:
        """Mass per electron [u]."""
        return self.mass / self.electrons


def electron_density(
    norm_per_area: NDArray, depth_kpc: NDArray | float, redshift: float, particles: Particles
) -> NDArray[np.float64]:
    """Density of gas that is uniform along a column.

    XSPEC's norm is 1e-14/(4 pi (D_A (1 + z))^2) int n_e n_H dV; with a volume of D_A^2 x solid angle x depth
    the distance cancels.

    Parameters
    ----------
    norm_per_area
        Norm per sky area [1e14 cm^-5 arcmin^-2].
    depth_kpc
        Depth of the column along the line of sight.

    Returns
    -------
    numpy.ndarray
        n_e [cm^-3].
    """
    measure = norm_per_area * 1e14 * 4.0 * np.pi * (1.0 + redshift) ** 2 / _SR_PER_ARCMIN2
    return np.sqrt(particles.electrons * measure / (depth_kpc * CM_PER_KPC))


def cooling_function(
    kT: NDArray, abundance: NDArray | float, table: str = DEFAULT_TABLE
) -> NDArray[np.float64]:
    """Emission per n_e n_H of gas of temperature `kT` [keV] at all energies [erg cm^3 s^-1] (APEC)."""
    nodes, light, metals = cooling_table(table)
    return np.interp(kT, nodes, light) + abundance * np.interp(kT, nodes, metals)


def cooling_time(
    kT: NDArray, density: NDArray, abundance: NDArray | float, table: str = DEFAULT_TABLE
) -> NDArray[np.float64]:
    """Thermal energy over emission, 3/2 (n_e + n_i) kT/(n_e n_H Lambda) [Gyr].

    As in Cavagnolo et al. 2009, ApJS 182, 12; at constant pressure, it is longer by a factor of 5/3.

    Parameters
    ----------
    kT
        Temperature [keV].
    density
        n_e [cm^-3].
    abundance, table
        Metal abundance [solar], and its table.
    """
    particles = Particles.of(abundance, table)
    energy = 1.5 * (1.0 + particles.nuclei / particles.electrons) * kT * _ERG_PER_KEV
    emission = density / particles.electrons * cooling_function(kT, abundance, table)
    return energy / emission / _S_PER_GYR


def cooling_slope(kT: NDArray, abundance: NDArray | float, table: str = DEFAULT_TABLE) -> NDArray[np.float64]:
    """d ln Lambda / d ln kT at `kT` [keV]."""
    above, below = (cooling_function(kT * factor, abundance, table) for factor in (1.1, 1 / 1.1))
    return np.log(above / below) / (2.0 * np.log(1.1))


def cooling_by_metals(
    kT: NDArray, abundance: NDArray | float, table: str = DEFAULT_TABLE
) -> NDArray[np.float64]:
    """d ln Lambda / d abundance at `kT` [keV]."""
    nodes, _, metals = cooling_table(table)
    return np.interp(kT, nodes, metals) / cooling_function(kT, abundance, table)
