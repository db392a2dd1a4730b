"""Regions as runs of pixels, against sets of pixels that are made in the plainest way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pyxt_hpc.binning.runs import PixelRuns, middle_pixels, runs_of_discs, runs_of_labels
from pyxt_hpc.errors import ConfigError


def pixels(runs: PixelRuns, region: int) -> list[tuple[int, int]]:
    """Pixels of one region, in order."""
    return [
        (int(runs.row[k]), x)
        for k in range(runs.indptr[region], runs.indptr[region + 1])
        for x in range(runs.start[k], runs.stop[k])
    ]


images = arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4))


@given(images)
def test_runs_of_labels_hold_each_labelled_pixel_once(labels: np.ndarray) -> None:
    numbers, runs = runs_of_labels(labels)
    assert numbers.tolist() == sorted(set(labels[labels > 0].tolist()))
    for region, number in enumerate(numbers):
        assert pixels(runs, region) == [(y, x) for y, x in np.argwhere(labels == number).tolist()]
    assert runs.area.tolist() == [np.count_nonzero(labels == number) for number in numbers]


@given(images, st.lists(st.integers(0, 100), max_size=6))
def test_some_of_the_regions(labels: np.ndarray, draws: list[int]) -> None:
    numbers, runs = runs_of_labels(labels)
    chosen = [draw % len(numbers) for draw in draws if len(numbers)]
    some = runs.take(chosen)
    assert [pixels(some, i) for i in range(len(chosen))] == [pixels(runs, i) for i in chosen]


@given(images)
def test_middle_pixel_is_the_nearest_of_its_region_to_the_centroid(labels: np.ndarray) -> None:
    numbers, runs = runs_of_labels(labels)
    for number, row, col in zip(numbers, *middle_pixels(runs), strict=True):
        own = np.argwhere(labels == number)
        distance = np.hypot(*(own - own.mean(axis=0)).T)
        assert labels[row, col] == number
        assert np.hypot(*([row, col] - own.mean(axis=0))) == pytest.approx(distance.min(), abs=1e-9)


@given(st.integers(-5, 12), st.integers(-5, 12), st.integers(0, 60))
def test_runs_of_a_disc_are_those_of_its_label_image(row: int, col: int, eighths: int) -> None:
    radius = eighths / 8
    y, x = np.mgrid[-20:30, -20:30]
    labels = ((y - row) ** 2 + (x - col) ** 2 <= radius**2).astype(int)
    disc, (_, runs) = runs_of_discs([row], [col], [radius]), runs_of_labels(labels)
    for name in ("indptr", "row", "start", "stop"):
        np.testing.assert_array_equal(getattr(disc, name), getattr(runs.shifted(-20, -20), name))
    assert disc.bounds() == (
        row - int(radius), row + int(radius) + 1, col - int(radius), col + int(radius) + 1
    )  # fmt: skip


def test_what_is_no_label_image_is_refused() -> None:
    for wrong in (np.zeros((3, 3)), np.zeros(3, int), np.array([[0, -1]]), np.array([[2**31]])):
        with pytest.raises(ConfigError, match="label image: found"):
            runs_of_labels(wrong)


def test_radius_off_the_grid() -> None:
    with pytest.raises(ConfigError, match="multiple"):
        runs_of_discs([3], [3], [1.3])


def test_nothing_at_all() -> None:
    numbers, runs = runs_of_labels(np.zeros((3, 4), np.int32))
    assert len(numbers) == len(runs) == len(runs.area) == 0
    assert len(runs_of_discs([], [], [])) == 0
