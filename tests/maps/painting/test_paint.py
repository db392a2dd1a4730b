"""Blocks: one region each, painted over the whole block, never outside the valid pixels."""

import numpy as np
import pytest

from pyxt_hpc.binning.lattice import lattice
from pyxt_hpc.fit.extraction.extract import disc_areas, disc_sums
from pyxt_hpc.maps.painting.paint import Measured, average_circles, paint_bins, paint_blocks, paint_measured

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


def circles(shape, radius, step):
    """Equal circles on the whole lattice."""
    row, col = lattice(np.ones(shape, bool), step)
    regions = np.zeros(len(row), [("row", "i4"), ("col", "i4"), ("radius", "f4")])
    regions["row"], regions["col"], regions["radius"] = row, col, radius
    return regions


@pytest.mark.parametrize(("radius", "step"), [(6.0, 1), (6.0, 3), (1.5, 5)])
def test_error_of_averages_is_their_scatter(radius, step):
    rng = np.random.default_rng(5)
    shape, n = (70, 70), 300
    regions = circles(shape, radius, step)
    noise = rng.normal(0.0, 0.5, (n, *shape))
    area = disc_areas([radius])[0]
    # keeps the discs whole: values of circles that the edge cuts would scatter more
    inner = np.s_[16:54, 16:54]
    values = 5.0 + disc_sums(regions["row"], regions["col"], regions["radius"], noise) / area
    sigma = np.full(len(regions), 0.5 / np.sqrt(area))
    means = []
    for v in values.T:
        painted = average_circles(regions, Measured(v, sigma, sigma), np.ones(shape, bool), relative=False)
        means.append(painted.value[inner])
    covered = np.isfinite(means[0])
    assert covered.all() if step < 5 else (0.2 < covered.mean() < 0.5)
    scatter = np.sqrt(np.mean((np.array(means)[:, covered] - 5.0) ** 2))
    claimed = np.sqrt(np.mean(painted.plus[inner][covered] ** 2))
    assert claimed == pytest.approx(scatter, rel=0.06)
    if step == 1:
        # many circles are worth 2.2 independent ones
        assert (sigma[0] / claimed) ** 2 == pytest.approx(2.16, abs=0.02)


def test_average_holds_only_circles_that_contain_the_pixel_weighted_by_errors():
    regions = np.zeros(3, [("row", "i4"), ("col", "i4"), ("radius", "f4")])
    regions["row"], regions["col"], regions["radius"] = 10, [5, 9, 17], [4.0, 5.0, 3.0]
    value, sigma = np.array([2.0, 5.0, 7.0]), np.array([1.0, 2.0, np.nan])
    painted = average_circles(regions, Measured(value, sigma, sigma), np.ones((20, 20), bool), relative=False)
    assert painted.value[10, 1] == 2.0
    assert painted.plus[10, 1] == 1.0
    assert painted.value[10, 14] == 5.0
    assert painted.value[10, 7] == pytest.approx((2.0 + 5.0 / 4) / (1 + 1 / 4))
    # a region without an error takes no part, and no circle is no value
    assert np.isnan(painted.value[10, 17])
    assert np.isnan(painted.value[0, 0])


def test_relative_weights_do_not_prefer_the_faint_side():
    regions = np.zeros(2, [("row", "i4"), ("col", "i4"), ("radius", "f4")])
    regions["row"], regions["col"], regions["radius"] = 5, [4, 6], 3.0
    value = np.array([1.0, 100.0])
    measured = Measured(value, 0.1 * value, 0.1 * value)
    painted = average_circles(regions, measured, np.ones((11, 11), bool), relative=True)
    assert painted.value[5, 5] == pytest.approx(50.5)


def test_interpolation_keeps_fitted_values_and_planes():
    shape, step = (31, 31), 3
    regions = circles(shape, 6.0, step)
    plane = 1.0 + 0.1 * regions["row"] + 0.05 * regions["col"]
    measured = Measured(plane, 0.1 * plane, 0.2 * plane)
    radius = np.full(shape, 6.0)
    radius[20:23, 5] = 0.0
    painted = paint_measured("interpolate", regions, measured, radius, step, relative=True)
    assert np.array_equal(np.isnan(painted.value), radius == 0)
    y, x = np.indices(shape)
    live = radius > 0
    at = (y % 3 == 0) & (x % 3 == 0) & live
    expected = 1.0 + 0.1 * y + 0.05 * x
    assert painted.value[at] == pytest.approx(expected[at], rel=1e-6)
    assert painted.value[live] == pytest.approx(expected[live], rel=0.03)
    assert painted.minus[live] == pytest.approx(0.1 * painted.value[live], rel=1e-5)
    assert painted.plus[live] == pytest.approx(0.2 * painted.value[live], rel=1e-5)


def test_interpolation_leaves_out_what_is_missing():
    shape = (12, 12)
    regions = circles(shape, 5.0, 3)
    value = np.full(len(regions), 4.0)
    value[5] = np.nan
    painted = paint_measured(
        "interpolate", regions, Measured(value, value, value), np.full(shape, 5.0), 3, relative=True
    )
    assert np.nanmax(np.abs(painted.value - 4.0)) < 1e-6
    assert np.isnan(painted.value).sum() <= 1


def test_bins_without_a_value_stay_blank() -> None:
    labels = np.array([[0, 2, 2], [7, 7, 9], [9, 3, 1]])
    painted = paint_bins(labels, np.array([2, 7, 9]), np.array([1.5, np.nan, 4.0]))
    nan = np.nan
    np.testing.assert_array_equal(painted, [[nan, 1.5, 1.5], [nan, nan, 4.0], [4.0, nan, nan]])
    assert painted.dtype == np.float32
