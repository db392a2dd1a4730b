"""Smoothed brightness: right sums, right scatter, fast."""

import time

import numpy as np
import pytest

from pyxt_hpc.binning.smoothing import sum_own_circles
from pyxt_hpc.fit.extraction.extract import disc_sums
from pyxt_hpc.maps.painting.brightness import smooth_brightness


def test_sums_are_those_of_each_disc() -> None:
    rng = np.random.default_rng(1)
    images = rng.random((25, 31, 4))
    radius = np.where(rng.random((25, 31)) < 0.8, rng.integers(8, 90, (25, 31)) / 8, 0.0)
    row, col = np.nonzero(radius)
    sums = sum_own_circles(images, radius)
    expected = disc_sums(row, col, radius[row, col], np.moveaxis(images, -1, 0))
    assert np.allclose(sums[:, row, col].T, expected, rtol=1e-12)
    assert (sums[:, radius == 0] == 0).all()


def test_brightness_and_error_of_a_flat_sky(fitted) -> None:
    rng = np.random.default_rng(2)
    shape, exposure, background, signal = (120, 120), 1e5, 0.7, 1.3
    counts = rng.poisson(background + signal, shape)
    regions = fitted(np.ones(shape), np.ones(shape), counts=counts, background=background)
    regions.radius[:10, :10] = 0.0
    smooth = smooth_brightness(regions.bundle, regions.radius)
    assert np.array_equal(np.isnan(smooth.value), regions.radius == 0)
    truth = signal / exposure / (1.968 / 60) ** 2
    deviation = (smooth.value - truth) / smooth.error
    assert np.nanmean(smooth.value) == pytest.approx(truth, rel=0.02)
    # the simulated background is exact: its variance, a twentieth here, is in the error only
    assert np.nanstd(deviation) == pytest.approx(1.0, abs=0.12)


def test_dead_pixels_do_not_dim(fitted) -> None:
    shape = (40, 40)
    counts = np.full(shape, 4)
    regions = fitted(np.ones(shape), np.ones(shape), counts=counts)
    dead = np.random.default_rng(3).random(shape) < 0.3
    regions.bundle.mask[dead] = 0
    regions.bundle.observations[0].mask[dead] = 0
    smooth = smooth_brightness(regions.bundle, regions.radius)
    assert np.ptp(smooth.value) < 1e-4 * smooth.value[0, 0]


def test_a_million_pixels_a_second() -> None:
    images, radius = np.ones((500, 500, 4)), np.full((500, 500), 12.0)
    sum_own_circles(images[:50], radius[:50])
    start = time.process_time()
    sum_own_circles(images, radius)
    assert radius.size / (time.process_time() - start) > 2e5  # a fifth of a quiet machine's
