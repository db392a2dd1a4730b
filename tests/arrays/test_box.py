"""The smallest box around chosen pixels."""

import numpy as np

from pyxt_hpc.arrays.box import bounding_box


def test_box_ends_at_the_outermost_pixels_and_its_margin_at_the_image() -> None:
    chosen = np.zeros((9, 7), bool)
    assert not chosen[bounding_box(chosen, 2)].size
    chosen[3, 1] = chosen[6, 4] = True
    assert bounding_box(chosen) == (slice(3, 7), slice(1, 5))
    assert bounding_box(chosen, 2) == (slice(1, 9), slice(0, 7))
