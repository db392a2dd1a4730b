"""Stage 4: background scale, masks, vignetting and events on the common grid."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.chandra.events import concatenate, read_events, write_events
from pyxt_hpc.chandra.ogip.response import Rmf
from pyxt_hpc.chandra.sky.vignetting import vignetting
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess import crop_data as crop_module
from pyxt_hpc.preprocess.crop_data import channels_in_band, crop_data
from pyxt_hpc.steps import StageResult

RA, DEC = 150.0, 30.0
PARTICLES, SKY = 60_000, 80_000
PIXELS = 2048 * 512 / 16  # of both chips

Processed = tuple[StageResult, Layout, Bundle]


@pytest.fixture(scope="module")
def processed(after_stage_4: Any, on_whole_grid: Callable[[Bundle], Bundle]) -> Processed:
    field, outcomes = after_stage_4
    return outcomes[-1], field.layout, on_whole_grid(read_bundle(field.layout.bundle))


def test_background_scale(processed: Processed) -> None:
    outcome, layout, bundle = processed
    assert list(outcome.observations) == ["1", "22"]
    for facts, bundled in zip(outcome.observations.values(), bundle.observations, strict=True):
        share = facts["exposure_s"] / (0.98 * 40_000)
        error = facts["background_scale_error"]
        assert facts["background_scale"] == pytest.approx(share / 4, abs=3 * error)
        assert error < 0.02 * facts["background_scale"]
        assert bundled.exposure_s == facts["exposure_s"]
        assert bundled.background_scale == facts["background_scale"]
        assert facts["counts"] == len(bundled.event_channel)


def test_a_core_that_shines_at_10_kev_is_not_taken_for_particles(single_done: Any, stages: Callable) -> None:
    def scale() -> float:
        return float(stages(single_done)[-1].observations["1"]["background_scale"])

    layout = single_done.layout
    quiet = scale()
    path = next(layout.observation("1").glob("primary/*evt2.fits"))
    events = read_events(path)
    x, y = events.wcs.wcs_world2pix(RA, DEC, 1)
    core = np.flatnonzero(np.hypot(events.x - x, events.y - y) < 50 / 0.492)
    hot = events.select(core)
    columns = {"energy_eV": np.full(len(core), 10_000, np.float32)}
    columns["pi"] = np.full(len(core), 685, np.int16)
    write_events(path, concatenate([events, replace(hot, **columns)]))
    assert scale() == pytest.approx(quiet, rel=1e-9)
    layout.exclude_reg.unlink()
    assert scale() > 1.02 * quiet


def test_net_counts_are_those_of_the_sky(processed: Processed) -> None:
    outcome, _, bundle = processed
    for o in outcome.observations.values():
        net = o["counts"] - o["background_scale"] * o["background_counts"]
        share = o["exposure_s"] / (0.98 * 40_000)
        expected = SKY * share * o["live_pixels"] / PIXELS
        error = np.hypot(np.sqrt(o["counts"]), o["background_counts"] * o["background_scale_error"])
        assert net == pytest.approx(expected, abs=3.5 * error)
        assert error < 0.03 * expected
    scales = [o.background_scale for o in bundle.observations]
    blanks = [np.diff(o.background_indptr).reshape(bundle.mask.shape) for o in bundle.observations]
    np.testing.assert_allclose(
        bundle.background, sum(s * b for s, b in zip(scales, blanks, strict=True)), rtol=1e-5
    )
    np.testing.assert_allclose(
        bundle.background_variance, sum(s**2 * b for s, b in zip(scales, blanks, strict=True)), rtol=1e-5
    )
    counts = sum(np.diff(o.event_indptr).reshape(bundle.mask.shape) for o in bundle.observations)
    np.testing.assert_array_equal(bundle.counts, counts)


def test_mask_and_counts_agree(processed: Processed) -> None:
    _, _, bundle = processed
    grid = WCS(fits.Header.fromstring(bundle.wcs_header))
    assert bundle.mask.shape == (100, 200)
    row, col = np.indices(bundle.mask.shape)
    x, y = grid.all_world2pix([RA], [DEC], 0)
    distance = np.hypot(col - x, row - y) * 1.968
    for o in bundle.observations:
        for indptr in (o.event_indptr, o.background_indptr):
            assert np.diff(indptr).reshape(o.mask.shape)[o.mask == 0].sum() == 0
        assert not o.mask[distance < 12].any()
        assert o.mask[(distance > 14.8) & (distance < 16)].mean() > 0.9
        assert np.all(o.vignetting[:, o.mask == 0] == 0)
        assert np.all(o.vignetting[:, o.mask == 1] > 0.05)
    np.testing.assert_array_equal(bundle.mask, bundle.observations[0].mask | bundle.observations[1].mask)
    assert bundle.observations[0].mask.sum() != bundle.observations[1].mask.sum()


def test_a_pixel_at_the_edge_has_the_share_of_its_area_that_is_on_the_chip(processed: Processed) -> None:
    _, _, bundle = processed
    grid = WCS(fits.Header.fromstring(bundle.wcs_header))
    second = bundle.observations[1]
    # no dither here: the lower edge is 256 sky pixels south of the second pointing
    south = float(grid.all_world2pix(RA + 0.02, DEC + 0.01 - 256 * 0.492 / 3600, 0)[1])
    edge = int(np.floor(south + 0.5))
    assert not second.mask[:edge].any()
    share = edge + 0.5 - south
    column = 60
    plain = vignetting(second.vignetting_keV, 5.0)[0]
    assert second.vignetting[0, edge, column] == pytest.approx(share * plain, rel=0.25)
    assert second.vignetting[0, edge + 1, column] > 0.8


def test_events_fall_into_their_pixels(processed: Processed) -> None:
    _, layout, bundle = processed
    grid = WCS(fits.Header.fromstring(bundle.wcs_header))
    for o in bundle.observations:
        blank = read_events(layout.supplied_background(o.obsid))
        lo, hi = o.rmf.channel_lo_keV, o.rmf.channel_hi_keV
        channel = blank.pi - 1
        in_band = (hi[channel] > 0.7) & (lo[channel] < 8.0)
        x, y = grid.world_to_pixel(blank.wcs.pixel_to_world(blank.x - 1, blank.y - 1))
        image = np.histogram2d(y[in_band], x[in_band], bins=[np.arange(101) - 0.5, np.arange(201) - 0.5])[0]
        ours = np.diff(o.background_indptr).reshape(o.mask.shape)
        # single-precision positions lie on the very edge of a pixel now and then
        assert np.mean(ours != image * o.mask) < 2e-3
        energy = blank.energy_eV[in_band] / 1000
        assert energy.min() == pytest.approx(0.7, abs=0.0146)
        assert energy.max() == pytest.approx(8.0, abs=0.0146)
        assert o.background_channel.min() == channel[in_band].min()


def test_vignetting_follows_the_pointing(processed: Processed) -> None:
    _, _, bundle = processed
    grid = WCS(fits.Header.fromstring(bundle.wcs_header))
    o = bundle.observations[1]
    row, col = 60, 30
    assert o.mask[row, col]
    here = grid.pixel_to_world(col, row)
    axis = grid.pixel_to_world(*grid.all_world2pix(RA + 0.02, DEC + 0.01, 0))
    expected = vignetting(o.vignetting_keV, here.separation(axis).arcmin)
    np.testing.assert_allclose(o.vignetting[:, row, col], expected, rtol=1e-5)
    assert o.vignetting_keV[0] == 0.7
    assert o.vignetting_keV[-1] == 8.0
    assert o.vignetting[-1, row, col] < o.vignetting[0, row, col] < 1


def test_images_lie_on_the_grid(processed: Processed) -> None:
    _, layout, bundle = processed
    for path, values in (
        (layout.combined_counts, bundle.counts),
        (layout.combined_background, bundle.background),
        (layout.combined_mask, bundle.mask),
        (layout.mask_image("22"), bundle.observations[1].mask),
    ):
        with fits.open(path) as hdus:
            np.testing.assert_array_equal(hdus[0].data, values)
            assert hdus[0].header["BUNDLEID"] == bundle.fingerprint[:16]
            ra, dec = WCS(hdus[0].header).all_pix2world(100.5, 50.5, 1)
            assert float(ra) == pytest.approx(RA, abs=1e-6)
            assert float(dec) == pytest.approx(DEC, abs=1e-6)
    with fits.open(layout.surface_brightness) as hdus:
        brightness = hdus[0].data
        assert hdus[0].header["BUNIT"] == "count s-1 arcmin-2"
    np.testing.assert_array_equal(np.isfinite(brightness), bundle.mask > 0)
    vignetted = np.mean([o.vignetting[1][o.mask > 0].mean() for o in bundle.observations])
    truth = SKY / (0.98 * 40_000) / (PIXELS * 1.968**2 / 3600) / vignetted
    assert np.nanmean(brightness) == pytest.approx(truth, rel=0.03)
    assert not list(layout.cluster_dir.rglob(".tmp*"))


def test_same_input_same_bundle(single_done: Any, stages: Callable) -> None:
    stages(single_done)
    first = read_bundle(single_done.layout.bundle).fingerprint
    assert not any(outcome.made for outcome in stages(single_done))
    crop_data(single_done.config, single_done.layout, force=True)
    assert read_bundle(single_done.layout.bundle).fingerprint == first


def test_only_what_changed_is_done_again(done: Any, stages: Callable) -> None:
    stages(done)
    done.layout.crop_reg.write_text('fk5\nbox(150,30,200",100")\n')
    assert [outcome.made for outcome in stages(done)] == [False, False, False, True]
    done.layout.sources_reg.write_text("fk5\n")
    assert [outcome.made for outcome in stages(done)] == [False, True, True, True]
    hotter = replace(done, config=replace(done.config, redshift=0.2))
    assert [outcome.made for outcome in stages(hotter)] == [False, False, False, True]


def test_a_bundle_of_another_version_is_made_again(
    single_done: Any, stages: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crop_module, "SCHEMA_VERSION", 2)
    stages(single_done)
    assert not any(outcome.made for outcome in stages(single_done))
    monkeypatch.undo()
    assert [outcome.made for outcome in stages(single_done)] == [False, False, False, True]


def test_empty_sources_and_crops_in_every_system(single_done: Any, stages: Callable) -> None:
    single_done.layout.sources_reg.write_text("")
    for text in ("box(4098.5,4096.5,400,200)", 'fk5\nbox(150,30,196.8",98.4")'):
        single_done.layout.crop_reg.write_text(text + "\n")
        facts = stages(single_done)[-1].facts
        assert facts["shape"] == [50, 100]
        assert facts["live_pixels"] == 50 * 100
    with fits.open(single_done.layout.merged_counts) as hdus:
        x, y = WCS(hdus[0].header).all_world2pix(RA, DEC, 1)
    single_done.layout.crop_reg.write_text(f"# Filename: A1_broad_flux.img\nimage\nbox({x},{y},100,50)\n")
    assert stages(single_done)[-1].facts["shape"] == [50, 100]


def test_physical_coordinates_are_those_of_the_merged_image(done: Any, stages: Callable) -> None:
    done.layout.crop_reg.write_text("# CIAO\nbox(4096.5,4096.5,400,200)\n")
    stages(done)
    bundle = read_bundle(done.layout.bundle)
    ra, dec = WCS(fits.Header.fromstring(bundle.wcs_header)).all_pix2world(50.5, 25.5, 1)
    assert float(ra) == pytest.approx(RA, abs=1e-6)  # the first observation's pointing
    assert float(dec) == pytest.approx(DEC, abs=1e-6)


def test_crop_that_an_observation_misses(
    copy_after_stage_2: Callable, tmp_path: Path, stages: Callable
) -> None:
    field = copy_after_stage_2(tmp_path)
    field.layout.crop_reg.write_text('fk5\nbox(150.175,30.01,40",60")\n')
    with pytest.raises(EmptySelection, match="ObsID 1: no pixel of the crop is on its chips 0, 1"):
        stages(field)
    assert not field.layout.bundle.exists()


def test_band_takes_every_channel_it_touches() -> None:
    edges = np.arange(0, 11) * 0.5
    none = np.zeros(0)
    rmf = Rmf(none, none, none, none, none, none, edges[:-1], edges[1:], 1)
    assert list(np.flatnonzero(channels_in_band(rmf, 0.7, 2.2))) == [1, 2, 3, 4]
    assert list(np.flatnonzero(channels_in_band(rmf, 1.0, 2.0))) == [2, 3]
