"""Event files and blank sky that are not what they seem: what is said of each, and the right number.

A row of `CASES` is an input, the commands that read it, the exit code, words of what is said, and a value.
The input is one tiny observation of two chips, of which everything is known, with one thing changed.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.chandra.events import EventList, read_events, write_events
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.chandra.ogip.response_files import write_arf, write_rmf
from pyxt_hpc.chandra.sky.fov import write_fov
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.cli import main
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.background.blank_sky import particle_events, particle_scale

START, LENGTH_S, DTCOR = 5e8, 80_000.0, 0.98
LIVE_S = LENGTH_S * DTCOR
ROWS = 512
PARTICLES, SKY, BLANK = 24_000, 12_000, 96_000  # events of 0.3-12, 0.7-2 and 0.3-12 keV
SCALE = PARTICLES / BLANK
CHIPS = (2, 3)
RA, DEC = 150.0, 30.0

Edit = Callable[[Layout], None]


def write_case(layout: Layout) -> None:
    rng = np.random.default_rng(7)
    wcs = tangent_plane(RA, DEC, crpix=(4096.5, 4096.5))
    header = fits.Header()
    header["TELESCOP"], header["INSTRUME"], header["DETNAM"] = "CHANDRA", "ACIS", "ACIS-23"
    header["DATAMODE"], header["READMODE"], header["OBS_ID"] = "FAINT", "TIMED", "77"
    header["CONTENT"], header["SIM_Z"] = "EVT2", -233.6
    header["RA_PNT"], header["DEC_PNT"] = RA, DEC
    header["FIRSTROW"], header["NROWS"], header["DTCOR"] = 1, ROWS, DTCOR
    header["TSTART"], header["TSTOP"] = START, START + LENGTH_S
    header["ONTIME"], header["LIVETIME"], header["EXPOSURE"] = LENGTH_S, LIVE_S, LIVE_S
    for chip in CHIPS:
        header[f"ONTIME{chip}"], header[f"EXPOSUR{chip}"] = LENGTH_S, LIVE_S
    energy = np.concatenate([rng.uniform(300, 12_000, PARTICLES), rng.uniform(700, 2000, SKY)])
    time = START + LENGTH_S * rng.random(len(energy))
    gti = {chip: np.array([[START, START + LENGTH_S]]) for chip in CHIPS}
    primary = layout.observation("77") / "primary"
    order = np.argsort(time)
    events = _events(wcs, header, energy, time, gti, rng).select(order)
    write_events(primary / "acisf00077N003_evt2.fits", events)
    blank = header.copy()
    for keyword in ("ONTIME", "LIVETIME", "EXPOSURE", *(f"EXPOSUR{chip}" for chip in CHIPS)):
        blank[keyword] = LIVE_S / SCALE
    write_events(
        layout.supplied_background("77"),
        _events(wcs, blank, rng.uniform(300, 12_000, BLANK), None, {}, rng),
    )
    corners = {
        chip: np.array([(x, -ROWS / 2), (x + 1024, -ROWS / 2), (x + 1024, ROWS / 2), (x, ROWS / 2)])
        for chip, x in zip(CHIPS, (-1024, 0), strict=True)
    }
    outlines = {c: [np.column_stack(wcs.all_pix2world(*(p + 4096.5).T, 1))] for c, p in corners.items()}
    write_fov(primary / "acisf00077_000N003_fov1.fits", outlines, wcs, header)
    edges = np.arange(1025) * 0.0146
    grid = np.linspace(0.3, 11.0, 108)
    first = np.searchsorted(edges, 0.5 * (grid[1:] + grid[:-1])).astype(np.int32) - 1
    one = np.ones(107, np.int32)
    write_rmf(
        layout.supplied_rmf("77"),
        Rmf(grid[:-1], grid[1:], one, first, one, np.ones(107), edges[:-1], edges[1:], 1),
    )
    write_arf(layout.supplied_arf("77"), Arf(grid[:-1], grid[1:], np.full(107, 300.0)))
    layout.crop_reg.parent.mkdir(parents=True)
    layout.crop_reg.write_text(f'fk5\nbox({RA},{DEC},300",200")\n')
    layout.sources_reg.write_text("")


def _events(
    wcs: WCS,
    header: fits.Header,
    energy: np.ndarray,
    time: np.ndarray | None,
    gti: dict[int, np.ndarray],
    rng: np.random.Generator,
) -> EventList:
    n = len(energy)
    x, y = rng.uniform(-1024, 1024, n), rng.uniform(-ROWS / 2, ROWS / 2, n)
    energy = energy.astype(np.float32)
    return EventList(
        path=Path("-"),
        header=header,
        wcs=wcs,
        x=x + 4096.5,
        y=y + 4096.5,
        energy_eV=energy,
        pi=np.minimum(energy // np.float32(14.6) + 1, 1024).astype(np.int16),
        ccd_id=np.where(x < 0, *CHIPS).astype(np.int8),
        time=time,
        grade=rng.choice([0, 2, 3, 4, 6], n).astype(np.int16),
        status=np.zeros(n, np.uint32),
        chipx=(np.floor(x) % 1024 + 1).astype(np.int16),
        chipy=(np.floor(y + ROWS / 2) + 1).astype(np.int16),
        gti=gti,
    )


# What is changed


def evt(layout: Layout) -> Path:
    return next((layout.observation("77") / "primary").glob("*evt2.fits"))


def sky(layout: Layout) -> Path:
    return layout.supplied_background("77")


def rewrite(path: Callable[[Layout], Path], edit: Callable[[fits.HDUList], None]) -> Edit:
    def change(layout: Layout) -> None:
        with fits.open(path(layout), memmap=False) as hdus:
            edit(hdus)
            hdus.writeto(path(layout), overwrite=True, checksum=True)

    return change


def cards(path: Callable[[Layout], Path] = evt, **values: object) -> Edit:
    """Set keywords (an underscore in front of those that begin with a digit), or remove them (None)."""

    def edit(hdus: fits.HDUList) -> None:
        for keyword, value in values.items():
            name = keyword.lstrip("_")
            if value is None:
                hdus["EVENTS"].header.remove(name, ignore_missing=True)
            else:
                hdus["EVENTS"].header[name] = value

    return rewrite(path, edit)


def only(keep: Callable[[Any], Any], path: Callable[[Layout], Path] = evt) -> Edit:
    """Leave the rows that satisfy a condition, without a word in the header."""

    def edit(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].data = hdus["EVENTS"].data[keep(hdus["EVENTS"].data)]

    return rewrite(path, edit)


def energies(low: float, high: float, path: Callable[[Layout], Path] = evt) -> Edit:
    return only(lambda d: (d["energy"] >= low) & (d["energy"] < high), path)


def selected(axis: str, *values: str, path: Callable[[Layout], Path] = evt) -> Edit:
    """Write an axis of the data subspace, with one value for each component (or one for all)."""

    def edit(hdus: fits.HDUList) -> None:
        header = hdus["EVENTS"].header
        header["DSTYP7"], header["DSFORM7"] = axis, "E"
        for number, value in enumerate(values, start=1):
            header[f"{number if number > 1 else ''}DSVAL7"] = value

    return rewrite(path, edit)


def column(name: str, value: Callable[[Any], Any], path: Callable[[Layout], Path] = evt) -> Edit:
    def edit(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].data[name] = value(hdus["EVENTS"].data)

    return rewrite(path, edit)


def retyped(name: str, form: str, value: Callable[[Any], Any], path: Callable[[Layout], Path] = evt) -> Edit:
    """Write a column in another format, as other software than CIAO does."""

    def edit(hdus: fits.HDUList) -> None:
        table = hdus["EVENTS"]
        columns = [
            fits.Column(name, form, array=value(table.data[name]))
            if c.name == name
            else fits.Column(c.name, c.format, unit=c.unit, array=table.data[c.name])
            for c in table.columns
        ]
        new = fits.BinTableHDU.from_columns(columns, header=table.header, name="EVENTS")
        for keyword in [key for key in table.header if key.startswith(("TC", "TLM"))]:
            new.header[keyword] = table.header[keyword]
        hdus[hdus.index_of("EVENTS")] = new

    return rewrite(path, edit)


def without(name: str, path: Callable[[Layout], Path] = evt) -> Edit:
    return rewrite(path, lambda hdus: hdus["EVENTS"].columns.del_col(name))


def good_times(*chips: int, start: float = START, stop: float = START + LENGTH_S) -> Edit:
    """Change the intervals of CCDs and leave the events."""

    def edit(hdus: fits.HDUList) -> None:
        for chip in chips:
            hdus[f"GTI{chip}"].data["START"], hdus[f"GTI{chip}"].data["STOP"] = start, stop

    return rewrite(evt, edit)


def history(*lines: str, mode: str = "VFAINT", path: Callable[[Layout], Path] = evt) -> Edit:
    def edit(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].header["DATAMODE"] = mode
        for line in lines:
            hdus["EVENTS"].header.add_history(line)

    return rewrite(path, edit)


def doubtful(share: float) -> Edit:
    """Events of the blank sky that VFAINT screening would flag, added to it."""

    def edit(hdus: fits.HDUList) -> None:
        table = hdus["EVENTS"]
        n = len(table.data)
        more = np.arange(int(share * n))
        table.data = table.data[np.concatenate([np.arange(n), more])]
        table.data["status"][n:, 31 - 23] = True
        table.header["DATAMODE"] = "VFAINT"

    return rewrite(sky, edit)


def flagged_again(n: int, bit: int) -> Edit:
    """The first events once more, with a status bit set."""

    def edit(hdus: fits.HDUList) -> None:
        table = hdus["EVENTS"]
        before = len(table.data)
        table.data = table.data[np.concatenate([np.arange(before), np.arange(n)])]
        table.data["status"][before:, 31 - bit] = True

    return rewrite(evt, edit)


def moved(name: str, new: str) -> Edit:
    def change(layout: Layout) -> None:
        path = next(layout.observation("77").glob(f"*/{name}"))
        to = layout.observation("77") / new
        to.parent.mkdir(exist_ok=True)
        shutil.move(path, to)

    return change


def beside(name: str, new: str, edit: Callable[[fits.HDUList], None] | None = None) -> Edit:
    """A second file of the same kind."""

    def change(layout: Layout) -> None:
        path = next(layout.observation("77").glob(f"*/{name}"))
        to = layout.observation("77") / new
        to.parent.mkdir(exist_ok=True)
        with fits.open(path, memmap=False) as hdus:
            if edit is not None:
                edit(hdus)
            hdus.writeto(to, checksum=True)

    return change


def elsewhere(hdus: fits.HDUList) -> None:
    """A field of view or event file of another field."""
    for hdu in hdus[1:]:
        for keyword in [k for k in hdu.header if k.startswith("TCRVL")]:
            hdu.header[keyword] += 0.5


def own_times(start: float, stop: float) -> Edit:
    def change(layout: Layout) -> None:
        table = fits.BinTableHDU.from_columns(
            [fits.Column("START", "D", array=[start]), fits.Column("STOP", "D", array=[stop])], name="GTI"
        )
        table.writeto(layout.supplied_gti("77"))

    return change


def configured(old: str, new: str) -> Edit:
    def change(layout: Layout) -> None:
        path = layout.cluster_dir.parent / "c.ini"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def no_blank_sky(layout: Layout) -> None:
    sky(layout).unlink()
    layout.background_reg.write_text(f'fk5\nbox({RA},{DEC},800",60")\n')


def cluster(n: int, core: float = 40.0) -> Edit:
    """Move n events of 0.7-2 keV to a beta model of beta = 2/3: S = (1 + (r/core)^2)^-1.5."""

    def edit(hdus: fits.HDUList) -> None:
        data = hdus["EVENTS"].data
        rng = np.random.default_rng(11)
        chosen = np.flatnonzero((data["energy"] > 700) & (data["energy"] < 2000))[:n]
        # within 240 pixels: the integral of S is 1 - (1 + (r/core)^2)^-1/2
        most = 1 - (1 + (240 / core) ** 2) ** -0.5
        r = core * np.sqrt((1 - most * rng.random(n)) ** -2 - 1)
        angle = rng.uniform(0, 2 * np.pi, n)
        x, y = r * np.cos(angle), r * np.sin(angle)
        for name, value in (
            ("x", x + 4096.5), ("y", y + 4096.5), ("ccd_id", np.where(x < 0, *CHIPS)),
            ("chipx", np.floor(x) % 1024 + 1), ("chipy", np.floor(y + ROWS / 2) + 1),
        ):  # fmt: skip
            data[name][chosen] = value

    return rewrite(evt, edit)


def region(text: str) -> Edit:
    return lambda layout: layout.background_reg.write_text(f"fk5\n{text}\n")


# What is measured


def facts(layout: Layout) -> dict[str, Any]:
    return dict(json.loads(layout.step_record("process-data", "77").read_text())["facts"])


def fact(name: str) -> Callable[[Layout], Any]:
    return lambda layout: facts(layout)[name]


def scale(layout: Layout) -> float:
    """Background scale, as stage 4 takes it."""
    both = (read_events(path) for path in (layout.filtered_events("77"), layout.background_events("77")))
    return particle_scale(*(particle_events(events, (), {}) for events in both)).scale


def held(layout: Layout) -> list[float]:
    """Ends of the energies [eV] that events and background were cut to."""
    return list(np.ravel(facts(layout)["energies_eV"]))


def share(layout: Layout) -> float:
    """Of the background's counts that are said to be the cluster's."""
    said = json.loads(layout.step_record("remove-sources").read_text())["facts"]["findings"]
    return float(said[0].partition("%")[0].rpartition(" ")[2]) / 100


def exposure(layout: Layout) -> float:
    return read_bundle(layout.bundle).observations[0].exposure_s


@dataclass(frozen=True)
class Case:
    """``edits`` of the input; what ``commands`` give: exit code, words, a value with its tolerance."""

    edits: Sequence[Edit]
    code: int
    words: Sequence[str] = ()
    value: tuple[Callable[[Layout], Any], Any, float] | None = None
    commands: Sequence[str] = ("process-data",)
    never: Sequence[str] = field(default=("damaged",))


def refused(edits: Sequence[Edit], *words: str, commands: Sequence[str] = ("process-data",)) -> Case:
    return Case(edits, 2, words, commands=commands)


def right(
    edits: Sequence[Edit],
    value: Callable[[Layout], Any],
    expected: Any,
    within: float,
    *words: str,
    **more: Any,
) -> Case:
    return Case(edits, 0, words, (value, expected, within), **more)


TO_REMOVE = ("process-data", "remove-sources")
TO_CROP = ("process-data", "remove-sources", "generate-responses", "crop-data")
N = PARTICLES + SKY
QUIET = ("factor", "faintest", "holds only", "selected in")  # words of warnings that must not be said
HALF = START + 0.5 * LENGTH_S
NO_SCREENING = 1 / (1 + 0.25)

CASES: dict[str, Case] = {
    "as it should be": right([], scale, SCALE, 0.01, never=QUIET),
    # energies: the common part of the band of the scale
    "events cut at 10 keV": right(
        [energies(300, 10_000)], scale, SCALE, 0.02, "less than 10.00 keV", "9.50-10.00 keV"
    ),
    "blank sky cut at 10 keV": right([energies(300, 10_000, sky)], scale, SCALE, 0.02, "9.50-10.00 keV"),
    "cut at 10 and at 11 keV": right(
        [energies(300, 10_000), energies(300, 11_000, sky)], held, [0, 10_000], 3, "9.50-10.00"
    ),
    "both cut at 10 keV": right([energies(300, 10_000), energies(300, 10_000, sky)], scale, SCALE, 0.02),
    "subspace says 10 keV, events too": right(
        [energies(300, 10_000), selected("energy", "300:10000")], held, [300, 10_000], 3
    ),
    "subspace says 10 keV of blank sky": right(
        [energies(300, 10_000, sky), selected("energy", "300:10000", path=sky)], scale, SCALE, 0.02
    ),
    "subspace in PI": right([energies(300, 10_000), selected("pi", "20:685")], held, [277.4, 10_000], 8),
    "events of 0.5-7 keV": refused([energies(500, 7000)], "evt2", "0.50-7.00 keV", "9.5-12 keV", "nothing"),
    "blank sky of 0.5-7 keV": refused(
        [energies(500, 7000, sky)], "77_background", "0.50-7.00 keV", "nothing"
    ),
    "events cut at 9.6 keV": refused([energies(300, 9600)], "9.50-9.60 keV", "without a filter in energy"),
    "events without 6-7 keV": refused(
        [only(lambda d: (d["energy"] < 6000) | (d["energy"] > 7000))],
        "less than 6.00 keV and more than 7.00 keV",
        "band is 0.7-8 keV",
        commands=TO_CROP,
    ),
    "events above 2 keV": refused(
        [energies(2000, 12_000)], "2.00", "band is 0.7-8 keV", "energy_min", commands=TO_CROP
    ),
    "blank sky above 2 keV": refused(
        [energies(2000, 12_000, sky)], "0.7-8 keV", "energy_min", commands=TO_CROP
    ),
    "of 0.5-7 keV with background.reg": refused(
        [energies(500, 7000), no_blank_sky], "7.00 keV", "flares", "nothing"
    ),
    "cut at 10 keV with background.reg": right(
        [energies(300, 10_000), no_blank_sky], held, [0, 10_000], 3, "holds only", commands=TO_CROP
    ),
    "energies to 12 keV in the subspace": right(
        [selected("energy", "300:12000")], scale, SCALE, 0.01, never=QUIET
    ),
    "energies open on both sides": right([selected("energy", "300:")], scale, SCALE, 0.01, never=QUIET),
    # sky and chips
    "circle of the sky": refused(
        [only(lambda d: np.hypot(d["x"] - 4096, d["y"] - 4096) < 230)], "evt2", "of CCD 2", "no event at all"
    ),
    "RotBox in the subspace": refused(
        [
            only(lambda d: np.hypot(d["x"] - 4096, d["y"] - 4096) < 230),
            selected(
                "sky(x,y)", "RotBox(4047.26,4209.41,192,192,360)", "RotBox(4047.26,4209.41,192,192,360)"
            ),
        ],
        "RotBox(4047.26,4209.41,192,192,360)",
        "no event at all",
    ),
    "few events of a circle, said": refused(
        [
            only(lambda d: (np.hypot(d["x"] - 4096, d["y"] - 4096) < 230) & (np.arange(len(d)) % 100 == 0)),
            selected("sky(x,y)", "Circle(4096,4096,230)"),
        ],
        "Circle(4096,4096,230)",
        "exposure would be counted",
    ),
    "Field() in the subspace": right([selected("sky(x,y)", "Field()")], scale, SCALE, 0.01, never=QUIET),
    "sources cut out": right(
        [selected("sky(x,y)", "Field()&!Circle(4000,4000,10)")],
        scale,
        SCALE,
        0.01,
        "Field()&!Circle",
        "sources.reg",
    ),
    "half a chip is gone": refused(
        [only(lambda d: (d["ccd_id"] != 3) | (d["chipx"] < 600))], "of CCD 3 has no event"
    ),
    "a quarter of the blank sky is gone": refused(
        [only(lambda d: (d["ccd_id"] != 2) | (d["chipx"] > 257), sky)],
        "77_background",
        "25% of CCD 2 has no event",
    ),
    "one node, said": refused(
        [only(lambda d: d["chipx"] < 257), selected("node_id", "0:0")],
        "75% of CCD 2, 75% of CCD 3",
        "node_id = 0:0",
    ),
    "full chip, said": right([selected("chip(chipx,chipy)", "Field()")], scale, SCALE, 0.01, never=QUIET),
    "rows of the subarray, said": right([selected("chipy", f"1:{ROWS}")], scale, SCALE, 0.01, never=QUIET),
    "sky pixels in full, said": right([selected("x", "0.5:8192.5")], scale, SCALE, 0.01, never=QUIET),
    "one chip, said": right(
        [
            only(lambda d: d["ccd_id"] == 3),
            cards(DSVAL1="3:3", DSREF2=":GTI3", _2DSVAL1="3:3", _2DSREF2=":GTI3"),
        ],
        fact("chips"),
        [3],
        0,
    ),
    "other chips, said": refused([cards(DSVAL1="5:5", _2DSVAL1="6:6")], "CCD 5, 6", "target was on 2, 3"),
    "one chip of the blank sky": right([only(lambda d: d["ccd_id"] == 2, sky)], fact("chips"), [2], 0),
    # time and exposure
    "cut in time, good times untouched": refused(
        [only(lambda d: d["time"] < START + 0.4 * LENGTH_S)],
        "60% of the good time of CCD 2",
        "no event at all",
    ),
    "one chip cut in time": refused(
        [only(lambda d: (d["ccd_id"] != 3) | (d["time"] < HALF))], "50% of the good time of CCD 3"
    ),
    "a gap in the middle": refused(
        [only(lambda d: np.abs(d["time"] - HALF) > 4000)], "10% of the good time", "dmcopy"
    ),
    "EXPOSURE twice the good times": refused(
        [cards(EXPOSURE=2 * LIVE_S)], "EXPOSURE is 156800 s", "80000 s", "= 78400 s", "dmmerge"
    ),
    "good times cut, header not": refused(
        [good_times(*CHIPS, stop=HALF)], "EXPOSURE is 78400 s", "good times are 40000 s", "cut in time"
    ),
    "EXPOSURE of a chip twice its good time": refused([cards(EXPOSUR3=2 * LIVE_S)], "EXPOSUR3 is 156800 s"),
    "EXPOSURE half the good times": refused([cards(EXPOSURE=LIVE_S / 2)], "EXPOSURE is 39200 s", "80000 s"),
    "EXPOSURE as long as ONTIME": refused([cards(EXPOSURE=LENGTH_S)], "EXPOSURE is 80000 s", "78400 s"),
    "half a per cent off": right([cards(EXPOSURE=1.005 * LIVE_S)], fact("exposure_s"), LIVE_S, 1),
    "no DTCOR": right([cards(DTCOR=None)], fact("exposure_s"), LIVE_S, 1),
    "no DTCOR, EXPOSURE too long": refused(
        [cards(DTCOR=None, EXPOSURE=1.1 * LENGTH_S)], "EXPOSURE is 88000 s"
    ),
    # numbers of a header
    "EXPOSURE is an integer": right([cards(EXPOSURE=int(LIVE_S))], fact("exposure_s"), LIVE_S, 1),
    "EXPOSURE is a text": right([cards(EXPOSURE="78400.0")], fact("exposure_s"), LIVE_S, 1),
    "EXPOSURE only of chips": right([cards(EXPOSURE=None, LIVETIME=None)], fact("exposure_s"), LIVE_S, 1),
    "integer, and good times of one's own": right(
        [cards(EXPOSURE=int(LIVE_S)), own_times(START, HALF)],
        exposure,
        LIVE_S / 2,
        0.02 * LIVE_S,
        commands=TO_CROP,
    ),
    "text, and good times of one's own": right(
        [cards(EXPOSURE="78400"), own_times(START, HALF)],
        exposure,
        LIVE_S / 2,
        0.02 * LIVE_S,
        commands=TO_CROP,
    ),
    "EXPOSURE is a word": refused([cards(EXPOSURE="long")], "EXPOSURE is 'long'", "dmhedit"),
    "EXPOSURE is nothing": refused([cards(EXPOSURE=0)], "EXPOSURE is 0 s", "positive"),
    "no EXPOSURE at all": refused(
        [cards(EXPOSURE=None, EXPOSUR2=None, EXPOSUR3=None)], "EXPOSURE is None", "dmhedit"
    ),
    "TSTOP before TSTART, integers": refused(
        [cards(TSTART=500080000, TSTOP=500000000)], "TSTOP is 500000000, not after"
    ),
    "TSTOP before TSTART, texts": refused([cards(TSTART="5.1e8", TSTOP="5e8")], "not after TSTART"),
    "SIM_Z is an integer": right([cards(DETNAM="ACIS-2367", SIM_Z=-234)], fact("chips"), [2, 3], 0),
    "SIM_Z is a text": right([cards(DETNAM="ACIS-23678", SIM_Z="-233.6")], fact("chips"), [2, 3], 0),
    "NROWS is a text": right([cards(FIRSTROW="1", NROWS="512")], scale, SCALE, 0.01),
    "FIRSTROW is beyond the chip": refused(
        [cards(FIRSTROW=2000)], "FIRSTROW, NROWS are 2000, 512", "dmhedit"
    ),
    "NROWS is nothing": refused([cards(NROWS=0)], "FIRSTROW, NROWS are 1, 0"),
    "NROWS is too small": refused([cards(NROWS=100)], "FIRSTROW, NROWS are 1, 100", "chipy 1 to 512"),
    "RA_PNT is a text": right([cards(RA_PNT="150.0")], scale, SCALE, 0.01),
    "RA_PNT in hours": refused([cards(RA_PNT="10:00:00")], "RA_PNT is '10:00:00'", "expected a number"),
    # VFAINT screening
    "screened, CHKVFPHA says so": right(
        [history(), cards(CHKVFPHA=True), doubtful(0.25)], scale, SCALE, 0.01
    ),
    "screened, CHKVFPHA in words": right(
        [history(), cards(CHKVFPHA="yes"), doubtful(0.25)], scale, SCALE, 0.01
    ),
    "screened, HISTORY says so": right(
        [history("PARM  :check_vf_pha=yes" + " " * 40 + "ASC00031"), doubtful(0.25)], scale, SCALE, 0.01
    ),
    "screened, HISTORY over two cards": right(
        [
            history("TOOL  :acis_process_events ", "PARM  :" + "x" * 55 + " check_vf_pha=yes clobber=yes"),
            doubtful(0.25),
        ],
        scale,
        SCALE,
        0.01,
    ),
    "screened, HISTORY goes on": right(
        [
            history("PARM  :a=1 check_vf_   ASC00031".replace("   ", ""), "CONT  :pha=yes ASC00032"),
            doubtful(0.25),
        ],
        scale,
        SCALE,
        0.01,
    ),
    "not screened, HISTORY says so": right(
        [history("PARM  :check_vf_pha=no"), doubtful(0.25)],
        scale,
        SCALE * NO_SCREENING,
        0.01,
        never=("nothing tells",),
    ),
    "screened in the end": right(
        [history("PARM  :check_vf_pha=no", "PARM  :check_vf_pha=yes"), doubtful(0.25)], scale, SCALE, 0.01
    ),
    "VFAINT, nothing tells": right(
        [history(), doubtful(0.25)],
        scale,
        SCALE * NO_SCREENING,
        0.01,
        "VFAINT",
        "neither CHKVFPHA nor HISTORY",
    ),
    "FAINT, HISTORY of another file": right(
        [history("PARM  :check_vf_pha=yes", mode="FAINT"), doubtful(0.25)], scale, SCALE * NO_SCREENING, 0.01
    ),
    "only the blank sky is screened": right(
        [history("PARM  :check_vf_pha=no"), cards(sky, DATAMODE="VFAINT")],
        scale,
        SCALE,
        0.01,
        "were screened",
    ),
    "blank sky without status": right(
        [history(), cards(CHKVFPHA=True), without("status", sky)], scale, SCALE, 0.01, "no column status"
    ),
    # grades, status, level
    "written by chandra_repro before 2021": right(
        [
            cards(CONTENT="EVT1", HDUCLAS2="ALL", CREATOR="acis_process_events - CIAO 4.6"),
            selected("grade", "0:0,2:2,3:3,4:4,6:6"),
        ],
        fact("events"),
        N,
        0,
    ),
    "the same without a subspace": right([cards(CONTENT="EVT1", HDUCLAS2="ALL")], fact("events"), N, 0),
    **{
        f"no number as {name} of some events{of}": refused(
            [column(name, lambda d, name=name: np.where(np.arange(len(d)) % 50, d[name], np.nan), path)],
            "good events on the chips in use have no number in column " + name,
        )
        for name, path, of in (
            ("time", evt, ""),
            ("x", evt, ""),
            ("energy", evt, ""),
            ("energy", sky, " of the blank sky"),
        )
    },
    "level 1 by its grades": refused(
        [cards(CONTENT="EVT1"), column("grade", lambda d: np.arange(len(d)) % 8)], "level-1", "chandra_repro"
    ),
    "level 1 by its status": refused([cards(CONTENT="EVT1"), flagged_again(50, 4)], "50 of its", "level-1"),
    "grades 0 only, said": refused(
        [only(lambda d: d["grade"] == 0), selected("grade", "0:0")],
        "grades 2, 3, 4, 6 were left out",
        "grade=0,2,3,4,6",
    ),
    "grade 6 is missing": refused([only(lambda d: d["grade"] != 6)], "evt2", "no event has grade 6", "20%"),
    "grade 6 of the blank sky": refused(
        [only(lambda d: d["grade"] != 6, sky)], "77_background", "no event has grade 6"
    ),
    "no column grade": refused([without("grade")], "no column grade", "dmcopy"),
    "no column time": refused([without("time")], "no column time", "dmcopy"),
    **{
        f"pi of the blank sky {how}": refused(
            [column("pi", pi, sky)], "its PI channels are off by", "channels)"
        )
        for how, pi in (
            ("3 channels off", lambda d: np.clip(d["pi"] + 3, 1, 1024)),
            ("of channels of another width", lambda d: np.clip(d["pi"] * 1.02, 1, 1024)),
            ("empty", lambda d: np.zeros(len(d))),
        )
    },
    "no column pi": refused([without("pi")], "no column pi"),
    "status as logicals": right([retyped("status", "32L", lambda s: s)], fact("events"), N, 0),
    "status as logicals, 500 bad": right(
        [flagged_again(500, 7), retyped("status", "32L", lambda s: s)], fact("events"), N, 0
    ),
    "status as a number": right(
        [flagged_again(500, 0), retyped("status", "J", lambda s: s.sum(axis=1))], fact("events"), N, 0
    ),
    "status as text": refused([retyped("status", "4A", lambda s: ["0000"] * len(s))], "status", "4A", "32X"),
    "status of clean events, 500 bad": right([flagged_again(500, 23)], fact("events"), N, 0),
    # names and ObsIDs
    "two fields of view, repro wins": right(
        [
            moved("*_evt2.fits", "repro/acisf00077_repro_evt2.fits"),
            moved("*fov1.fits", "repro/acisf00077_repro_fov1.fits"),
            beside("*fov1.fits", "repro/acisf00077_000N003_fov1.fits", elsewhere),
        ],
        scale,
        SCALE,
        0.01,
    ),
    "two event files, repro wins": right(
        [
            beside("*_evt2.fits", "repro/acisf00077_repro_evt2.fits"),
            lambda layout: evt(layout).write_bytes(b"not this one"),
        ],
        scale,
        SCALE,
        0.01,
    ),
    "two event files, neither repro": refused(
        [beside("*_evt2.fits", "primary/acisf00077N004_evt2.fits")], "several files", "keep one"
    ),
    "of another ObsID": refused([cards(OBS_ID="78")], "OBS_ID is 78", "folder of ObsID 77"),
    "ObsID as a number": right([cards(OBS_ID=77)], scale, SCALE, 0.01),
    "ObsID with zeros": right([cards(OBS_ID="00077")], scale, SCALE, 0.01),
    "merged": refused([cards(OBS_ID="Merged")], "OBS_ID is MERGED", "splitobs", "each ObsID its own"),
    "good times of two visits": refused(
        [good_times(3, start=START + 4.6e6, stop=START + 4.6e6 + LENGTH_S)],
        "span 4.68e+06 s",
        "splitobs",
        "each ObsID",
    ),
    # likeliest cause
    "no GTI tables": refused(
        [rewrite(evt, lambda h: h.__delitem__(slice(2, None)))], "no good time", "dmcopy"
    ),
    "no event": refused([only(lambda d: d["x"] < 0)], "event list is empty", "filter"),
    "good times of another observation": refused(
        [good_times(*CHIPS, start=1e8, stop=1e8 + LENGTH_S)],
        "no event of good grade in good time",
        "100000000 to",
    ),
    # rates
    "blank sky's EXPOSURE is twice too long": right(
        [cards(sky, EXPOSURE=2 * LIVE_S / SCALE)], scale, SCALE, 0.01, "factor of 2.0", "EXPOSURE"
    ),
    "three times too few events": right(
        [only(lambda d: np.arange(len(d)) % 4 == 0)], scale, SCALE / 4, 0.01, "factor of 0.2"
    ),
    "soft events are missing": right(
        [only(lambda d: (d["energy"] > 7500) | (np.arange(len(d)) % 3 == 0))],
        scale,
        SCALE,
        0.01,
        "faintest tenth",
    ),
    "background.reg on the cluster": right(
        [cluster(10_000), no_blank_sky, region(f'circle({RA},{DEC},40")')],
        share,
        0.957,
        0.015,
        "% of its 0.5-7 keV counts are the cluster's",
        "farther out",
        commands=TO_REMOVE,
    ),
    "background.reg beside the cluster": right(
        [cluster(10_000), no_blank_sky, region(f'annulus({RA},{DEC},60",90")')],
        share,
        0.58,
        0.04,
        "are the cluster's",
        commands=TO_REMOVE,
    ),
    "background.reg far from the cluster": right(
        [cluster(10_000), no_blank_sky, region(f'box({RA + 0.1},{DEC},100",200")')],
        fact("background_events"),
        0,
        0,
        never=("are the cluster's",),
        commands=TO_REMOVE,
    ),
}


def test_there_are_sixty_of_them() -> None:
    assert len(CASES) >= 60


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("case")
    write_case(Layout(folder / "A", "A"))
    (folder / "c.ini").write_text(
        "[cluster_info]\nname = A\nobservation_ids = 77\nredshift = 0.1\nhydrogen_column_density = 0.03\n"
        "abundance = 0.3\nsignal_to_noise_threshold = 40\ndata_directory = .\n"
        "[spectral]\nenergy_min = 0.7\nenergy_max = 8\n"
    )
    return folder


@pytest.mark.parametrize("name", CASES)
def test_input(pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    case = CASES[name]
    folder = tmp_path / "work"
    shutil.copytree(pristine, folder)
    layout = Layout(folder / "A", "A")
    for edit in case.edits:
        edit(layout)
    codes = []
    said = ""
    for command in case.commands:
        codes.append(main([command, "-c", str(folder / "c.ini")]))
        out, err = capsys.readouterr()
        said += out + err
        if codes[-1]:
            break
    assert codes[-1] == case.code, said
    for word in case.words:
        assert word in said
    for word in case.never:
        assert word not in said
    if case.code:
        assert len([line for line in err.splitlines() if line.startswith("pyxt-hpc: error: ")]) == 1
        assert not layout.bundle.exists()
    if case.value is not None:
        measure, expected, within = case.value
        assert measure(layout) == pytest.approx(expected, abs=within)
