"""Which events count: grades, status bits and the chips of the array that saw the target."""

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.errors import DamagedFile

GOOD_GRADES = (0, 2, 3, 4, 6)  # ASCA grades that are mostly X-rays
_IMAGING = frozenset(range(4))
_SPECTROSCOPIC = frozenset(range(4, 10))


def chips_of_array(detnam: str) -> tuple[int, ...]:
    """Chips to use of those in DETNAM ("ACIS-01236"): those of ACIS-I or of ACIS-S, whichever has more.

    Returns
    -------
    tuple of int
        Sorted, empty if DETNAM names no chip.
    """
    chips = {int(digit) for digit in detnam.rpartition("-")[2] if digit.isdigit()}
    imaging, spectroscopic = chips & _IMAGING, chips & _SPECTROSCOPIC
    return tuple(sorted(imaging if len(imaging) > len(spectroscopic) else spectroscopic))


def chips_in_use(header: fits.Header, name: str) -> tuple[int, ...]:
    """As `chips_of_array`, for the header of EVENTS; raises DamagedFile without a usable DETNAM."""
    chips = chips_of_array(str(header.get("DETNAM", "")))
    if not chips:
        raise DamagedFile(
            f"{name}: DETNAM is {header.get('DETNAM', 'absent')!r}, expected chips as in ACIS-0123; "
            "fetch the observation again"
        )
    return chips


def is_very_faint_cleaned(header: fits.Header) -> bool:
    """Whether the events were screened with the VFAINT mode's outer pixels (check_vf_pha=yes)."""
    return str(header.get("DATAMODE", "")).strip() == "VFAINT" and bool(header.get("CHKVFPHA", False))


def good_events(events: EventList, chips: tuple[int, ...], *, screen_status: bool) -> NDArray[np.bool_]:
    """Events (n,) on the chips in use, of good grade, and with status 0 if asked for.

    ``screen_status``: for a background, only where the observation was screened in the same way, else its
    VFAINT bit would remove from one what stays in the other.
    """
    good = np.isin(events.ccd_id, chips)
    if events.grade is not None:
        good &= np.isin(events.grade, GOOD_GRADES)
    if screen_status and events.status is not None:
        good &= events.status == 0
    return good
