"""Reliability of a region's kT and its error, from bias and coverage around it."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.calibrate.recovery import NOMINAL, ByPlace, coverage_error

FITS = 400
"""Number of fits for each region: the noise is 2.3% in the coverage, and 0.06 of the error in the median."""

SHIFT = 1.0 / 3.0
"""Largest bias in units of the error; smaller ones lower the coverage by less than 3%."""

MISS = 0.1
"""Largest deviation of the coverage from its nominal value."""

OPEN = 0.2
"""Largest fraction of fits without a closed interval; above it, the temperature is not measured."""

_CHANCE = 4.0
"""Significance [sigma] of a reported deviation, since a map has thousands of regions."""


class Trust(IntEnum):
    """Problem around a region; 0 means none."""

    TRUSTED = 0
    TOO_HIGH = 1
    TOO_LOW = 2
    ERRORS_TOO_SMALL = 3
    ERRORS_TOO_LARGE = 4
    UNMEASURED = 5


MEANINGS = {
    Trust.TRUSTED: "trusted",
    Trust.TOO_HIGH: "kT too high",
    Trust.TOO_LOW: "kT too low",
    Trust.ERRORS_TOO_SMALL: "errors too small",
    Trust.ERRORS_TOO_LARGE: "errors too large",
    Trust.UNMEASURED: "no closed interval",
}
"""Descriptions for a legend."""

RULES = (
    f"a bias of kT above {SHIFT:.2f} of its error, a coverage of 68% intervals that is wrong by more than "
    f"{MISS:.0%}, or more than {OPEN:.0%} of the fits without a closed interval"
)
"""Conditions under which a region is not trusted."""


def judge(kT: ByPlace) -> NDArray[np.int64]:
    """`Trust` of every region, (n,)."""
    miss = max(MISS, _CHANCE * coverage_error(kT.fits))
    shift = np.maximum(SHIFT, _CHANCE * kT.shift_error)
    return np.select(
        [
            ~(kT.open <= OPEN),
            kT.shift > shift,
            kT.shift < -shift,
            kT.coverage < NOMINAL - miss,
            kT.coverage > NOMINAL + miss,
        ],
        [
            Trust.UNMEASURED,
            Trust.TOO_HIGH,
            Trust.TOO_LOW,
            Trust.ERRORS_TOO_SMALL,
            Trust.ERRORS_TOO_LARGE,
        ],
        Trust.TRUSTED,
    )
