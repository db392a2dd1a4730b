"""Detection and binning of a real image: Chandra's ObsID 1838, the nebula G21.5-0.9, 7.9 ks."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.binning.bins import signal_to_noise, sums_of
from pyxt_hpc.binning.circles import RADIUS_MIN, RADIUS_STEP, ScaleMap, scale_map
from pyxt_hpc.binning.contour import contour_bins
from pyxt_hpc.chandra.sky.psf import psf_r90_arcsec
from pyxt_hpc.detect.point_sources import DetectedSource, detect_sources, emission_peak
from pyxt_hpc.preprocess.checks.good_events import chips_in_use

PIXEL_ARCSEC = 0.984
TARGET = 10.0
MAX_RADIUS = 60.0  # pixels: brings the field's corners to where no circle is large enough
FAR = 80  # pixels from the nebula


@dataclass(frozen=True)
class Real:
    counts: np.ndarray
    header: fits.Header
    from_nebula: np.ndarray
    sources: tuple[DetectedSource, ...]
    mask: np.ndarray
    background: np.ndarray
    circles: ScaleMap


@pytest.fixture(scope="module")
def real(shared: Path) -> Real:
    path = shared / "chandra" / "image2.fits"
    counts, header = fits.getdata(path).astype(np.int32), fits.getheader(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the year 2000: keywords that have other names now
        x, y = WCS(header).wcs_world2pix(header["RA_NOM"], header["DEC_NOM"], 0)
    row, col = np.indices(counts.shape)
    from_axis = np.hypot(col - x, row - y) * PIXEL_ARCSEC / 60
    exposure = np.full(counts.shape, header["EXPOSURE"])
    sources = detect_sources(counts, exposure, psf_r90_arcsec(from_axis) / PIXEL_ARCSEC)
    peak = emission_peak(counts.astype(float), exposure)
    from_nebula = np.hypot(row - peak[0], col - peak[1])
    mask = np.ones(counts.shape, np.uint8)
    for s in sources:
        mask[np.hypot(row - s.row, col - s.col) <= s.radius] = 0
    background = np.full(counts.shape, counts[(from_nebula > FAR) & (mask > 0)].mean(), np.float32)
    circles = scale_map(counts, background, 0.1 * background, mask, TARGET, radius_max=MAX_RADIUS)
    return Real(counts, header, from_nebula, sources, mask, background, circles)


def test_the_nebula_is_no_source_and_the_star_beside_it_is(real: Real) -> None:
    assert 1 <= len(real.sources) <= 4
    brightest = real.sources[0]  # the emission-line star SS 397, 2' to the south-west
    assert (brightest.row, brightest.col) == pytest.approx((36.9, 222.6), abs=1.0)
    assert brightest.significance > 10
    near = np.hypot(*np.indices(real.counts.shape) - np.reshape((36.9, 222.6), (2, 1, 1))) < 5
    assert brightest.counts == pytest.approx(real.counts[near].sum(), rel=0.15)
    # what is left out is a hair of the field, and nothing of the nebula's middle
    assert (real.mask == 0).mean() < 0.003
    assert real.mask[real.from_nebula < 8].all()
    assert real.counts[real.mask == 0].sum() < 0.01 * real.counts.sum()


def test_chips_of_the_array_that_saw_the_nebula(real: Real) -> None:
    assert real.header["DETNAM"] == "ACIS-012367"  # more of ACIS-I were on, but the target was on S3
    assert chips_in_use(real.header, "image2.fits") == (6, 7)


@pytest.mark.parametrize("target", [15.0, 20.0])
def test_contour_bins_are_even(real: Real, target: float) -> None:
    none = np.zeros(real.counts.shape)
    labels = contour_bins(real.counts, none, none, none + 1, target)
    sums = sums_of(labels, [real.counts, none, none])[:, 1:]
    ratio = signal_to_noise(*sums) / target
    assert ((ratio >= 1.0) & (ratio <= 1.15)).mean() >= 0.95
    assert labels.min() == 1  # no background is told, so that all is signal


def ratios(real: Real, row: int, col: int) -> tuple[np.ndarray, np.ndarray]:
    """Radii of all discs about a pixel, and their S/N, summed pixel by pixel."""
    radii = np.arange(RADIUS_MIN, MAX_RADIUS + RADIUS_STEP / 2, RADIUS_STEP)
    y, x = np.nonzero(real.mask)
    first = np.searchsorted(radii**2, (y - row) ** 2 + (x - col) ** 2)
    counts, background, variance = (
        np.cumsum(np.bincount(first, image[y, x].astype(float), len(radii) + 1)[: len(radii)])
        for image in (real.counts, real.background, np.float32(0.1) * real.background)
    )
    return radii, (counts - background) / np.sqrt(np.maximum(counts + variance, 1e-9))


def test_circles_are_the_smallest_that_reach_their_signal_to_noise(real: Real) -> None:
    radius, ratio = real.circles.radius, real.circles.signal_to_noise
    fitted = radius > 0
    assert (ratio[fitted] >= TARGET).all()
    assert not fitted[real.mask == 0].any()
    rng = np.random.default_rng(1)
    for row, col in rng.permutation(np.argwhere(fitted))[:100]:
        radii, every = ratios(real, row, col)
        smallest = np.argmax(every >= TARGET)
        assert radius[row, col] == radii[smallest]
        assert ratio[row, col] == pytest.approx(every[smallest], rel=1e-5)
    # and where there is none, no disc reaches it
    for row, col in rng.permutation(np.argwhere(~fitted & (real.mask > 0)))[:20]:
        assert (ratios(real, row, col)[1] < TARGET).all()


def test_circles_are_small_on_the_nebula_and_large_outside(real: Real) -> None:
    radius = np.where(real.circles.radius > 0, real.circles.radius, np.nan)
    medians = []
    for low in range(0, 60, 10):
        ring = (real.from_nebula >= low) & (real.from_nebula < low + 10) & (real.mask > 0)
        assert np.isfinite(radius[ring]).all()
        medians.append(np.median(radius[ring]))
    assert medians[0] < 3.0
    assert (np.diff(medians) > 0).all()
    assert medians[-1] > 20.0
    # outside, the circle reaches for the nebula and not beyond
    outside = (real.from_nebula > 50) & np.isfinite(radius)
    assert (radius[outside] < real.from_nebula[outside] + 3.0).all()
    # neighbours have neighbouring circles: a disc of r + sqrt(2) holds that of r
    step = np.abs(np.diff(radius, axis=0))
    assert np.nanmedian(step) < 1.0
