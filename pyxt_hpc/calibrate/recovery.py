"""Bias and coverage of a parameter in fits of simulations, for all or some regions."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NOMINAL = 0.6827
"""Nominal coverage of a 68% interval."""

_MEDIAN_ERROR = 1.2533
"""Ratio of the errors of median and mean of Gaussian values, sqrt(pi/2)."""

_OF_MEDIAN_SIZE = 1.4826
"""Standard deviation of Gaussian values over the median of their absolute values."""

_BLOCK = 1 << 21
"""Number of values of neighbours that are processed at a time."""


@dataclass(frozen=True)
class Summary:
    """Bias and coverage of some fits.

    Parameters
    ----------
    fits
        Number of fits.
    without_fit
        Fraction of fits without a value.
    bias, bias_error
        Median of fit/truth - 1, or of fit - truth if the truth can be 0.
    coverage, coverage_error
        Fraction of fits with the truth in the interval; missing fits have no interval.
    shift
        Median of (fit - truth)/error, with the error on the side of the truth.
    error_factor
        Factor for the errors with which 68.3% of the intervals would contain the truth.
    """

    fits: int
    without_fit: float
    bias: float
    bias_error: float
    coverage: float
    coverage_error: float
    shift: float
    error_factor: float


@dataclass(frozen=True, eq=False)
class Recovery:
    """Simulated and fitted values of one parameter.

    Parameters
    ----------
    truth
        (n,) simulated values of the regions.
    value, low, high
        (n, draws) fits and ends of their 68% intervals; NaN without a fit, and at open ends.
    relative
        Whether the bias is relative to the truth.
    """

    truth: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    relative: bool = True

    @classmethod
    def of(cls, name: str, truth: NDArray, fits: NDArray) -> "Recovery":
        """Make it from a parameter's name, truth (n,) of TRUTH_DTYPE, and fits (n, draws) of FIT_DTYPE."""
        return cls(
            truth[name], fits[name], fits[f"{name}_lo"], fits[f"{name}_hi"], relative=name in ("kT", "norm")
        )

    @property
    def draws(self) -> int:
        """Number of fits of each region."""
        return self.value.shape[1]

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Whether there is a fit (n, draws)."""
        return np.isfinite(self.value)

    @cached_property
    def deviation(self) -> NDArray[np.float64]:
        """Deviations (n, draws) from the truth; their median is the bias; NaN without a fit."""
        truth = self.truth[:, None]
        return self.value / truth - 1.0 if self.relative else self.value - truth

    @cached_property
    def pull(self) -> NDArray[np.float64]:
        """(fit - truth)/error (n, draws), with the error on the side of the truth.

        It is 0 if that side is open, since the interval then contains every value up to the parameter's
        bound, and NaN without a fit.
        """
        truth = self.truth[:, None]
        error = np.where(truth > self.value, self.high - self.value, self.value - self.low)
        with np.errstate(divide="ignore", invalid="ignore"):
            pull = (self.value - truth) / error
        return np.where(self.usable & ~np.isfinite(error), 0.0, pull)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Whether the interval contains the truth (n, draws)."""
        return self.usable & (np.abs(self.pull) <= 1.0)

    @cached_property
    def open(self) -> NDArray[np.bool_]:
        """Whether there is no closed interval (n, draws), also without a fit."""
        return ~(np.isfinite(self.low) & np.isfinite(self.high))

    def summary(self, chosen: NDArray | slice = slice(None)) -> Summary:
        """Summary of some regions, by positions or a mask, or of all."""
        usable = self.usable[chosen]
        deviation, pull = self.deviation[chosen][usable], self.pull[chosen][usable]
        n, found = usable.size, len(deviation)
        coverage = float(self.inside[chosen].mean()) if n else np.nan
        if not found:
            return Summary(n, 1.0, np.nan, np.nan, coverage, np.nan, np.nan, np.nan)
        low, middle, high = np.percentile(deviation, [15.87, 50.0, 84.13])
        return Summary(
            fits=n,
            without_fit=1.0 - found / n,
            bias=float(middle),
            bias_error=float(_MEDIAN_ERROR * 0.5 * (high - low) / np.sqrt(found)),
            coverage=coverage,
            coverage_error=coverage_error(n),
            shift=float(np.median(pull)),
            error_factor=float(np.percentile(np.abs(pull), 100.0 * NOMINAL)),
        )


def coverage_error(fits: int) -> float:
    """Statistical error of the coverage of a number of fits with correct intervals."""
    return float(np.sqrt(NOMINAL * (1.0 - NOMINAL) / max(fits, 1)))


@dataclass(frozen=True, eq=False)
class ByPlace:
    """Bias and coverage of a parameter around every region, from the region and its nearest neighbours.

    Parameters
    ----------
    fits
        Number of fits for each region.
    bias, coverage, shift, open
        (n,) as in `Summary`; `open` is the fraction of fits without a closed interval.
    shift_error
        (n,) statistical error of `shift`.
    """

    fits: int
    bias: NDArray[np.float64]
    coverage: NDArray[np.float64]
    shift: NDArray[np.float64]
    shift_error: NDArray[np.float64]
    open: NDArray[np.float64]


def by_place(recovery: Recovery, row: NDArray, col: NDArray, fits: int) -> ByPlace:
    """Bias and coverage around every region.

    Parameters
    ----------
    row, col
        (n,) centres of the regions [pixels].
    fits
        Number of fits for each region, if there are as many, rounded up to complete regions.
    """
    n, draws = recovery.value.shape
    k = min(n, -(-fits // draws))
    tree = cKDTree(np.column_stack([row, col]))
    out: Mapping[str, NDArray[np.float64]] = {
        name: np.full(n, np.nan) for name in ("bias", "coverage", "shift", "shift_error", "open")
    }
    step = max(1, _BLOCK // (k * draws))
    for start in range(0, n, step):
        block = slice(start, start + step)
        _, near = tree.query(np.column_stack([row[block], col[block]]), k=np.arange(1, k + 1))
        out["coverage"][block] = recovery.inside[near].mean(axis=(1, 2))
        out["open"][block] = recovery.open[near].mean(axis=(1, 2))
        found = recovery.usable[near].any(axis=(1, 2))
        deviation, pull = (values[near[found]] for values in (recovery.deviation, recovery.pull))
        out["bias"][block][found] = np.nanmedian(deviation, axis=(1, 2))
        out["shift"][block][found] = np.nanmedian(pull, axis=(1, 2))
        sigma = _OF_MEDIAN_SIZE * np.nanmedian(np.abs(pull), axis=(1, 2))
        out["shift_error"][block][found] = _MEDIAN_ERROR * sigma / np.sqrt(k * draws)
    return ByPlace(k * draws, **out)
