"""Fits of models to counts in rings by the C-statistic, with scipy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import xlogy

FloatArray = NDArray[np.float64]

_TINY = 1e-10


@dataclass(frozen=True, eq=False)
class RingFit:
    """Best fit of a model.

    Parameters
    ----------
    values
        (n,) best parameters.
    covariance
        (n, n) covariance from the expected curvature of the statistic.
    statistic
        C (Cash 1979) minus that of the saturated model.
    """

    values: FloatArray
    covariance: FloatArray
    statistic: float


def deviance(counts: FloatArray, expected: FloatArray) -> FloatArray:
    """Signed square root of each bin's contribution to C."""
    model = np.maximum(expected, _TINY)
    share = np.maximum(2.0 * (model - counts + xlogy(counts, np.maximum(counts, 1.0) / model)), 0.0)
    return np.sign(model - counts) * np.sqrt(share)


def fit_counts(
    counts: FloatArray,
    expected: Callable[[FloatArray], FloatArray],
    starts: Sequence[Sequence[float] | FloatArray],
    bounds: tuple[Sequence[float], Sequence[float]],
    priors: Callable[[FloatArray], FloatArray] | None = None,
) -> RingFit:
    """Minimise C from several starting points, and return the best fit.

    C is the sum of the squares of `deviance`, so that a least-squares solver minimises it exactly.

    Parameters
    ----------
    counts : (n_bin,)
        Observed counts.
    expected
        Function of parameters (n,) that returns expected counts (n_bin,), including background.
    starts
        One or more sets of parameters.
    bounds
        Lowest and highest values.
    priors
        Function of parameters (n,) that returns deviations in sigma, whose squares are added.
    """
    low, high = (np.asarray(side, float) for side in bounds)

    def residuals(values: FloatArray) -> FloatArray:
        own = deviance(counts, expected(values))
        return own if priors is None else np.concatenate([own, priors(values)])

    best = None
    for start in starts:
        found = least_squares(
            residuals, np.clip(start, low, high), bounds=(low, high), x_scale="jac", max_nfev=200
        )
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None, "no start"
    covariance = np.linalg.pinv(best.jac.T @ best.jac, hermitian=True)
    return RingFit(best.x, covariance, float(np.sum(deviance(counts, expected(best.x)) ** 2)))
