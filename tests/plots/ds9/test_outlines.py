"""Outlines of bins, filled again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path
from scipy.ndimage import binary_fill_holes, label

from pyxt_hpc.plots.ds9.outlines import outlines


@given(arrays(np.int32, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 3)))
def test_filled_outlines_are_the_bins_without_holes(labels: np.ndarray) -> None:
    numbers = np.unique(labels[labels > 0])
    middles = np.argwhere(np.ones(labels.shape, bool))
    for number, polygons in zip(numbers, outlines(labels, numbers), strict=True):
        filled = np.zeros(labels.shape, bool)
        for corners in polygons:
            turns = np.diff(np.vstack([corners, corners[:1]]), axis=0)
            assert ((turns == 0).sum(axis=1) == 1).all()  # along the edges of pixels, turning at every corner
            assert (turns[:, 0] * np.roll(turns[:, 0], 1) == 0).all()
            filled |= Path(np.vstack([corners, corners[:1]])).contains_points(middles).reshape(labels.shape)
        bin_ = labels == number
        np.testing.assert_array_equal(filled, binary_fill_holes(bin_, np.ones((3, 3))))
        assert len(polygons) <= label(bin_)[1]
