"""Where the regions of a cluster are: a circle around every pixel, or a label image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.binning.runs import PixelRuns, middle_pixels, runs_of_labels
from pyxt_hpc.store.rows import REGION_DTYPE


def regions_of_labels(labels: NDArray) -> tuple[np.ndarray, PixelRuns]:
    """The regions of a label image.

    Parameters
    ----------
    labels : (ny, nx) int
        Number of the region that holds each pixel; 0: none.

    Returns
    -------
    regions : (n,) REGION_DTYPE
        Ascending by label, which is the number ``region``. ``row``, ``col``: the pixel of the region nearest
        to its centroid; ``radius``: that of the circle with the same area [pixels].
    runs : PixelRuns
        Their pixels.

    Raises
    ------
    ConfigError
        If labels are not whole numbers from 0 on.
    """
    numbers, runs = runs_of_labels(labels)
    regions = np.zeros(len(numbers), REGION_DTYPE)
    regions["region"] = numbers
    regions["row"], regions["col"] = middle_pixels(runs)
    regions["radius"] = np.sqrt(runs.area / np.pi)
    return regions, runs
