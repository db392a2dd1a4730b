"""How well fits find what was simulated: bias and coverage of a parameter, of all regions or of some."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NOMINAL = 0.6827
"""What a 68% interval shall hold."""

_MEDIAN_ERROR = 1.2533
"""Error of a median of Gaussian values in units of that of their mean: sqrt(pi/2)."""

_OF_MEDIAN_SIZE = 1.4826
"""Standard deviation of Gaussian values in units of the median of their sizes."""

_BLOCK = 1 << 21
"""Values that are gathered from neighbours at a time."""


@dataclass(frozen=True)
class Summary:
    """Bias and coverage of some fits.

    Parameters
    ----------
    fits
        Their number.
    without_fit
        Share of those that gave no value.
    bias, bias_error
        Median of fit/truth - 1, or of fit - truth where the truth can be 0.
    coverage, coverage_error
        Share of all whose interval holds the truth; without a fit there is no interval.
    shift
        Median of (fit - truth)/error, the error being that of the truth's side.
    error_factor
        By what errors would have to be multiplied for the intervals to hold the truth in 68.3% of the fits.
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
    """One parameter, simulated and fitted.

    Parameters
    ----------
    truth
        (n,) of the regions.
    value, low, high
        (n, draws) fits and ends of their 68% intervals; NaN where there is no fit, and where an interval is
        open.
    relative
        Whether the bias is a share of the truth.
    """

    truth: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    relative: bool = True

    @classmethod
    def of(cls, name: str, truth: NDArray, fits: NDArray) -> "Recovery":
        """Of a parameter's name: truth (n,) of TRUTH_DTYPE, fits (n, draws) of FIT_DTYPE."""
        return cls(
            truth[name], fits[name], fits[f"{name}_lo"], fits[f"{name}_hi"], relative=name in ("kT", "norm")
        )

    @property
    def draws(self) -> int:
        """Fits of each region."""
        return self.value.shape[1]

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """(n, draws) where there is a fit."""
        return np.isfinite(self.value)

    @cached_property
    def deviation(self) -> NDArray[np.float64]:
        """(n, draws) what the bias is the median of; NaN without a fit."""
        truth = self.truth[:, None]
        return self.value / truth - 1.0 if self.relative else self.value - truth

    @cached_property
    def pull(self) -> NDArray[np.float64]:
        """(n, draws) (fit - truth)/error of the truth's side.

        0 where that side is open: it reaches to the bound of the parameter and holds any truth beyond. NaN
        without a fit.
        """
        truth = self.truth[:, None]
        error = np.where(truth > self.value, self.high - self.value, self.value - self.low)
        with np.errstate(divide="ignore", invalid="ignore"):
            pull = (self.value - truth) / error
        return np.where(self.usable & ~np.isfinite(error), 0.0, pull)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """(n, draws) where the interval holds the truth."""
        return self.usable & (np.abs(self.pull) <= 1.0)

    @cached_property
    def open(self) -> NDArray[np.bool_]:
        """(n, draws) where there is no fit, or no closed interval."""
        return ~(np.isfinite(self.low) & np.isfinite(self.high))

    def summary(self, chosen: NDArray | slice = slice(None)) -> Summary:
        """Of some regions, at positions or where a mask holds; of all."""
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
    """By how much chance moves the coverage of so many fits whose intervals are right."""
    return float(np.sqrt(NOMINAL * (1.0 - NOMINAL) / max(fits, 1)))


@dataclass(frozen=True, eq=False)
class ByPlace:
    """A parameter's bias and coverage around every region: of the region and of those nearest to it.

    Parameters
    ----------
    fits
        How many are put together at each.
    bias, coverage, shift, open
        (n,) as in `Summary`; `open` is the share without a closed interval.
    shift_error
        (n,) what chance does to `shift`.
    """

    fits: int
    bias: NDArray[np.float64]
    coverage: NDArray[np.float64]
    shift: NDArray[np.float64]
    shift_error: NDArray[np.float64]
    open: NDArray[np.float64]


def by_place(recovery: Recovery, row: NDArray, col: NDArray, fits: int) -> ByPlace:
    """Bias and coverage by place.

    Parameters
    ----------
    row, col
        (n,) their centres [pixels].
    fits
        At least so many are put together, of as few regions as that takes; fewer if there are not so many.
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
