"""Squares, annuli and sectors: against their definitions."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pyxt_hpc.binning.bins import signal_to_noise, sums_of
from pyxt_hpc.binning.geometric import (
    annuli_of_radii,
    annuli_of_signal,
    elliptical_radius,
    grid_bins,
    sector_of,
)

SHAPE = (41, 51)


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_grid(side: int, seed: int) -> None:
    mask = (np.random.default_rng(seed).random(SHAPE) < 0.3).astype(np.uint8)
    labels = grid_bins(mask, side)
    np.testing.assert_array_equal(labels > 0, mask > 0)
    row, col = np.nonzero(mask)
    squares = {}
    for number, square in zip(
        labels[row, col].tolist(), zip(row // side, col // side, strict=True), strict=True
    ):
        assert squares.setdefault(number, square) == square
    assert list(squares.values()) == sorted(set(squares.values())) or side > 1
    assert sorted(squares) == list(range(1, len(set(squares.values())) + 1))


def test_ellipse_of_a_position_angle() -> None:
    # 30 degrees from north (rows grow) to east (columns fall)
    radius = elliptical_radius((200, 200), 100.0, 100.0, 0.5, np.radians(30.0))
    along = np.array([np.cos(np.radians(30)), -np.sin(np.radians(30))])
    for distance, ratio in ((along * 60, 1.0), (np.array([along[1], -along[0]]) * 60, 2.0)):
        y, x = np.rint(100 + distance).astype(int)
        assert abs(radius[y, x] / (60 * ratio) - 1) < 0.02
    np.testing.assert_allclose(
        elliptical_radius(SHAPE, 20, 25, 1.0, 1.234), np.hypot(*np.ogrid[-20:21, -25:26]), rtol=1e-12
    )


def test_sectors_go_from_north_to_east() -> None:
    sector = sector_of(SHAPE, 20, 25, 4, 0.0)
    around = ((9, -1), (1, -9), (-1, -9), (-9, -1), (-9, 1), (9, 1))
    assert [int(sector[20 + y, 25 + x]) for y, x in around] == [0, 0, 1, 1, 2, 3]
    turned = sector_of(SHAPE, 20, 25, 4, np.radians(45.0))
    assert [int(turned[20 + y, 25 + x]) for y, x in ((9, 0), (0, -9), (-9, 0), (0, 9))] == [3, 0, 1, 2]


def test_annuli_between_radii() -> None:
    mask = np.ones(SHAPE, np.uint8)
    mask[20, 25:] = 0
    radius, sector = elliptical_radius(SHAPE, 20, 25, 1.0, 0.0), sector_of(SHAPE, 20, 25, 2, 0.0)
    labels = annuli_of_radii(mask, radius, sector, np.array([3.0, 8.0, 20.0]))
    for number, low, high, half in ((1, 3, 8, 0), (2, 3, 8, 1), (3, 8, 20, 0), (4, 8, 20, 1)):
        own = (mask > 0) & (radius >= low) & (radius < high) & (sector == half)
        np.testing.assert_array_equal(labels == number, own)
    assert labels.max() == 4


@given(st.integers(0, 2**32 - 1), st.floats(2.0, 20.0), st.integers(1, 5), st.sampled_from([0.0, 30.0]))
def test_annuli_reach_the_target_one_after_the_other(
    seed: int, target: float, n_sectors: int, least: float
) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random(SHAPE) < 0.8).astype(np.uint8)
    radius = elliptical_radius(SHAPE, 20, 25, 0.7, 0.4)
    sector = sector_of(SHAPE, 20, 25, n_sectors, 0.3)
    background = np.full(SHAPE, 0.2)
    counts = rng.poisson(0.2 + 5.0 / (1 + (radius / 5) ** 2))
    labels = annuli_of_signal(counts, background, background, mask, target, radius, sector, least)
    assert (labels[mask == 0] == 0).all()
    if labels.any():
        sums = sums_of(labels, [counts, background, background])
        assert (signal_to_noise(*sums)[1:] >= target * (1 - 1e-12)).all()
        assert np.bincount(labels.ravel())[1:].min() >= least
    for one in range(n_sectors):
        own = (sector == one) & (mask > 0)
        edges = [
            (radius[labels == number].min(), radius[labels == number].max())
            for number in np.unique(labels[own & (labels > 0)])
        ]
        for (_, before), (after, _) in itertools.pairwise(edges):
            assert before < after
        assert all(high - low >= 1.0 for low, high in edges)
        if edges and (own & (labels == 0)).any():
            assert radius[own & (labels == 0)].min() > edges[-1][1]
