"""Contour bins: a partition into connected bins that reach the S/N, along the contours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from pyxt_hpc.binning.bins import signal_to_noise, sums_of
from pyxt_hpc.binning.contour import FLOOR, contour_bins
from pyxt_hpc.binning.smoothing import accumulative_smoothing
from pyxt_hpc.binning.voronoi import voronoi_bins
from pyxt_hpc.errors import ConfigError

Images = tuple[np.ndarray, np.ndarray, np.ndarray]


def reached(labels: np.ndarray, counts: np.ndarray, background: np.ndarray) -> np.ndarray:
    """S/N of the bins, (n,)."""
    return signal_to_noise(*sums_of(labels, [counts, background, background]))[1:]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    mean=st.floats(0.0, 20.0),
    background=st.floats(0.0, 2.0),
    live=st.floats(0.3, 1.0),
    target=st.floats(1.0, 15.0),
    constraint=st.sampled_from([0.0, 1.2, 2.0, 5.0]),
    min_area=st.sampled_from([0, 1, 7]),
)
def test_every_bin_is_connected_and_reaches_what_is_asked_for(
    seed: int, mean: float, background: float, live: float, target: float, constraint: float, min_area: int
) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((19, 27)) < live).astype(np.uint8)
    counts = rng.poisson(mean * rng.random(mask.shape) + background)
    expected = np.full(mask.shape, background)
    labels = contour_bins(counts, expected, expected, mask, target, constraint=constraint, min_area=min_area)
    assert (labels[mask == 0] == 0).all()
    n = labels.max()
    assert set(labels.ravel().tolist()) | {0} == set(range(n + 1))
    if n:
        assert reached(labels, counts, expected).min() >= FLOOR * target * (1 - 1e-12)
        assert np.bincount(labels.ravel())[1:].min() >= min_area
    for number in range(1, n + 1):
        assert label(labels == number)[1] == 1


def test_a_cluster(made_cluster: Images) -> None:
    counts, background, mask = made_cluster
    labels = contour_bins(counts, background, background, mask, 20.0)
    ratio = reached(labels, counts, background) / 20.0
    assert 200 < labels.max() < 400
    assert ((labels > 0) == (mask > 0)).all()
    assert ((ratio >= 1.0) & (ratio <= 1.15)).mean() >= 0.95
    # along the contours: within a bin the brightness varies less than within round bins of the same S/N
    smooth = np.log(np.maximum(accumulative_smoothing(counts, background, background, mask, 20.0), 1e-2))
    spread = []
    for own in (labels, voronoi_bins(counts, background, background, mask, 20.0)):
        n, mean, square = sums_of(own, [own > 0, smooth, smooth**2])[:, 1:]
        spread.append(np.median(np.sqrt(square / n - (mean / n) ** 2)))
    assert spread[0] < 0.7 * spread[1]


def test_bins_that_took_what_was_left_pass_it_on() -> None:
    y, x = np.mgrid[:130, :110]
    none, mask = np.zeros(y.shape), np.ones(y.shape)
    for seed in range(3):
        # few bins, so that every piece that is left between them is much for its neighbour
        rng = np.random.default_rng(seed)
        counts = rng.poisson(0.3 + 60.0 * (1.0 + ((y - 65) ** 2 + (x - 50) ** 2) / 25.0) ** -1.5)
        labels = contour_bins(counts, none, none, mask, 20.0)
        assert labels.min() == 1
        assert 28 < labels.max() < 33
        ratio = reached(labels, counts, none) / 20.0
        assert ratio.min() > 0.99
        assert np.mean(ratio <= 1.15) >= 0.95
        assert ratio.max() < 1.2  # 1.23 to 1.68 if it is not passed on


def test_sky_without_signal_stays_out_and_spoils_no_bin() -> None:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:150, :150]
    distance = np.hypot(y - 75, x - 75)
    background = np.full((150, 150), 1.0)
    counts = rng.poisson(background + 8.0 * (distance < 25))
    for make in (contour_bins, voronoi_bins):
        labels = make(counts, background, background, np.ones((150, 150)), 15.0)
        assert 30 < labels.max() < 70
        assert (labels[distance < 23] > 0).mean() > 0.97
        assert (labels[distance > 40] > 0).mean() < 0.1
        assert reached(labels, counts, background).min() >= 0.9 * 15


def test_constraint_makes_bins_rounder(made_cluster: Images) -> None:
    counts, background, mask = made_cluster

    def elongation(constraint: float) -> float:
        labels = contour_bins(counts, background, background, mask, 20.0, constraint=constraint)
        y, x = np.indices(labels.shape)
        n, y1, x1, square = sums_of(labels, [mask, y, x, y**2 + x**2])[:, 1:]
        inertia = square / n - (y1 / n) ** 2 - (x1 / n) ** 2
        return float(np.median(inertia / (n / (2 * np.pi))))  # 1 of a disc

    assert elongation(1.3) < elongation(2.0) < elongation(0.0)
    assert elongation(1.3) < 1.3


def test_largest_bins_are_left_out(made_cluster: Images) -> None:
    counts, background, mask = made_cluster
    labels = contour_bins(counts, background, background, mask, 20.0, largest=300)
    area = np.bincount(labels.ravel())[1:]
    assert area.max() <= 300
    assert reached(labels, counts, background).min() >= FLOOR * 20.0
    left = (labels == 0) & (mask > 0)
    assert 0.1 < left.mean() < 0.9
    distance = np.hypot(*np.subtract(np.indices(labels.shape), np.array([90, 110])[:, None, None]))
    assert distance[left].min() > 30  # only where it is faint


def test_least_area_follows_the_place(made_cluster: Images) -> None:
    counts, background, mask = made_cluster
    least = np.where(np.arange(200)[:, None] < 90, 60.0, 10.0) * np.ones((200, 200))
    labels = contour_bins(counts, background, background, mask, 20.0, min_area=least)
    area = np.bincount(labels.ravel())
    assert area[1:].min() >= 10
    assert area[np.unique(labels[:70][labels[:70] > 0])].min() >= 60
    assert area[np.unique(labels[95:][labels[95:] > 0])].min() < 60


def test_nothing_reaches_the_target() -> None:
    none = np.zeros((9, 9))
    assert not contour_bins(none, none, none, none + 1, 5.0).any()
    assert not contour_bins(none + 9, none, none, none, 5.0).any()
    with pytest.raises(ConfigError, match="target: found 0"):
        contour_bins(none, none, none, none + 1, 0.0)
