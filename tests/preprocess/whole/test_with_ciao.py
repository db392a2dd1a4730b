"""Stages with products of CIAO in the place of a person's, without CIAO: what is taken, and what is asked."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyxt_hpc.chandra.events import read_events, read_sky_wcs
from pyxt_hpc.chandra.ogip.response import Arf
from pyxt_hpc.chandra.ogip.response_files import read_arf, write_arf
from pyxt_hpc.chandra.regions.sky import contains_pixels, read_regions
from pyxt_hpc.chandra.times.gti_io import write_gti
from pyxt_hpc.errors import CiaoError, ConfigError, MissingInput
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess import remove_sources as stage_2
from pyxt_hpc.preprocess.ciao.plans.call import Call
from pyxt_hpc.preprocess.ciao.stages import generate_responses_plans, remove_sources_plans
from pyxt_hpc.preprocess.generate_responses import generate_responses
from pyxt_hpc.preprocess.inputs.supplied import find_observations
from pyxt_hpc.preprocess.process_data import process_data
from pyxt_hpc.preprocess.propose_regions import propose_regions
from pyxt_hpc.preprocess.remove_sources import remove_sources

CIRCLE = (3700.0, 4100.0, 50.0)  # on the first chip, in sky pixels of observation 1


def as_repro(layout: Layout, obsid: str) -> Path:
    """The archive's events as chandra_repro's, with what lies beside them; returns the events."""
    folder, stem = layout.repro(obsid), f"acisf{int(obsid):05d}"
    folder.mkdir()
    (events,) = layout.observation(obsid).glob("primary/*evt2.fits")
    (fov,) = layout.observation(obsid).glob("primary/*fov1.fits")
    shutil.copyfile(events, folder / f"{stem}_repro_evt2.fits")
    for name in ("repro_fov1", "repro_bpix1", "000N003_msk1"):
        shutil.copyfile(fov, folder / f"{stem}_{name}.fits")
    shutil.copyfile(fov, folder / "pcadf500000000N003_asol1.fits")
    return folder / f"{stem}_repro_evt2.fits"


def ask_responses(field: Any) -> list[Call]:
    return list(next(generate_responses_plans(field.config, field.layout)))


def named(calls: list[Call]) -> list[tuple[str, str]]:
    return [(call.tool, str(call.folder.relative_to(call.folder.parents[2]))) for call in calls]


def draw(field: Any, *names: str) -> None:
    for name in names:
        field.layout.response_region(name).write_text("physical\ncircle({},{},{})\n".format(*CIRCLE))


def test_responses_and_maps_are_asked_for_each_observation(done: Any) -> None:
    layout = done.layout
    events = {obsid: as_repro(layout, obsid) for obsid in ("1", "22")}
    draw(done, "1", "22")
    for path in (layout.supplied_arf("1"), layout.supplied_rmf("1")):
        path.unlink()
    calls = ask_responses(done)
    # those of observation 22 are a person's
    assert named(calls) == [
        ("dmcopy", "1/analysis/ciao"), ("specextract", "1/analysis/ciao"), ("fluximage", "1/analysis/ciao"),
        ("dmcopy", "22/analysis/ciao"), ("fluximage", "22/analysis/ciao"),
    ]  # fmt: skip
    # the region that was drawn on the merged image, in the sky pixels of each observation
    first = read_events(layout.clean_events("1"), ours=True)
    frames = {"physical": read_sky_wcs(events["1"])}
    expected = contains_pixels(read_regions(layout.response_region("1")), first.wcs, first.x, first.y, frames)
    assert expected.sum() > 100
    for obsid, path in events.items():
        own = {"physical": read_sky_wcs(path)}
        found = contains_pixels(read_regions(layout.ciao_region(obsid)), first.wcs, first.x, first.y, own)
        assert (found != expected).mean() < 1e-4
    # the maps hold the crop: 200 x 100 pixels about RA 150, Dec 30, and 2 more on every side
    (flux, other) = (call for call in calls if call.tool == "fluximage")
    x, y = ((float(v) for v in axis.split(":")) for axis in str(flux.parameters["xygrid"]).split(","))
    (x0, x1, dx), (y0, y1, dy) = x, y
    assert dx == dy == 4
    assert 204 <= (x1 - x0) / 4 <= 206
    assert 104 <= (y1 - y0) / 4 <= 106
    assert (x0 + x1) / 2 == pytest.approx(4096.5, abs=4)
    assert other.parameters["xygrid"] != flux.parameters["xygrid"]


def test_both_kinds_of_chips_have_their_own(field: Any, observe: Callable, tmp_path: Path) -> None:
    shutil.rmtree(field.layout.observation("22"))
    observe(field.layout, "22", (150.0, 30.0), 3, ccds=(6, 7), detnam="ACIS-678")
    field = replace(field, config=replace(field.config, observation_ids=("22",)))
    config, layout = field.config, field.layout
    process_data(config, layout)
    remove_sources(config, layout)
    as_repro(layout, "22")
    with pytest.raises(MissingInput, match=r"acisI_region_0-FI\.reg .*acisI_region_0-BI\.reg "):
        ask_responses(field)
    for path in layout.observation("22").glob("22*.[ar][rm]f"):
        path.unlink()
    propose_regions(config, layout)
    calls = ask_responses(field)
    for kind, chips in (("-FI", "[ccd_id=6]"), ("-BI", "[ccd_id=7]")):
        folder = layout.ciao(f"22{kind}")
        own = [call for call in calls if call.folder == folder]
        assert [call.tool for call in own] == ["dmcopy", "specextract", "fluximage"]
        assert chips in str(own[0].parameters["infile"])
        assert str(own[1].parameters["infile"]).startswith(f"{folder}/clean.fits[")
        assert own[2].parameters["infile"] == f"{folder}/clean.fits"
    # what only one of them has a region for is enough
    layout.response_region("22-FI").unlink()
    assert {call.folder for call in ask_responses(field)} == {layout.ciao("22-BI")}


def test_places_share_their_events_and_maps(done: Any) -> None:
    layout = done.layout
    done = replace(done, config=replace(done.config, observation_ids=("1",), response_places=3))
    as_repro(layout, "1")
    shutil.copyfile(layout.supplied_arf("1"), layout.supplied_arf("1-p2").with_name("1-p2.arf"))
    shutil.copyfile(layout.supplied_rmf("1"), layout.supplied_rmf("1-p2").with_name("1-p2.rmf"))
    propose_regions(done.config, layout)
    calls = ask_responses(done)
    # that of the second place is a person's, and those of the whole observation are of none
    assert named(calls) == [
        ("dmcopy", "1/analysis/ciao"), ("specextract", "1/analysis/ciao-p1"),
        ("specextract", "1/analysis/ciao-p3"), ("fluximage", "1/analysis/ciao"),
    ]  # fmt: skip
    for call, name in zip(calls[1:3], ("1-p1", "1-p3"), strict=True):
        region = layout.ciao_region(name)
        assert call.parameters["infile"] == f"{layout.ciao_events('1')}[sky=region({region})]"
        assert region in call.reads
    assert len({layout.ciao_region(f"1-p{i}").read_text() for i in (1, 2, 3)}) == 3
    # other places than before are proposed in their stead
    before = layout.response_region("1-p1").read_text()
    two = replace(done.config, response_places=2)
    propose_regions(two, layout)
    assert layout.response_region("1-p1").read_text() != before
    # without a region a place has none of its own
    layout.response_region("1-p1").unlink()
    assert [call.folder.name for call in ask_responses(replace(done, config=two))] == ["ciao", "ciao"]


def test_without_repro_the_stage_before_is_named(done: Any) -> None:
    draw(done, "1", "22")
    with pytest.raises(MissingInput, match=r"repro/\*_repro_evt2\.fits not found: pyxt-hpc process-data"):
        ask_responses(done)


def test_responses_of_ciao_are_taken_where_a_person_has_none(single_before_crop: Any) -> None:
    config, layout = single_before_crop.config, single_before_crop.layout
    arf, rmf = layout.supplied_arf("1"), layout.supplied_rmf("1")
    layout.ciao("1").mkdir()
    shutil.copyfile(layout.clean_events("1"), layout.ciao_events("1"))
    layout.ciao_region("1").write_text("circle({},{},{})\n".format(*CIRCLE))
    own = read_arf(arf)
    write_arf(layout.ciao_arf("1"), Arf(own.energy_lo, own.energy_hi, 0.5 * own.area))
    shutil.copyfile(rmf, layout.ciao_rmf("1"))
    assert Path(generate_responses(config, layout).observations["1"]["arf"]).name == "1.arf"
    arf.unlink()
    # half a pair is a slip, not a wish for CIAO's
    with pytest.raises(MissingInput, match=r"1\.arf"):
        generate_responses(config, layout)
    rmf.unlink()
    facts = generate_responses(config, layout).observations["1"]
    assert (facts["arf"], facts["place"]) == (str(layout.ciao_arf("1")), "by region.reg")
    # without maps, the vignetting of its place is taken out
    assert 1.0 < read_arf(layout.response("1", "arf")).area[0] / (0.5 * own.area[0]) < 1.1


def test_a_background_of_ciao_is_taken_where_a_person_has_none(field: Any) -> None:
    layout = field.layout
    made = layout.ciao_background("1")
    made.parent.mkdir(parents=True)
    shutil.copyfile(layout.supplied_background("1"), made)
    first, _ = find_observations(layout, ("1", "22"))
    assert first.background == layout.supplied_background("1")
    layout.supplied_background("1").unlink()
    first, _ = find_observations(layout, ("1", "22"))
    assert first.background == made


def test_light_curves_are_asked_outside_the_sources(field: Any) -> None:
    config, layout = replace(field.config, flare_filter="deflare"), field.layout
    process_data(field.config, layout)
    for obsid in ("1", "22"):
        as_repro(layout, obsid)
    calls = list(next(remove_sources_plans(config, layout)))
    assert [(call.tool, call.obsid) for call in calls] == [
        ("dmextract", "1"), ("deflare", "1"), ("dmextract", "22"), ("deflare", "22")
    ]  # fmt: skip
    assert f"[exclude sky=region({layout.ciao_sources('1')})]" in str(calls[0].parameters["infile"])
    plans = remove_sources_plans(config, layout)
    next(plans)
    with pytest.raises(CiaoError, match=r"^too few good bins; .*flare_filter = builtin"):
        plans.throw(CiaoError("too few good bins"))
    layout.sources_reg.write_text("fk5\n")  # a region of nothing is an error to CIAO
    calls = list(next(remove_sources_plans(config, layout)))
    assert "region" not in str(calls[0].parameters["infile"])


def test_good_times_of_deflare_are_kept_to(field: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config, layout = replace(field.config, flare_filter="deflare", observation_ids=("1",)), field.layout
    process_data(config, layout)
    start, stop = 5e8 + 20_000.0, 5e8 + 30_000.0  # a quiet quarter

    def deflare(stage: str, *_: object, force: bool) -> None:
        header = read_events(layout.filtered_events("1"), ours=True).header
        write_gti(layout.deflare_gti("1"), np.array([[start, stop]]), header)

    monkeypatch.setattr(stage_2, "ciao_part", deflare)
    remove_sources(config, layout)
    clean = read_events(layout.clean_events("1"), ours=True)
    assert clean.time is not None
    assert start <= clean.time.min() < clean.time.max() <= stop
    assert clean.header["EXPOSURE"] == pytest.approx(0.98 * 10_000.0, rel=0.06)


@pytest.mark.parametrize(
    ("stage", "key"),
    [(propose_regions, {"detection": "wavdetect"}), (remove_sources, {"flare_filter": "deflare"})],
)
def test_a_tool_of_ciao_needs_ciao(stage: Callable, key: dict[str, str], field: Any) -> None:
    config = replace(field.config, backend="builtin", **key)
    ((name, value),) = key.items()
    with pytest.raises(ConfigError, match=rf"\[ciao\] {name} = {value} needs CIAO.*backend = builtin"):
        stage(config, field.layout)
