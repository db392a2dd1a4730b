"""Blocks: one region each, painted over the whole block, never outside the valid pixels."""

import numpy as np
import pytest

from pyxt_hpc.binning.lattice import lattice
from pyxt_hpc.maps.paint import paint_blocks

STEPS = (1, 3, 5)


@pytest.mark.parametrize("step", STEPS)
def test_every_valid_pixel_gets_its_blocks_value(step):
    rng = np.random.default_rng(2)
    valid = rng.random((23, 29)) < 0.4
    row, col = lattice(valid, step)
    values = np.arange(1.0, len(row) + 1)
    painted = paint_blocks(row, col, values, valid, step)
    assert painted.dtype == np.float32
    assert np.array_equal(np.isnan(painted), ~valid)
    half = step // 2
    for r, c, value in zip(row, col, values, strict=True):
        centre_row, centre_col = (r + half) // step * step, (c + half) // step * step
        block = np.s_[
            max(centre_row - half, 0) : centre_row + half + 1,
            max(centre_col - half, 0) : centre_col + half + 1,
        ]
        assert np.all(painted[block][valid[block]] == value)


@pytest.mark.parametrize("step", STEPS)
def test_first_and_last_row_and_column_are_painted(step):
    valid = np.ones((12, 14), bool)
    row, col = lattice(valid, step)
    assert not np.isnan(paint_blocks(row, col, np.ones(len(row)), valid, step)).any()


def test_nothing_is_painted_into_a_hole():
    valid = np.ones((15, 15), bool)
    valid[4:7, 4:7] = False
    row, col = lattice(valid, 5)
    painted = paint_blocks(row, col, np.ones(len(row)), valid, 5)
    assert np.isnan(painted[4:7, 4:7]).all()
    assert (painted[valid] == 1).all()


def test_missing_and_nan_regions_leave_nan_over_their_block_only():
    valid = np.ones((9, 9), bool)
    row, col = lattice(valid, 3)
    values = np.ones(len(row))
    values[0] = np.nan
    painted = paint_blocks(row[:-1], col[:-1], values[:-1], valid, 3)
    expected = np.ones((9, 9), np.float32)
    expected[:2, :2] = np.nan
    # blocks are centred on 0, 3, 6 and 9: the last one holds pixel 8 alone
    expected[8, 8] = np.nan
    assert np.array_equal(painted, expected, equal_nan=True)


def test_no_region_at_all():
    valid = np.zeros((4, 5), bool)
    row, col = lattice(valid, 3)
    assert len(row) == len(col) == 0
    assert np.isnan(paint_blocks(row, col, np.empty(0), valid, 3)).all()
