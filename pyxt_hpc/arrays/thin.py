"""Some pixels of a large image, which have the percentiles of all."""

import numpy as np
from numpy.typing import NDArray

_MAX_SIDE = 1000


def thin(values: NDArray) -> NDArray:
    """Every n-th row and column, so that at most 1000 are left a side."""
    return values[tuple(slice(None, None, -(-n // _MAX_SIDE)) for n in np.shape(values))]
