"""Radii and numbers of regions of ClusterPyXT, old and new."""

import numpy as np

from pyxt_hpc.binning.circles import prepare_circle_sums, scale_map_rows
from pyxt_hpc.clusterpyxt.importing import signal_to_noise_kind
from pyxt_hpc.clusterpyxt.scale_map import clusterpyxt_numbers, resolution_of, take_radii


def test_radii_of_every_version() -> None:
    # 2018: 101 less multiples of 24/128; 2020: up to 100.875; since 2022 NaN where nothing suffices
    radii = np.array([[101 - 24 * 3 - 24 / 128, 100.875, np.nan], [0.0, 7.5, 3.25]])
    mask = np.array([[1, 1, 1], [1, 0, 1]], np.uint8)
    taken = take_radii(radii, mask)
    np.testing.assert_array_equal(taken.radius, np.array([[28.75, 100.0, 0.0], [0.0, 0.0, 3.25]], np.float32))
    assert (taken.blank, taken.dead, taken.moved) == (1, 1, 2)
    assert taken.shift == 0.875


def test_numbers_are_those_of_clusterpyxt() -> None:
    rng = np.random.default_rng(5)
    radii = np.where(rng.random((17, 13)) < 0.4, 0.0, rng.integers(8, 80, (17, 13)) / 8)
    radii[rng.random(radii.shape) < 0.1] = np.nan
    expected, number = np.zeros(radii.shape, int), 1
    for x in range(radii.shape[0]):  # ``create_scale_map_region_index`` of acb.py
        for y in range(radii.shape[1]):
            if radii[x, y] != 0:
                expected[x, y] = number
                number += 1
    np.testing.assert_array_equal(clusterpyxt_numbers(radii), expected)


def test_resolution_is_seen_from_the_places() -> None:
    assert resolution_of(np.array([0, 5, 10]), np.array([5, 15, 0])) == 1
    assert resolution_of(np.array([0, 3, 15]), np.array([6, 15, 0])) == 2
    assert resolution_of(np.array([0, 3, 4]), np.array([6, 15, 0])) == 3


def test_by_which_signal_to_noise_circles_were_made() -> None:
    rng = np.random.default_rng(11)
    y, x = np.indices((50, 50))
    background = np.full(y.shape, 0.3, np.float32)
    counts = rng.poisson(8.0 / (1 + ((y - 25.0) ** 2 + (x - 25.0) ** 2) / 60.0) + 0.3).astype(np.int32)
    live = np.ones(y.shape, np.uint8)
    nothing = np.zeros_like(background)
    for kind, blank in (("net", background), ("counts", nothing)):
        radius, reached = scale_map_rows(prepare_circle_sums(counts, blank, blank, live), 0, 50, 12.0)
        found, ratio = signal_to_noise_kind(counts, background, radius, 12.0)
        assert found == kind
        np.testing.assert_allclose(ratio, reached, rtol=1e-4)
