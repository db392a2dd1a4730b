"""Lattice and circles for any image: against scipy's KD-tree, and against their definition."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import cKDTree

from pyxt_hpc.binning.circles import radius_grid, scale_map
from pyxt_hpc.binning.lattice import block_number, lattice
from pyxt_hpc.maps.painting.paint import paint_blocks

SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))
STEPS = st.sampled_from([1, 3, 5])
FAR = 1000  # moves blocks so far apart that the nearest is never in another one


def moved(row: np.ndarray, col: np.ndarray, step: int) -> np.ndarray:
    return np.stack([axis + FAR * block_number(axis, step) for axis in (row, col)], axis=1)


@settings(deadline=None)
@given(valid=SHAPES.flatmap(lambda shape: arrays(bool, shape)), step=STEPS)
def test_region_is_the_valid_pixel_nearest_to_the_middle_of_its_block(valid: np.ndarray, step: int) -> None:
    row, col = lattice(valid, step)
    rows, cols = np.nonzero(valid)
    assert valid[row, col].all()
    blocks = np.stack([block_number(row, step), block_number(col, step)], axis=1)
    every_block = np.unique(np.stack([block_number(rows, step), block_number(cols, step)], axis=1), axis=0)
    assert blocks.tolist() == every_block.tolist()
    if len(row):
        middle = blocks * step
        distance, _ = cKDTree(moved(rows, cols, step)).query(moved(*middle.T, step))
        np.testing.assert_allclose(np.hypot(row - middle[:, 0], col - middle[:, 1]), distance, atol=1e-9)


@settings(deadline=None)
@given(valid=SHAPES.flatmap(lambda shape: arrays(bool, shape)), step=STEPS)
def test_valid_pixels_are_painted_by_the_region_of_their_block(valid: np.ndarray, step: int) -> None:
    row, col = lattice(valid, step)
    painted = paint_blocks(row, col, np.arange(len(row), dtype=float), valid, step)
    assert np.isnan(painted[~valid]).all()
    if len(row):
        _, nearest = cKDTree(moved(row, col, step)).query(moved(*np.nonzero(valid), step))
        assert painted[valid].tolist() == nearest.tolist()


@settings(deadline=None)
@given(blocks=SHAPES, step=STEPS, data=st.data())
def test_every_pixel_is_painted_by_its_nearest_region_where_all_are_valid(
    blocks: tuple[int, int], step: int, data: st.DataObject
) -> None:
    # the last block has its middle in the image
    shape = tuple(step * (n - 1) + 1 + data.draw(st.integers(0, step // 2)) for n in blocks)
    valid = np.ones(shape, bool)
    row, col = lattice(valid, step)
    painted = paint_blocks(row, col, np.arange(len(row), dtype=float), valid, step)
    _, nearest = cKDTree(np.stack([row, col], axis=1)).query(np.stack(np.nonzero(valid), axis=1))
    assert painted.ravel().tolist() == nearest.tolist()


@settings(deadline=None, max_examples=60)
@given(data=st.data(), shape=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_circle_is_the_smallest_that_reaches_the_target(data: st.DataObject, shape: tuple[int, int]) -> None:
    counts = data.draw(arrays(np.int32, shape, elements=st.integers(0, 40)))
    # sums of sixteenths are exact
    background = data.draw(arrays(np.int32, shape, elements=st.integers(0, 64))) / 16
    mask = data.draw(arrays(bool, shape))
    target = data.draw(st.floats(0.25, 12.0))
    radii = radius_grid(radius_max=6.0).radius
    found = scale_map(counts, background, background, mask, target, radius_max=6.0)
    y, x = np.indices(shape)
    for row, col in np.ndindex(shape):
        far = np.hypot(y - row, x - col)[mask]
        C, B = (np.array([image[mask][far <= r].sum() for r in radii]) for image in (counts, background))
        reached = np.divide(C - B, np.sqrt(C + B), out=np.zeros(len(radii)), where=C > 0) >= target
        radius = found.radius[row, col]
        if not mask[row, col] or radius == 0:
            assert radius == 0
            assert not (mask[row, col] and reached.any())
            continue
        k = int(np.flatnonzero(radii == radius)[0])
        assert reached[k]
        assert not reached[:k].any()
        assert found.signal_to_noise[row, col] == np.float32((C[k] - B[k]) / np.sqrt(C[k] + B[k]))
