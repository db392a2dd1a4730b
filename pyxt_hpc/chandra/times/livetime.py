"""The live time of each chip: its own good time, less the dead time of its readout.

EXPOSURE of a header is that of the chip with the aimpoint, as it was when the file was made. Chips can lose
telemetry on their own and files are cut in time by other tools, so the good times tell, and of the header
only the share of them that is live.
"""

import math
from collections.abc import Mapping

from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.keywords import exposure_s, number
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.errors import DamagedFile

_ROUNDING = 1e-3
_OF_CHIP = ("ONTIME", "LIVTIME", "EXPOSUR")


def live_share(header: fits.Header, gti: Mapping[int, NDArray], name: str) -> float:
    """Share of the good time that is live: DTCOR, else LIVETIME/ONTIME, else EXPOSURE over the good time.

    ``header`` is that of EVENTS, ``gti`` (m, 2) [s] the good times of each CCD, of which the longest is taken
    for that of EXPOSURE; ``name`` of the file is for messages. Raises DamagedFile if none of these gives a
    share between 0 and 1.
    """
    longest = max((gti_arithmetic.ontime(intervals) for intervals in gti.values()), default=0.0)
    dtcor, livetime, ontime = (
        number(header, keyword) or math.nan for keyword in ("DTCOR", "LIVETIME", "ONTIME")
    )
    candidates = (dtcor, livetime / ontime, (exposure_s(header) or math.nan) / (longest or math.nan))
    for share in candidates:
        if 0 < share <= 1 + _ROUNDING:
            return min(share, 1.0)
    raise DamagedFile(
        f"{name}: the live share of its good time is not known: DTCOR is {header.get('DTCOR')!r}, LIVETIME "
        f"{header.get('LIVETIME')!r}, ONTIME {header.get('ONTIME')!r}, EXPOSURE {header.get('EXPOSURE')!r}, "
        f"good time {longest:.1f} s; fetch the observation again"
    )


def live_times(header: fits.Header, gti: Mapping[int, NDArray], name: str) -> dict[int, float]:
    """Live time [s] of each CCD of ``gti``; arguments and errors as `live_share`."""
    share = live_share(header, gti, name)
    return {ccd: share * gti_arithmetic.ontime(intervals) for ccd, intervals in gti.items()}


def with_live_times(header: fits.Header, gti: Mapping[int, NDArray], share: float) -> fits.Header:
    """A copy of the header of EVENTS with all its times computed from the good times.

    ONTIME, LIVETIME, EXPOSURE are those of the CCD with most good time; ONTIMEn, LIVTIMEn, EXPOSURn of each.
    """
    header = header.copy()
    for key in [key for key in header if key[:-1] in _OF_CHIP and key[-1].isdigit()]:
        del header[key]
    on = {ccd: gti_arithmetic.ontime(intervals) for ccd, intervals in sorted(gti.items())}
    header["DTCOR"] = (share, "live share of the good time")
    for key, factor in zip(("ONTIME", "LIVETIME", "EXPOSURE"), (1.0, share, share), strict=True):
        header[key] = (factor * max(on.values()), "[s] of the CCD with most good time")
    for ccd, ontime in on.items():
        for key, factor in zip(_OF_CHIP, (1.0, share, share), strict=True):
            header[f"{key}{ccd}"] = (factor * ontime, "[s] from the good times")
    return header
