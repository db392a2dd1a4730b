"""The live time of each chip: its good time without the dead time of its readout.

EXPOSURE in a header belongs to the chip with the aimpoint when the file was made. But a single chip can lose
telemetry, and other tools cut files in time. Therefore live times are computed from the good times; only the
live fraction comes from the header.
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
    """Live fraction of the good time: DTCOR, else LIVETIME/ONTIME, else EXPOSURE over the longest good time.

    ``header`` is the header of EVENTS, ``gti`` has the good times (m, 2) [s] of each CCD, and ``name`` is the
    name of the file for messages. Raises DamagedFile if none of these gives a fraction between 0 and 1.
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
        f"{name}: the live fraction of its good time is not known: DTCOR is {header.get('DTCOR')!r}, "
        f"LIVETIME {header.get('LIVETIME')!r}, ONTIME {header.get('ONTIME')!r}, EXPOSURE "
        f"{header.get('EXPOSURE')!r}, good time {longest:.1f} s; fetch the observation again"
    )


def live_times(header: fits.Header, gti: Mapping[int, NDArray], name: str) -> dict[int, float]:
    """Live time [s] of each CCD of ``gti``; arguments and errors are those of `live_share`."""
    share = live_share(header, gti, name)
    return {ccd: share * gti_arithmetic.ontime(intervals) for ccd, intervals in gti.items()}


def with_live_times(header: fits.Header, gti: Mapping[int, NDArray], share: float) -> fits.Header:
    """Copy the header of EVENTS, with all on-times and live times computed from the good times.

    ONTIME, LIVETIME, EXPOSURE belong to the CCD with the longest good time; ONTIMEn, LIVTIMEn, EXPOSURn to
    CCD n.
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
