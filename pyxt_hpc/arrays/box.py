"""The smallest box around chosen pixels of an image."""

import numpy as np
from numpy.typing import NDArray


def bounding_box(chosen: NDArray[np.bool_], margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around the chosen pixels (ny, nx), and a margin within the image.

    The box is empty if no pixel is chosen.
    """
    sides = []
    for across, n in zip((1, 0), chosen.shape, strict=True):
        at = np.flatnonzero(chosen.any(axis=across))
        sides.append(
            slice(max(int(at[0]) - margin, 0), min(int(at[-1]) + 1 + margin, n)) if len(at) else slice(0, 0)
        )
    return sides[0], sides[1]
