"""Sums over square blocks of pixels."""

import numpy as np

from pyxt_hpc.arrays.blocks import block_sums


def test_incomplete_squares_at_the_far_edges_sum_fewer_pixels() -> None:
    image = np.arange(15).reshape(3, 5)
    assert block_sums(image, 2).tolist() == [[12, 20, 13], [21, 25, 14]]
    assert block_sums(image, 1).tolist() == image.tolist()
