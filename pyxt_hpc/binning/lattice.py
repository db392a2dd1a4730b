"""Which of the pixels get a fitted region: one in each block of a lattice.

At resolution step s (1, 3 or 5) the lattice pixels are those with row % s == 0 and col % s == 0, and
the block of each reaches s // 2 pixels to every side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def lattice(valid: NDArray, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the pixel that stands for each block: the valid one nearest to the block's centre.

    Parameters
    ----------
    valid : (ny, nx) bool
        Pixels that have a circle.
    step : int
        Odd distance of lattice pixels; 1 chooses every valid pixel.

    Returns
    -------
    row, col : (n,) int64
        Block by block in row-major order; of equally near pixels the first in row-major order.
        Blocks without a valid pixel have none.
    """
    row, col = np.nonzero(valid)
    block_row, block_col = block_number(row, step), block_number(col, step)
    distance_sq = (row - block_row * step) ** 2 + (col - block_col * step) ** 2
    # np.nonzero is in row-major order and lexsort is stable: ties go to the first pixel
    order = np.lexsort((distance_sq, block_col, block_row))
    new_block = np.ones(len(order), bool)
    new_block[1:] = (np.diff(block_row[order]) != 0) | (np.diff(block_col[order]) != 0)
    chosen = order[new_block]
    return row[chosen], col[chosen]


def block_number(pixel: Any, step: int) -> Any:
    """Number of the block along one axis, whose lattice pixel is number * step."""
    return (pixel + step // 2) // step
