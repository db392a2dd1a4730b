"""Selection of events by grade, status bits and the chips of the array that saw the target."""

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.keywords import number
from pyxt_hpc.chandra.subspace import Subspace
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.quoting import listed, quoted

GOOD_GRADES = (0, 2, 3, 4, 6)  # ASCA grades whose events are mostly X-rays
_IMAGING = frozenset(range(4))
_SPECTROSCOPIC = frozenset(range(4, 10))
_SIM_Z_BETWEEN_MM = -211.8  # the science instrument module is at -233.6 for ACIS-I, at -190.1 for ACIS-S


def chips_that_were_on(header: fits.Header) -> tuple[int, ...]:
    """Sorted chips of DETNAM ("ACIS-01236"); empty if it names none."""
    detnam = str(header.get("DETNAM", ""))
    return tuple(sorted({int(digit) for digit in detnam.rpartition("-")[2] if digit.isdigit()}))


def chips_in_use(header: fits.Header, name: str) -> tuple[int, ...]:
    """Chips of the array that saw the target: ACIS-I or ACIS-S by SIM_Z, else the one with more chips on.

    If the file was selected by chip (``ccd_id`` of its data subspace), only selected chips are returned.
    ``name`` is for messages. Raises DamagedFile if DETNAM names no chip, or only others were selected.
    """
    chips = set(chips_that_were_on(header))
    imaging, spectroscopic = chips & _IMAGING, chips & _SPECTROSCOPIC
    if not chips:
        raise DamagedFile(
            f"{name}: DETNAM is {quoted(header.get('DETNAM', 'absent'))}, expected chips as in ACIS-0123; "
            "take it from the archive's evt2 file (dmhedit)"
        )
    sim_z = number(header, "SIM_Z")
    if imaging and spectroscopic and sim_z is not None:
        used = imaging if sim_z < _SIM_Z_BETWEEN_MM else spectroscopic
    else:
        used = imaging if len(imaging) > len(spectroscopic) else spectroscopic
    selected = Subspace.of(header).ccds()
    if selected is not None and not used & selected:
        raise DamagedFile(
            f"{name}: it was selected to CCD {listed(sorted(selected))} (data subspace), while "
            f"the target was on {listed(sorted(used))}; give the file with these chips"
        )
    return tuple(sorted(used if selected is None else used & selected))


def array_of(chips: tuple[int, ...]) -> str:
    """Array of these chips, ``I`` or ``S``."""
    return "I" if set(chips) <= _IMAGING else "S"


def good_events(events: EventList, chips: tuple[int, ...], *, screen_status: bool) -> NDArray[np.bool_]:
    """Mask (n,) of events on the chips in use, of good grade and, with ``screen_status``, of status 0.

    A background is screened only if the observation was: the VFAINT bit would otherwise remove events of one
    kind from the background and not from the observation.
    """
    good = np.isin(events.ccd_id, chips)
    if events.grade is not None:
        good &= np.isin(events.grade, GOOD_GRADES)
    if screen_status and events.status is not None:
        good &= events.status == 0
    return good
