"""Stage 1: good events and background in one sky frame, and the merged images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.chandra.events import read_events, write_events
from pyxt_hpc.chandra.sky.geometry import read_geometry
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.preprocess.process_data import process_data

RA, DEC = 150.0, 30.0


@pytest.fixture(scope="module")
def processed(after_stage_2: Any) -> Any:
    field, (outcome, _) = after_stage_2
    assert outcome.made
    return field, outcome


def test_good_events_in_one_frame(processed: Any) -> None:
    field, outcome = processed
    for obsid in ("1", "22"):
        raw, made = read_events(field.events(obsid)), read_events(field.layout.filtered_events(obsid))
        kept = raw.select(raw.grade != 7)
        facts = outcome.observations[obsid]
        assert facts["events_read"] == len(raw)
        assert facts["events"] == len(made) == len(kept)
        assert made.wcs.wcs.crval[0] == pytest.approx(RA)
        sky = [np.column_stack(e.wcs.wcs_pix2world(e.x, e.y, 1)) for e in (kept, made)]
        np.testing.assert_allclose(sky[0], sky[1], atol=0.002 * 0.492 / 3600)  # single precision of x, y
        np.testing.assert_array_equal(kept.energy_eV, made.energy_eV)
        assert set(made.gti) == {0, 1}
        assert made.header["EXPOSURE"] == raw.header["EXPOSURE"]
        assert len(made.header["STEPID"]) == 16


def test_geometry_without_dither(processed: Any) -> None:
    field, _ = processed
    geometry = read_geometry(field.layout.geometry("22"))
    assert geometry.chips == (0, 1)
    assert geometry.rows == (1, 512)
    assert np.sqrt(np.mean(geometry.dither**2)) < 0.3  # sky pixels: a real one has 11
    np.testing.assert_allclose(geometry.to_sky[0], [[3072, 1, 0], [3840, 0, 1]], atol=0.3)


def test_merged_images(processed: Any) -> None:
    field, outcome = processed
    layout = field.layout
    counts, exposure, background, brightness, psf = (
        fits.getdata(path)
        for path in (
            layout.merged_counts, layout.merged_exposure, layout.merged_background, layout.merged_brightness,
            layout.merged_psf,
        )
    )  # fmt: skip
    assert list(counts.shape) == outcome.facts["shape"]
    energy = [read_events(layout.filtered_events(o)).energy_eV for o in ("1", "22")]
    broad = sum(int(np.sum((e >= 500) & (e < 7000))) for e in energy)
    assert counts.sum() == broad == outcome.facts["counts"]
    np.testing.assert_array_equal(np.isfinite(brightness), exposure > 0)
    # both observations see the middle, 39.2 ks each, hardly vignetted
    header = fits.getheader(layout.merged_exposure)
    assert (header["TELESCOP"], header["INSTRUME"], header["OBS_ID"]) == ("CHANDRA", "ACIS", "1,22")
    assert header["OBJECT"] == layout.name
    assert header["EXPOSURE"] == pytest.approx(2 * 39_200, rel=0.01)
    assert (header["E_MIN"], header["E_MAX"]) == (0.5, 7.0)
    assert header["DATE-OBS"] == "2013-11-05T04:26:40"
    x, y = WCS(header).world_to_pixel_values(RA, DEC)
    assert exposure[round(float(y)), round(float(x))] == pytest.approx(2 * 39_200, rel=0.01)
    assert psf[round(float(y)), round(float(x))] * 1.968 == pytest.approx(1.0, abs=0.1)
    # a sky pixel is where the header's physical coordinates say
    physical = WCS(header, key="P")
    sky = read_events(layout.filtered_events("1"))
    here = physical.all_pix2world(x + 1, y + 1, 1)
    np.testing.assert_allclose(here, sky.wcs.wcs_world2pix(RA, DEC, 1), atol=1e-3)
    # the flare is still in: the particle scale takes it, spread over energies as the background is
    net = counts.sum() - background.sum()
    assert net == pytest.approx(2 * 80_000, rel=0.03)


def test_killed_between_observations_goes_on_with_the_next(
    field: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyxt_hpc.preprocess import process_data as process

    done: list[str] = []
    real = process._process_observation

    def killed(files: Any, *arguments: Any) -> Any:
        if files.obsid == "22":
            raise KeyboardInterrupt
        done.append(files.obsid)
        return real(files, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(process, "_process_observation", killed)
        with pytest.raises(KeyboardInterrupt):
            process_data(field.config, field.layout)
    assert done == ["1"]
    before = field.layout.filtered_events("1").stat().st_mtime_ns
    outcome = process_data(field.config, field.layout)
    assert outcome.made
    assert field.layout.filtered_events("1").stat().st_mtime_ns == before
    assert not process_data(field.config, field.layout).made


def test_blank_sky_of_a_nominal_pointing(single: Any, tmp_path: Path) -> None:
    path = single.layout.supplied_background("1")
    blank = read_events(path)
    elsewhere = tangent_plane(0.0, 0.0, crpix=(4096.5, 4096.5))
    turned = replace(blank, wcs=elsewhere, x=8193.0 - blank.y, y=blank.x)
    write_events(path, turned)
    process_data(single.config, single.layout)
    made = read_events(single.layout.background_events("1"))
    assert len(made) == len(blank)
    # from its chip coordinates each event is back within its sky pixel, at random in it
    assert np.abs(made.x - blank.x).max() < 1.5
    assert np.std(made.x - blank.x) == pytest.approx(np.sqrt(2 / 12), rel=0.05)
    first = made.x
    process_data(single.config, single.layout, force=True)
    np.testing.assert_array_equal(read_events(single.layout.background_events("1")).x, first)


def test_blank_sky_on_the_sky_of_another_roll(single_done: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The same tangent point, turned by 180 degrees: used as it lies, half of the field had no background."""
    path = single_done.layout.supplied_background("1")

    def turn(hdus: fits.HDUList) -> None:
        for axis in ("x", "y"):
            hdus["EVENTS"].data[axis] = 2 * 4096.5 - hdus["EVENTS"].data[axis]
        # a chip only, as it would be on: the second is where there is no sky of the first
        hdus["EVENTS"].data = hdus["EVENTS"].data[hdus["EVENTS"].data["ccd_id"] == 1]

    before = process_data(single_done.config, single_done.layout).observations["1"]["findings"]
    assert not any("another observation or roll" in finding for finding in before)
    single_done.rewrite(path, turn)
    raw = read_events(path)
    assert raw.x.max() < 4097 + 20
    findings = process_data(single_done.config, single_done.layout).observations["1"]["findings"]
    assert any("another observation or roll" in finding for finding in findings)
    assert "from their chip coordinates" in caplog.text
    made = read_events(single_done.layout.background_events("1"))
    assert made.x.min() > 4096 - 20
    # every event is in its chip pixel of the observation, which is not dithered
    np.testing.assert_allclose(made.x, raw.chipx + 4096.5, atol=2)


def test_pointing_in_the_header_that_the_chips_contradict(
    copy_field: Callable, tmp_path: Path, observe: Callable
) -> None:
    """There is no aspect solution; S3, where the aimpoint is, is on the right."""
    field = copy_field(tmp_path)
    single = replace(field, config=replace(field.config, observation_ids=("7",)))
    observe(single.layout, "7", (RA, DEC), 3, ccds=(6, 7), detnam="ACIS-678")
    # chip 7 begins at the sky frame's middle, 256 rows down: its pixel (215, 515) is here
    away = np.hypot(215, 515 - 256) * 0.492 / 60

    def findings(**keywords: float) -> list[str]:
        def edit(hdus: fits.HDUList) -> None:
            hdus["EVENTS"].header.update(keywords)

        single.rewrite(single.events("7"), edit)
        said = process_data(single.config, single.layout).observations["7"]["findings"]
        return [finding for finding in said if "from the aimpoint" in finding]

    assert findings() == []
    shifted = DEC - 6 / 60
    (finding,) = findings(DEC_PNT=shifted)
    told = float(finding.split(" arcmin from")[0].split()[-1])
    assert 6 - away < told < 6 + away
    # the SIM was moved along the chips, and the header says so
    assert findings(DEC_PNT=shifted, SIM_Z=-190.143 + 20.0) == []


def test_a_blank_sky_that_was_taken_away_is_used_no_more(single_done: Any) -> None:
    layout = single_done.layout
    assert layout.background_events("1").exists()
    layout.supplied_background("1").unlink()
    layout.background_reg.write_text('fk5\nbox(150.1,30,200",200")\n')
    facts = process_data(single_done.config, layout).observations["1"]
    assert facts["background_events"] == 0
    assert not layout.background_events("1").exists()
