"""Point sources are found, and nothing else is taken for one."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from pyxt_hpc.chandra.sky.psf import R90_PER_SIGMA, psf_r90_arcsec
from pyxt_hpc.detect.point_sources import DetectedSource, detect_sources, emission_peak

SIDE = 320
PIXEL_ARCSEC = 1.968


def point_spread(axis: tuple[float, float]) -> np.ndarray:
    """R90 [pixels] of a field with this optical axis."""
    y, x = np.indices((SIDE, SIDE))
    return psf_r90_arcsec(np.hypot(y - axis[0], x - axis[1]) * PIXEL_ARCSEC / 60.0) / PIXEL_ARCSEC


def with_sources(
    expected: np.ndarray, r90: np.ndarray, sources: list[tuple[float, float, float]], seed: int
) -> np.ndarray:
    """Poisson counts of an image and of Gaussian sources (row, col, counts)."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(expected)
    for row, col, number in sources:
        sigma = r90[round(row), round(col)] / R90_PER_SIGMA
        place = np.round(rng.normal((row, col), sigma, (rng.poisson(number), 2))).astype(int)
        np.add.at(counts, tuple(place.T), 1)
    return counts


def cluster(
    centre: tuple[float, float], core: float, counts: float, *, slope: float = 1.36, ratio: float = 0.8
) -> np.ndarray:
    y, x = np.indices((SIDE, SIDE))
    shape = (1.0 + ((y - centre[0]) ** 2 / ratio**2 + (x - centre[1]) ** 2) / core**2) ** -slope
    return counts * shape / shape.sum()


def nearest(sources: tuple[DetectedSource, ...], row: float, col: float) -> DetectedSource:
    return min(sources, key=lambda s: np.hypot(s.row - row, s.col - col))


FLAT = np.full((SIDE, SIDE), 0.3)
EVEN = np.full((SIDE, SIDE), 1e5)


def test_sources_have_their_places_and_counts():
    r90 = point_spread((60.0, 60.0))
    truth = [(60.2, 70.4, 60.0), (200.0, 90.5, 100.0), (100.3, 280.0, 300.0), (290.0, 250.0, 1500.0)]
    found = detect_sources(with_sources(FLAT, r90, truth, 1), EVEN, r90)
    assert len(found) == 4
    assert [s.significance for s in found] == sorted((s.significance for s in found), reverse=True)
    for row, col, number in truth:
        source, size = nearest(found, row, col), r90[round(row), round(col)]
        assert np.hypot(source.row - row, source.col - col) < 0.1 + 2.5 * size / np.sqrt(number)
        assert source.counts == pytest.approx(number, abs=4.0 * np.sqrt(number + 0.3 * np.pi * size**2))
        assert source.background == pytest.approx(0.3 * np.pi * size**2, rel=0.5, abs=1.5)
        assert np.sqrt(2) * size <= source.radius < 2.5 * size + 1.5


def test_noise_exceeds_the_threshold_as_often_as_asked():
    r90 = point_spread((160.0, 160.0))
    rng = np.random.default_rng(2)
    fields = [rng.poisson(2.0, (SIDE, SIDE)) for _ in range(6)]
    often = sum(len(detect_sources(counts, EVEN, r90, false_per_field=5.0)) for counts in fields)
    assert 5 <= often <= 30  # 30 maxima expected, of which many are too wide
    assert sum(len(detect_sources(counts, EVEN, r90, false_per_field=0.01)) for counts in fields) == 0


@pytest.mark.parametrize("counts", [3e3, 1e5, 3e6])
@pytest.mark.parametrize("core", [2.5, 8.0])
@pytest.mark.parametrize("axis", [(160.0, 150.0), (80.0, 10.0)])
def test_a_cool_core_is_no_source(axis: tuple[float, float], core: float, counts: float) -> None:
    r90 = point_spread(axis)
    expected = (
        FLAT + cluster((160.0, 150.0), core, 0.4 * counts) + cluster((160.0, 150.0), 40.0, 0.6 * counts)
    )
    expected = gaussian_filter(expected, r90[160, 150] / R90_PER_SIGMA)
    found = detect_sources(with_sources(expected, r90, [], 3), EVEN, r90)
    assert [s for s in found if np.hypot(s.row - 160.0, s.col - 150.0) < 100.0] == []


def test_a_nucleus_that_outshines_the_core_is_a_source():
    r90 = point_spread((150.0, 150.0))
    expected = FLAT + cluster((160.0, 150.0), 10.0, 2e4)
    (found,) = detect_sources(with_sources(expected, r90, [(160.0, 150.0, 900.0)], 4), EVEN, r90)
    assert np.hypot(found.row - 160.0, found.col - 150.0) < 0.3
    assert found.counts == pytest.approx(900.0, rel=0.15)


def test_a_shock_front_is_no_chain_of_sources_and_hides_none():
    r90 = point_spread((160.0, 160.0))
    y, x = np.indices((SIDE, SIDE)) - 160.0
    inside = (np.hypot(y, x) < 60.0) & (np.abs(np.arctan2(y, x)) < 1.0)
    expected = FLAT + cluster((160.0, 160.0), 30.0, 1e6) * (1.0 + 1.6 * inside)
    beside = (160.0, 228.0, 250.0)
    found = detect_sources(with_sources(expected, r90, [beside], 5), EVEN, r90)
    assert len(found) == 1
    assert np.hypot(found[0].row - 160.0, found[0].col - 228.0) < 1.0


def test_a_knot_wider_than_the_point_spread_is_no_source():
    r90 = point_spread((160.0, 160.0))
    y, x = np.indices((SIDE, SIDE))
    knot = 12.0 * np.exp(-0.5 * ((y - 200.0) ** 2 + (x - 130.0) ** 2) / 4.0**2)
    assert detect_sources(with_sources(FLAT + knot, r90, [], 6), EVEN, r90) == ()


def test_gaps_edges_and_steps_of_exposure_are_no_sources():
    r90 = point_spread((160.0, 160.0))
    y, x = np.indices((SIDE, SIDE))
    first = (abs(x - y - 20) > 4) & (abs(x + y - 330) > 4) & (x > 20) & (y < 300)
    second = (abs(x - 90) > 3) & (abs(y - 170) > 3) & (x < 250) & (y > 40)
    exposure = 6e4 * gaussian_filter(first.astype(float), 1.5) + 3e4 * gaussian_filter(
        second.astype(float), 1.5
    )
    truth = [(100.0, 60.0, 150.0), (165.0, 200.0, 150.0)]
    expected = (FLAT + cluster((150.0, 170.0), 40.0, 3e5)) * exposure / 9e4
    found = detect_sources(with_sources(expected, r90, truth, 7), exposure, r90)
    assert sorted(round(s.row) for s in found) == [100, 165]


def test_a_faint_neighbour_of_a_bright_source_is_found():
    r90 = point_spread((120.0, 120.0))
    truth = [(200.0, 200.0, 3000.0), (200.0, 212.0, 120.0)]
    found = detect_sources(with_sources(FLAT, r90, truth, 8), EVEN, r90)
    for row, col, _ in truth:
        source = nearest(found, row, col)
        assert np.hypot(source.row - row, source.col - col) <= source.radius
    assert len(found) <= 2


def test_rows_are_rows_and_only_ratios_of_exposure_matter():
    r90 = point_spread((40.0, 200.0))
    counts = with_sources(FLAT, r90, [(50.0, 220.0, 80.0), (250.0, 130.0, 200.0)], 9)
    plain = detect_sources(counts, EVEN, r90)
    turned = detect_sources(counts.T, 1e-5 * EVEN.T, r90.T)
    assert len(plain) == 2
    for a, b in zip(plain, turned, strict=True):
        assert (a.row, a.col, a.counts) == pytest.approx((b.col, b.row, b.counts), rel=1e-3)


def test_nothing_seen_holds_nothing():
    assert detect_sources(np.ones((40, 40), int), np.zeros((40, 40)), np.ones((40, 40))) == ()


def test_the_peak_is_that_of_extended_emission():
    counts = FLAT + cluster((220.0, 90.0), 12.0, 2e4)
    counts[40, 260] += 300.0
    row, col = emission_peak(counts, EVEN)
    assert np.hypot(row - 220.0, col - 90.0) < 2.0


def test_real_nebula_is_no_source_but_the_star_beside_it_is(shared: Path) -> None:
    image = fits.getdata(shared / "chandra" / "image2.fits").astype(int)
    counts = image[:216, :260].reshape(108, 2, 130, 2).sum(axis=(1, 3))  # to the package's pixels
    y, x = np.indices(counts.shape)
    r90 = psf_r90_arcsec(np.hypot(y - 19.0, x - 74.0) * PIXEL_ARCSEC / 60.0) / PIXEL_ARCSEC
    star, *others = detect_sources(counts, np.full(counts.shape, 7.9e3), r90)
    assert (star.row, star.col) == pytest.approx((18.0, 111.0), abs=0.5)
    assert star.counts == pytest.approx(90.0, abs=20.0)
    assert len(others) <= 1
    assert all(np.hypot(s.row - 57.0, s.col - 68.0) > 25.0 for s in others)
