"""Which regions are fitted."""

import subprocess
import sys

import numpy as np
import pytest

from pyxt_hpc.fit.inputs import select_regions

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
    regions = select_regions(radius, resolution)
    assert [tuple(int(v) for v in row) for row in regions[["region", "row", "col", "radius"]]] == (
        BY_RESOLUTION[resolution]
    )


@pytest.mark.parametrize(
    ("resolution", "step", "n_rows", "n_cols"), [(1, 5, 10, 13), (2, 3, 16, 21), (3, 1, 46, 61)]
)
def test_filled_map_has_a_region_at_every_lattice_pixel(
    resolution: int, step: int, n_rows: int, n_cols: int
) -> None:
    regions = select_regions(np.full((46, 61), 3.0, np.float32), resolution)
    assert len(regions) == n_rows * n_cols
    assert sorted(set(regions["row"].tolist())) == list(range(0, 46, step))
    assert sorted(set(regions["col"].tolist())) == list(range(0, 61, step))
    assert (regions["region"][0], regions["region"][-1]) == (1, 46 * 61)


def test_empty_map_has_no_regions() -> None:
    assert len(select_regions(np.zeros((4, 5), np.float32), 3)) == 0


def test_ranks_that_fit_load_nothing_that_only_the_master_needs() -> None:
    """Each would read hundreds of files more from a file system that all ranks share."""
    code = "import sys; import pyxt_hpc.stages.fitting; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    masters = {"scipy.stats", "scipy.optimize", "scipy.interpolate", "scipy.ndimage", "astropy.wcs"}
    assert not masters & set(done.stdout.split())
