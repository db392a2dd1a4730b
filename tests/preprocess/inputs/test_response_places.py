"""Responses at several places: the pixels are divided among them, and nothing is lost or counted twice."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.chandra.ogip.response_files import read_arf
from pyxt_hpc.errors import ForeignProduct, MissingInput, ResponseMismatch
from pyxt_hpc.preprocess.crop_data import crop_data
from pyxt_hpc.preprocess.generate_responses import generate_responses

# RA, Dec [deg] of the middles, in the crop of 0.11 x 0.05 deg about 150, 30 but for the last, which is off it
PLACES = ((149.97, 30.01), (150.02, 30.0), (150.03, 29.985), (150.13, 30.0))
FAR = "1-p4"


def with_places(field: Any, n: int = len(PLACES)) -> Any:
    """A response of each place, the first place's area 1 cm^2 smaller than the second's and so on."""
    layout, folder = field.layout, field.layout.observation("1")
    for number, (ra, dec) in enumerate(PLACES[:n], 1):
        for suffix in ("arf", "rmf"):
            shutil.copyfile(folder / f"1.{suffix}", folder / f"1-p{number}.{suffix}")

        def grow(hdus: fits.HDUList, more: int = number) -> None:
            hdus["SPECRESP"].data["SPECRESP"] += more

        field.rewrite(folder / f"1-p{number}.arf", grow)
        region = layout.response_region(f"1-p{number}")
        region.write_text(f'fk5\ncircle({ra},{dec},20")\n')
        # newer than the ARFs: these are taken as made on the axis
        os.utime(region, (2e9, 2e9))
    for suffix in ("arf", "rmf"):
        (folder / f"1.{suffix}").unlink()
    return replace(field, config=replace(field.config, response_places=n))


@pytest.fixture(scope="module")
def whole(single_after_stage_4: Any, on_whole_grid: Callable[[Bundle], Bundle]) -> Bundle:
    return on_whole_grid(read_bundle(single_after_stage_4.layout.bundle))


@pytest.fixture
def places(single_before_crop: Any) -> Any:
    return with_places(single_before_crop)


def done(field: Any) -> Bundle:
    generate_responses(field.config, field.layout)
    crop_data(field.config, field.layout)
    return read_bundle(field.layout.bundle)


def same_in_sum(divided: Bundle, whole: Bundle) -> None:
    (one,) = whole.observations
    masks = np.array([o.mask for o in divided.observations])
    assert masks.max() == 1
    np.testing.assert_array_equal(masks.sum(axis=0), one.mask)
    np.testing.assert_array_equal(divided.mask, whole.mask)
    np.testing.assert_array_equal(divided.counts, whole.counts)
    np.testing.assert_array_equal(divided.background_variance, whole.background_variance)
    for name in ("event_channel", "background_channel"):
        np.testing.assert_array_equal(
            np.sort(np.concatenate([getattr(o, name) for o in divided.observations])),
            np.sort(getattr(one, name)),
        )
    for o in divided.observations:
        assert (o.exposure_s, o.background_scale, o.obsid) == (one.exposure_s, one.background_scale, "1")
        # events of a pixel are in its own place, all of them
        for indptr in ("event_indptr", "background_indptr"):
            number = np.diff(getattr(one, indptr)).reshape(one.mask.shape)
            own = np.diff(getattr(o, indptr)).reshape(one.mask.shape)
            np.testing.assert_array_equal(own, number * o.mask)
        np.testing.assert_array_equal(o.vignetting, one.vignetting * o.mask)


def test_every_pixel_has_the_nearest_place(
    places: Any, whole: Bundle, on_whole_grid: Callable[[Bundle], Bundle]
) -> None:
    divided = on_whole_grid(done(places))
    same_in_sum(divided, whole)
    # the one that is off the crop has no pixel, and is no dataset
    assert [o.dataset for o in divided.observations] == ["1-p1", "1-p2", "1-p3"]
    assert divided.left_out == ""
    ny, nx = whole.mask.shape
    row, col = np.mgrid[:ny, :nx]
    ra, dec = divided.wcs.wcs_pix2world(col.ravel(), row.ravel(), 0)

    def unit(ra: Any, dec: Any) -> np.ndarray:
        ra, dec = np.radians(ra), np.radians(dec)
        return np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])

    cosine = np.array([unit(*place) for place in PLACES]) @ unit(ra, dec)
    # middles are those of a lattice of 2 arcsec in the circle
    clear = np.diff(np.sort(np.arccos(np.minimum(cosine, 1.0)), axis=0)[:2], axis=0)[0] > np.radians(2 / 3600)
    assert clear.mean() > 0.95
    clear &= whole.mask.ravel() > 0
    expected = cosine.argmax(axis=0)
    for number, o in enumerate(divided.observations):
        np.testing.assert_array_equal(o.mask.ravel()[clear], (expected == number)[clear])
        assert o.arf.area[0] == pytest.approx(301.0 + number)
        assert o.mask.sum() > 1000


def test_a_place_without_a_response_leaves_its_pixels_to_the_nearest(
    places: Any, whole: Bundle, on_whole_grid: Callable[[Bundle], Bundle]
) -> None:
    for suffix in ("arf", "rmf"):
        (places.layout.observation("1") / f"1-p2.{suffix}").unlink()
    left_out = generate_responses(places.config, places.layout).facts["left_out"]
    words = "ObsID 1, front-illuminated CCD 0, 1, place 2: no response of its own (1-p2.arf and 1-p2.rmf in "
    assert left_out["1-p2"].startswith(words)
    assert left_out["1-p2"].endswith(": its pixels use the nearest place that has one")
    told = crop_data(places.config, places.layout).facts["left_out"]
    words = "ObsID 1, front-illuminated CCD 0, 1, place 2: no response"
    assert told == {"1-p2": f"{words}: its pixels use the nearest place that has one"}
    divided = on_whole_grid(read_bundle(places.layout.bundle))
    assert [o.dataset for o in divided.observations] == ["1-p1", "1-p3"]
    same_in_sum(divided, whole)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("1-p3.rmf", r"1 missing: .*/1-p3\.rmf \(the RMF of ObsID 1, front-illuminated CCD 0, 1, place 3: "),
        ("1-p*.?[rm]f", r"8 missing: .*/1-p1\.arf .*/1-p4\.rmf .*at one of the response_places is enough"),
        ("analysis/acisI_region_0-p2.reg", r"1 missing: .*/acisI_region_0-p2\.reg .*propose-regions"),
    ],
)
def test_what_is_missing_is_named(places: Any, gone: str, said: str) -> None:
    paths = list(places.layout.observation("1").glob(gone))
    assert paths
    for path in paths:
        path.unlink()
    with pytest.raises(MissingInput, match=said):
        generate_responses(places.config, places.layout)


def test_the_area_is_that_of_the_place(places: Any) -> None:
    """Where an ARF was made tells its own region, and the vignetting there is taken out of it."""
    for number in (1, 4):
        os.utime(places.layout.response_region(f"1-p{number}"), (1e9, 1e9))
    found = generate_responses(places.config, places.layout).observations
    assert found["1-p1"]["off_axis_arcmin"] == pytest.approx(1.67, abs=0.05)
    assert found[FAR]["off_axis_arcmin"] == pytest.approx(6.75, abs=0.05)
    near, far = (
        read_arf(places.layout.response(name, "arf")).area / (300.0 + number)
        for name, number in (("1-p1", 1), (FAR, 4))
    )
    assert (far > near).all()
    assert (near > 1.0).all()


def test_one_place_is_as_it_was(single_before_crop: Any, whole: Bundle) -> None:
    field = single_before_crop
    crop_data(replace(field.config, response_places=1), field.layout)
    assert read_bundle(field.layout.bundle).fingerprint == whole.fingerprint


def test_both_kinds_of_chips_have_places(
    single: Any, observe: Callable, stages: Callable, tmp_path: Path, on_whole_grid: Callable
) -> None:
    observe(single.layout, "1", (150.0, 30.0), 7, ccds=(6, 7), detnam="ACIS-678")
    stages(single)
    before = on_whole_grid(read_bundle(single.layout.bundle))
    assert [o.dataset for o in before.observations] == ["1-FI", "1-BI"]
    folder = single.layout.observation("1")
    # FI is the east, BI the west
    for kind, middles in (
        ("FI", ((150.02, 30.01), (150.02, 29.99))),
        ("BI", ((149.98, 30.0), (149.95, 30.0))),
    ):
        for number, (ra, dec) in enumerate(middles, 1):
            for suffix in ("arf", "rmf"):
                shutil.copyfile(folder / f"1-{kind}.{suffix}", folder / f"1-{kind}-p{number}.{suffix}")
            region = single.layout.response_region(f"1-{kind}-p{number}")
            region.write_text(f'fk5\ncircle({ra},{dec},20")\n')
    single = replace(single, config=replace(single.config, response_places=2))
    after = on_whole_grid(done(single))
    assert [o.dataset for o in after.observations] == ["1-FI-p1", "1-FI-p2", "1-BI-p1", "1-BI-p2"]
    for kind, one in enumerate(before.observations):
        first, second = after.observations[2 * kind : 2 * kind + 2]
        np.testing.assert_array_equal(first.mask + second.mask, one.mask)
        assert min(first.mask.sum(), second.mask.sum()) > 0.1 * one.mask.sum()
        for o in (first, second):
            assert o.background_scale == one.background_scale
        assert len(first.event_channel) + len(second.event_channel) == len(one.event_channel)
        assert len(first.background_channel) + len(second.background_channel) == len(one.background_channel)
    np.testing.assert_array_equal(after.counts, before.counts)

    # a place on chips of the other kind
    single.layout.response_region("1-FI-p2").write_text('fk5\ncircle(149.98,30.0,20")\n')
    with pytest.raises(ForeignProduct, match=r"acisI_region_0-FI-p2\.reg: changed after generate-responses"):
        crop_data(single.config, single.layout)
    generate_responses(single.config, single.layout)
    with pytest.raises(ResponseMismatch, match=r"acisI_region_0-FI-p2\.reg: no part of it is on CCD 6, "):
        crop_data(single.config, single.layout)
