"""Redshift, absorbing column and observations of a cluster from public archives, through astroquery.

NED has position and redshift. The column is a mean of the HI4PI map, which HEASARC's nH tool also uses, from
VizieR (J/A+A/594/A116): pixels within half a beam of the cluster are weighted by the inverse distance. The
observations are from HEASARC's copy of the Chandra archive's list (table chanmaster).
"""

import importlib
import re
import socket
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from pyxt_hpc.errors import MissingInput
from pyxt_hpc.files.quoting import one_line, several, shown

T = TypeVar("T")

INSTALL = "pip install 'pyxt_hpc[lookup]'"
TIMEOUT_SECONDS = 60.0
HI4PI = "J/A+A/594/A116/nhi_hpx"
BEAM_ARCMIN = 16.2
"""Full width at half maximum of HI4PI's beam (HI4PI Collaboration, Ben Bekhti et al. 2016, A&A 594, A116)."""
FIELD_ARCMIN = 8.0
"""Largest distance from the cluster to the pointing of its observations; ACIS-I is 16.9 arcmin wide."""

_PIXEL_ARCMIN = 3.4
_CM2 = 1e22


@dataclass(frozen=True)
class ArchiveObservation:
    """An observation of the Chandra archive."""

    obsid: str
    detector: str
    exposure_ks: float
    target: str


@dataclass(frozen=True)
class ArchiveAnswers:
    """Answers of the archives about a cluster.

    Parameters
    ----------
    redshift
        Redshift of NED; None without an answer.
    nH
        Mean column of HI4PI [1e22 cm^-2]; None without an answer.
    observations
        Public observations with ACIS and without grating, the longest first; empty without an answer.
    notes
        One line for each archive, with its answer or the reason why there is none.
    """

    redshift: float | None
    nH: float | None
    observations: tuple[ArchiveObservation, ...]
    notes: tuple[str, ...]


def look_up(name: str) -> ArchiveAnswers:
    """Ask NED, HI4PI and the list of Chandra's observations about a cluster.

    Raises MissingInput if astroquery is not installed, or if NED does not answer or does not know the name:
    the other archives are asked for the position from NED.
    """
    ned = _module("astroquery.ipac.ned").Ned
    try:
        row = _ask(lambda: ned.query_object(name))[0]
    except _Unanswered as error:
        raise MissingInput(
            f"NED gives no position of {shown(name)} ({error}), without which nothing can be looked up; give "
            "--redshift, --nH and --obsids, or a name that NED knows, e.g. 'Abell 1795'"
        ) from None
    ra, dec = float(row["RA"]), float(row["DEC"])
    notes = [f"NED: {shown(str(row['Object Name']))} at RA {ra:.4f}, Dec {dec:.4f}"]
    redshift = None
    if not np.ma.is_masked(row["Redshift"]) and np.isfinite(value := float(row["Redshift"])):
        redshift = value
        notes[0] += f", z = {redshift:g}"
    else:
        notes[0] += "; it has no redshift"
    nH = _part(notes, "HI4PI", lambda: _column(ra, dec), lambda found: f"nH = {found:.3g}e22 cm^-2")
    seen = _part(notes, "Chandra archive", lambda: _observations(ra, dec), _told)
    return ArchiveAnswers(redshift, nH, seen or (), tuple(notes))


class _Unanswered(Exception):
    """An archive could not be asked, or had no answer."""


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingInput(f"--lookup needs astroquery, which is not installed: {INSTALL}") from None


def _ask(query: Callable[[], T]) -> T:
    """Answer of an archive; raises _Unanswered after any error, or if the answer is empty."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty answer is tested below
            answer: Any = query()
    except Exception as error:  # requests, pyvo and astroquery have no common error
        reason = one_line(str(error)) or type(error).__name__
        if re.search("resolv|resolution|connection|max retries", f"{type(error).__name__} {reason}", re.I):
            reason = "no connection to it: is there a network here?"
        raise _Unanswered(shown(reason, 150)) from None
    finally:
        socket.setdefaulttimeout(before)
    if answer is None or not len(answer):
        raise _Unanswered("it has no entry")
    return answer


def _part(notes: list[str], archive: str, ask: Callable[[], T], tell: Callable[[T], str]) -> T | None:
    try:
        found = ask()
    except _Unanswered as error:
        notes.append(f"{archive}: {error}")
        return None
    notes.append(f"{archive}: {tell(found)}")
    return found


def _column(ra: float, dec: float) -> float:
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    vizier = _module("astroquery.vizier").Vizier(
        columns=["RAJ2000", "DEJ2000", "NHI"], row_limit=-1, timeout=TIMEOUT_SECONDS
    )
    position = SkyCoord(ra, dec, unit="deg")
    (table,) = _ask(
        lambda: vizier.query_region(position, radius=0.5 * BEAM_ARCMIN * u.arcmin, catalog=HI4PI)
    )[:1]
    pixels = SkyCoord(table["RAJ2000"], table["DEJ2000"], unit="deg")
    distance = position.separation(pixels).arcmin
    weight = 1.0 / np.maximum(distance, 0.5 * _PIXEL_ARCMIN)
    return float(np.average(np.asarray(table["NHI"], float), weights=weight) / _CM2)


def _observations(ra: float, dec: float) -> tuple[ArchiveObservation, ...]:
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    heasarc = _module("astroquery.heasarc").Heasarc
    table = _ask(
        lambda: heasarc.query_region(
            SkyCoord(ra, dec, unit="deg"),
            catalog="chanmaster",
            radius=FIELD_ARCMIN * u.arcmin,
            columns="obsid,name,status,detector,grating,exposure",
        )
    )
    found = [
        ArchiveObservation(
            str(row["obsid"]), str(row["detector"]), float(row["exposure"]) / 1e3, str(row["name"])
        )
        for row in table
        if str(row["status"]).strip().lower() == "archived"
        and str(row["detector"]).strip().upper().startswith("ACIS")
        and str(row["grating"]).strip().upper() == "NONE"
    ]
    if not found:
        raise _Unanswered("it has no public observation with ACIS and without grating there")
    return tuple(sorted(found, key=lambda one: -one.exposure_ks))


def _told(found: tuple[ArchiveObservation, ...]) -> str:
    total = sum(one.exposure_ks for one in found)
    return f"{several(len(found), 'observation')} with ACIS, {total:.0f} ks"
