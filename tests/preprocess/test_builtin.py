import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.response import Arf, read_rmf, write_arf, write_rmf
from pyxt_hpc.chandra.vignetting import vignetting
from pyxt_hpc.errors import (
    ConfigError,
    DamagedFile,
    EmptySelection,
    MissingInput,
    PyxtError,
    RegionSyntaxError,
    ResponseMismatch,
)
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.builtin import ProcessSummary, process_data

RA, DEC = 150.0, 30.0


@pytest.fixture(scope="module")
def processed(
    copy_field: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[ProcessSummary, Layout, Bundle]:
    field = copy_field(tmp_path_factory.mktemp("processed"))
    summary = process_data(field.config, field.layout)
    return summary, field.layout, read_bundle(field.layout.bundle)


def test_exposure_flares_and_background_scale(processed: tuple[ProcessSummary, Layout, Bundle]) -> None:
    summary, _, bundle = processed
    assert [o.obsid for o in summary.observations] == ["1", "22"]
    for o, bundled in zip(summary.observations, bundle.observations, strict=True):
        assert o.chips == (0, 1)
        # 6 of 40 ks are a flare; at 48 counts a bin its edges are uncertain by some bins
        assert 0.15 <= o.flare_fraction < 0.15 + 14 * 260 / 40_000
        assert o.exposure_s == pytest.approx(0.98 * 40_000 * (1 - o.flare_fraction))
        assert o.background_scale == pytest.approx(
            (1 - o.flare_fraction) / 4, abs=3 * o.background_scale_error
        )
        assert o.background_scale_error < 0.05 * o.background_scale
        assert o.quiet_rate == pytest.approx(30_000 * 3000 / 11_700 / 40_000, rel=0.05)
        assert bundled.exposure_s == o.exposure_s
        assert bundled.background_scale == o.background_scale
        assert o.counts == len(bundled.event_channel)


def test_net_counts_are_those_of_the_sky(processed: tuple[ProcessSummary, Layout, Bundle]) -> None:
    summary, _, bundle = processed
    for o in summary.observations:
        pixels = 1000 * 500 / 16
        net = o.counts - o.background_scale * o.background_counts
        expected = 40_000 * (1 - o.flare_fraction) * o.live_pixels / pixels
        error = np.hypot(np.sqrt(o.counts), o.background_counts * o.background_scale_error)
        assert net == pytest.approx(expected, abs=3.5 * error)
        assert error < 0.05 * expected
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


def test_mask_and_counts_agree(processed: tuple[ProcessSummary, Layout, Bundle]) -> None:
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
        assert np.all(o.vignetting[:, o.mask == 1] > 0.5)
    np.testing.assert_array_equal(bundle.mask, bundle.observations[0].mask | bundle.observations[1].mask)
    assert bundle.observations[0].mask.sum() != bundle.observations[1].mask.sum()


def test_a_pixel_across_the_gap_or_the_edge_is_dead(
    processed: tuple[ProcessSummary, Layout, Bundle],
) -> None:
    _, _, bundle = processed
    grid = WCS(fits.Header.fromstring(bundle.wcs_header))
    second = bundle.observations[1]
    # left chip edge of the second observation: 246 arcsec east of its pointing
    ra = RA + 0.02 + 246 / 3600 / np.cos(np.radians(DEC + 0.01))
    x, y = grid.all_world2pix(ra, DEC + 0.01, 0)
    assert x < 0 or not second.mask[int(y), : int(np.ceil(x))].any()
    south = grid.all_world2pix(RA + 0.02, DEC + 0.01 - 123 / 3600, 0)[1]
    edge = int(np.floor(south + 0.5))
    assert not second.mask[: edge + 1].any()
    assert second.mask[edge + 1].any()


def test_events_fall_into_their_pixels(processed: tuple[ProcessSummary, Layout, Bundle]) -> None:
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
        # single-precision positions of the first observation lie on the very edge of a pixel now and then
        assert np.mean(ours != image * o.mask) < (1e-3 if o.obsid == "1" else 1e-9)
        energy = blank.energy_eV[in_band] / 1000
        assert energy.min() == pytest.approx(0.7, abs=0.0146)
        assert energy.max() == pytest.approx(8.0, abs=0.0146)
        assert o.background_channel.min() == channel[in_band].min()


def test_vignetting_follows_the_pointing(processed: tuple[ProcessSummary, Layout, Bundle]) -> None:
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


def test_images_lie_on_the_grid(processed: tuple[ProcessSummary, Layout, Bundle]) -> None:
    summary, layout, bundle = processed
    assert summary.bundle == layout.bundle
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
    truth = 40_000 / (0.98 * 40_000) / (1000 * 500 * 0.492**2 / 3600) / vignetted
    assert np.nanmean(brightness) == pytest.approx(truth, rel=0.03)
    for obsid in ("1", "22"):
        assert layout.light_curve_plot(obsid).read_bytes().startswith(b"\x89PNG")
    assert not list(layout.cluster_dir.rglob(".tmp*"))


def test_same_input_same_bundle(single: Any) -> None:
    process_data(single.config, single.layout)
    first = read_bundle(single.layout.bundle).fingerprint
    process_data(single.config, single.layout)
    assert read_bundle(single.layout.bundle).fingerprint == first


def test_empty_sources_and_physical_crop_of_one_observation(single: Any) -> None:
    single.layout.sources_reg.write_text("")
    single.layout.crop_reg.write_text("box(4098.5,4096.5,400,200)\n")
    summary = process_data(single.config, single.layout)
    assert summary.shape == (50, 100)
    assert summary.live_pixels == 50 * 99  # the chips' common edge runs through a column


def test_physical_crop_of_two_observations_is_refused(field: Any) -> None:
    field.layout.crop_reg.write_text("# CIAO\nbox(4096.5,4096.5,400,200)\n")
    with pytest.raises(RegionSyntaxError, match=r"master_crop-ciaowcs\.reg, line 2: physical .* fk5"):
        process_data(field.config, field.layout)


def test_chip_without_background_is_left_out(single: Any, caplog: pytest.LogCaptureFixture) -> None:
    def drop(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].data = hdus["EVENTS"].data[hdus["EVENTS"].data["ccd_id"] == 0]

    single.rewrite(single.layout.supplied_background("1"), drop)
    summary = process_data(single.config, single.layout)
    assert summary.observations[0].chips == (0,)
    assert "no background for CCD 1" in caplog.text


def test_everything_missing_is_named_at_once(field: Any) -> None:
    gone = [
        field.layout.sources_reg,
        field.layout.crop_reg,
        field.events("1"),
        field.fov("22"),
        field.layout.supplied_background("22"),
        field.layout.supplied_rmf("1"),
        field.layout.supplied_arf("1"),
    ]
    for path in gone:
        path.unlink()
    config = replace(field.config, observation_ids=("1", "22", "333"))
    with pytest.raises(MissingInput) as caught:
        process_data(config, field.layout)
    message = str(caught.value)
    assert message.startswith("8 missing: ")
    assert "\n" not in message
    for name in ("sources.reg", "master_crop-ciaowcs.reg", "22_background.fits", "1.rmf", "1.arf", "333"):
        assert name in message
    assert "1/primary/*_evt2.fits*" in message
    assert "22/primary/*fov1.fits*" in message
    for provider in ("DS9", "download_chandra_obsid", "blanksky", "specextract", "skyfov"):
        assert provider in message


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def compress_and_cut(path: Path) -> None:
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes())[:-20_000])
    path.unlink()


def keyword(name: str, value: object) -> Callable[[Any], None]:
    def edit(hdus: fits.HDUList) -> None:
        if value is None:
            del hdus["EVENTS"].header[name]
        else:
            hdus["EVENTS"].header[name] = value

    return lambda f: f.rewrite(f.events("1"), edit)


def no_gti(f: Any) -> None:
    def edit(hdus: fits.HDUList) -> None:
        del hdus[2:]

    f.rewrite(f.events("1"), edit)


def rows(path: Callable[[Any], Path], keep: Callable[[Any], Any]) -> Callable[[Any], None]:
    def edit(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].data = hdus["EVENTS"].data[keep(hdus["EVENTS"].data)]

    return lambda f: f.rewrite(path(f), edit)


def shifted_rmf(f: Any) -> None:
    path = f.layout.supplied_rmf("1")
    rmf = read_rmf(path)
    write_rmf(path, replace(rmf, first_channel_number=0))


def short_rmf(f: Any) -> None:
    path = f.layout.supplied_rmf("1")
    rmf = read_rmf(path)
    lo, hi = rmf.channel_lo_keV[:400], rmf.channel_hi_keV[:400]
    first = np.minimum(rmf.first_channel, 399).astype(np.int32)
    write_rmf(path, replace(rmf, channel_lo_keV=lo, channel_hi_keV=hi, first_channel=first))


def short_arf(f: Any) -> None:
    rmf = read_rmf(f.layout.supplied_rmf("1"))
    write_arf(f.layout.supplied_arf("1"), Arf(rmf.energy_lo[:50], rmf.energy_hi[:50], np.ones(50)))


def crop(text: str) -> Callable[[Any], None]:
    return lambda f: f.layout.crop_reg.write_text(text)


def sources(text: str) -> Callable[[Any], None]:
    return lambda f: f.layout.sources_reg.write_text(text)


def second_copy(f: Any) -> None:
    f.events("1").with_name("acisf00001N004_evt2.fits").write_bytes(f.events("1").read_bytes())


BAD: dict[str, tuple[Callable[[Any], Any], type[PyxtError], str]] = {
    "evt2 cut short": (lambda f: cut(f.events("1")), DamagedFile, r"N003_evt2\.fits: .*damaged"),
    "evt2.gz cut short": (lambda f: compress_and_cut(f.events("1")), DamagedFile, r"evt2\.fits\.gz"),
    "evt2 is a text": (lambda f: f.events("1").write_text("hello"), DamagedFile, r"not FITS"),
    "two event files": (second_copy, ConfigError, "keep one"),
    "fov cut short": (lambda f: cut(f.fov("1")), DamagedFile, "fov1"),
    "background cut short": (lambda f: cut(f.layout.supplied_background("1")), DamagedFile, "1_background"),
    "arf is empty": (lambda f: f.layout.supplied_arf("1").write_bytes(b""), DamagedFile, r"1\.arf"),
    "rmf cut short": (lambda f: cut(f.layout.supplied_rmf("1")), DamagedFile, r"1\.rmf"),
    "channels shifted by one": (shifted_rmf, ResponseMismatch, r"1\.rmf: its EBOUNDS are off by"),
    "too few channels": (short_rmf, ResponseMismatch, "channels 1 to 400, but .* has PI"),
    "other energy grid": (short_arf, ResponseMismatch, r"1\.arf"),
    "wrong telescope": (keyword("TELESCOP", "XMM"), DamagedFile, "TELESCOP is XMM"),
    "HRC": (keyword("INSTRUME", "HRC"), DamagedFile, "INSTRUME is HRC"),
    "level 1": (keyword("CONTENT", "EVT1"), DamagedFile, "level-1"),
    "continuous clocking": (keyword("READMODE", "CONTINUOUS"), DamagedFile, "CONTINUOUS"),
    "no exposure": (keyword("EXPOSURE", None), DamagedFile, "EXPOSURE is None"),
    "exposure 0": (keyword("EXPOSURE", 0.0), DamagedFile, "EXPOSURE is 0"),
    "no pointing": (keyword("RA_PNT", None), DamagedFile, "RA_PNT"),
    "pointing elsewhere": (keyword("DEC_PNT", -30.0), DamagedFile, "RA_PNT, DEC_PNT"),
    "no chips": (keyword("DETNAM", "ACIS"), DamagedFile, "DETNAM"),
    "no GTI": (no_gti, DamagedFile, "no good time intervals for CCD 0, 1"),
    "no event": (rows(lambda f: f.events("1"), lambda d: d["x"] < -1), EmptySelection, "empty"),
    "no particle event": (
        rows(lambda f: f.events("1"), lambda d: d["energy"] < 8900),
        EmptySelection,
        "9-12 keV light curve",
    ),
    "no particle background": (
        rows(lambda f: f.layout.supplied_background("1"), lambda d: d["energy"] < 9400),
        EmptySelection,
        "1_background.*no 9.5-12 keV count",
    ),
    "background of other chips": (
        rows(lambda f: f.layout.supplied_background("1"), lambda d: d["ccd_id"] > 4),
        EmptySelection,
        "no event of good grade on the chips 0, 1",
    ),
    "crop elsewhere": (crop('fk5\nbox(151,30,100",100")'), EmptySelection, "ObsID 1: no pixel of the crop"),
    "empty crop file": (crop(""), RegionSyntaxError, "no bounds"),
    "crop in a source": (sources("fk5\ncircle(150,30,1d)"), EmptySelection, "no pixel of the crop"),
    "wrong syntax": (sources("fk5\ncircle(150,30)"), RegionSyntaxError, r"sources\.reg, line 2"),
    "unknown shape": (sources("fk5\nstar(150,30,3)"), RegionSyntaxError, r"sources\.reg, line 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_and_nothing_is_written(single: Any, case: str) -> None:
    damage, error, message = BAD[case]
    damage(single)
    with pytest.raises(error, match=message) as caught:
        process_data(single.config, single.layout)
    assert "\n" not in str(caught.value)
    assert not single.layout.bundle.exists()
    assert not single.layout.combined_counts.exists()
