"""Map of the flags of the fits, with the reason why a pixel has no fit."""

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from pyxt_hpc.fit.flags import MEANINGS as FLAG_MEANINGS
from pyxt_hpc.fit.flags import flag_names
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.store.rows import Status

FIRST_BLANK = 24
"""First bit for reasons why there is no fit; lower bits are those of `FitFlag`."""


class Blank(IntFlag):
    """Reason why a pixel has no fit and is NaN in maps of fits; `MEANINGS` describes the reasons."""

    OUTSIDE = 1 << FIRST_BLANK
    HOLE = 1 << FIRST_BLANK + 1
    NO_REGION = 1 << FIRST_BLANK + 2
    NOT_FITTED = 1 << FIRST_BLANK + 3
    GIVEN_UP = 1 << FIRST_BLANK + 4
    """The flags of the failed fit are set too."""
    QUARANTINED = 1 << FIRST_BLANK + 5


MEANINGS: dict[Blank, str] = {
    Blank.OUTSIDE: "outside of the field: no observation saw it, or the crop leaves it out",
    Blank.HOLE: "a hole in the field: a source that was cut out, or a gap between chips",
    Blank.NO_REGION: "in no region: the S/N that was asked for is not reached, or the bins leave it out",
    Blank.NOT_FITTED: "its region is not fitted yet",
    Blank.GIVEN_UP: "the fit of its region failed",
    Blank.QUARANTINED: "its region was given up, because runs ended while it was fitted",
}
"""Descriptions of all reasons, for users."""

_IN_SHORT = {
    Blank.OUTSIDE: "outside of the field",
    Blank.HOLE: "hole: source cut out, or gap",
    Blank.NO_REGION: "in no region (mostly low S/N)",
    Blank.NOT_FITTED: "not fitted yet",
    Blank.GIVEN_UP: "fit failed",
    Blank.QUARANTINED: "given up",
}

_REASONS = sum(int(reason) for reason in Blank)


def flag_image(regions: FittedRegions) -> NDArray[np.float64]:
    """Flags of the fit at every pixel (ny, nx), or the reason why there is no fit, in bits.

    The bits are those of `FitFlag` and `Blank`; 0 is a fit without flags. Every pixel has a whole number, as
    float64, since float32 would round it.
    """
    live = regions.bundle.mask > 0
    region = regions.radius > 0 if regions.labels is None else regions.labels > 0
    image = np.where(live, float(Blank.NO_REGION), float(Blank.OUTSIDE))
    image[_holes(live)] = Blank.HOLE
    image[live & region] = Blank.NOT_FITTED
    for status, reason in ((Status.BAD, Blank.GIVEN_UP), (Status.QUARANTINED, Blank.QUARANTINED)):
        rows = regions.left_out[regions.left_out_status == status]
        if len(rows):
            painted = regions.paint_rows(rows, rows["flags"])
            at = np.isfinite(painted)
            image[at] = painted[at] + float(reason)
    painted = regions.paint(regions.rows["flags"])
    at = np.isfinite(painted)
    image[at] = painted[at]
    return image


def _holes(live: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dead pixels that are enclosed by live ones."""
    parts, _ = label(~live)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    return (parts > 0) & ~np.isin(parts, edge)


def names_of(value: int) -> str:
    """Meaning of a value of `flag_image`, such as ``KT_HI_OPEN, FEW_COUNTS`` or ``not fitted yet``."""
    reasons, flags = value & _REASONS, value & ~_REASONS
    words = [_IN_SHORT[reason] for reason in Blank if reason & reasons]
    if flags:
        words.append(flag_names(flags))
    return ", ".join(words) or "no remark"


def is_blank(value: int) -> bool:
    """Whether a value of `flag_image` means that the pixel has no fit."""
    return bool(value & _REASONS)


def flag_cards() -> dict[str, str]:
    """Names and meanings of all bits as FITS keywords ``FLAG<bit>``."""
    words = [(int(bit), f"{bit.name}: {meaning}") for bit, meaning in FLAG_MEANINGS.items()]
    words += [(int(bit), f"{bit.name}: {meaning}") for bit, meaning in MEANINGS.items()]
    return {f"FLAG{bit.bit_length() - 1}": text for bit, text in sorted(words)}
