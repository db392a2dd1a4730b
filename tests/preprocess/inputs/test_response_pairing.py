"""Each kind of chip has the response that was made on it; what has none is left out aloud."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.ogip.response_files import read_arf
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin, vignetting
from pyxt_hpc.detect.proposal_files import MARK
from pyxt_hpc.errors import MissingInput, ResponseMismatch
from pyxt_hpc.preprocess.crop_data import crop_data
from pyxt_hpc.preprocess.generate_responses import generate_responses
from pyxt_hpc.preprocess.process_data import process_data
from pyxt_hpc.preprocess.propose_regions import propose_regions
from pyxt_hpc.preprocess.remove_sources import remove_sources

RA, DEC = 150.0, 30.0
WEST, EAST = RA - 0.06, RA + 0.06  # on chip 7, on chip 6


@pytest.fixture(scope="module")
def cleaned(copy_field: Callable, observe: Callable, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """ACIS-S with chips 6 (east) and 7 (west, with the aimpoint), after stage 2; no response is there."""
    field = copy_field(tmp_path_factory.mktemp("mixed"))
    field = replace(field, config=replace(field.config, observation_ids=("1",)))
    observe(field.layout, "1", (RA, DEC), 7, ccds=(6, 7), detnam="ACIS-678")
    field.rewrite(field.events("1"), lambda hdus: hdus["EVENTS"].header.set("RA_PNT", WEST))
    process_data(field.config, field.layout)
    remove_sources(field.config, field.layout)
    return field


@pytest.fixture
def mixed(cleaned: Any) -> Any:
    """The same with a response for each kind, FI 300 and BI 450 cm^2, and none for the whole observation."""
    yield from fresh(cleaned)


def fresh(field: Any) -> Any:
    folder, layout = field.layout.observation("1"), field.layout
    before = {path: path.read_bytes() for path in sorted(folder.glob("1*.?[rm]f"))}
    for path in before:
        if path.stem == "1":  # of the plain ACIS-I observation that was here
            path.unlink()
    yield field
    for path in folder.glob("1*.?[rm]f"):
        path.unlink()
    for path, content in before.items():
        path.write_bytes(content)
    for name in ("1", "1-FI", "1-BI"):
        layout.response_region(name).unlink(missing_ok=True)


def pair(field: Any, name: str) -> tuple[Path, Path]:
    folder = field.layout.observation("1")
    return folder / f"{name}.arf", folder / f"{name}.rmf"


def make_plain(field: Any, kind: str) -> tuple[Path, Path]:
    """The responses of one kind under the observation's own name; none of the other."""
    for path, plain in zip(pair(field, f"1-{kind}"), pair(field, "1"), strict=True):
        path.rename(plain)
    for path in pair(field, "1-FI" if kind == "BI" else "1-BI"):
        path.unlink()
    return pair(field, "1")


def set_header(field: Any, path: Path, **cards: Any) -> None:
    field.rewrite(path, lambda hdus: hdus[1].header.update(cards))


def test_a_kind_without_a_response_is_left_out(mixed: Any) -> None:
    config, layout = mixed.config, mixed.layout
    assert list(generate_responses(config, layout).observations) == ["1-FI", "1-BI"]
    assert crop_data(config, layout).facts["left_out"] == {}
    assert [o.dataset for o in read_bundle(layout.bundle).observations] == ["1-FI", "1-BI"]
    assert layout.counts_image("1-FI").is_file()

    for path in pair(mixed, "1-FI"):
        path.unlink()
    outcome = generate_responses(config, layout)
    words = "ObsID 1, front-illuminated CCD 6: no response of its own (1-FI.arf and 1-FI.rmf in "
    assert outcome.facts["left_out"]["1-FI"].startswith(words)
    assert list(outcome.observations) == ["1-BI"]
    assert not layout.response("1-FI", "arf").exists()
    facts = crop_data(config, layout).facts
    assert list(facts["observations"]) == ["1-BI"]
    assert facts["left_out"] == {"1-FI": "ObsID 1, front-illuminated CCD 6: no response"}
    bundle = read_bundle(layout.bundle)
    assert [o.dataset for o in bundle.observations] == ["1-BI"]
    assert bundle.left_out == "ObsID 1, front-illuminated CCD 6: no response"
    assert not bundle.mask[:, :95].any()
    assert "left out: ObsID 1, front-ill" in str(fits.getheader(layout.combined_counts)["HISTORY"])


def test_a_kind_off_the_crop_is_left_out(mixed: Any) -> None:
    config, layout = mixed.config, mixed.layout
    drawn = layout.crop_reg.read_text()
    try:
        generate_responses(config, layout)
        layout.crop_reg.write_text(f'fk5\nbox({WEST},{DEC},100",100")\n')
        facts = crop_data(config, layout).facts
        assert list(facts["observations"]) == ["1-BI"]
        assert facts["left_out"]["1-FI"].startswith("ObsID 1: no pixel of the crop is on its chips 6 outside")
    finally:
        layout.crop_reg.write_text(drawn)


def test_without_any_response_all_is_named_and_one_kind_is_enough(mixed: Any) -> None:
    for name in ("1-FI", "1-BI"):
        for path in pair(mixed, name):
            path.unlink()
    with pytest.raises(MissingInput, match=r"4 missing: .*1-FI\.arf .*1-BI\.rmf .*kind of chips are enough"):
        generate_responses(mixed.config, mixed.layout)


def test_half_of_a_pair_is_missing_not_left_out(mixed: Any) -> None:
    pair(mixed, "1-FI")[1].unlink()
    with pytest.raises(MissingInput, match=r"1 missing: .*1-FI\.rmf "):
        generate_responses(mixed.config, mixed.layout)


@pytest.mark.parametrize("kind", ["FI", "BI"])
@pytest.mark.parametrize("suffix", ["arf", "rmf"])
def test_plain_files_are_of_the_kind_that_a_header_names(
    mixed: Any, kind: str, suffix: str, caplog: Any
) -> None:
    chip, path = {"FI": 6, "BI": 7}[kind], pair(mixed, "1")[suffix == "rmf"]
    make_plain(mixed, kind)
    cards = (
        {"DETNAM": f"ACIS-{chip}"} if suffix == "arf" else {"DSTYP1": "ccd_id", "DSVAL1": f"{chip}:{chip}"}
    )
    set_header(mixed, path, **cards)
    outcome = generate_responses(mixed.config, mixed.layout)
    assert list(outcome.observations) == [f"1-{kind}"]
    assert f"1.arf: used for ObsID 1, {'front' if kind == 'FI' else 'back'}-illuminated CCD" in caplog.text
    assert f"the header of 1.{suffix} names CCD {chip}" in caplog.text


def test_plain_files_by_the_region_that_they_were_made_in(mixed: Any, caplog: Any) -> None:
    arf, _ = make_plain(mixed, "FI")
    region = mixed.layout.response_region("1")
    region.write_text(f'fk5\ncircle({EAST},{DEC},40")\n')
    os.utime(region, (arf.stat().st_mtime - 10,) * 2)
    (facts,) = generate_responses(mixed.config, mixed.layout).observations.values()
    assert "made on CCD 6 according to acisI_region_0.reg" in caplog.text
    # the vignetting there is out of the area
    theta = float(off_axis_arcmin(EAST, DEC, WEST, DEC))
    assert facts["off_axis_arcmin"] == pytest.approx(theta, abs=0.05)
    assert facts["area_cm2"] == pytest.approx(300.0 / vignetting([1.5], theta)[0], rel=0.002)
    assert read_arf(mixed.layout.response("1-FI", "arf")).area.max() > 310.0


@pytest.mark.parametrize("newer", [False, True])
def test_plain_files_of_the_aimpoint_when_nothing_tells(mixed: Any, newer: bool, caplog: Any) -> None:
    arf, _ = make_plain(mixed, "BI")
    if newer:  # a region that was drawn afterwards tells nothing
        region = mixed.layout.response_region("1")
        region.write_text(f'fk5\ncircle({EAST},{DEC},40")\n')
        os.utime(region, (arf.stat().st_mtime + 10,) * 2)
    caplog.set_level("INFO")
    (facts,) = generate_responses(mixed.config, mixed.layout).observations.values()
    assert facts["chips"] == [7]
    assert (facts["off_axis_arcmin"], facts["place"]) == (None, "assumed near the axis")
    assert facts["area_cm2"] == pytest.approx(450.0)
    assert "the aimpoint is on CCD 7, and neither the headers nor a response region" in caplog.text
    assert caplog.text.count("ARF of 1-BI: assumed to be made near the optical axis") == 1


def test_a_plain_pair_fills_what_is_open(mixed: Any, caplog: Any) -> None:
    for path, plain in zip(pair(mixed, "1-BI"), pair(mixed, "1"), strict=True):
        path.rename(plain)
    observations = generate_responses(mixed.config, mixed.layout).observations
    assert [facts["area_cm2"] for facts in observations.values()] == pytest.approx([300.0, 450.0])
    set_header(mixed, pair(mixed, "1")[0], DETNAM="ACIS-6")
    assert list(generate_responses(mixed.config, mixed.layout).observations) == ["1-FI"]
    assert "1.arf: not used: it is of front-illuminated chips" in caplog.text


def test_a_response_of_the_other_kind_is_refused(mixed: Any) -> None:
    arf, rmf = pair(mixed, "1-FI")
    set_header(mixed, arf, DETNAM="ACIS-7")
    with pytest.raises(
        ResponseMismatch,
        match=r"1-FI\.arf: the header of .* names CCD 7, which is back-illuminated, but .*CCD 6",
    ):
        generate_responses(mixed.config, mixed.layout)
    set_header(mixed, rmf, DSTYP1="CCD_ID", DSVAL1="6:6")
    with pytest.raises(ResponseMismatch, match="ARF and RMF are of different kinds"):
        generate_responses(mixed.config, mixed.layout)
    set_header(mixed, arf, DETNAM="")
    set_header(mixed, rmf, DSTYP1="CCD_ID", DSVAL1="7:7")
    with pytest.raises(ResponseMismatch, match=r"1-FI\.rmf: the header of 1-FI\.rmf names CCD 7"):
        generate_responses(mixed.config, mixed.layout)


def test_regions_are_proposed_on_each_kind(mixed: Any) -> None:
    layout = mixed.layout
    outcome = propose_regions(mixed.config, layout, force=True)
    files = [layout.response_region(name) for name in ("1-FI", "1-BI")]
    assert f"{files[0]}: written" in outcome.facts["files"]
    assert not layout.response_region("1").exists()
    events = read_events(layout.filtered_events("1"))
    for path, chip in zip(files, (6, 7), strict=True):
        text = path.read_text()
        assert text.count("circle") == 1
        assert MARK in text
        assert f"CCD {chip}" in text
    assert set(events.ccd_id) == {6, 7}


def test_relative_area_is_one_where_the_arf_was_made(single: Any, stages: Callable) -> None:
    layout = single.layout
    supplied = read_arf(layout.supplied_arf("1"))
    stages(single)
    plain = read_bundle(layout.bundle).observations[0]
    # as mkarf says it, 300 x 150 sky pixels off the axis (the tangent point)
    x, y = 4096.5 + 300.0, 4096.5 + 150.0

    def add(hdus: fits.HDUList) -> None:
        hdus[1].header.update({"RA_NOM": RA, "DEC_NOM": DEC, "DETNAM": "ACIS-1"})
        for axis, value in (("x", x), ("y", y)):
            hdus[1].header.add_history(f" PARM  :sourcepixel{axis}={value}          ASC00004")

    single.rewrite(layout.supplied_arf("1"), add)
    facts = stages(single)[2].observations["1"]
    theta = np.hypot(300.0, 150.0) * 0.492 / 60.0
    assert facts["off_axis_arcmin"] == pytest.approx(theta, rel=1e-3)
    assert facts["place"] == "by its header"
    made = read_bundle(layout.bundle).observations[0]
    np.testing.assert_allclose(made.vignetting, plain.vignetting)
    events = read_events(layout.clean_events("1"))
    header = fits.Header.fromstring(read_bundle(layout.bundle).wcs_header)
    grid = SkyGrid(WCS(header), made.mask.shape)
    row, col = (int(v[0]) for v in grid.index_of(events.wcs, np.array([x]), np.array([y])))
    share = made.vignetting[:, row, col]
    middle = 0.5 * (supplied.energy_lo + supplied.energy_hi)
    # at the energies where the bundle has the vignetting; it is linear in between
    at_nodes = np.interp(made.vignetting_keV, middle, made.arf.area) * share
    np.testing.assert_allclose(at_nodes, 300.0, rtol=0.004)
    there = made.arf.area * np.interp(middle, made.vignetting_keV, share)
    band = (middle > 0.7) & (middle < 8.0)
    np.testing.assert_allclose(there[band], supplied.area[band], rtol=0.02)
    assert (made.arf.area / supplied.area).min() > 1.001
