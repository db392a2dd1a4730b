"""What is sent to CIAO is right by its own parameter tables, for every kind of observation."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.chandra.kinds import datasets_of
from pyxt_hpc.chandra.regions.physical import physical_text
from pyxt_hpc.chandra.regions.text import parse_regions
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.errors import DamagedFile, EmptySelection, MissingInput
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans import archive, facts
from pyxt_hpc.preprocess.ciao.plans.background import background_call
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call
from pyxt_hpc.preprocess.ciao.plans.detection import detection_calls
from pyxt_hpc.preprocess.ciao.plans.exposure_maps import exposure_map_call, map_name
from pyxt_hpc.preprocess.ciao.plans.flares import flare_calls
from pyxt_hpc.preprocess.ciao.plans.repro import choose_exposure, find_repro, repro_call
from pyxt_hpc.preprocess.ciao.plans.responses import clean_events_call, response_call
from pyxt_hpc.preprocess.inputs.area_maps import area_energies

# of the public repository cxcsds/ciao-contrib, July 2026
TABLES = json.loads((Path(__file__).parent / "whole/double/ciao_double/parameters.json").read_text())
MAY_BE_EMPTY = {("find_chandra_obsid", "dec"), ("specextract", "bkgfile")}
BAND_KEV = (0.7, 8.0)
ALL_TOOLS = {
    "find_chandra_obsid", "download_chandra_obsid", "chandra_repro", "blanksky", "dmcopy", "specextract",
    "fluximage", "wavdetect", "dmextract", "deflare",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Observations of a cluster: ObsIDs, and what they are like."""

    obsids: tuple[str, ...] = ("4940",)
    chips: tuple[int, ...] = (0, 1, 2, 3)
    mode: str = "FAINT"
    cycles: tuple[str, ...] = ("",)
    n_aspect: int = 1
    name: str = "A1795"
    packed: bool = True
    folder: str = "data"


CASES = {
    "ACIS-I, FAINT": Case(),
    "ACIS-I, VFAINT": Case(mode="VFAINT"),
    "ACIS-S, GRADED": Case(chips=(5, 6, 7, 8), mode="GRADED"),
    "ACIS-S with all chips": Case(chips=(4, 5, 6, 7, 8, 9), mode="VFAINT"),
    "one chip": Case(chips=(7,)),
    "chips with a gap": Case(chips=(0, 1, 3)),
    "five observations": Case(("1838", "1839", "4940", "20941", "7"), n_aspect=2),
    "interleaved": Case(("10551",), cycles=("e1", "e2")),
    "several aspect files": Case(n_aspect=4),
    "unpacked": Case(packed=False),
    "long and odd names": Case(
        ("20941", "20942"), name=f"Abell_S0592-b.v2+{80 * 'x'}", folder="a=b~c%d/e.f+g"
    ),
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_every_plan_of_every_stage(case: Case, tmp_path: Path) -> None:
    layout = Layout(tmp_path / case.folder / case.name, case.name)
    plan = list(whole_plan(case, layout))
    assert {call.tool for call in plan} - {"merge_obs"} == ALL_TOOLS
    assert ("merge_obs" in {call.tool for call in plan}) == (len(case.obsids) > 1)
    written: set[Path] = set()
    for call in plan:
        check_parameters(call)
        check_files(call, written, layout)
    products = [call.folder / name for call in plan if not call.in_place for name in call.writes]
    assert len(products) == len(set(products)), "two calls write the same file"


def whole_plan(case: Case, layout: Layout) -> Iterator[Call]:
    """All calls for a cluster, one after the other; what each makes is put there by the test."""
    level_2, chips = {}, {}
    for obsid in case.obsids:
        yield archive.find_call(obsid, layout)
        assert list(archive.incomplete(layout.observation(obsid)))
        yield archive.download_call(obsid, layout)
        write_level_1(case, obsid, layout)
        assert list(archive.incomplete(layout.observation(obsid))) == []
        exposure = choose_exposure(obsid, layout.observation(obsid))
        assert exposure.datamode == case.mode
        call = repro_call(obsid, layout, exposure, check_very_faint=True)
        assert call.parameters["check_vf_pha"] is (case.mode == "VFAINT")
        yield call
        write_repro(case, obsid, exposure.cycle, layout)
        files = find_repro(obsid, layout)
        assert files is not None
        assert len(files.aspect) == case.n_aspect
        assert all(
            exposure.cycle in path.name for path in (files.events, files.fov, files.badpix, files.mask)
        )
        level_2[obsid], chips[obsid] = files, case.chips
        for stowed in (False, True):
            call = background_call(obsid, layout, files, case.chips, stowed=stowed)
            assert call.parameters["stowedbg"] is stowed
            assert call.parameters["random"] == int(obsid) + 1, "0 is another seed every time"
        yield call
    yield from detection_calls(level_2, chips, layout, 4)
    for obsid, files in level_2.items():
        frame = sky_frame()
        region = parse_regions(
            'fk5\ncircle(10:00:00,+30:00:00,20")\nbox(10:00:05,+30:01:00,20",9",5)', Path("s")
        )
        put(layout.ciao_sources(obsid), physical_text(region, {}, frame))
        yield from flare_calls(obsid, layout, files, case.chips, (5e8, 5.0004e8), layout.ciao_sources(obsid))
        put(layout.good_times(obsid, "fullE"), "good times")
        for dataset in datasets_of(obsid, case.chips):
            yield clean_events_call(dataset, layout, files, layout.good_times(obsid, "fullE"))
            for place in (dataset, *dataset.places(2)):
                put(layout.ciao_region(place.name), physical_text(region, {}, frame))
                yield response_call(place, layout, files, BAND_KEV)
            grid = "3000.5:5000.5:4,3200.5:4800.5:4"
            yield exposure_map_call(dataset, layout, files, grid, area_energies(BAND_KEV))


# what parameters may be


def check_parameters(call: Call) -> None:
    """By the tables: no unknown parameter, types, choices and limits right, required ones given."""
    if call.tool == "download_chandra_obsid":
        assert set(call.parameters) <= {"obsids", "filetypes"}
        return
    table = TABLES[call.tool]
    assert table["runnable"]
    known = {p["name"]: p for p in (*table["required"], *table["optional"])}
    assert set(call.parameters) <= set(known), f"{call.tool} has no such parameter"
    for name, value in call.parameters.items():
        check_value(f"{call.tool}.{name}", known[name], value)
    for p in table["required"]:
        given = call.parameters.get(p["name"], p["default"])
        assert given is not None or (call.tool, p["name"]) in MAY_BE_EMPTY, f"{call.tool} needs {p['name']}"
    if "clobber" in known:
        assert call.parameters["clobber"] is True
    else:
        assert call.tool in ("find_chandra_obsid", "deflare")


def check_value(what: str, p: dict[str, Any], value: object) -> None:
    kinds = {"b": bool, "i": int, "r": (int, float), "s": (str, tuple), "f": (str, tuple)}
    assert isinstance(value, kinds[p["type"]]), what
    assert p["type"] == "b" or not isinstance(value, bool), what
    if "choices" in p:
        assert value in p["choices"], what
    for limit, sign in (("min", 1), ("max", -1)):
        if p["type"] in "ir" and isinstance(p.get(limit), int | float):
            assert sign * (value - p[limit]) >= 0, what  # type: ignore[operator]
    texts = value if isinstance(value, tuple) else (value,)
    if isinstance(value, tuple):
        assert value, what
        assert not any(re.search(r"[\s,]", text) for text in value), f"{what}: a stack splits there"
    assert all(len(text) < 1024 for text in texts if isinstance(text, str)), what
    if p["type"] == "f":
        outside = [re.sub(r"\[[^]]*\]", "", str(text)) for text in texts]
        assert not any(re.search(r"[\s,]", text) for text in outside), f"{what}: a blank in a path"


# what virtual files may be

RANGE = r"\d+(?:\.\d+)?:\d+(?:\.\d+)?"
FILTERS = (
    re.compile(r"(?P<column>ccd_id)=(?:\d(?::\d)?)(?:,\d(?::\d)?)*"),
    re.compile(rf"(?P<column>energy)={RANGE}"),
    re.compile(rf"bin (?P<column>time)={RANGE}:\d+(?:\.\d+)?"),
    re.compile(r"(?:exclude )?(?P<column>sky)=region\((?P<path>[^()]+)\)"),
    re.compile(r"@(?P<path>[^@]+)"),
)
SHAPE = re.compile(r"(?P<name>circle|ellipse|rotbox|annulus|pie|polygon|field)\((?P<numbers>[-+0-9.,e]*)\)")
N_NUMBERS = {"circle": (3,), "ellipse": (5,), "rotbox": (5,), "annulus": (4,), "pie": (6,), "field": (0,)}


def paths_of(text: str) -> list[Path]:
    """Files that a virtual file names: itself, regions and good times; AssertionError if it is malformed."""
    path, *filters = text.split("[")
    assert re.fullmatch(r"(/|\{out\}/)[^\[\]@,\s]+", path), text
    found = [Path(path)]
    for one in filters:
        assert one.endswith("]"), text
        match = next((m for f in FILTERS if (m := f.fullmatch(one[:-1]))), None)
        assert match is not None, f"{text}: {one}"
        low_high = re.findall(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", one)
        assert all(float(low) <= float(high) for low, high in low_high), text
        if named := match.groupdict().get("path"):
            assert named.startswith("/"), text
            found.append(Path(named))
            if match.groupdict().get("column") == "sky":
                check_region(Path(named))
    return found


def check_region(path: Path) -> None:
    """One line a union, every shape with its numbers, none that is only cut out."""
    first, *lines = path.read_text().splitlines()
    assert first.startswith("# Region file format: CIAO")
    assert lines
    for line in lines:
        assert re.fullmatch(rf"{SHAPE.pattern}(?:[-*]{re.sub('P<[a-z]+>', ':', SHAPE.pattern)})*", line), line
        for match in SHAPE.finditer(line):
            n = len([number for number in match["numbers"].split(",") if number])
            assert n in N_NUMBERS.get(match["name"], (n,)), line
            assert match["name"] != "polygon" or (n >= 6 and n % 2 == 0), line


@pytest.mark.parametrize(
    "text",
    [
        "/a/evt2.fits[ccd_id=0:3",
        "/a/evt2.fits[ccd_id=0-3]",
        "/a/evt2.fits[energy=12000:9000]",
        "/a/evt2.fits[sky=src.reg]",
        "/a/evt 2.fits",
        "evt2.fits",
        "/a/evt2.fits[@gti.fits]",
        "/a/evt2.fits[exclude region(/a/b.reg)]",
    ],
)
def test_the_parser_itself_finds_mistakes(text: str) -> None:
    with pytest.raises(AssertionError):
        paths_of(text)


# what files may be

VIRTUAL = {
    "infile", "infiles", "evtfile", "asolfile", "asolfiles", "asp", "badpixfile", "badpixfiles", "maskfile",
    "maskfiles", "mskfile", "psffile", "expfile",
}  # fmt: skip


def check_files(call: Call, written: set[Path], layout: Layout) -> None:
    """All that a call reads is there, and all that it promises has the name that it is told."""
    for path in call.reads:
        assert path.is_absolute()
        assert path.exists() or path in written, f"{call.tool} reads {path}, which nothing makes"
    named: set[Path] = set()
    for name, value in call.parameters.items():
        texts: Sequence[str] = (
            value if isinstance(value, tuple) else [value] if isinstance(value, str) else []
        )
        if name in VIRTUAL:
            named.update(path for text in texts for path in paths_of(text))
        elif name not in ("outdir", "indir", "arg", "obsids"):
            assert all(text.startswith(OUT) for text in texts if "/" in text), f"{call.tool}.{name}"
    assert named <= set(call.reads), f"{call.tool} does not say that it reads {named - set(call.reads)}"
    assert call.folder.is_relative_to(layout.cluster_dir)
    for name in call.writes:
        assert not Path(name).is_absolute()
        told = [Path(str(v)).name for k, v in call.parameters.items() if k in ("outfile", "outroot")]
        assert not told or any(Path(name).name.startswith(one.split(".")[0]) for one in told), call
    made = {call.folder / name for call in [call] for name in call.writes}
    for path in made:
        if "*" not in path.name:
            put(path, "made")
    written |= made


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def sky_frame() -> WCS:
    return tangent_plane(150.0, 30.0, crpix=(4096.5, 4096.5))


def header_of(case: Case, obsid: str) -> dict[str, Any]:
    return {
        "TELESCOP": "CHANDRA", "INSTRUME": "ACIS", "DETNAM": f"ACIS-{''.join(map(str, case.chips))}",
        "DATAMODE": case.mode, "READMODE": "TIMED", "EXPOSURE": 1000.0, "OBS_ID": obsid,
    }  # fmt: skip


def write_level_1(case: Case, obsid: str, layout: Layout) -> None:
    """The archive's files of an observation, with headers only."""
    folder, stem = layout.observation(obsid), f"acisf{int(obsid):05d}"
    end = ".fits.gz" if case.packed else ".fits"
    write_table(folder / "oif.fits", "OIF", {"OBS_ID": obsid})
    for k in range(case.n_aspect):
        write_table(folder / f"primary/pcadf{5_0000_0000 + k}N003_asol1{end}", "ASPSOL", {"OBS_ID": obsid})
    for n, cycle in enumerate(case.cycles):
        own = f"{stem}_000N003{cycle and f'_{cycle}'}"
        header = {**header_of(case, obsid), "EXPOSURE": 1000.0 * (n + 1)}
        for kind in ("evt2", "bpix1", "fov1"):
            write_table(folder / f"primary/{own}_{kind}{end}", "EVENTS", header)
        for kind in ("evt1", "flt1", "msk1", "mtl1", "stat1"):
            write_table(folder / f"secondary/{own}_{kind}{end}", "EVENTS", header)
    write_table(folder / f"secondary/{stem}N003_pbk0{end}", "PBK", {})
    for chip in case.chips:
        write_table(folder / f"secondary/{stem}N003_{chip}_bias0{end}", "BIAS", {})


def write_repro(case: Case, obsid: str, cycle: str, layout: Layout) -> None:
    """What chandra_repro makes of it, with headers only."""
    folder, stem = layout.repro(obsid), f"acisf{int(obsid):05d}"
    for kind in ("evt2", "bpix1", "fov1"):
        write_table(folder / f"{stem}{cycle}_repro_{kind}.fits", "EVENTS", header_of(case, obsid))
    write_table(folder / f"{stem}_000N003{cycle and f'_{cycle}'}_msk1.fits", "MASK", {})
    for k in range(case.n_aspect):
        write_table(folder / f"pcadf{5_0000_0000 + k}N003_asol1.fits", "ASPSOL", {})


def write_table(path: Path, name: str, header: dict[str, Any]) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("time", "1D", array=np.zeros(3))], name=name)
    table.header.update(header)
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


# single facts


def test_of_interleaved_exposures_the_longer_is_used(tmp_path: Path) -> None:
    case, layout = CASES["interleaved"], Layout(tmp_path / "A", "A")
    write_level_1(case, "10551", layout)
    exposure = choose_exposure("10551", layout.observation("10551"))
    assert exposure.cycle == "e2"
    call = repro_call("10551", layout, exposure, check_very_faint=True)
    assert "acisf10551e2_repro_evt2.fits" in call.writes
    assert not any("e1" in name for name in call.writes)


def test_parts_of_an_observation_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "4940"
    for part in ("000", "001"):
        header = {"INSTRUME": "ACIS", "TELESCOP": "CHANDRA", "EXPOSURE": 1.0}
        write_table(folder / f"secondary/acisf04940_{part}N003_evt1.fits", "EVENTS", header)
    with pytest.raises(DamagedFile, match="splitobs"):
        choose_exposure("4940", folder)


@pytest.mark.parametrize("packed", [True, False])
def test_half_a_file_is_seen(packed: bool, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "A", "A")
    write_level_1(Case(packed=packed), "4940", layout)
    folder = layout.observation("4940")
    (path,) = folder.glob("secondary/*mtl1.fits*")
    path.write_bytes(path.read_bytes()[:-300])
    assert list(archive.incomplete(folder)) == [f"secondary/{path.name} is not whole"]
    path.unlink()
    assert list(archive.incomplete(folder)) == ["secondary/*mtl1.fits is not there"]


def test_the_archives_table_tells_who_is_public() -> None:
    screen = (
        "# obsid  sepn   inst grat   time    obsdate           piname       target\n"
        '4940      0.3 ACIS-I NONE   78.9 2004-01-20 "VAN SPEYBROECK" "ABELL 1795"\n'
        "10900     0.0 ACIS-S NONE   15.8 2009-04-20          O'Dea   Abell1795\n"
        "1669      1.0  HRC-I NONE    2.5 2000-07-19     CALIBRATION   A1795\n"
    )
    first, second, hrc, unknown = (
        facts.facts_of_answer(obsid, screen) for obsid in ("4940", "10900", "1669", "99999")
    )
    assert (first.target, first.exposure_s, first.problem) == ("ABELL 1795", 78_900.0, "")
    assert (second.target, second.instrument, second.is_public) == ("Abell1795", "ACIS-S", True)
    assert "its instrument is HRC-I, expected ACIS" in hrc.problem
    assert (unknown.is_public, bool(unknown.problem)) == (False, True)
    lines = list(facts.observation_table([first, hrc, unknown]))
    assert re.search(r"4940 +ABELL 1795 +ACIS-I +- +78\.9 +2004-01-20 +yes +yes$", lines[1])
    assert "no: " in lines[3]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"INSTRUME": "ACIS", "DATAMODE": "VFAINT", "EXPOSURE": 5.0}, ""),
        ({"INSTRUME": "HRC", "DATAMODE": "OBSERVING"}, "expected ACIS"),
        ({"INSTRUME": "ACIS", "READMODE": "CONTINUOUS", "DATAMODE": "CC33_FAINT"}, "continuous clocking"),
        ({"INSTRUME": "ACIS", "DATAMODE": "HISTOGRAM"}, "none of FAINT, VFAINT, GRADED"),
        ({"INSTRUME": "ACIS", "DATAMODE": "FAINT", "EXPOSURE": 0.0}, "exposure is 0 s"),
    ],
)
def test_headers_tell_what_cannot_be_used(header: dict[str, Any], problem: str, tmp_path: Path) -> None:
    write_table(tmp_path / "primary/acisf00001N003_evt2.fits.gz", "EVENTS", header)
    assert problem in facts.facts_of_folder("1", tmp_path).problem
    assert bool(problem) == bool(facts.facts_of_folder("1", tmp_path).problem)


def test_a_chip_without_blank_sky_is_left_out_and_a_lone_one_is_an_error(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "A", "A")
    write_repro(Case(), "1", "", layout)
    files = find_repro("1", layout)
    assert files is not None
    call = background_call("1", layout, files, (4, 5, 6, 7), stowed=False)
    assert str(call.parameters["evtfile"]).endswith("[ccd_id=5:7]")
    with pytest.raises(EmptySelection, match=r"background of CCD 4; draw .*background.reg"):
        background_call("1", layout, files, (4,), stowed=False)
    with pytest.raises(EmptySelection, match="no stowed background of CCD 8"):
        background_call("1", layout, files, (8,), stowed=True)


def test_half_a_repro_folder_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "A", "A")
    assert find_repro("1", layout) is None
    write_repro(Case(), "1", "", layout)
    (mask,) = layout.repro("1").glob("*msk1.fits")
    mask.unlink()
    with pytest.raises(MissingInput, match=r"no \*msk1.fits beside acisf00001_repro_evt2.fits"):
        find_repro("1", layout)


@pytest.mark.parametrize("band_keV", [(0.5, 7.0), (0.99, 7.99), (1.01, 10.01)])
def test_the_maps_names_do_not_depend_on_how_numbers_are_printed(band_keV: tuple[float, float]) -> None:
    # fluximage names its files by the numbers as given: 0.5:6:2 gives 0.5-6, 0.5:7.0:2 gives 0.5-7.0
    for energy in area_energies(band_keV):
        low, high = re.fullmatch(r"area_(.+)-(.+)\.expmap", map_name(energy)).groups()  # type: ignore[union-attr]
        assert (low, high) == (f"{float(low):g}", f"{float(high):g}")
        assert float(low) < energy < float(high)
