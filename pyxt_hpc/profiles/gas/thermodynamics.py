"""Pressure, entropy, cooling time and gas mass of shells with known density and temperature."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy import units
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from pyxt_hpc.profiles.gas.projection import shell_volumes, thin_shells
from pyxt_hpc.spectra.models.gas import CM_PER_KPC, Particles, cooling_time

FloatArray = NDArray[np.float64]

_MSUN_PER_U = float(units.u.to(units.Msun))
_SIGMA = 15.865, 84.135
_MIN_SHELLS = 4


@dataclass(frozen=True, eq=False)
class Intervals:
    """A quantity of every shell with its 68% interval, (n,) each; NaN where unknown or open."""

    value: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of_draws(cls, value: FloatArray, draws: FloatArray) -> "Intervals":
        """Best values with quantiles of draws (n_draw, n); draws that are NaN do not count."""
        low, high = np.full(len(value), np.nan), np.full(len(value), np.nan)
        known = np.isfinite(draws).any(axis=0)
        low[known], high[known] = np.nanpercentile(draws[:, known], _SIGMA, axis=0)
        return cls(value, low, high)

    def blanked(self, where: NDArray[np.bool_]) -> "Intervals":
        """Copy with NaN at some shells."""
        return Intervals(*(np.where(where, np.nan, a) for a in (self.value, self.low, self.high)))


@dataclass(frozen=True, eq=False)
class ShellGeometry:
    """Shells, and the shape of the density within them.

    Parameters
    ----------
    edges_kpc
        (n + 1,) edges, from 0.
    volume_kpc3
        (n,) volumes.
    radius_kpc
        (n,) radius where the density equals its root mean square in the shell.
    evenness
        (n,) mean density over its root mean square.
    """

    edges_kpc: FloatArray
    volume_kpc3: FloatArray
    radius_kpc: FloatArray
    evenness: FloatArray

    @classmethod
    def of(cls, edges_kpc: FloatArray, density: Callable[[FloatArray], FloatArray]) -> "ShellGeometry":
        """Geometry for a density model in any unit; only its shape within each shell matters."""
        n = len(edges_kpc) - 1
        thin, shell = thin_shells(edges_kpc)
        inside = shell < n
        thin, shell = thin[: np.count_nonzero(inside) + 1], shell[inside]
        middle = np.sqrt(thin[1:] * np.maximum(thin[:-1], 0.3 * thin[1:]))
        volume, value = shell_volumes(thin), density(middle)
        whole = np.bincount(shell, volume, n)
        mean, square = (np.bincount(shell, volume * value**k, n) / whole for k in (1, 2))
        rms = np.sqrt(square)
        # np.interp needs ascending values, but the density falls outwards: hence the minus signs.
        radius = np.array([np.interp(-rms[i], -value[shell == i], middle[shell == i]) for i in range(n)])
        return cls(edges_kpc, shell_volumes(edges_kpc), radius, mean / rms)


@dataclass(frozen=True, eq=False)
class Gas:
    """Quantities (..., n) of shells.

    Parameters
    ----------
    n_e
        Root mean square of the electron density [cm^-3].
    kT, abundance
        Temperature [keV] and abundance [solar].
    pressure, entropy
        n_e kT [keV cm^-3] and kT n_e^(-2/3) [keV cm^2].
    cooling_time
        3/2 (n_e + n_i) kT/(n_e n_H Lambda) [Gyr].
    gas_mass
        Gas mass within the outer radius of each shell [solar masses].
    """

    n_e: FloatArray
    kT: FloatArray
    abundance: FloatArray
    pressure: FloatArray
    entropy: FloatArray
    cooling_time: FloatArray
    gas_mass: FloatArray

    @classmethod
    def of(
        cls, n_e: FloatArray, kT: FloatArray, abundance: FloatArray, geometry: ShellGeometry, table: str
    ) -> "Gas":
        """Gas with density, temperature and abundance (..., n), relative to an abundance table of XSPEC."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return cls(
                n_e=n_e,
                kT=kT,
                abundance=abundance,
                pressure=n_e * kT,
                entropy=kT * n_e ** (-2.0 / 3.0),
                cooling_time=cooling_time(kT, n_e, abundance, table),
                gas_mass=mass_within(n_e, abundance, geometry, table),
            )


def mass_within(n_e: FloatArray, abundance: FloatArray, geometry: ShellGeometry, table: str) -> FloatArray:
    """Mass of the gas within the outer radius of each shell [solar masses]; arguments as `Gas.of`."""
    particles = Particles.of(abundance, table)
    mass = particles.mu_e * n_e * geometry.evenness * geometry.volume_kpc3 * CM_PER_KPC**3 * _MSUN_PER_U
    return np.cumsum(mass, axis=-1)


def density_of_norm(
    norm: FloatArray, abundance: FloatArray, volume_kpc3: FloatArray, norm_per_measure: float, table: str
) -> FloatArray:
    """Root mean square n_e [cm^-3] of shells (..., n) from their norms.

    `norm_per_measure` is the norm of gas with n_e n_H = 1 cm^-6 in 1 kpc^3.
    """
    electrons = Particles.of(abundance, table).electrons
    return np.sqrt(norm * electrons / (norm_per_measure * volume_kpc3))


@dataclass(frozen=True)
class EntropyFit:
    """K(r) = K0 + K100 (r/100 kpc)^alpha (Cavagnolo et al. 2009, ApJS 182, 12), with standard errors."""

    K0: float
    K0_error: float
    K100: float
    K100_error: float
    alpha: float
    alpha_error: float
    chi2: float
    dof: int

    def __call__(self, radius_kpc: FloatArray) -> FloatArray:
        """Entropy [keV cm^2] at radii [kpc]."""
        return _entropy(radius_kpc, self.K0, self.K100, self.alpha)


def _entropy(radius: FloatArray, K0: float, K100: float, alpha: float) -> FloatArray:
    return np.asarray(K0 + K100 * (radius / 100.0) ** alpha)


def fit_entropy(radius_kpc: FloatArray, entropy: FloatArray, draws: FloatArray) -> EntropyFit | None:
    """Fit K0, K100 and alpha by least squares with the covariance of draws (n_draw, n).

    Shells whose entropy is NaN are left out. Returns None if fewer than four shells are left, if there are
    fewer than two draws per shell (too few for a covariance), or if the fit does not converge.
    """
    use = np.isfinite(entropy) & np.isfinite(draws).all(axis=0)
    if np.count_nonzero(use) < _MIN_SHELLS or len(draws) < 2 * np.count_nonzero(use):
        return None
    radius, value = radius_kpc[use], entropy[use]
    covariance = np.cov(draws[:, use], rowvar=False)
    start = [0.5 * float(value.min()), float(np.interp(100.0, radius, value)), 1.1]
    try:
        best, errors = curve_fit(
            _entropy,
            radius,
            value,
            start,
            covariance,
            absolute_sigma=True,
            bounds=([-np.inf, 0.0, 0.05], [np.inf, np.inf, 5.0]),
        )
    except (RuntimeError, np.linalg.LinAlgError):
        return None
    left = value - _entropy(radius, *best)
    sigma = np.sqrt(np.diag(errors))
    return EntropyFit(
        K0=float(best[0]),
        K0_error=float(sigma[0]),
        K100=float(best[1]),
        K100_error=float(sigma[1]),
        alpha=float(best[2]),
        alpha_error=float(sigma[2]),
        chi2=float(left @ np.linalg.solve(covariance, left)),
        dof=len(value) - 3,
    )
