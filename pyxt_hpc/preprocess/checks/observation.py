"""Consistency checks of an observation, its background and its response before they are used."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.keywords import IMAGING_MODES, exposure_s, is_screened, needed_number, number, text
from pyxt_hpc.chandra.ogip.response import Rmf
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin
from pyxt_hpc.chandra.subspace import PI_EV, Subspace
from pyxt_hpc.errors import DamagedFile, EmptySelection, ResponseMismatch
from pyxt_hpc.files.quoting import quoted, shown
from pyxt_hpc.preprocess.checks.good_events import GOOD_GRADES

log = logging.getLogger(__name__)

_HEADER = "copy it from the archive's evt2 file (dmhedit)"
_SPLIT = (
    "give each ObsID its own evt2 file in its own folder, and each part (OBI) of an observation made by "
    "CIAO's splitobs as an ObsID of its own"
)
_MAX_OFF_AXIS_ARCMIN = 60.0
_MAX_SPAN_S = 1e6  # an observation is within one orbit of Chandra, which takes 2.3e5 s
_QUANTILES = (0.1, 0.5, 0.9)
_VFAINT_BIT = np.uint32(1 << 23)  # check_vf_pha=yes sets it in events that are probably background


def check_observation(events: EventList, obsid: str) -> None:
    """Check that events are a usable level-2 imaging observation, in addition to the checks of reading.

    ``obsid`` is that of the folder of the file. Raises EmptySelection if there is no event; DamagedFile if
    the file is of another or of several observations, of level 1 or of continuous clocking, has no times or
    grades, or lacks a valid pointing or exposure in its header.
    """
    path, header = events.path, events.header
    if len(events) == 0:
        raise EmptySelection(
            f"{path}: the event list is empty: a filter left nothing, or writing it was interrupted; make "
            "it again"
        )
    _check_obsid(events, obsid)
    _check_level(events)
    if text(header, "READMODE", "TIMED") == "CONTINUOUS":
        raise DamagedFile(f"{path}: READMODE is CONTINUOUS: it has no image; take it out of observation_ids")
    mode = text(header, "DATAMODE", "FAINT")
    if mode not in IMAGING_MODES:
        raise DamagedFile(
            f"{path}: DATAMODE is {mode}, expected {', '.join(IMAGING_MODES)}; take it out of observation_ids"
        )
    if events.time is None:
        raise DamagedFile(
            f"{path}: EVENTS has no column time; give the file with all columns (dmcopy without [cols ...])"
        )
    start, stop = number(header, "TSTART"), number(header, "TSTOP")
    if start is not None and stop is not None and not start < stop:
        raise DamagedFile(f"{path}: TSTOP is {stop:.0f}, not after TSTART, {start:.0f}; {_HEADER}")
    grating = text(header, "GRATING", "NONE")
    if grating != "NONE":
        log.warning("%s: GRATING is %s: its ARF must be of the zeroth order", path, grating)
    exposure = exposure_s(header)
    if exposure is None:
        raise DamagedFile(
            f"{path}: EXPOSURE is {quoted(header.get('EXPOSURE'))}, expected a number; {_HEADER}"
        )
    if exposure <= 0:
        raise DamagedFile(f"{path}: EXPOSURE is {exposure:g} s, expected a positive time; {_HEADER}")
    ra, dec = (needed_number(header, keyword, path, _HEADER) for keyword in ("RA_PNT", "DEC_PNT"))
    nominal = [float(degrees) for degrees in events.wcs.wcs.crval]
    distance = float(off_axis_arcmin(nominal[0], nominal[1], ra, dec))
    if not distance < _MAX_OFF_AXIS_ARCMIN:
        raise DamagedFile(
            f"{path}: RA_PNT, DEC_PNT are {ra:.3f}, {dec:.3f}, over a degree "
            f"from its sky coordinates' {nominal[0]:.3f}, {nominal[1]:.3f}: it was reprojected to another "
            f"field, or the header was changed; {_HEADER}"
        )


def _check_obsid(events: EventList, obsid: str) -> None:
    said = text(events.header, "OBS_ID")
    if said in ("", obsid) or (said.isdigit() and obsid.isdigit() and int(said) == int(obsid)):
        return
    if said.isdigit():
        raise DamagedFile(
            f"{events.path}: OBS_ID is {said}, but it lies in the folder of ObsID {obsid}; put it into its "
            "own folder, or correct observation_ids"
        )
    raise DamagedFile(
        f"{events.path}: OBS_ID is {shown(said)}, expected {obsid}: a file merged from several observations "
        f"has no one pointing, exposure and roll; {_SPLIT}"
    )


def check_numbers(events: EventList) -> None:
    """Raise DamagedFile if the position, energy or time of an event is NaN.

    Such an event is in no pixel, band or good time: it would be lost silently, while its exposure counts.
    """
    columns = {"time": events.time, "x": events.x, "y": events.y, "energy": events.energy_eV}
    for name, values in columns.items():
        without = 0 if values is None else int(np.sum(~np.isfinite(values)))
        if without:
            raise DamagedFile(
                f"{events.path}: {without} of {len(events)} good events on the chips in use have no number "
                f"in column {name} (NaN), and their exposure would be counted without them; make the file "
                "again with CIAO, or fetch it again"
            )


def check_same_channels(background: EventList, events: EventList) -> None:
    """Raise DamagedFile if PI channels have other energies in the blank sky than in the observation.

    Both have good events only. The blank sky is scaled by its energies, and its spectra are made from its
    channels, so that no other check would find a difference. `check_channels` compares the channels of the
    observation with the RMF.
    """
    there, here = (_energy_of_channels(file) for file in (background, events))
    if not (len(there) and len(here)):
        return
    # A wrong offset of the channels changes all quantiles, a wrong width the first or the last.
    differences = np.quantile(there, _QUANTILES) - np.quantile(here, _QUANTILES)
    worst = float(differences[np.argmax(abs(differences))])
    if abs(worst) > PI_EV:
        raise DamagedFile(
            f"{background.path}: its PI channels are off by {worst:.0f} eV ({worst / PI_EV:+.1f} channels) "
            f"from its energies, compared with {events.path}: make PI again with acis_process_events, or "
            "fetch the blank sky again"
        )


def _energy_of_channels(events: EventList) -> NDArray[np.float64]:
    """Energies of events of 0.5-10 keV minus the centres of their channels [eV]."""
    plain = events.in_band((500.0, 10_000.0))
    return events.energy_eV[plain].astype(np.float64) - PI_EV * (events.pi[plain].astype(np.float64) - 0.5)


def check_span(path: Path, gti: NDArray[np.float64]) -> None:
    """Raise DamagedFile if good times (m, 2) [s] span more than an orbit of Chandra."""
    span = gti[-1, 1] - gti[0, 0]
    if span > _MAX_SPAN_S:
        raise DamagedFile(
            f"{path}: good time intervals span {span:.3g} s, expected less than {_MAX_SPAN_S:g}: a file of "
            f"several observations (merge_obs, dmmerge) or of one with several parts (OBI); {_SPLIT}"
        )


def _check_level(events: EventList) -> None:
    """Check the level by grades and status, since chandra_repro wrote CONTENT = EVT1 until August 2021."""
    header, path = events.header, events.path
    subspace = Subspace.of(header)
    grades = subspace.ranges("grade")
    if events.grade is None and grades is None:
        raise DamagedFile(
            f"{path}: EVENTS has no column grade, and its data subspace does not tell the grades; give the "
            "file with all columns (dmcopy without [cols ...])"
        )
    if events.status is None and "status" not in subspace.axes:
        log.warning("%s: no column status: all its events are taken as clean", path)
    content = text(header, "CONTENT", "EVT2")
    if grades is not None or content.endswith("EVT2") or events.grade is None:
        return
    bad = ~np.isin(events.grade, GOOD_GRADES)
    if events.status is not None:
        bad |= events.status != 0
    if bad.any():
        raise DamagedFile(
            f"{path}: a level-1 event file (CONTENT is {shown(content)}, and {bad.sum()} of its {len(bad)} "
            "events have bad grades or status), expected level 2; run chandra_repro"
        )


def check_background(background: EventList, events: EventList) -> tuple[str, ...]:
    """Check that a blank-sky file can be the background of an observation; return warnings.

    A different gain or screening gives only a warning: it changes the lines of the background and its scale a
    little. Raises EmptySelection if the file holds no event.
    """
    if len(background) == 0:
        raise EmptySelection(
            f"{background.path}: the event list is empty; make the blank-sky file again, or take it away and "
            "draw background.reg"
        )
    return (*_gain(background, events), *_screening(background, events))


def _gain(background: EventList, events: EventList) -> Iterator[str]:
    gains = [Path(str(e.header.get("GAINFILE", "")).strip()).name for e in (background, events)]
    if all(gains) and gains[0] != gains[1]:
        yield (
            f"{background.path}: its energies have GAINFILE {gains[0]}, those of {events.path.name} have "
            f"{gains[1]}: give both the same gain with acis_process_events, since CIAO's blanksky does not"
        )


def _screening(background: EventList, events: EventList) -> Iterator[str]:
    """Warn if VFAINT screening (status bit 23) differs or is unknown."""
    screened = is_screened(events.header)
    name, blank = events.path, background.path
    if screened is None:
        yield (
            f"{name}: DATAMODE is VFAINT, and neither CHKVFPHA nor HISTORY tells whether check_vf_pha=yes "
            "was used; it is assumed that it was not: if it was, set CHKVFPHA = T (dmhedit)"
        )
    cleaned = background.status is not None and not (background.status & _VFAINT_BIT).any()
    if screened and background.status is None and "status" not in Subspace.of(background.header).axes:
        yield (
            f"{blank}: no column status, so its VFAINT events cannot be screened like those of {name.name}: "
            "make it again with CIAO's blanksky, or select it with [status=0]"
        )
    elif not screened and cleaned and text(background.header, "DATAMODE") == "VFAINT":
        yield (
            f"{blank}: its VFAINT events were screened (status=0), but those of {name.name} were not, so the "
            "background is too low below 1 keV; process the observation with check_vf_pha=yes, or take the "
            "unscreened blank sky"
        )


def check_channels(events: EventList, rmf: Rmf, rmf_path: Path) -> None:
    """Check that PI channels have the same energies in the RMF as in the event list.

    Raises ResponseMismatch if PI is outside the RMF's channels, or if EBOUNDS differs from the events'
    energies by more than 0.75 channels; EmptySelection if there is no event to compare.
    """
    plain = (events.energy_eV > 500) & (events.energy_eV < 10000)
    if not plain.any():
        raise EmptySelection(
            f"{events.path}: no event of 0.5-10 keV; give its event file without a filter in energy"
        )
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
