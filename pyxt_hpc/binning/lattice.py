"""Choice of the pixels with a fitted region: one in each block of a lattice.

At step s (1, 3 or 5), lattice pixels have row % s == 0 and col % s == 0. The block of a lattice pixel extends
s // 2 pixels to every side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def lattice(valid: NDArray, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the valid pixel nearest to the centre of each block.

    Parameters
    ----------
    valid : (ny, nx) bool
        Pixels that have a circle.
    step : int
        Distance of lattice pixels, an odd number; 1 chooses every valid pixel.

    Returns
    -------
    row, col : (n,) int64
        Pixels in row-major order of their blocks; blocks without a valid pixel are left out. Of equally near
        pixels, the first in row-major order is chosen.
    """
    row, col = np.nonzero(valid)
    block_row, block_col = block_number(row, step), block_number(col, step)
    distance_sq = (row - block_row * step) ** 2 + (col - block_col * step) ** 2
    # Of equally near pixels, the first comes first: np.nonzero is in row-major order, and lexsort is stable.
    order = np.lexsort((distance_sq, block_col, block_row))
    new_block = np.ones(len(order), bool)
    new_block[1:] = (np.diff(block_row[order]) != 0) | (np.diff(block_col[order]) != 0)
    chosen = order[new_block]
    return row[chosen], col[chosen]


def block_number(pixel: Any, step: int) -> Any:
    """Number of a pixel's block along one axis; the block's lattice pixel is at number * step."""
    return (pixel + step // 2) // step
