"""Values of header keywords in any notation: numbers, truth values, parameters of tools.

Users, scripts and software other than CIAO write ``EXPOSURE = 70000`` or ``EXPOSURE = '70000.'`` where the
archive has ``70000.0``; all three are read as the same number.
"""

import math
import re
from pathlib import Path

from astropy.io import fits

from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.quoting import quoted

IMAGING_MODES = ("FAINT", "VFAINT", "GRADED")
"""Values of DATAMODE in which each event has a position, an energy and a time."""

_CHIPS = range(10)
_TRUE, _FALSE = ("T", "TRUE", "YES", "Y", "1"), ("F", "FALSE", "NO", "N", "0")
_FULL_CARD = 72  # characters of a HISTORY card


def number(header: fits.Header, keyword: str) -> float | None:
    """Finite number in a keyword, written as a number or as text; None if there is none."""
    value = header.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def needed_number(header: fits.Header, keyword: str, path: Path | str, remedy: str) -> float:
    """The same as `number`, but raises DamagedFile if there is none; the message ends with ``remedy``."""
    found = number(header, keyword)
    if found is None:
        raise DamagedFile(f"{path}: {keyword} is {quoted(header.get(keyword))}, expected a number; {remedy}")
    return found


def optical_axis(header: fits.Header) -> tuple[float, float]:
    """RA_PNT, DEC_PNT [deg] of an event file that stage 1 has checked."""
    return float(header["RA_PNT"]), float(header["DEC_PNT"])


def truth(header: fits.Header, keyword: str) -> bool | None:
    """Truth value of a keyword, also if it is written as yes, no, T, F, 1 or 0; None for other values."""
    return _truth(header.get(keyword))


def _truth(value: object) -> bool | None:
    word = str(value).strip().upper()
    return True if word in _TRUE else False if word in _FALSE else None


def text(header: fits.Header, keyword: str, default: str = "") -> str:
    """Text of a keyword in upper case, without blanks around it."""
    return str(header.get(keyword, default)).strip().upper()


def exposure_s(header: fits.Header) -> float | None:
    """EXPOSURE [s], or the largest EXPOSURn of a chip if EXPOSURE is absent; None if there is no number."""
    whole = number(header, "EXPOSURE")
    if whole is not None:
        return whole
    if "EXPOSURE" in header:
        return None  # a damaged EXPOSURE is refused; no other keyword replaces it
    return max(of_chips(header, "EXPOSUR").values(), default=None)


def live_time_share(header: fits.Header) -> float | None:
    """DTCOR, the live fraction of the good time; None if it is absent or not in (0, 1]."""
    share = number(header, "DTCOR")
    return share if share is not None and 0.0 < share <= 1.0 else None


def of_chips(header: fits.Header, stem: str) -> dict[int, float]:
    """Numbers of a keyword that exists once per CCD (EXPOSURn, LIVTIMEn, ONTIMEn), by the CCD's number."""
    found = {chip: number(header, f"{stem}{chip}") for chip in _CHIPS}
    return {chip: value for chip, value in found.items() if value is not None}


def is_screened(header: fits.Header) -> bool | None:
    """Whether events were screened with the outer pixels of VFAINT mode (``check_vf_pha=yes``).

    CIAO since 4.16 writes CHKVFPHA; without it, the parameters of acis_process_events in HISTORY are read.
    None if the events are in VFAINT mode and neither is there.
    """
    if text(header, "DATAMODE") != "VFAINT":
        return False
    said = truth(header, "CHKVFPHA")
    return _truth(tool_parameter(header, "check_vf_pha")) if said is None else said


def tool_parameter(header: fits.Header, name: str) -> str | None:
    """Last value of a tool's parameter in the HISTORY that CIAO's tools write; None if it is not there.

    CIAO writes ``PARM  :name=value``, continues long lines with ``CONT  :`` and numbers its cards
    (``ASC00012``); other software splits text that is longer than a card.
    """
    lines: list[str] = []
    continues = False
    for card in map(str, header.get("HISTORY", ())):
        line = re.sub(r"\s*ASC\d{5}\s*$", "", card)
        if (more := re.match(r"CONT\s*:", line)) and lines:
            lines[-1] += line[more.end() :]
        elif continues:
            lines[-1] += line
        else:
            lines.append(line)
        continues = len(card) >= _FULL_CARD and line == card
    found = re.findall(rf"\b{re.escape(name)}\s*=\s*['\"]?([\w.+-]+)", "\n".join(lines))
    return found[-1] if found else None
