"""The data of a mass fit: one temperature and one norm for each annulus."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MIN_ANNULI = 4
"""Smallest number of annuli, for slopes of density and temperature and some degrees of freedom."""


@dataclass(frozen=True, eq=False)
class AnnularFits:
    """Single-temperature fits of annuli, or sectors of annuli, around one centre; every field is (n,).

    Parameters
    ----------
    r_in, r_out
        Projected radii [kpc].
    kT, kT_lo, kT_hi
        Temperature and ends of its 68% interval [keV]; a temperature with an open end (NaN) is not used.
    norm, norm_lo, norm_hi
        XSPEC's norm per sky area, with the ends of its 68% interval [1e14 cm^-5 arcsec^-2].
    counts, background
        Counts in the band and expected background counts, which determine the weights of energies in a fit.
    """

    r_in: FloatArray
    r_out: FloatArray
    kT: FloatArray
    kT_lo: FloatArray
    kT_hi: FloatArray
    norm: FloatArray
    norm_lo: FloatArray
    norm_hi: FloatArray
    counts: FloatArray
    background: FloatArray

    @property
    def outermost(self) -> float:
        """Outer edge of the last annulus [kpc], beyond which masses are extrapolated."""
        return float(self.r_out.max())

    @property
    def radius(self) -> FloatArray:
        """Geometric mean of each annulus's radii [kpc]; for a central one, half its outer radius."""
        return np.sqrt(np.maximum(self.r_in, 0.25 * self.r_out) * self.r_out)

    @property
    def has_kT(self) -> NDArray[np.bool_]:
        """Whether the interval of the temperature is closed on both sides."""
        return _closed(self.kT_lo, self.kT, self.kT_hi)

    @property
    def has_norm(self) -> NDArray[np.bool_]:
        """Whether the interval of the norm is closed on both sides."""
        return _closed(self.norm_lo, self.norm, self.norm_hi)

    def of(self, chosen: NDArray) -> "AnnularFits":
        """The chosen annuli."""
        return AnnularFits(**{name: values[chosen] for name, values in vars(self).items()})


def _closed(low: FloatArray, value: FloatArray, high: FloatArray) -> NDArray[np.bool_]:
    # This form of the condition is false for NaN.
    return (low > 0) & (value > low) & (high > value) & (high < np.inf)
