"""Bins of other programs and of DS9."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.errors import ConfigError, DamagedFile, EmptySelection, MissingInput, PyxtError
from pyxt_hpc.stages.bins.bin_file import read_bins

SHAPE = (30, 40)


@pytest.fixture
def bundle(made_up_bundle: Callable[..., Bundle]) -> Bundle:
    """Live everywhere but in a corner."""
    made = made_up_bundle(np.ones(SHAPE), 0.1)
    made.mask[:3, :3] = 0
    return made


def written(folder: Path, values: np.ndarray, header: fits.Header | None = None) -> Path:
    """A FITS image."""
    path = folder / "bins.fits"
    fits.writeto(path, values, header, overwrite=True)
    return path


def labels() -> np.ndarray:
    """Strips, with gaps in their numbers."""
    return np.array([0, 2, 2, 5, 9])[np.arange(SHAPE[1]) // 8] * np.ones(SHAPE, int)


@pytest.mark.parametrize("dtype", ["i2", "i4", ">i8", "f4", "f8"])
def test_label_image_on_the_same_pixels(bundle: Bundle, tmp_path: Path, dtype: str) -> None:
    for header in (None, fits.Header.fromstring(bundle.wcs_header)):
        found = read_bins(written(tmp_path, labels().astype(dtype), header), bundle)
        np.testing.assert_array_equal(found, np.where(bundle.mask > 0, labels(), 0))
        assert found.dtype == np.int32


def test_negative_numbers_mean_that_zero_is_a_bin(bundle: Bundle, tmp_path: Path) -> None:
    found = read_bins(written(tmp_path, labels() - 1), bundle)
    np.testing.assert_array_equal(found, np.where(bundle.mask > 0, labels(), 0))


def test_old_keywords_of_ciao_are_no_news(bundle: Bundle, tmp_path: Path) -> None:
    header = fits.Header.fromstring(bundle.wcs_header)
    header["RADECSYS"] = header.pop("RADESYS", "ICRS")
    header["MJDREF"], header["TIMESYS"] = 50814.0, "TT"
    header["DATE-OBS"], header["DATE-END"] = "2000-09-05T00:10:13", "2000-09-05T03:51:21"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_bins(written(tmp_path, labels(), header), bundle)
    np.testing.assert_array_equal(found, np.where(bundle.mask > 0, labels(), 0))


def test_label_image_on_other_pixels_is_found_by_the_sky(bundle: Bundle, tmp_path: Path) -> None:
    # twice as fine, and beginning elsewhere: it covers columns 10 to 39 and rows 5 to 29 only
    header = fits.Header.fromstring(bundle.wcs_header)
    for axis, first in (("1", 10), ("2", 5)):
        header[f"CRPIX{axis}"] = 2 * (header[f"CRPIX{axis}"] - 0.5 - first) + 0.5
        header[f"CDELT{axis}"] /= 2
    fine = np.repeat(np.repeat(labels()[5:, 10:], 2, axis=0), 2, axis=1)
    found = read_bins(written(tmp_path, fine.astype(np.int32), header), bundle)
    expected = np.zeros(SHAPE, int)
    expected[5:, 10:] = labels()[5:, 10:]
    np.testing.assert_array_equal(found, expected)


def test_regions_of_ds9(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "bins.reg"
    lines = []
    for x, y, radius in ((20, 15, 6), (26, 15, 6), (10, 8, 3)):
        ra, dec = bundle.wcs.all_pix2world(x, y, 0)
        lines.append(f'circle({ra:.8f},{dec:.8f},{radius * bundle.pixel_scale_arcsec:.4f}")')
    ra, dec = bundle.wcs.all_pix2world(20, 15, 0)
    lines.append(f'-circle({ra:.8f},{dec:.8f},{2 * bundle.pixel_scale_arcsec:.4f}")')
    path.write_text("\n".join(["# Region file format: DS9 version 4.1", "icrs", *lines, ""]))
    found = read_bins(path, bundle)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    first, second, third, hole = (
        np.hypot(y - row, x - col) for col, row in ((20, 15), (26, 15), (10, 8), (20, 15))
    )
    sure = np.min([abs(first - 6), abs(second - 6), abs(third - 3), abs(hole - 2)], axis=0) > 0.01
    expected = np.select([hole < 2, first < 6, second < 6, third < 3], [0, 1, 2, 3], 0)
    np.testing.assert_array_equal(found[sure], expected[sure])


def test_what_cannot_be_bins(bundle: Bundle, tmp_path: Path) -> None:
    far = fits.Header.fromstring(bundle.wcs_header)
    far["CRVAL1"] = 10.0
    text, cut = tmp_path / "text.reg", tmp_path / "cut.fits"
    text.write_text("image\ncircle(3,3,2)\n")
    cut.write_bytes(written(tmp_path, labels()).read_bytes()[:4000])
    wrong: list[tuple[Callable[[], Path], type[PyxtError], str]] = [
        (lambda: tmp_path / "no.fits", MissingInput, "no.fits is missing: name a label image"),
        (lambda: written(tmp_path, labels() + 0.5), ConfigError, "not integers, expected numbers of bins"),
        (lambda: written(tmp_path, labels()[1:]), ConfigError, "29 x 40 pixels without sky coordinates"),
        (lambda: written(tmp_path, labels() * 0), EmptySelection, "no bin contains a live pixel of A"),
        (lambda: written(tmp_path, labels(), far), EmptySelection, "no bin contains a live pixel"),
        (lambda: written(tmp_path, labels() * 2.0**40), ConfigError, "its largest number is"),
        (lambda: text, PyxtError, "image coordinates belong to one image"),
        (lambda: cut, DamagedFile, "cut.fits"),
    ]
    for make, kind, words in wrong:
        with pytest.raises(kind, match=words) as caught:
            read_bins(make(), bundle)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("blank", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_leave_the_numbers_of_the_others(
    bundle: Bundle, tmp_path: Path, blank: float
) -> None:
    image, expected = labels().astype("f4"), np.where(bundle.mask > 0, labels(), 0)
    image[10:15] = blank
    expected[10:15] = 0
    np.testing.assert_array_equal(read_bins(written(tmp_path, image), bundle), expected)
    shifted = np.where(bundle.mask > 0, labels() + 1, 0)
    shifted[10:15] = shifted[20] = 0
    image[20] = -1
    np.testing.assert_array_equal(read_bins(written(tmp_path, image), bundle), shifted)


def test_cube_is_refused_as_what_it_is(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bins\.fits: its image has 3 axes, expected a label image with 2"):
        read_bins(written(tmp_path, labels()[None]), bundle)


@pytest.mark.parametrize(("key", "value"), [("CTYPE1", "RA---XXX"), ("CDELT1", 0.0)])
def test_unusable_sky_coordinates_are_named(bundle: Bundle, tmp_path: Path, key: str, value: object) -> None:
    header = fits.Header.fromstring(bundle.wcs_header)
    header[key] = value
    with pytest.raises(DamagedFile, match=r"sky coordinates cannot be used .*: correct its WCS keywords"):
        read_bins(written(tmp_path, labels(), header), bundle)


def test_shapes_that_are_no_bins_are_told(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ra, dec = (float(value) for value in bundle.wcs.all_pix2world(20, 15, 0))
    path = tmp_path / "bins.reg"
    path.write_text(f'fk5\ncircle({ra},{dec},20")\ncircle(10,-60,20")\ncircle({ra},{dec},10")\n')
    assert set(np.unique(read_bins(path, bundle))) == {0, 1}
    assert "2 of 3 shapes give no bins" in caplog.text
    assert caplog.text.rstrip().endswith(": 2, 3")
