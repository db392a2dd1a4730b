"""Chandra's keywords about observations, for the headers of images.

DATE-OBS is the beginning of the first observation and DATE-END the end of the last one; EXPOSURE is the sum
over all observations, and OBS_ID lists them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # astropy is slow to import, and ranks that make circles write no header
    from astropy.io.fits import Header

_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")

_CARD_TEXT = 68  # characters between the quotes of one card, by the FITS standard (section 4.2.1)

Cards = dict[str, tuple[str | float, str]]
"""Value and comment of each keyword."""


class Dates(NamedTuple):
    """Beginning and end of an observation in TT, the time system of its events; empty if unknown."""

    begin: str
    end: str


@dataclass(frozen=True)
class Observed:
    """Live time [s] and dates of one ObsID."""

    obsid: str
    exposure_s: float
    dates: Dates


def dates_of(header: "Header") -> Dates:
    """DATE-OBS and DATE-END of events; a date that is not in the archive's format counts as unknown."""
    return Dates(*(_known(str(header.get(keyword, "")).strip()) for keyword in ("DATE-OBS", "DATE-END")))


def _known(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return ""
    return text if _ISO.fullmatch(text) else ""


def goes_on(text: str) -> bool:
    """Whether a string does not fit into one card of a header, where each ``'`` in it is written twice."""
    return len(text.replace("'", "''")) > _CARD_TEXT


def observed_cards(name: str, observed: Sequence[Observed]) -> Cards:
    """Keywords of all observations of a cluster; dates are included only if they are known for all."""
    obsids = ",".join(one.obsid for one in observed)
    long = {"LONGSTRN": ("OGIP 1.0", "long strings continue in CONTINUE")} if goes_on(obsids) else {}
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
