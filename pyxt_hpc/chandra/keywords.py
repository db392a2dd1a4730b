"""What the cards of a header say: numbers, truth values, parameters of tools, however they were written.

Hands, scripts and other software than CIAO write ``EXPOSURE = 70000`` or ``EXPOSURE = '70000.'`` where the
archive has ``70000.0``; all three are the same number.
"""

import math
import re
from pathlib import Path

from astropy.io import fits

from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.quoting import quoted

IMAGING_MODES = ("FAINT", "VFAINT", "GRADED")
"""DATAMODE of events that have a place, an energy and a time each."""

_CHIPS = range(10)
_TRUE, _FALSE = ("T", "TRUE", "YES", "Y", "1"), ("F", "FALSE", "NO", "N", "0")
_FULL_CARD = 72  # characters of a HISTORY card


def number(header: fits.Header, keyword: str) -> float | None:
    """A keyword's finite number, written as one or as text; None if it is absent or anything else."""
    value = header.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def needed_number(header: fits.Header, keyword: str, path: Path | str, remedy: str) -> float:
    """`number`; if there is none, DamagedFile names file and keyword, what was found, and ``remedy``."""
    found = number(header, keyword)
    if found is None:
        raise DamagedFile(f"{path}: {keyword} is {quoted(header.get(keyword))}, expected a number; {remedy}")
    return found


def optical_axis(header: fits.Header) -> tuple[float, float]:
    """RA_PNT, DEC_PNT [deg] of events that stage 1 has checked."""
    return float(header["RA_PNT"]), float(header["DEC_PNT"])


def truth(header: fits.Header, keyword: str) -> bool | None:
    """A keyword's truth value, written as one or in words (yes, no, T, F); None if it is neither."""
    return _truth(header.get(keyword))


def _truth(value: object) -> bool | None:
    word = str(value).strip().upper()
    return True if word in _TRUE else False if word in _FALSE else None


def text(header: fits.Header, keyword: str, default: str = "") -> str:
    """A keyword's text in upper case, without blanks around it."""
    return str(header.get(keyword, default)).strip().upper()


def exposure_s(header: fits.Header) -> float | None:
    """EXPOSURE [s]; where it is absent the largest EXPOSURn of a chip; None if there is neither."""
    whole = number(header, "EXPOSURE")
    if whole is not None:
        return whole
    if "EXPOSURE" in header:
        return None  # it is there and is no number: to be refused, not replaced
    return max(of_chips(header, "EXPOSUR").values(), default=None)


def live_time_share(header: fits.Header) -> float | None:
    """DTCOR, the share of the good time that is live; None if it is absent or no such share."""
    share = number(header, "DTCOR")
    return share if share is not None and 0.0 < share <= 1.0 else None


def of_chips(header: fits.Header, stem: str) -> dict[int, float]:
    """The numbers of a keyword that each CCD has for itself: EXPOSURn, LIVTIMEn, ONTIMEn."""
    found = {chip: number(header, f"{stem}{chip}") for chip in _CHIPS}
    return {chip: value for chip, value in found.items() if value is not None}


def is_screened(header: fits.Header) -> bool | None:
    """Whether events were screened with the outer pixels of VFAINT mode (``check_vf_pha=yes``).

    CHKVFPHA tells, which CIAO writes since 4.16; before, the parameters of acis_process_events in HISTORY.
    None for VFAINT events of which nothing tells.
    """
    if text(header, "DATAMODE") != "VFAINT":
        return False
    said = truth(header, "CHKVFPHA")
    return _truth(tool_parameter(header, "check_vf_pha")) if said is None else said


def tool_parameter(header: fits.Header, name: str) -> str | None:
    """The value that a tool's parameter had last, as CIAO's tools write it into HISTORY; None without one.

    CIAO writes ``PARM  :name=value``, goes on with ``CONT  :`` and numbers its cards (``ASC00012``); other
    software splits what is longer than a card.
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
