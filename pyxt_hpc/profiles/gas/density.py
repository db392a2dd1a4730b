"""The gas density from the brightness: a model in three dimensions, projected and fitted to counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.parallel.progress import counted
from pyxt_hpc.profiles.brightness.beta_models import BetaProfile
from pyxt_hpc.profiles.brightness.count_fit import RingFit, fit_counts
from pyxt_hpc.profiles.brightness.rings import Rings
from pyxt_hpc.profiles.gas.projection import BEYOND, volumes
from pyxt_hpc.profiles.gas.vikhlinin import GasDensity
from pyxt_hpc.spectra.models.gas import CM_PER_KPC

FloatArray = NDArray[np.float64]
Rate = Callable[[FloatArray], FloatArray]

_THIN = 140
"""Number of shells in which the model is projected."""

# name: (lowest, highest, mean of the prior, width of the prior). Lengths are ln of the ratio to the outermost
# radius, densities ln of the ratio to that of a beta model. Parameters that the counts do not determine stay
# near the mean.
_PARAMETERS = {
    "n0": (-8.0, 8.0, 0.0, 3.0),
    "rc": (-6.0, 0.7, -1.5, 1.5),
    "alpha": (0.0, 3.0, 0.5, 1.0),
    "beta": (0.3, 2.0, 0.65, 0.3),
    "rs": (-3.0, 2.0, 0.0, 1.0),
    "epsilon": (0.0, 5.0, 1.5, 1.5),
    "n02": (-12.0, 8.0, 0.0, 3.0),
    "rc2": (-7.0, -1.0, -3.5, 1.2),
}


@dataclass(frozen=True, eq=False)
class BrightnessDensity:
    """Density model fitted to the brightness.

    Parameters
    ----------
    best
        Best model (Vikhlinin et al. 2006), radii in kpc.
    draws
        Models fitted to drawn counts; every parameter is (n_draw, 1), so that radii (n,) give (n_draw, n).
    constant
        Residual background [count s^-1 arcmin^-2].
    statistic, n_bins
        C, and the number of rings.
    """

    best: GasDensity
    draws: GasDensity
    constant: float
    statistic: float
    n_bins: int


def fit_density(
    rings: Rings,
    start: BetaProfile,
    kpc_per_arcsec: float,
    rate_per_measure: Rate,
    drawn_rates: Sequence[Rate],
    rng: np.random.Generator,
) -> BrightnessDensity:
    """Fit equation 3 of Vikhlinin et al. 2006 (ApJ 640, 691) to the counts of rings by the C-statistic.

    Wide Gaussian priors keep parameters that the counts do not determine near those of typical clusters.

    Parameters
    ----------
    rings
        Thin rings.
    start
        The best beta model, for first guesses.
    kpc_per_arcsec
        Scale.
    rate_per_measure
        Rate [count s^-1] of gas with n_e^2 = 1 cm^-6 in 1 kpc^3, as a function of radius [kpc].
    drawn_rates
        Such rates for drawn temperatures, one for each draw of the density.
    rng
        Random numbers of the draws.
    """
    live = rings.exposure > 0
    counts, background, exposure = rings.counts[live], rings.background[live], rings.exposure[live]
    edges_kpc = rings.edges * kpc_per_arcsec
    outermost = float(edges_kpc[-1])
    thin = np.concatenate([[0.0], np.geomspace(0.25 * edges_kpc[1], BEYOND * outermost, _THIN)])
    middle = np.sqrt(0.5 * (thin[1:] ** 2 + thin[:-1] ** 2))
    arcmin2 = np.pi * np.diff(rings.edges**2) / 3600.0
    columns = (volumes(edges_kpc, thin) / arcmin2[:, None])[live]
    scale = _central_density(start, kpc_per_arcsec, rate_per_measure)

    def model(p: FloatArray) -> GasDensity:
        return _gas(p, scale, outermost)

    def expected(p: FloatArray, rate: FloatArray) -> FloatArray:
        return exposure * (columns @ (rate * model(p)(middle) ** 2) + p[-1]) + background

    low, high, usual, width = (np.array(column) for column in zip(*_PARAMETERS.values(), strict=True))

    floor = -0.95 * float(np.min(background / exposure)) if background.all() else 0.0
    log_core = np.log(np.array(start.cores) * kpc_per_arcsec / outermost)
    constant = max(start.constant, 0.5 * floor)
    two = len(start.peaks) > 1
    begins = []
    for alpha in (0.1, 1.0):
        second = (0.0, log_core[-1]) if two else (-4.0, log_core[0] - 1.5)
        first = -0.5 * np.log(start.peaks[-1] / start.peaks[0]) if two else 0.0
        begins.append(
            np.array([first, log_core[0], alpha, min(start.beta, 1.5), 0.0, 0.5, *second, constant])
        )

    def best_for(
        found: FloatArray, rate: FloatArray, expectation: FloatArray, starts: list[FloatArray]
    ) -> RingFit:
        return fit_counts(
            found,
            lambda p: expected(p, rate),
            starts,
            ([*low, floor], [*high, np.inf]),
            lambda p: (p[:-1] - expectation) / width,
        )

    rate = rate_per_measure(middle)
    fit = best_for(counts, rate, usual, begins)
    mean = expected(fit.values, rate)
    draws = [
        # The means of the priors are drawn, too, so that the errors include the widths of the priors.
        best_for(
            rng.poisson(mean).astype(float), drawn(middle), rng.normal(usual, width), [fit.values]
        ).values
        for drawn in counted("draws of the density", "draw", list(drawn_rates))
    ]
    return BrightnessDensity(
        model(fit.values),
        _gas(np.array(draws).T[:, :, None], scale, outermost),
        float(fit.values[-1]),
        fit.statistic,
        len(counts),
    )


def _gas(p: NDArray, scale: float, outermost: float) -> GasDensity:
    return GasDensity(
        n0=scale * np.exp(p[0]),
        rc=outermost * np.exp(p[1]),
        alpha=p[2],
        beta=p[3],
        rs=outermost * np.exp(p[4]),
        epsilon=p[5],
        n02=scale * np.exp(p[6]),
        rc2=outermost * np.exp(p[7]),
    )


def _central_density(start: BetaProfile, kpc_per_arcsec: float, rate_per_measure: Rate) -> float:
    """Central n_e that gives the peak of the innermost component over a depth of pi/2 core radii."""
    core = start.cores[-1] * kpc_per_arcsec
    per_kpc = rate_per_measure(np.array([core]))[0] * (60.0 * kpc_per_arcsec) ** 2
    return float(np.sqrt(start.peaks[-1] / (per_kpc * 0.5 * np.pi * core)))


def norm_per_measure(hydrogen_per_electron: ArrayLike, distance_kpc: float, redshift: float) -> FloatArray:
    """XSPEC's norm of gas with n_e^2 = 1 cm^-6 in 1 kpc^3: 1e-14/(4 pi (D_A (1 + z))^2) n_e n_H V."""
    # kpc^3/kpc^2 is kpc, which is converted to cm.
    area = 4.0 * np.pi * (distance_kpc * (1.0 + redshift)) ** 2
    return np.asarray(hydrogen_per_electron, float) * 1e-14 * CM_PER_KPC / area
