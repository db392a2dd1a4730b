"""Values of regions painted on the sky, each on its block of `pyxt_hpc.binning.lattice`."""

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.binning.lattice import block_number


def paint_blocks(
    row: NDArray, col: NDArray, values: NDArray, valid: NDArray, step: int
) -> NDArray[np.float32]:
    """Give every valid pixel the value of the region that stands for its block.

    Parameters
    ----------
    row, col : (n,) int
        Regions, at most one a block, as `lattice` chooses them.
    values : (n,) float
        One value a region.
    valid : (ny, nx) bool
        Pixels to paint.
    step : int
        The step with which the regions were chosen.

    Returns
    -------
    (ny, nx) float32
        NaN where not valid, where the block has no region, and where its value is NaN.
    """
    ny, nx = valid.shape
    of_block = np.full((block_number(ny - 1, step) + 1, block_number(nx - 1, step) + 1), np.nan, np.float32)
    of_block[block_number(row, step), block_number(col, step)] = values
    painted = of_block[block_number(np.arange(ny), step)[:, None], block_number(np.arange(nx), step)]
    return np.where(valid, painted, np.float32(np.nan))
