"""The mass profile of Navarro, Frenk & White (1997, ApJ 490, 493)."""

from dataclasses import dataclass

import numpy as np
from astropy import constants, units
from astropy.cosmology import FLRW
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Parameter = float | FloatArray

_BISECTIONS = 50


def critical_density(cosmology: FLRW, redshift: float) -> float:
    """Critical density at a redshift [Msun kpc^-3]."""
    density = 3.0 * cosmology.H(redshift) ** 2 / (8.0 * np.pi * constants.G)
    return float(density.to_value(units.Msun / units.kpc**3))


def overdensity_mass(radius: ArrayLike, overdensity: float, critical: float) -> FloatArray:
    """Mass [Msun] of a sphere of radius [kpc] with a mean density of `overdensity` times the critical one."""
    return 4.0 / 3.0 * np.pi * overdensity * critical * np.asarray(radius, float) ** 3


@dataclass(frozen=True)
class NFW:
    """Density ``rho_s/((r/rs) (1 + r/rs)^2)``.

    Parameters
    ----------
    scale_mass
        4 pi rho_s rs^3 [Msun].
    rs
        Scale radius [kpc]. Both may be arrays that broadcast against the radii.
    """

    scale_mass: Parameter
    rs: Parameter

    @classmethod
    def of(cls, mass: ArrayLike, concentration: ArrayLike, overdensity: float, critical: float) -> "NFW":
        """Halo with a mass [Msun] and a concentration R/rs at an overdensity.

        Parameters
        ----------
        mass, concentration
            For example M500 and c500 for overdensity 500.
        overdensity
            In units of the critical density.
        critical
            Critical density [Msun kpc^-3].
        """
        mass, concentration = np.asarray(mass, float), np.asarray(concentration, float)
        radius = (mass / overdensity_mass(1.0, overdensity, critical)) ** (1.0 / 3.0)
        return cls(mass / _enclosed(concentration), radius / concentration)

    def mass(self, radius: ArrayLike) -> FloatArray:
        """Mass [Msun] within radii [kpc]."""
        return np.asarray(self.scale_mass, float) * _enclosed(np.asarray(radius, float) / self.rs)

    def density(self, radius: ArrayLike) -> FloatArray:
        """Density [Msun kpc^-3] at radii [kpc]."""
        x = np.asarray(radius, float) / self.rs
        rs = np.asarray(self.rs, float)
        return np.asarray(self.scale_mass, float) / (4.0 * np.pi * rs**3 * x * (1.0 + x) ** 2)

    def concentration(self, overdensity: float, critical: float) -> FloatArray:
        """Radius of an overdensity over ``rs``."""
        rs, scale = np.asarray(self.rs, float), np.asarray(self.scale_mass, float)
        # Bisection, since the mean density m(x)/x^3 falls with radius.
        wanted = overdensity_mass(rs, overdensity, critical) / scale
        low, high = np.full(wanted.shape, np.log(1e-4)), np.full(wanted.shape, np.log(1e4))
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            x = np.exp(middle)
            denser = _enclosed(x) / x**3 > wanted
            low, high = np.where(denser, middle, low), np.where(denser, high, middle)
        return np.exp(0.5 * (low + high))

    def radius(self, overdensity: float, critical: float) -> FloatArray:
        """Radius [kpc] within which the mean density is `overdensity` times the critical density."""
        return self.concentration(overdensity, critical) * np.asarray(self.rs, float)


def _enclosed(x: FloatArray) -> FloatArray:
    """m(x) = ln(1 + x) - x/(1 + x), without loss of digits at small x."""
    x = np.asarray(x, float)
    small = x < 1e-3
    series = x**2 * (0.5 - x * (2.0 / 3.0 - 0.75 * x))
    return np.where(small, series, np.log1p(x) - x / (1.0 + x))
