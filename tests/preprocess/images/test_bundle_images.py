"""Images of events."""

import numpy as np

from pyxt_hpc.preprocess.images.bundle_images import counts_of


def test_counts_of_compressed_rows() -> None:
    indptr = np.array([0, 2, 2, 5, 6, 6, 6])
    np.testing.assert_array_equal(counts_of(indptr, (2, 3)), [[2, 0, 3], [1, 0, 0]])
