"""Whether a region's kT and its error can be believed, from bias and coverage around it."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.calibrate.recovery import NOMINAL, ByPlace, coverage_error

FITS = 400
"""Put together at each place: chance moves the coverage by 2.3%, the median by 0.06 of the error."""

SHIFT = 1.0 / 3.0
"""A bias of less of the error lowers the coverage by less than 3%."""

MISS = 0.1
"""Intervals that hold the truth more or less often by so much are wrong."""

OPEN = 0.2
"""Above this share of fits without a closed interval, a place measures no temperature."""

_CHANCE = 4.0
"""Nothing is said of what chance does by so many sigma: a map has thousands of places."""


class Trust(IntEnum):
    """What is wrong around a region, the worst first; nothing at 0."""

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
"""In words, for a legend."""

RULES = (
    f"a bias of kT above {SHIFT:.2f} of its error, 68% intervals that hold the truth more or less often by "
    f"{MISS:.0%}, or more than {OPEN:.0%} of the fits without a closed interval"
)
"""What keeps a place from being trusted."""


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
