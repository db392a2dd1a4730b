"""The gas that temperature and emission tell of: density, pressure, entropy, cooling time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from astropy import units
from numpy.typing import NDArray

from pyxt_hpc.maps.paint import Measured
from pyxt_hpc.spectra.models.abundances import DEFAULT_TABLE, abundances
from pyxt_hpc.spectra.models.cooling import cooling_table

_N_TRACE = 2
"""Elements from this index on (atomic number 3) scale with the abundance."""

_CM_PER_KPC = float(units.kpc.to(units.cm))
_SR_PER_ARCMIN2 = float((units.arcmin**2).to(units.sr))
_ERG_PER_KEV = float(units.keV.to(units.erg))
_S_PER_GYR = float(units.Gyr.to(units.s))


@dataclass(frozen=True)
class Particles:
    """Numbers of particles per hydrogen nucleus in fully ionised gas, of one or of many regions."""

    electrons: NDArray[np.float64]
    nuclei: NDArray[np.float64]

    @classmethod
    def of(cls, abundance: NDArray | float, table: str = DEFAULT_TABLE) -> "Particles":
        """In gas whose metals have an abundance [solar] of a table."""
        number = abundances(table)
        charges = number * np.arange(1, len(number) + 1)
        metals = np.asarray(abundance, float)
        electrons, nuclei = (
            each[:_N_TRACE].sum() + metals * each[_N_TRACE:].sum() for each in (charges, number)
        )
        return cls(electrons, nuclei)


def electron_density(
    norm_per_area: NDArray, depth_kpc: NDArray | float, redshift: float, particles: Particles
) -> NDArray[np.float64]:
    """Density of gas that fills a column evenly.

    XSPEC's norm is 1e-14/(4 pi (D_A (1 + z))^2) int n_e n_H dV; with a volume of D_A^2 x solid angle x depth
    the distance cancels.

    Parameters
    ----------
    norm_per_area
        [1e14 cm^-5 arcmin^-2].
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


@dataclass(frozen=True, eq=False)
class Uncertain:
    """Something a result depends on.

    `slope` is of ln result over ln parameter, or over the parameter; `minus`, `plus` are errors of the same.
    """

    slope: NDArray | float
    minus: NDArray | float
    plus: NDArray | float

    @classmethod
    def power(cls, slope: NDArray | float, parameter: Measured) -> "Uncertain":
        """Of a result that goes as a power of the parameter."""
        with np.errstate(divide="ignore", invalid="ignore"):  # norm 0 has no relative error
            return cls(slope, parameter.minus / parameter.value, parameter.plus / parameter.value)

    def moves(self, up: bool) -> NDArray[np.float64]:
        """Change of ln result by the error on the side that moves it up, or down."""
        slope = np.asarray(self.slope, float)
        # where the slope is 0 an open interval does not matter
        return np.where(slope == 0, 0.0, slope * np.where((slope > 0) == up, self.plus, self.minus))


def propagate(
    value: NDArray, on: Sequence[Uncertain], correlations: Mapping[tuple[int, int], NDArray | float]
) -> Measured:
    """Errors of a result, in first order of its logarithm.

    The relative variance is sum_ij rho_ij d_i d_j, d_i being what parameter i moves it by with its error
    on the sides that move the result the same way. `correlations` are rho_ij of pairs i < j.
    """

    def side(up: bool) -> NDArray:
        moves = [parameter.moves(up) for parameter in on]
        variance = np.sum([move**2 for move in moves], axis=0)
        for (i, j), rho in correlations.items():
            variance = variance + 2.0 * rho * moves[i] * moves[j]
        return value * np.sqrt(np.maximum(variance, 0.0))

    with np.errstate(invalid="ignore"):
        return Measured(np.where(np.isfinite(value), value, np.nan), side(up=False), side(up=True))
