"""Accumulative smoothing: every pixel the mean of a disc that just reaches the S/N."""

import numpy as np
import pytest

from pyxt_hpc.binning import smoothing
from pyxt_hpc.binning.smoothing import accumulative_smoothing

SHAPE = (60, 70)


def test_every_pixel_is_the_mean_of_a_disc_that_just_reaches_the_target() -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    background = np.full(SHAPE, 0.3)
    counts = rng.poisson(0.3 + 9.0 * np.exp(-np.hypot(y - 30, x - 20) / 9.0))
    mask = (rng.random(SHAPE) < 0.95).astype(np.uint8)
    exposure = rng.uniform(0.5, 1.5, SHAPE)
    found = accumulative_smoothing(counts, background, background, mask, 8.0, exposure)
    assert (found[mask == 0] == 0).all()
    live = mask > 0
    for row, col in rng.integers(0, SHAPE, (40, 2)):
        if not live[row, col]:
            continue
        values, reached = [], []
        for radius in smoothing._RADII:
            disc = live & ((y - row) ** 2 + (x - col) ** 2 <= radius**2)
            c, b = counts[disc].sum(), background[disc].sum()
            values.append((c - b) / exposure[disc].sum())
            reached.append(c > b and (c - b) >= 8.0 * np.sqrt(c + b))
        # discs that reach the target while the next smaller one does not
        just = [i for i in range(len(values)) if reached[i] and not (i and reached[i - 1])]
        wanted = [values[i] for i in just] or [values[-1]]
        assert min(abs(found[row, col] - np.array(wanted))) < 1e-9 * max(1, abs(found[row, col]))


def test_even_brightness_stays_even_whatever_the_exposure() -> None:
    y, _ = np.mgrid[: SHAPE[0], : SHAPE[1]]
    exposure = 1.0 + y / 10.0
    none = np.zeros(SHAPE)
    found = accumulative_smoothing(4.0 * exposure, none, none, np.ones(SHAPE), 10.0, exposure)
    np.testing.assert_allclose(found, 4.0, rtol=1e-9)


def test_what_never_reaches_the_target_is_the_mean_of_the_largest_disc() -> None:
    counts = np.zeros(SHAPE)
    counts[10, 10] = 1
    found = accumulative_smoothing(counts, 0 * counts, 0 * counts, np.ones(SHAPE), 5.0)
    assert found == pytest.approx(1.0 / counts.size)
