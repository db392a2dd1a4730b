"""Density and temperature of intracluster gas as functions of radius (Vikhlinin et al. 2006, ApJ 640, 691).

Every parameter may be a number or an array that broadcasts against the radii, as (n, 1) for n models at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Parameter = float | FloatArray

GAMMA = 3.0
"""Width of the steepening at ``rs``: they fix it for all clusters."""


@dataclass(frozen=True)
class GasDensity:
    """Emission measure n_p n_e of their equation 3, as the density of electrons.

    Parameters
    ----------
    n0
        Electron density of the main component [cm^-3]; near the core radius where ``alpha`` is not 0.
    rc, rs
        Core radius, and radius where the profile steepens [kpc].
    alpha, beta, epsilon
        Slope of n_e^2 within the core; beta of the beta model; how much n_e^2 steepens beyond ``rs``.
    n02, rc2, beta2
        Of a second component in the core; none if ``n02`` is 0.
    """

    n0: Parameter
    rc: Parameter
    alpha: Parameter
    beta: Parameter
    rs: Parameter
    epsilon: Parameter
    n02: Parameter = 0.0
    rc2: Parameter = 10.0
    beta2: Parameter = 1.0

    def __call__(self, radius: ArrayLike) -> FloatArray:
        """Electron density [cm^-3] at radii [kpc] above 0."""
        main, core, _, _ = self._squared(np.asarray(radius, float))
        return np.sqrt(main + core)

    def slope(self, radius: ArrayLike) -> FloatArray:
        """d ln n_e/d ln r at radii [kpc] above 0."""
        main, core, of_main, of_core = self._squared(np.asarray(radius, float))
        return 0.5 * (main * of_main + core * of_core) / (main + core)

    def _squared(self, r: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Square of n_e of both components, and the logarithmic slope of each."""
        n0, rc, alpha, beta, rs, epsilon, n02, rc2, beta2 = (
            np.asarray(value, float) for value in vars(self).values()
        )
        x, y, z = (r / rc) ** 2, (r / rs) ** GAMMA, (r / rc2) ** 2
        outer = 3.0 * beta - 0.5 * alpha
        main = n0**2 * x ** (-0.5 * alpha) * (1.0 + x) ** -outer * (1.0 + y) ** (-epsilon / GAMMA)
        core = n02**2 * (1.0 + z) ** (-3.0 * beta2)
        of_main = -alpha - 2.0 * outer * x / (1.0 + x) - epsilon * y / (1.0 + y)
        return main, core, of_main, -6.0 * beta2 * z / (1.0 + z)


@dataclass(frozen=True)
class GasTemperature:
    """Temperature in three dimensions, their equation 6: a broken power law with a cool core.

    Parameters
    ----------
    T0
        Normalisation [keV].
    rt
        Radius of the break [kpc].
    a, b, c
        Slope within, sharpness, and slope outside the break: as r^-a and r^-c.
    cool
        Temperature in the centre over that without a core: their T_min/T_0; 1 for no cool core.
    rcool, acool
        Radius of the core [kpc], and how sharp it is.
    """

    T0: Parameter
    rt: Parameter
    a: Parameter
    b: Parameter
    c: Parameter
    cool: Parameter = 1.0
    rcool: Parameter = 50.0
    acool: Parameter = 2.0

    def __call__(self, radius: ArrayLike) -> FloatArray:
        """kT [keV] at radii [kpc] above 0."""
        T0, rt, a, b, c, cool, rcool, acool = self._parameters()
        r = np.asarray(radius, float)
        x = (r / rcool) ** acool
        return T0 * (x + cool) / (x + 1.0) * (r / rt) ** -a * (1.0 + (r / rt) ** b) ** (-c / b)

    def slope(self, radius: ArrayLike) -> FloatArray:
        """d ln kT/d ln r at radii [kpc] above 0."""
        _, rt, a, b, c, cool, rcool, acool = self._parameters()
        r = np.asarray(radius, float)
        x, y = (r / rcool) ** acool, (r / rt) ** b
        return acool * x * (1.0 / (x + cool) - 1.0 / (x + 1.0)) - a - c * y / (1.0 + y)

    def derivatives(self, radius: ArrayLike) -> FloatArray:
        """Of ln kT at radii [kpc] above 0 over ln T0, ln rt, c, cool and ln rcool: they are the last axis."""
        _, rt, a, b, c, cool, rcool, acool = self._parameters()
        r = np.asarray(radius, float)
        x, y = (r / rcool) ** acool, (r / rt) ** b
        by = (
            np.ones(np.broadcast_shapes(x.shape, y.shape)),
            a + c * y / (1.0 + y),
            -np.log1p(y) / b,
            1.0 / (x + cool),
            -acool * x * (1.0 / (x + cool) - 1.0 / (x + 1.0)),
        )
        return np.stack(np.broadcast_arrays(*by), axis=-1)

    def _parameters(self) -> list[FloatArray]:
        return [np.asarray(value, float) for value in vars(self).values()]
