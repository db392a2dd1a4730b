"""Density and temperature of intracluster gas as functions of radius (Vikhlinin et al. 2006, ApJ 640, 691).

Every parameter may be a number, or an array that broadcasts with the radii, such as (n, 1) for n models.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Parameter = float | FloatArray

GAMMA = 3.0
"""Sharpness of the steepening at ``rs``, fixed for all clusters as in the paper."""


@dataclass(frozen=True)
class GasDensity:
    """Electron density of the form of their equation 3.

    Parameters
    ----------
    n0
        Electron density of the main component [cm^-3]: in the centre if ``alpha`` is 0, else near ``rc``.
    rc, rs
        Core radius, and radius where the profile steepens [kpc].
    alpha, beta, epsilon
        Slope of n_e^2 within the core, beta of the beta model, and steepening of n_e^2 beyond ``rs``.
    n02, rc2, beta2
        The same for a second component in the core; no such component if ``n02`` is 0.
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
        """n_e^2 of both components, and its logarithmic slope for each."""
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
        Inner slope (r^-a), sharpness, and outer slope (r^-c) of the break.
    cool
        Central temperature over that without a cool core, T_min/T_0 of the paper; 1: no cool core.
    rcool, acool
        Radius [kpc] and sharpness of the cool core.
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
        """Derivatives of ln kT at radii [kpc] above 0 by ln T0, ln rt, c, cool and ln rcool (last axis)."""
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
