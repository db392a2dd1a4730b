"""Hydrostatic equilibrium of a spherical cluster: mass from gas, and temperature from mass.

Units: radii in kpc, electron densities in cm^-3, kT in keV, masses in Msun.
"""

import numpy as np
from astropy import constants, units
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

G_U = float((constants.G * constants.M_sun * constants.u / units.kpc).to_value(units.keV))
"""Gravitational energy of an atomic mass unit at 1 kpc from 1 Msun [keV]."""

_MSUN_PER_CM3_KPC3 = float((constants.u / units.cm**3 * units.kpc**3).to_value(units.Msun))


def hydrostatic_mass(
    radius: ArrayLike, kT: ArrayLike, density_slope: ArrayLike, kT_slope: ArrayLike, mu: float
) -> FloatArray:
    """Hydrostatic mass [Msun] within radii (Vikhlinin et al. 2006, equation 7).

    Parameters
    ----------
    radius, kT
        Radii [kpc] and temperatures [keV].
    density_slope, kT_slope
        d ln n_e/d ln r and d ln kT/d ln r; if their sum is positive, the mass is negative, and there is no
        equilibrium.
    mu
        Mean molecular weight of the gas.
    """
    slopes = np.asarray(density_slope, float) + np.asarray(kT_slope, float)
    return -np.asarray(kT, float) * np.asarray(radius, float) * slopes / (G_U * mu)


def hydrostatic_temperature(
    radius: FloatArray, density: FloatArray, mass: FloatArray, mu: float, outer_kT: ArrayLike
) -> FloatArray:
    """Temperature kT [keV] of gas in equilibrium with a mass, by integrating its pressure inwards.

    Between radii, the weight of the gas is taken as a power law.

    Parameters
    ----------
    radius : (n,)
        Ascending radii [kpc].
    density, mass : (..., n)
        n_e [cm^-3] at these radii, and mass within them [Msun].
    mu
        Mean molecular weight of the gas.
    outer_kT : (...)
        kT at the last radius [keV]: the boundary condition.
    """
    weight = G_U * mu * mass * density / radius  # -d(n_e kT)/d ln r
    shells, _ = _between(radius, weight)
    outside = np.cumsum(shells[..., ::-1], axis=-1)[..., ::-1]
    pressure = np.broadcast_to(
        (np.asarray(outer_kT, float) * density[..., -1])[..., None], weight.shape
    ).copy()
    pressure[..., :-1] += outside
    return pressure / density


def gas_mass(radius: FloatArray, density: FloatArray, mu_e: float) -> FloatArray:
    """Mass of the gas [Msun] within each of ascending radii.

    Parameters
    ----------
    radius : (n,)
        Radii [kpc]; the density is taken as a power law between them, and within the first.
    density : (..., n)
        n_e [cm^-3].
    mu_e
        Mass per electron [atomic mass units].
    """
    shell = 4.0 * np.pi * radius**3 * density * mu_e * _MSUN_PER_CM3_KPC3  # dM/d ln r
    shells, slopes = _between(radius, shell)
    inner = shell[..., :1] / np.maximum(slopes[..., :1], 1.0)
    return np.concatenate([inner, inner + np.cumsum(shells, axis=-1)], axis=-1)


def _between(radius: FloatArray, per_log_radius: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Integrals between the radii of what is a power law there, given per ln r at them; its exponents."""
    step = np.diff(np.log(radius))
    growth = np.log(per_log_radius[..., 1:] / per_log_radius[..., :-1])
    flat = np.abs(growth) < 1e-6
    mean = np.diff(per_log_radius) / np.where(flat, 1.0, growth)
    return np.where(flat, per_log_radius[..., :-1], mean) * step, growth / step
