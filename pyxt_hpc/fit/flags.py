"""Flags of fits, their meanings, thresholds of quality flags, and warnings if too many fits have flags."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.spectra.kernels import outcome

MIN_NET_COUNTS = 300
"""Net counts below which intervals are often open, and kT is biased if they come from many observations."""

BACKGROUND_SHARE = 0.5
"""Fraction of the counts above which the background dominates."""

POOR_FIT_SIGMA = 5.0
"""Goodness above which the model is wrong. With a correct model, it occurs in one of 30,000 regions with
about 50 bins (simulated), and in one of 3000 with ten, since the tail is that of chi^2, not of a Gaussian."""

PARTLY_LIVE_SHARE = 1.0 / 3.0
"""Fraction of a region's brightness that must have been seen for a reliable norm."""

POOR_ALARM = 0.01
"""Fraction of poor fits above which a warning is given; with a correct model it is about 1 in 30,000."""

DOUBTFUL_ALARM = 0.2
"""Fraction of fits with a flag of `DOUBTFUL` above which a warning is given; with 300 counts per region,
several per cent have an open interval."""


class FitFlag(IntFlag):
    """Flags of a fit, explained in `MEANINGS`; 0 is a minimum with closed intervals.

    An end of an interval is open, and NaN, if the statistic does not rise by 1 down to the lowest allowed
    value (0 for the norm), or up to the highest. `quality_flags` sets the last four flags, and the kernels of
    the fit the others.
    """

    AT_BOUND_LOW = outcome.AT_BOUND_LOW
    AT_BOUND_HIGH = outcome.AT_BOUND_HIGH
    KT_LO_OPEN = outcome.KT_LO_OPEN
    KT_HI_OPEN = outcome.KT_HI_OPEN
    NORM_LO_OPEN = outcome.NORM_LO_OPEN
    NORM_HI_OPEN = outcome.NORM_HI_OPEN
    """The interval contains norm 0, and therefore every kT; or no end was found."""
    NO_COUNTS = outcome.NO_COUNTS
    """There are no source counts, or no excess above the background at any kT."""
    FAILED = outcome.FAILED
    """Counts, weights or ratios are negative or not finite, or the fit did not converge."""
    TWO_MINIMA = outcome.TWO_MINIMA
    """There is another minimum of the statistic outside the interval of kT, higher by less than 2.7."""
    ABUNDANCE_AT_BOUND = outcome.ABUNDANCE_AT_BOUND
    ABUNDANCE_LO_OPEN = outcome.ABUNDANCE_LO_OPEN
    ABUNDANCE_HI_OPEN = outcome.ABUNDANCE_HI_OPEN
    NH_AT_BOUND = outcome.NH_AT_BOUND
    NH_LO_OPEN = outcome.NH_LO_OPEN
    NH_HI_OPEN = outcome.NH_HI_OPEN
    FEW_COUNTS = 1 << 15
    """Fewer net counts than `MIN_NET_COUNTS`."""
    BACKGROUND_DOMINATED = 1 << 16
    POOR_FIT = 1 << 17
    PARTLY_LIVE = 1 << 18
    """The observations that take part saw less than `PARTLY_LIVE_SHARE` of the region's brightness
    (`live_fraction` of the results store); kT describes only this part."""


MEANINGS: dict[FitFlag, str] = {
    FitFlag.AT_BOUND_LOW: "kT is the lowest allowed value",
    FitFlag.AT_BOUND_HIGH: "kT is the highest allowed value",
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
    FitFlag.POOR_FIT: "the statistic is more than 5 sigma above its expectation",
    FitFlag.PARTLY_LIVE: "less than a third of the region's brightness was seen: norm is extrapolated",
}
"""Meaning of every flag, for the user."""


def flag_names(flags: int) -> str:
    """Names of the flags that are set, such as ``KT_HI_OPEN, FEW_COUNTS``; empty without flags."""
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
"""A region with one of these flags is not among the best fits: check its kT."""


def quality_flags(
    counts: NDArray[np.float64],
    background: NDArray[np.float64],
    goodness: NDArray[np.float64],
    live_fraction: ArrayLike = 1.0,
) -> NDArray[np.int32]:
    """FEW_COUNTS, BACKGROUND_DOMINATED, POOR_FIT and PARTLY_LIVE of regions, all arrays (n,).

    `counts` are the counts in the band, and `background` the expected background among them; `goodness` is in
    sigma; `live_fraction` is the fraction of the region's brightness that was seen.
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
    """Numbers of fitted regions with each flag.

    Parameters
    ----------
    fits
        Number of fitted regions.
    flagged
        Number of regions with each flag, in the order of `FitFlag`, without flags that do not occur.
    doubtful
        Number of regions with a flag of `DOUBTFUL`, as in the ``worst`` CSV file.
    """

    fits: int
    flagged: dict[FitFlag, int]
    doubtful: int

    @classmethod
    def of(cls, flags: np.ndarray) -> "FlagCounts":
        """Count the flags (n,) of the fitted regions."""
        number = {flag: int(np.count_nonzero(flags & int(flag))) for flag in FitFlag}
        doubtful = int(np.count_nonzero(flags & int(DOUBTFUL)))
        return cls(len(flags), {flag: n for flag, n in number.items() if n}, doubtful)

    def alarms(self) -> Iterator[str]:
        """Warnings about all fits, as sentences."""
        poor, doubtful = (
            n / max(self.fits, 1) for n in (self.flagged.get(FitFlag.POOR_FIT, 0), self.doubtful)
        )
        if poor > POOR_ALARM:
            yield (
                f"{poor:.1%} of the fits are poor, but about 1 in 30,000 is expected: the model, the "
                "background or the exposure is wrong; check the maps of goodness and live fraction"
            )
        if doubtful > DOUBTFUL_ALARM:
            yield (
                f"{doubtful:.1%} of the fits have doubtful flags, more than the usual {DOUBTFUL_ALARM:.0%}: "
                "if intervals are open, increase signal_to_noise_threshold; otherwise check events, "
                "background and responses"
            )
