"""Facts about every observation before it is processed, and whether it can be used."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from astropy.io import fits

from pyxt_hpc.chandra.keywords import IMAGING_MODES, exposure_s, text
from pyxt_hpc.files.fits import open_fits
from pyxt_hpc.preprocess.ciao.plans.archive import fits_files

_TELLING = (
    ("repro", "*_repro_evt2.fits*"),
    ("primary", "*evt2.fits*"),
    ("secondary", "*evt1.fits*"),
    (".", "oif.fits"),
)
_COLUMNS = ("ObsID", "target", "instrument", "mode", "exposure [ks]", "date", "public", "used")
_ROW = re.compile(r"\s*(?P<obsid>\d+)\s+[\d.]+\s+(?P<instrument>\S+)\s+(?P<grating>\S+)\s+(?P<ks>[\d.]+)\s+"
                  r"(?P<date>[\d-]+|\S+)\s+(?P<names>.*)$")  # fmt: skip


@dataclass(frozen=True)
class ObservationFacts:
    """An observation as the archive or its headers describe it; empty or None: unknown.

    ``problem``: why it cannot be used; empty if it can.
    """

    obsid: str
    target: str = ""
    instrument: str = ""
    grating: str = ""
    mode: str = ""
    exposure_s: float | None = None
    date: str = ""
    is_public: bool | None = None
    problem: str = ""


def facts_of_folder(obsid: str, folder: Path) -> ObservationFacts:
    """Facts from the headers of files in a folder; only the ObsID if there are none."""
    for place, pattern in _TELLING:
        for path in fits_files(folder / place, pattern):
            header = _header(path)
            if header is not None:
                return _of_header(obsid, header)
    return ObservationFacts(obsid)


def facts_of_answer(obsid: str, screen: str | None) -> ObservationFacts:
    """Facts from the output of find_chandra_obsid, which lists public observations; None: not called."""
    if screen is None:
        return ObservationFacts(obsid)
    for line in screen.splitlines():
        match = _ROW.match(line)
        if match is None or int(match["obsid"]) != int(obsid):
            continue
        names = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', match["names"])]
        instrument, grating = match["instrument"].upper(), match["grating"].upper()
        return ObservationFacts(
            obsid=obsid,
            target=names[-1] if names else "",
            instrument=instrument,
            grating=grating,
            exposure_s=1e3 * float(match["ks"]),
            date=match["date"],
            is_public=True,
            problem=_problem(instrument, "", "", None),
        )
    return ObservationFacts(
        obsid, is_public=False, problem="the archive has no public observation of this number"
    )


def observation_table(observations: Iterable[ObservationFacts]) -> Iterator[str]:
    """Lines of a table of the observations, and whether each is used."""
    rows: list[Sequence[str]] = [_COLUMNS]
    for one in observations:
        grating = f" with {one.grating}" if one.grating not in ("", "NONE") else ""
        rows.append(
            (
                one.obsid,
                one.target or "-",
                f"{one.instrument}{grating}" or "-",
                one.mode or "-",
                "-" if one.exposure_s is None else f"{one.exposure_s / 1e3:.1f}",
                one.date or "-",
                {True: "yes", False: "no", None: "-"}[one.is_public],
                f"no: {one.problem}" if one.problem else "yes",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _header(path: Path) -> fits.Header | None:
    with open_fits(path, "file of the archive", "download it again", first=False) as hdus:
        headers = [hdu.header.copy() for hdu in hdus if "INSTRUME" in hdu.header]
        return max(headers, key=lambda header: "DATAMODE" in header, default=None)


def _of_header(obsid: str, header: fits.Header) -> ObservationFacts:
    instrument, detector = text(header, "INSTRUME"), text(header, "DETNAM")
    mode, read_mode = text(header, "DATAMODE"), text(header, "READMODE")
    exposure = exposure_s(header)
    return ObservationFacts(
        obsid=obsid,
        target=str(header.get("OBJECT", "")).strip(),
        instrument=detector or instrument,
        grating=text(header, "GRATING"),
        mode=mode,
        exposure_s=exposure,
        date=str(header.get("DATE-OBS", ""))[:10],
        is_public=None,  # headers do not say, and the files are here
        problem=_problem(instrument, mode, read_mode, exposure),
    )


def _problem(instrument: str, mode: str, read_mode: str, exposure: float | None) -> str:
    if not instrument.startswith("ACIS"):
        return f"its instrument is {instrument or 'unknown'}, expected ACIS"
    if read_mode == "CONTINUOUS" or mode.startswith("CC"):
        return "continuous clocking has no image"
    if mode and mode not in IMAGING_MODES:
        return f"mode {mode} is none of {', '.join(IMAGING_MODES)}"
    if exposure is not None and exposure <= 0:
        return f"its exposure is {exposure:g} s"
    return ""
