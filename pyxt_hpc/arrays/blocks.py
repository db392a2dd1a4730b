"""Sums of images over square blocks of pixels."""

import numpy as np
from numpy.typing import NDArray


def block_sums(image: NDArray, factor: int) -> NDArray[np.float64]:
    """Sums over blocks of factor x factor pixels; blocks at the upper edges may have fewer pixels."""
    if factor == 1:
        return image.astype(np.float64)
    rows = np.add.reduceat(image, np.arange(0, image.shape[0], factor), axis=0, dtype=np.float64)
    return np.add.reduceat(rows, np.arange(0, image.shape[1], factor), axis=1)
