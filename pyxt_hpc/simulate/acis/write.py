"""The files of a simulated cluster, in the layout of the archive and of a user."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.coordinates import Angle
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList, write_events
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.chandra.ogip.response_files import write_arf, write_rmf
from pyxt_hpc.chandra.sky.fov import write_fov
from pyxt_hpc.files.fits import write_fits
from pyxt_hpc.files.writing import write_text
from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.acis import geometry
from pyxt_hpc.simulate.acis.detected import DetectedEvents
from pyxt_hpc.simulate.acis.plan import DTCOR, FRAME_S, ObservationPlan
from pyxt_hpc.simulate.cluster import ClusterTruth

_MJDREF = 50814.0
# Flight grades and ASCA grades of single, vertical, left, right and square events.
_FLIGHT_GRADES = np.array([0, 64, 8, 16, 72], dtype=np.int16)
_GRADES = np.array([0, 2, 3, 4, 6], dtype=np.int16)
_EV_PER_ADU = 4.0
_ASPECT_STEP_S = 1.0


def write_truth(directory: Path, truth: ClusterTruth) -> None:
    """Write the maps ``truth/kT.fits``, ``norm.fits``, ``abundance.fits`` and ``density.fits`` with WCS."""
    units = {"kT": "keV", "norm": "10**14 cm**-5 pixel**-1", "abundance": "", "density": "cm-3"}
    for name, unit in units.items():
        hdu = fits.PrimaryHDU(getattr(truth, name), truth.wcs.to_header())
        hdu.header["BUNIT"] = unit
        hdu.header["REDSHIFT"] = truth.redshift
        hdu.header["NH"] = (truth.nH, f"[1e22 cm^-2] {truth.absorption}")
        hdu.header["ABUNDTAB"] = truth.abundance_table
        hdu.header["DEPTH"] = (truth.depth_kpc, "[kpc] of the gas along the line of sight")
        write_fits(directory / "truth" / f"{name}.fits", fits.HDUList([hdu]))


def write_drawn_regions(directory: Path, truth: ClusterTruth, radii_arcsec: NDArray[np.float64]) -> None:
    """Write ``sources.reg`` (also in ``truth/``) and the crop box, as a user draws them in DS9."""
    circles = [
        f'circle({_hms(source.ra)},{_dms(source.dec)},{radius:.3f}")'
        for source, radius in zip(truth.sources, radii_arcsec, strict=True)
    ]
    text = "\n".join(["# Region file format: DS9 version 4.1", "fk5", *circles, ""])
    layout = Layout(directory, directory.name)
    side = f'{60.0 * truth.field_arcmin:g}"'
    box = f"box({_hms(truth.ra)},{_dms(truth.dec)},{side},{side},0)"
    crop = "\n".join(["# Region file format: DS9 version 4.1", "fk5", box, ""])
    for path, content in (
        (layout.sources_reg, text),
        (directory / "truth" / "sources.reg", text),
        (layout.crop_reg, crop),
    ):
        write_text(path, content)


def write_observation(directory: Path, plan: ObservationPlan, events: DetectedEvents) -> None:
    """Write the level-2 event file, the field of view and the aspect solution into ``<obsid>/primary``."""
    primary = Layout(directory, directory.name).observation(plan.obsid) / "primary"
    header = _header(directory.name, plan)
    wcs = geometry.sky_frame(plan.ra_pnt, plan.dec_pnt)
    stem = f"acisf{int(plan.obsid):05d}"
    path = primary / f"{stem}N003_evt2.fits"
    write_events(path, _event_list(path, header, plan, events, timed=True))
    outlines = {}
    for ccd in geometry.CCDS:
        corners = geometry.chip_outline(ccd, plan.roll_deg)
        outlines[ccd] = [np.column_stack(wcs.wcs_pix2world(*corners.T, 1))]
    write_fov(primary / f"{stem}_000N003_fov1.fits", outlines, wcs, header)
    _write_aspect(primary / f"pcadf{int(plan.start_s):09d}N003_asol1.fits", plan, wcs)


def write_blank_sky(
    directory: Path, plan: ObservationPlan, events: DetectedEvents, live_s: float, *, nominal: bool
) -> None:
    """Write the blank-sky events ``<obsid>/<obsid>_background.fits`` without times, with their exposure.

    ``nominal``: sky positions are for a pointing with RA = Dec = roll = 0 without dither, as in CALDB.
    """
    if nominal:
        plan = replace(plan, ra_pnt=0.0, dec_pnt=0.0, roll_deg=0.0, dither_arcsec=0.0)
    header = _header(directory.name, plan)
    for keyword in ("DATE-OBS", "DATE-END", "TSTART", "TSTOP", "TIMEDEL"):
        del header[keyword]
    for keyword in [key for key in header if key.startswith(("ONTIME", "LIVTIME", "EXPOSUR"))]:
        header[keyword] = live_s / DTCOR if keyword.startswith("ONTIME") else live_s
    header["LIVETIME"] = live_s
    header["OBJECT"] = "BACKGROUND DATASET"
    path = Layout(directory, directory.name).supplied_background(plan.obsid)
    write_events(path, _event_list(path, header, plan, events, timed=False))


def write_responses(directory: Path, plan: ObservationPlan, arf: Arf, rmf: Rmf) -> None:
    """Write ``<obsid>/<obsid>.arf`` and ``.rmf``."""
    layout = Layout(directory, directory.name)
    header: Mapping[str, str | int | float] = {
        "TELESCOP": "CHANDRA",
        "INSTRUME": "ACIS",
        "DETNAM": "ACIS-0123",
        "OBS_ID": plan.obsid,
        "FILTER": "NONE",
        "GRATING": "NONE",
    }
    write_arf(layout.supplied_arf(plan.obsid), arf, header=header)
    write_rmf(layout.supplied_rmf(plan.obsid), rmf, header=header)


def _event_list(
    path: Path, header: fits.Header, plan: ObservationPlan, events: DetectedEvents, *, timed: bool
) -> EventList:
    tdet = geometry.det_to_tdet(events.detx, events.dety)
    chipx, chipy = geometry.chip_pixels(events.ccd_id, *tdet)
    x, y = plan.sky_at(events.detx, events.dety, events.time)
    # Shapes of events are not simulated, so grades are assigned in turn.
    kind = np.arange(len(events)) % len(_GRADES)
    extra: dict[str, NDArray] = {
        "node_id": ((chipx - 1) // 256).astype(np.int16),
        "tdetx": np.round(tdet[0]).astype(np.int16),
        "tdety": np.round(tdet[1]).astype(np.int16),
        "detx": events.detx.astype(np.float32),
        "dety": events.dety.astype(np.float32),
        "pha": np.round(events.energy_eV / _EV_PER_ADU).astype(np.int32),
        "fltgrade": _FLIGHT_GRADES[kind],
    }
    if timed:
        extra["expno"] = (plan.frame(events.time) + 1).astype(np.int32)
    return EventList(
        path=path,
        header=header,
        wcs=geometry.sky_frame(plan.ra_pnt, plan.dec_pnt),
        x=x,
        y=y,
        energy_eV=events.energy_eV,
        pi=events.pi,
        ccd_id=events.ccd_id,
        time=events.time if timed else None,
        grade=_GRADES[kind],
        status=np.zeros(len(events), dtype=np.uint32),
        chipx=chipx,
        chipy=chipy,
        gti=plan.gti() if timed else {},
        extra=extra,
    )


def _write_aspect(path: Path, plan: ObservationPlan, wcs: WCS) -> None:
    time = np.arange(
        plan.start_s - _ASPECT_STEP_S, plan.start_s + plan.span_s + _ASPECT_STEP_S, _ASPECT_STEP_S
    )
    centre = np.full(len(time), geometry.CENTRE)
    ra, dec = wcs.wcs_pix2world(*plan.sky_at(centre, centre, time), 1)
    roll = np.full(len(time), plan.roll_deg)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name, "1D", unit=unit, array=values)
            for name, unit, values in (
                ("time", "s", time),
                ("ra", "deg", ra),
                ("dec", "deg", dec),
                ("roll", "deg", roll),
            )
        ],
        name="ASPSOL",
    )
    table.header["HDUNAME"] = "ASPSOL"
    table.header["CONTENT"] = "ASPSOL"
    table.header["TELESCOP"], table.header["OBS_ID"] = "CHANDRA", plan.obsid
    write_fits(path, fits.HDUList([fits.PrimaryHDU(), table]))


def _header(name: str, plan: ObservationPlan) -> fits.Header:
    stop_s = plan.start_s + plan.span_s
    header = fits.Header()
    header["ORIGIN"] = ("PYXT_HPC", "simulated, not observed")
    header["CREATOR"] = "pyxt_hpc.simulate"
    header["MISSION"] = "AXAF"
    header["TELESCOP"] = "CHANDRA"
    header["INSTRUME"] = "ACIS"
    header["DETNAM"] = "ACIS-0123"
    header["GRATING"] = "NONE"
    header["OBJECT"] = name
    header["OBS_ID"] = plan.obsid
    header["OBS_MODE"] = "POINTING"
    header["DATAMODE"] = "FAINT"
    header["READMODE"] = "TIMED"
    header["CHKVFPHA"] = False
    header["FP_TEMP"] = (153.5, "[K]")
    header["TIMESYS"] = "TT"
    header["MJDREF"] = (_MJDREF, "MJD zero point for times")
    header["TIMEUNIT"] = "s"
    header["TIMEZERO"] = 0.0
    header["DATE-OBS"] = _date(plan.start_s)
    header["DATE-END"] = _date(stop_s)
    header["TSTART"] = (plan.start_s, "[s]")
    header["TSTOP"] = (stop_s, "[s]")
    header["TIMEDEL"] = (FRAME_S, "[s]")
    header["DTCOR"] = DTCOR
    header["ONTIME"] = (plan.ontime_s, "[s]")
    header["LIVETIME"] = (plan.live_s, "[s]")
    header["EXPOSURE"] = (plan.live_s, "[s]")
    for ccd, gti in plan.gti().items():
        ontime = float(np.sum(gti[:, 1] - gti[:, 0]))
        header[f"ONTIME{ccd}"] = ontime
        header[f"LIVTIME{ccd}"] = ontime * DTCOR
        header[f"EXPOSUR{ccd}"] = ontime * DTCOR
    for kind in ("NOM", "PNT", "TARG"):
        header[f"RA_{kind}"] = (plan.ra_pnt, "[deg]")
        header[f"DEC_{kind}"] = (plan.dec_pnt, "[deg]")
    header["ROLL_NOM"] = header["ROLL_PNT"] = plan.roll_deg
    header["RADECSYS"] = "ICRS"
    header["EQUINOX"] = 2000.0
    header["FIRSTROW"] = 1
    header["NROWS"] = geometry.CHIP_PIXELS
    return header


def _date(time_s: float) -> str:
    return Time(_MJDREF + time_s / 86400.0, format="mjd", scale="tt", precision=0).isot


def _hms(ra: float) -> str:
    return Angle(ra, "deg").to_string(unit="hourangle", sep=":", precision=4, pad=True)


def _dms(dec: float) -> str:
    return Angle(dec, "deg").to_string(unit="deg", sep=":", precision=3, pad=True, alwayssign=True)
