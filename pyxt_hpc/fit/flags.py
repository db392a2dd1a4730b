"""Flags of fits: what each means, the thresholds of those that judge a fit, and how many are alarming."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.spectra.kernels import outcome

MIN_NET_COUNTS = 300
"""Net counts below which intervals are mostly open, and biased where they come from many observations."""

BACKGROUND_SHARE = 0.5
"""Part of the counts above which the background dominates."""

POOR_FIT_SIGMA = 5.0
"""Goodness above which the model is wrong. Chance does that to one region in 30,000 with some 50 bins
(simulated), to one in 3000 with ten: the statistic's tail is that of chi^2, not of a Gaussian."""

PARTLY_LIVE_SHARE = 1.0 / 3.0
"""Share of a region's brightness that must have been seen for its norm to be a measurement."""

POOR_ALARM = 0.01
"""Share of poor fits above which something is wrong: chance makes one fit in some 30,000 poor."""

DOUBTFUL_ALARM = 0.2
"""Share of fits with a flag of `DOUBTFUL` above which something is wrong: with 300 counts a region some
per cent have an open interval."""


class FitFlag(IntFlag):
    """What is special about a fit, in words in `MEANINGS`; 0 is a minimum with closed intervals.

    An end of an interval is open, and NaN, where the statistic does not rise by 1 down to the lowest allowed
    value (of norm: 0), or up to the highest. The last four are set by `quality_flags`, the others by the
    kernels of the fit.
    """

    AT_BOUND_LOW = outcome.AT_BOUND_LOW
    AT_BOUND_HIGH = outcome.AT_BOUND_HIGH
    KT_LO_OPEN = outcome.KT_LO_OPEN
    KT_HI_OPEN = outcome.KT_HI_OPEN
    NORM_LO_OPEN = outcome.NORM_LO_OPEN
    NORM_HI_OPEN = outcome.NORM_HI_OPEN
    """Norm 0 is within the interval, hence every kT; or no end was found."""
    NO_COUNTS = outcome.NO_COUNTS
    """No source counts, or not more than the background at any kT: there is nothing to fit."""
    FAILED = outcome.FAILED
    """Counts, weights or ratios are negative or not finite, or the fit did not converge."""
    TWO_MINIMA = outcome.TWO_MINIMA
    """Another kT, outside the interval, fits nearly as well: its minimum is higher by less than 2.7."""
    ABUNDANCE_AT_BOUND = outcome.ABUNDANCE_AT_BOUND
    ABUNDANCE_LO_OPEN = outcome.ABUNDANCE_LO_OPEN
    ABUNDANCE_HI_OPEN = outcome.ABUNDANCE_HI_OPEN
    NH_AT_BOUND = outcome.NH_AT_BOUND
    NH_LO_OPEN = outcome.NH_LO_OPEN
    NH_HI_OPEN = outcome.NH_HI_OPEN
    FEW_COUNTS = 1 << 15
    """Fewer than `MIN_NET_COUNTS`: intervals are often open; with many observations kT may be biased."""
    BACKGROUND_DOMINATED = 1 << 16
    POOR_FIT = 1 << 17
    PARTLY_LIVE = 1 << 18
    """The observations that take part saw less than `PARTLY_LIVE_SHARE` of the region's brightness
    (`live_fraction` of the results store): kT is that of the part."""


MEANINGS: dict[FitFlag, str] = {
    FitFlag.AT_BOUND_LOW: "kT is the lowest that was allowed",
    FitFlag.AT_BOUND_HIGH: "kT is the highest that was allowed",
    FitFlag.KT_LO_OPEN: "kT has no lower end of its interval",
    FitFlag.KT_HI_OPEN: "kT has no upper end of its interval",
    FitFlag.NORM_LO_OPEN: "norm has no lower end of its interval",
    FitFlag.NORM_HI_OPEN: "norm has no upper end of its interval",
    FitFlag.NO_COUNTS: "no counts above the background",
    FitFlag.FAILED: "the fit failed",
    FitFlag.TWO_MINIMA: "another kT fits nearly as well",
    FitFlag.ABUNDANCE_AT_BOUND: "the abundance is at a bound",
    FitFlag.ABUNDANCE_LO_OPEN: "the abundance has no lower end of its interval",
    FitFlag.ABUNDANCE_HI_OPEN: "the abundance has no upper end of its interval",
    FitFlag.NH_AT_BOUND: "nH is at a bound",
    FitFlag.NH_LO_OPEN: "nH has no lower end of its interval",
    FitFlag.NH_HI_OPEN: "nH has no upper end of its interval",
    FitFlag.FEW_COUNTS: "fewer than 300 counts above the background",
    FitFlag.BACKGROUND_DOMINATED: "more than half of the counts are background",
    FitFlag.POOR_FIT: "the statistic is more than 5 sigma above what the model lets expect",
    FitFlag.PARTLY_LIVE: "less than a third of the region's brightness was seen: norm is extrapolated",
}
"""Of every flag, for a person."""


def flag_names(flags: int) -> str:
    """Names of the flags that are set, such as ``KT_HI_OPEN, FEW_COUNTS``; nothing where there are none."""
    return (FitFlag(flags).name or "").replace("|", ", ") if flags else ""


UNUSABLE = FitFlag.FAILED | FitFlag.NO_COUNTS
"""A region with one of these flags has no fit."""

DOUBTFUL = (
    UNUSABLE
    | FitFlag.AT_BOUND_LOW
    | FitFlag.AT_BOUND_HIGH
    | FitFlag.KT_LO_OPEN
    | FitFlag.KT_HI_OPEN
    | FitFlag.TWO_MINIMA
    | FitFlag.POOR_FIT
)
"""A region with one of these flags is not among the best fits: look before you trust its kT."""


def quality_flags(
    counts: NDArray[np.float64],
    background: NDArray[np.float64],
    goodness: NDArray[np.float64],
    live_fraction: ArrayLike = 1.0,
) -> NDArray[np.int32]:
    """FEW_COUNTS, BACKGROUND_DOMINATED, POOR_FIT and PARTLY_LIVE of regions, all arrays (n,).

    `counts` are in the source and `background` expected in it, of the whole band; `goodness` is in sigma;
    `live_fraction` is the share of the region's brightness that was seen.
    """
    flags = np.zeros(len(counts), np.int32)
    for flag, holds in (
        (FitFlag.FEW_COUNTS, counts - background < MIN_NET_COUNTS),
        (FitFlag.BACKGROUND_DOMINATED, background > BACKGROUND_SHARE * counts),
        (FitFlag.POOR_FIT, goodness > POOR_FIT_SIGMA),
        (FitFlag.PARTLY_LIVE, np.asarray(live_fraction) < PARTLY_LIVE_SHARE),
    ):
        flags |= np.where(holds, np.int32(flag), np.int32(0))
    return flags


@dataclass(frozen=True)
class FlagCounts:
    """How many fitted regions have which flag.

    Parameters
    ----------
    fits
        Number of fitted regions.
    flagged
        How many have each flag, in the order of `FitFlag`; flags that none has are left out.
    doubtful
        How many have one of `DOUBTFUL`: those in the ``worst`` CSV file.
    """

    fits: int
    flagged: dict[FitFlag, int]
    doubtful: int

    @classmethod
    def of(cls, flags: np.ndarray) -> "FlagCounts":
        """Of the flags of the fitted regions, (n,)."""
        number = {flag: int(np.count_nonzero(flags & int(flag))) for flag in FitFlag}
        doubtful = int(np.count_nonzero(flags & int(DOUBTFUL)))
        return cls(len(flags), {flag: n for flag, n in number.items() if n}, doubtful)

    def alarms(self) -> Iterator[str]:
        """What is wrong with the fits as a whole, each a sentence."""
        poor, doubtful = (
            n / max(self.fits, 1) for n in (self.flagged.get(FitFlag.POOR_FIT, 0), self.doubtful)
        )
        if poor > POOR_ALARM:
            yield (
                f"{poor:.1%} of the fits are poor, where chance makes one in some 30,000 poor and more "
                f"than {POOR_ALARM:.0%} is alarming: the model, the background or the exposure is wrong; "
                "look at the maps of goodness and live fraction"
            )
        if doubtful > DOUBTFUL_ALARM:
            yield (
                f"{doubtful:.1%} of the fits are among the worst, where more than {DOUBTFUL_ALARM:.0%} is "
                "alarming: if the flags are open intervals, ask for a higher signal_to_noise_threshold; if "
                "not, check events, background and responses"
            )
