"""Likelihood of a model of a cluster: its gas is projected, and fitted in the same way as the annuli."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.profiles.gas.projection import volumes
from pyxt_hpc.profiles.mass.annuli import AnnularFits
from pyxt_hpc.profiles.mass.mixing import Mixing
from pyxt_hpc.profiles.mass.models import Backward, MassModel
from pyxt_hpc.spectra.models.gas import CM_PER_KPC, Particles

FloatArray = NDArray[np.float64]

_ARCSEC2 = float(np.radians(1.0 / 3600.0) ** 2)
_SHELLS_PER_E = 14
_REACH = Backward.boundary
"""Outermost radius of the shells over that of the annuli; gas beyond adds less than 1% to the last
annulus."""


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Likelihood of one model for one cluster.

    Parameters
    ----------
    annuli
        The data.
    model
        The model.
    mixing
        Tables for single-temperature fits of these annuli.
    norm_of_measure
        XSPEC's norm per arcsec^2 for a column of n_e^2 of 1 cm^-6 kpc.
    """

    annuli: AnnularFits
    model: MassModel
    mixing: Mixing
    norm_of_measure: float

    @classmethod
    def of(
        cls, annuli: AnnularFits, model: MassModel, mixing: Mixing, redshift: float, particles: Particles
    ) -> "Likelihood":
        """Likelihood for gas of a composition at a redshift."""
        # norm is 1e-14/(4 pi (D_A (1 + z))^2) int n_e n_H dV; per area on the sky, the distance cancels.
        scale = 1e-14 * CM_PER_KPC * _ARCSEC2 / (4.0 * np.pi * (1.0 + redshift) ** 2)
        return cls(annuli, model, mixing, scale / float(particles.electrons))

    @cached_property
    def bounds(self) -> FloatArray:
        """Lowest and highest values of the parameters (2, n_parameter)."""
        return np.array([[p.low, p.high] for p in self.model.parameters]).T

    @cached_property
    def radius(self) -> FloatArray:
        """Radii of the edges of the thin shells [kpc] (n_shell + 1,)."""
        annuli = self.annuli
        first = max(float(annuli.r_in.min()), 0.1 * float(annuli.r_out.min()))
        last = _REACH * annuli.outermost
        return np.geomspace(first, last, int(_SHELLS_PER_E * np.log(last / first)) + 1)

    @cached_property
    def _columns(self) -> FloatArray:
        """Volume of each shell in each annulus, over its area [kpc] (n_annulus, n_shell).

        The first shell is the sphere within the innermost radius.
        """
        annuli, edges = self.annuli, np.concatenate([[0.0], self.radius])
        pairs = [volumes([low, high], edges)[0] for low, high in zip(annuli.r_in, annuli.r_out, strict=True)]
        return np.array(pairs) / (np.pi * (annuli.r_out**2 - annuli.r_in**2))[:, None]

    def predicted(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Temperature [keV] and norm per arcsec^2 that fits of the annuli would find, (n, n_annulus).

        Parameters
        ----------
        theta : (n, n_parameter)
            Models within the bounds.
        """
        density, kT = self.model.gas_at(theta, self.radius)
        # Within the innermost radius, the gas is the same as at this radius.
        squared = np.concatenate([density[:, :1] ** 2, _mean(density**2, self.radius)], axis=1)
        in_shell = np.concatenate([kT[:, :1], np.sqrt(kT[:, 1:] * kT[:, :-1])], axis=1)
        lower, share = self.mixing.spread(in_shell)
        present = slice(int(lower.min()), int(lower.max()) + 2)  # half of the tables, or less
        lower -= present.start
        spread = np.zeros((*squared.shape, present.stop - present.start))
        np.put_along_axis(spread, lower[..., None], (squared * (1.0 - share))[..., None], axis=-1)
        np.put_along_axis(spread, lower[..., None] + 1, (squared * share)[..., None], axis=-1)
        return self.mixing.single_temperature(self.norm_of_measure * (self._columns @ spread), present)

    def residuals(self, theta: FloatArray) -> FloatArray:
        """(ln model - ln data)/sigma (n, 2 n_annulus); errors are most symmetric in the logarithm."""
        kT, norm = self.predicted(theta)
        annuli = self.annuli
        return np.concatenate(
            [
                _pull(kT, annuli.kT, annuli.kT_lo, annuli.kT_hi, annuli.has_kT),
                _pull(norm, annuli.norm, annuli.norm_lo, annuli.norm_hi, annuli.has_norm),
            ],
            axis=1,
        )

    def log_probability(self, theta: FloatArray) -> FloatArray:
        """Log of the posterior (n,), up to a constant; -inf beyond bounds, or if the mass falls outwards."""
        theta = np.atleast_2d(theta)
        inside = np.all((theta >= self.bounds[0]) & (theta <= self.bounds[1]), axis=1)
        inside[inside] = self.model.allowed(theta[inside])
        result = np.full(len(theta), -np.inf)
        if inside.any():
            chi2 = np.sum(self.residuals(theta[inside]) ** 2, axis=1)
            result[inside] = self.model.log_prior(theta[inside]) - 0.5 * chi2
        return result

    @property
    def n_data(self) -> int:
        """Number of data."""
        return int(self.annuli.has_kT.sum() + self.annuli.has_norm.sum())


def _mean(value: FloatArray, radius: FloatArray) -> FloatArray:
    """Volume mean in each shell of a quantity that is a power law between its edges."""
    low, high = value[:, :-1], value[:, 1:]
    ratio = radius[1:] / radius[:-1]
    slope = np.log(high / low) / np.log(ratio) + 3.0
    near = np.abs(slope) < 1e-6
    slope = np.where(near, 1e-6, slope)
    # int r^(slope - 1) dr over int r^2 dr, in units of the inner edge
    return low * (ratio**slope - 1.0) / slope * 3.0 / (ratio**3 - 1.0)


def _pull(
    model: FloatArray, value: FloatArray, low: FloatArray, high: FloatArray, known: NDArray[np.bool_]
) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.log(model / value)
        sigma = np.where(off > 0, np.log(high / value), np.log(value / low))
        return np.where(known, off / sigma, 0.0)
