"""Checks of an observation against itself and against its response, before anything is computed from it."""

import logging
from pathlib import Path

import numpy as np

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.response import Rmf
from pyxt_hpc.chandra.vignetting import off_axis_arcmin
from pyxt_hpc.errors import DamagedFile, EmptySelection, ResponseMismatch
from pyxt_hpc.quoting import quoted

log = logging.getLogger(__name__)

_FETCH = "fetch the observation again"
_FARTHEST_ARCMIN = 60.0
_MODES = ("FAINT", "VFAINT", "GRADED")


def check_observation(events: EventList) -> None:
    """Whether an event list is a usable level-2 imaging observation, beyond what reading it has checked.

    Raises
    ------
    EmptySelection
        It holds no event.
    DamagedFile
        Level 1, continuous clocking, no times, or no (or a wrong) pointing or exposure in the header.
    """
    path, header = events.path, events.header
    if len(events) == 0:
        raise EmptySelection(f"{path}: the event list is empty; {_FETCH}")
    content = str(header.get("CONTENT", "EVT2")).strip().upper()
    if content == "EVT1":
        raise DamagedFile(
            f"{path}: a level-1 event file (CONTENT is EVT1), expected level 2; run chandra_repro"
        )
    if str(header.get("READMODE", "TIMED")).strip().upper() == "CONTINUOUS":
        raise DamagedFile(f"{path}: READMODE is CONTINUOUS: it has no image; take it out of observation_ids")
    mode = str(header.get("DATAMODE", "FAINT")).strip().upper()
    if mode not in _MODES:
        raise DamagedFile(
            f"{path}: DATAMODE is {mode}, expected {', '.join(_MODES)}; take it out of observation_ids"
        )
    if events.time is None:
        raise DamagedFile(f"{path}: EVENTS has no column time; {_FETCH}")
    start, stop = header.get("TSTART"), header.get("TSTOP")
    if isinstance(start, float) and isinstance(stop, float) and not start < stop:
        raise DamagedFile(f"{path}: TSTOP is {stop:.0f}, not after TSTART, {start:.0f}; {_FETCH}")
    grating = str(header.get("GRATING", "NONE")).strip().upper()
    if grating != "NONE":
        log.warning("%s: GRATING is %s: its ARF must be of the zeroth order", path, grating)
    for keyword in ("EXPOSURE", "RA_PNT", "DEC_PNT"):
        value = header.get(keyword)
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise DamagedFile(f"{path}: {keyword} is {quoted(value)}, expected a number; {_FETCH}")
    nominal = [float(degrees) for degrees in events.wcs.wcs.crval]
    distance = float(off_axis_arcmin(nominal[0], nominal[1], header["RA_PNT"], header["DEC_PNT"]))
    if not distance < _FARTHEST_ARCMIN:
        raise DamagedFile(
            f"{path}: RA_PNT, DEC_PNT are {header['RA_PNT']:.3f}, {header['DEC_PNT']:.3f}, over a degree "
            f"from its sky coordinates' {nominal[0]:.3f}, {nominal[1]:.3f}; {_FETCH}"
        )
    if header["EXPOSURE"] <= 0:
        raise DamagedFile(f"{path}: EXPOSURE is {header['EXPOSURE']:g} s, expected a positive time; {_FETCH}")


def check_background(background: EventList, events: EventList) -> None:
    """Whether a blank-sky file can stand for the background of an observation.

    Energies that were made with another gain only get a warning: lines of the background, and the band that
    it is scaled in, are then a little off.

    Raises
    ------
    EmptySelection
        It holds no event.
    """
    if len(background) == 0:
        raise EmptySelection(
            f"{background.path}: the event list is empty; make the blank-sky file again, or take it away and "
            "draw background.reg"
        )
    gains = [Path(str(e.header.get("GAINFILE", "")).strip()).name for e in (background, events)]
    if all(gains) and gains[0] != gains[1]:
        log.warning(
            "%s: energies made with GAINFILE %s, those of %s with %s: bring both to one calibration with "
            "acis_process_events (CIAO's blanksky does)",
            background.path, gains[0], events.path, gains[1],
        )  # fmt: skip


def check_channels(events: EventList, rmf: Rmf, rmf_path: Path) -> None:
    """Whether PI channels mean in the RMF what they mean in the event list.

    Raises
    ------
    ResponseMismatch
        PI leaves the RMF's channels, or EBOUNDS is off from the events' energies by a channel or more.
    EmptySelection
        There is no event to compare.
    """
    plain = (events.energy_eV > 500) & (events.energy_eV < 10000)
    if not plain.any():
        raise EmptySelection(f"{events.path}: no event of good grade in good time; {_FETCH}")
    channel = events.pi[plain].astype(np.int64) - rmf.first_channel_number
    if channel.min() < 0 or channel.max() >= rmf.n_channels:
        raise ResponseMismatch(
            f"{rmf_path}: channels {rmf.first_channel_number} to "
            f"{rmf.first_channel_number + rmf.n_channels - 1}, but {events.path} has PI "
            f"{events.pi[plain].min()} to {events.pi[plain].max()}; make the RMF for PI channels"
        )
    middle = 500.0 * (rmf.channel_lo_keV + rmf.channel_hi_keV)  # [eV]
    width = 1000.0 * float(np.median(rmf.channel_hi_keV - rmf.channel_lo_keV))
    offset = float(np.median(events.energy_eV[plain] - middle[channel]))
    if abs(offset) > 0.75 * width:
        raise ResponseMismatch(
            f"{rmf_path}: its EBOUNDS are off by {offset:.0f} eV ({offset / width:+.1f} channels) from the "
            f"energies of {events.path}; make the RMF for PI channels of this observation"
        )
