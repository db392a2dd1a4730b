"""One region for each block, at the valid pixel nearest to its centre."""

import numpy as np
import pytest

from pyxt_hpc.binning.lattice import lattice

STEPS = (1, 3, 5)


def brute_lattice(valid, step):
    """The definition, block by block."""
    ny, nx = valid.shape
    half = step // 2
    chosen = []
    for row in range(0, ny + half, step):
        for col in range(0, nx + half, step):
            block = [
                ((r - row) ** 2 + (c - col) ** 2, r, c)
                for r in range(max(row - half, 0), min(row + half + 1, ny))
                for c in range(max(col - half, 0), min(col + half + 1, nx))
                if valid[r, c]
            ]
            if block:
                chosen.append(min(block)[1:])
    return chosen


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (11, 17), (15, 20)])
@pytest.mark.parametrize("fraction", [0.05, 0.5, 1.0])
def test_lattice_is_the_definition(step, shape, fraction):
    valid = np.random.default_rng(1).random(shape) < fraction
    row, col = lattice(valid, step)
    assert list(zip(row.tolist(), col.tolist(), strict=True)) == brute_lattice(valid, step)


@pytest.mark.parametrize("step", STEPS)
def test_lattice_pixels_stand_for_their_own_blocks_where_all_are_valid(step):
    row, col = lattice(np.ones((31, 46), bool), step)
    assert set(zip(row.tolist(), col.tolist(), strict=True)) == {
        (r, c) for r in range(0, 31, step) for c in range(0, 46, step)
    }


def test_block_with_a_hole_on_its_lattice_pixel_keeps_a_region():
    valid = np.ones((15, 15), bool)
    valid[5, 5] = False
    row, col = lattice(valid, 5)
    assert len(row) == 16  # blocks of columns 0-2, 3-7, 8-12 and 13-14
    assert (4, 5) in set(zip(row.tolist(), col.tolist(), strict=True))
