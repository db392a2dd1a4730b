"""Images in coarser pixels: sums over square blocks."""

import numpy as np
from numpy.typing import NDArray


def block_sums(image: NDArray, factor: int) -> NDArray[np.float64]:
    """Sums of squares of factor x factor pixels; incomplete squares at the far edges sum fewer pixels."""
    if factor == 1:
        return image.astype(np.float64)
    rows = np.add.reduceat(image, np.arange(0, image.shape[0], factor), axis=0, dtype=np.float64)
    return np.add.reduceat(rows, np.arange(0, image.shape[1], factor), axis=1)
