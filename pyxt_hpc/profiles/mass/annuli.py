"""What the mass is fitted to: one temperature and one norm of each annulus."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MIN_ANNULI = 4
"""A mass needs slopes of density and temperature, and something left to judge the models by."""


@dataclass(frozen=True, eq=False)
class AnnularFits:
    """Fits of a single temperature to annuli, or sectors of annuli, about one centre; every field is (n,).

    Parameters
    ----------
    r_in, r_out
        Projected radii [kpc].
    kT, kT_lo, kT_hi
        [keV] with the ends of the 68% interval; where an end is open (NaN) the temperature does not count.
    norm, norm_lo, norm_hi
        XSPEC's norm per sky area [1e14 cm^-5 arcsec^-2].
    counts, background
        Counts in the band, and those expected of the background: how the fit weighs soft and hard photons.
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
        """Outer edge of the last annulus [kpc]: beyond it every mass is extrapolated."""
        return float(self.r_out.max())

    @property
    def radius(self) -> FloatArray:
        """Middle of each annulus in the logarithm, of a central one half its edge [kpc]."""
        return np.sqrt(np.maximum(self.r_in, 0.25 * self.r_out) * self.r_out)

    @property
    def has_kT(self) -> NDArray[np.bool_]:
        """Whether the temperature has an interval closed on both sides."""
        return _closed(self.kT_lo, self.kT, self.kT_hi)

    @property
    def has_norm(self) -> NDArray[np.bool_]:
        """Whether the norm has one."""
        return _closed(self.norm_lo, self.norm, self.norm_hi)

    def of(self, chosen: NDArray) -> "AnnularFits":
        """Some of the annuli."""
        return AnnularFits(**{name: values[chosen] for name, values in vars(self).items()})


def _closed(low: FloatArray, value: FloatArray, high: FloatArray) -> NDArray[np.bool_]:
    # written so that NaN is not closed
    return (low > 0) & (value > low) & (high > value) & (high < np.inf)
