"""Beta models of a brightness profile: one, or the sum of two, plus a constant."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.profiles.brightness.count_fit import RingFit, fit_counts
from pyxt_hpc.profiles.brightness.rings import Rings

FloatArray = NDArray[np.float64]

_MIN_COUNTS = 50.0
_BETA = 0.35, 3.0
_NAMES = {1: ("S0", "rc", "beta", "constant"), 2: ("S0", "rc", "beta", "constant", "S0_2", "rc_2")}


@dataclass(frozen=True, eq=False)
class BetaProfile:
    """S(R) = sum_i S_i (1 + (R/r_i)^2)^(1/2 - 3 beta) + constant (Cavaliere & Fusco-Femiano 1976).

    Parameters
    ----------
    peaks, cores
        S_i [count s^-1 arcmin^-2] and r_i [arcsec] of one or two components.
    beta
        Common beta of all components.
    constant
        Residual background [count s^-1 arcmin^-2]; may be negative.
    errors
        Standard deviation of each parameter, by name.
    statistic, n_bins
        C, and the number of rings.
    """

    peaks: tuple[float, ...]
    cores: tuple[float, ...]
    beta: float
    constant: float
    errors: dict[str, float]
    statistic: float
    n_bins: int

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters by name; S0 and rc of the first component, S0_2 and rc_2 of the second."""
        values = [self.peaks[0], self.cores[0], self.beta, self.constant, *self.peaks[1:], *self.cores[1:]]
        return dict(zip(_NAMES[len(self.peaks)], values, strict=True))

    @property
    def bic(self) -> float:
        """Bayesian information criterion; the model with the lower value is preferred."""
        return self.statistic + len(self.parameters) * float(np.log(self.n_bins))

    def component(self, i: int, radius: ArrayLike) -> FloatArray:
        """Brightness of one component at radii [arcsec]."""
        x = (np.asarray(radius, float) / self.cores[i]) ** 2
        return np.asarray(self.peaks[i] * (1.0 + x) ** (0.5 - 3.0 * self.beta))

    def cluster(self, radius: ArrayLike) -> FloatArray:
        """Brightness without the constant at radii [arcsec]."""
        return np.sum([self.component(i, radius) for i in range(len(self.peaks))], axis=0)


def fit_beta_models(rings: Rings) -> tuple[BetaProfile, BetaProfile]:
    """Fit one and two components to the counts of rings by the C-statistic.

    Parameters
    ----------
    rings
        Thin rings; the model is evaluated at their radius.

    Raises
    ------
    EmptySelection
        If there are too few counts above the background, or the brightness does not fall outwards.
    """
    live = rings.exposure > 0
    radius, counts, background, exposure = (
        a[live] for a in (rings.radius, rings.counts, rings.background, rings.exposure)
    )
    net = float(counts.sum() - background.sum())
    if net < _MIN_COUNTS or len(counts) < len(_NAMES[2]) + 2:
        raise EmptySelection(
            f"a profile of {len(counts)} rings with {net:.0f} counts above the background: too few for a "
            "beta model; choose a wider sector or another centre"
        )
    outermost = float(radius[-1])
    # Lower limit of the constant, such that the expected counts of every ring stay positive.
    floor = -0.95 * float(np.min(background / exposure)) if background.all() else 0.0
    core = slice(0, int(np.argmax(np.cumsum(counts - background) > 0.02 * net)) + 1)
    peak = float((counts - background)[core].sum() / exposure[core].sum())
    high_peak, low_core, high_core = np.log(1e4 * peak), np.log(0.5), np.log(2.0 * outermost)

    def cluster(p: FloatArray) -> FloatArray:
        profile = np.zeros(len(radius))
        for log_peak, log_core in (p[[0, 1]], *([p[[4, 5]]] if len(p) > 4 else [])):
            profile += np.exp(log_peak) * (1.0 + (radius / np.exp(log_core)) ** 2) ** (0.5 - 3.0 * p[2])
        return profile

    def expected(p: FloatArray) -> FloatArray:
        return exposure * (cluster(p) + p[3]) + background

    low = [high_peak - 30.0, low_core, _BETA[0], floor]
    high = [high_peak, high_core, _BETA[1], np.inf]
    starts = [[np.log(peak), np.log(part * outermost), 0.65, 0.0] for part in (0.03, 0.12, 0.3)]
    single = fit_counts(counts, expected, starts, (low, high))
    if single.values[2] < _BETA[0] + 1e-3 and single.values[1] > high_core - 1e-3:
        raise EmptySelection("the brightness does not fall outwards: choose another centre or sector")
    at = single.values
    # The second component is the smaller one, the cool core.
    starts = [
        [at[0] - np.log(2.0 * part), at[1] + 0.3, min(at[2] + 0.03, 1.0), at[3], at[0] + boost, at[1] - gap]
        for boost, gap, part in ((1.0, 1.5, 1.0), (0.0, 0.7, 1.0), (2.0, 2.5, 0.5))
    ]
    double = fit_counts(counts, expected, starts, ([*low, low[0], low_core], [*high, high_peak, high_core]))
    return _profile(single, len(counts)), _profile(double, len(counts))


def _profile(fit: RingFit, n_bins: int) -> BetaProfile:
    two = len(fit.values) > 4
    names = _NAMES[1 + two]
    is_log = np.array([name[0] in "Sr" for name in names])
    values = np.where(is_log, np.exp(np.where(is_log, fit.values, 0.0)), fit.values)
    errors = np.sqrt(np.diag(fit.covariance)) * np.where(is_log, values, 1.0)
    order = np.arange(len(names))
    if two and values[5] > values[1]:  # the second component shall be the smaller one
        order = np.array([4, 5, 2, 3, 0, 1])
    sorted_values = values[order].tolist()
    return BetaProfile(
        peaks=tuple(sorted_values[0::4]),
        cores=tuple(sorted_values[1::4]),
        beta=sorted_values[2],
        constant=sorted_values[3],
        errors=dict(zip(names, errors[order].tolist(), strict=True)),
        statistic=fit.statistic,
        n_bins=n_bins,
    )


def preferred(single: BetaProfile, double: BetaProfile) -> BetaProfile:
    """Model with the lower Bayesian information criterion."""
    return double if double.bic < single.bic else single
