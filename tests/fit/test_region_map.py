"""Which regions are fitted: of a scale map drawn by hand, and of label images."""

import numpy as np
import pytest

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.region_map import RegionMap

# Radii of a scale map drawn by hand; a dot is a pixel without a region.
SCALE_MAP = """
. 5 . . . 6
. . 4 . 3 .
7 . . . . .
. 8 . 2 . 9
"""

# Number, row, column and radius of every region, read off the map.
EVERY_PIXEL = [(1, 0, 1, 5), (2, 0, 5, 6), (3, 1, 2, 4), (4, 1, 4, 3),
               (5, 2, 0, 7), (6, 3, 1, 8), (7, 3, 3, 2), (8, 3, 5, 9)]  # fmt: skip
BY_RESOLUTION = {
    3: EVERY_PIXEL,
    # Blocks of 3 begin at rows 0, 2 and columns 0, 2, 5. The fitted pixel is the one nearest to (0 or 3; 0, 3
    # or 6), of equals the first: (0, 1); (1, 2) before (1, 4); (0, 5); (2, 0) before (3, 1); (3, 3); (3, 5).
    2: [EVERY_PIXEL[i] for i in (0, 1, 2, 4, 6, 7)],
    # Blocks of 5 begin at rows 0, 3 and columns 0, 3. Nearest to (0 or 5, 0 or 5):
    # (0, 1), (0, 5); (3, 1), (3, 5).
    1: [EVERY_PIXEL[i] for i in (0, 1, 5, 7)],
}


@pytest.mark.parametrize("resolution", BY_RESOLUTION)
def test_regions_are_those_read_off_a_map(resolution: int) -> None:
    lines = SCALE_MAP.strip().splitlines()
    radius = np.array([[0 if c == "." else int(c) for c in line.split()] for line in lines], np.float32)
    regions = RegionMap(radius).select(resolution).table
    assert [tuple(int(v) for v in row) for row in regions[["region", "row", "col", "radius"]]] == (
        BY_RESOLUTION[resolution]
    )


@pytest.mark.parametrize(
    ("resolution", "step", "n_rows", "n_cols"), [(1, 5, 10, 13), (2, 3, 16, 21), (3, 1, 46, 61)]
)
def test_filled_map_has_a_region_at_every_lattice_pixel(
    resolution: int, step: int, n_rows: int, n_cols: int
) -> None:
    regions = RegionMap(np.full((46, 61), 3.0, np.float32)).select(resolution).table
    assert len(regions) == n_rows * n_cols
    assert sorted(set(regions["row"].tolist())) == list(range(0, 46, step))
    assert sorted(set(regions["col"].tolist())) == list(range(0, 61, step))
    assert (regions["region"][0], regions["region"][-1]) == (1, 46 * 61)


def test_empty_map_has_no_regions() -> None:
    assert len(RegionMap(np.zeros((4, 5), np.float32)).select(3).table) == 0


def test_bins_are_all_fitted_whatever_the_resolution() -> None:
    labels = np.array([[0, 7, 7, 2], [3, 3, 7, 2]], np.int32)
    where = RegionMap.of_labels(labels)
    for resolution in (1, 2, 3):
        table, runs = where.select(resolution)
        assert where.effective_resolution(resolution) == 3
        assert table["region"].tolist() == [2, 3, 7]
        np.testing.assert_allclose(np.pi * table["radius"] ** 2, [2, 2, 3], rtol=1e-6)
        assert labels[table["row"], table["col"]].tolist() == [2, 3, 7]
        assert runs is not None
        assert runs.area.tolist() == [2, 2, 3]
    np.testing.assert_allclose(np.pi * where.radius**2, [[0, 3, 3, 2], [2, 2, 3, 2]], rtol=1e-6)
    np.testing.assert_array_equal(where.index, labels)


def test_regions_by_their_numbers() -> None:
    radius = RegionMap(np.array([[2, 0, 3], [0, 4, 5]], np.float32))
    table, runs = radius.numbered(np.array([4, 2]), "the map")
    assert runs is None
    assert table[["row", "col", "radius"]].tolist() == [(1, 2, 5), (0, 2, 3)]
    bins = RegionMap.of_labels(np.array([[1, 1, 5], [0, 9, 5]]))
    table, runs = bins.numbered(np.array([9, 1]), "the map")
    assert table["region"].tolist() == [9, 1]
    assert runs is not None
    assert runs.area.tolist() == [1, 2]
    for where, number in ((radius, 5), (radius, 0), (bins, 2), (RegionMap(np.zeros((2, 2))), 1)):
        with pytest.raises(ConfigError, match=f"region {number}: the map has regions 1 to"):
            where.numbered(np.array([number]), "the map")
