"""Extraction against masks of distances."""

import numpy as np
import pytest

from pyxt_hpc.binning.runs import runs_of_discs
from pyxt_hpc.fit.extraction.extract import disc_areas, disc_sums, extract_regions

SHAPE = (37, 53)
N_BIN = 6


@pytest.fixture(scope="module")
def events() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row-major offsets, bin of each event, and the same as a cube (n_bin, ny, nx)."""
    rng = np.random.default_rng(11)
    per_pixel = rng.poisson(2.0, SHAPE)
    indptr = np.concatenate([[0], np.cumsum(per_pixel.ravel())]).astype(np.int64)
    bins = rng.integers(-1, N_BIN, indptr[-1]).astype(np.int16)
    cube = np.zeros((N_BIN, SHAPE[0] * SHAPE[1]), int)
    pixel = np.repeat(np.arange(per_pixel.size), per_pixel.ravel())
    np.add.at(cube, (bins[bins >= 0], pixel[bins >= 0]), 1)
    return indptr, bins, cube.reshape(N_BIN, *SHAPE)


def _discs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    # corners, edges and centres outside the image among them
    row = np.concatenate([[0, 36, 0, -3, 40, 18], rng.integers(0, SHAPE[0], 60)])
    col = np.concatenate([[0, 52, 52, 10, 60, 26], rng.integers(0, SHAPE[1], 60)])
    radius = np.concatenate([[5, 5, 0, 4.5, 2, 100], rng.integers(8, 160, 60) / 8])
    return row, col, radius


def _mask(row: int, col: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (y - row) ** 2 + (x - col) ** 2 <= radius**2


def test_counts_per_bin(events: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    indptr, bins, cube = events
    row, col, radius = _discs()
    found = extract_regions(runs_of_discs(row, col, radius), indptr, bins, N_BIN, SHAPE)
    assert found.dtype == np.int32
    for i in range(len(row)):
        assert found[i].tolist() == cube[:, _mask(row[i], col[i], radius[i])].sum(axis=1).tolist()
    assert found[4].sum() == 0  # wholly outside
    assert found[5].tolist() == cube.sum(axis=(1, 2)).tolist()  # everything


def test_image_sums() -> None:
    images = np.random.default_rng(5).random((3, *SHAPE)).astype(np.float32)
    row, col, radius = _discs()
    found = disc_sums(row, col, radius, images)
    for i in range(len(row)):
        assert found[i] == pytest.approx(
            images[:, _mask(row[i], col[i], radius[i])].sum(axis=1, dtype=float), rel=1e-12
        )


def test_area_is_the_sum_of_ones() -> None:
    ones = np.ones((1, 51, 51), np.uint8)
    radius = np.array([25.0, 0.0, 1.0, 25.0, 7.125])
    middle = np.full(5, 25)
    assert disc_areas(radius).tolist() == disc_sums(middle, middle, radius, ones)[:, 0].tolist()
    assert disc_areas(radius)[:3].tolist() == [1961, 1, 5]


def test_no_region(events: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    indptr, bins, _ = events
    none = np.empty(0, int)
    assert extract_regions(runs_of_discs(none, none, none), indptr, bins, N_BIN, SHAPE).shape == (0, N_BIN)
    assert disc_areas(none).shape == (0,)
