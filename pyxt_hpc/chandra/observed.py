"""What the header of an image says about the observations that it was made from, in Chandra's own keywords.

DATE-OBS is that of the first observation, DATE-END of the last, EXPOSURE their sum, OBS_ID has all of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # ranks that make circles write no header
    from astropy.io.fits import Header

_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")

_MAX_TEXT = 67
"""Letters of a string that is whole in one card of a header."""

Cards = dict[str, tuple[str | float, str]]
"""Keywords with their values and comments."""


class Dates(NamedTuple):
    """Beginning and end of an observation in the time of its events, TT; empty where they are not known."""

    begin: str
    end: str


@dataclass(frozen=True)
class Observed:
    """One ObsID: live time [s] and dates."""

    obsid: str
    exposure_s: float
    dates: Dates


def dates_of(header: "Header") -> Dates:
    """DATE-OBS and DATE-END of events; what is no date of the archive's form is not known."""
    return Dates(*(_known(str(header.get(keyword, "")).strip()) for keyword in ("DATE-OBS", "DATE-END")))


def _known(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return ""
    return text if _ISO.fullmatch(text) else ""


def observed_cards(name: str, observed: Sequence[Observed]) -> Cards:
    """Keywords of all observations of a cluster; dates only if those of all are known."""
    obsids = ",".join(one.obsid for one in observed)
    long = {"LONGSTRN": ("OGIP 1.0", "long strings go on in CONTINUE")} if len(obsids) > _MAX_TEXT else {}
    cards: Cards = {
        **long,
        "OBJECT": (name, "cluster"),
        "TELESCOP": ("CHANDRA", "telescope"),
        "INSTRUME": ("ACIS", "instrument"),
        "OBS_ID": (obsids, "observations"),
        "EXPOSURE": (round(sum(one.exposure_s for one in observed), 3), "[s] live time of all observations"),
    }
    if observed and all(one.dates.begin and one.dates.end for one in observed):
        from astropy.time import Time

        begin, end = min(one.dates.begin for one in observed), max(one.dates.end for one in observed)
        cards |= {
            "TIMESYS": ("TT", "time system of the dates of observation"),
            "DATE-OBS": (begin, "beginning of the first observation"),
            "DATE-END": (end, "end of the last observation"),
            "MJD-OBS": (float(Time(begin, scale="tt").mjd), "[d] DATE-OBS as modified Julian date"),
        }
    return cards
