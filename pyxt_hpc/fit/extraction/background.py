"""Expected background of a region: a larger area's spectrum scaled to its counts, or its own smoothed."""

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.spectra.spectrum import Spectrum

_SMOOTH_COUNTS = 50.0
"""Counts of background over which its spectrum is smoothed."""


def background_share(counts: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Background counts of regions per count of the larger area, of sums over the same bins."""
    return counts / np.maximum(whole, 1.0)


def expected_background(spectrum: Spectrum, shape: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Smooth expectation of the background spectrum's counts in each bin.

    Parameters
    ----------
    shape : (n_channels,), optional
        Background counts of a larger area; without, neighbouring bins are averaged.

    Returns
    -------
    (n_bin,) float64
    """
    counts = spectrum.binned(spectrum.background)
    if shape is not None and (whole := spectrum.binned(shape)).any():
        return whole * background_share(counts.sum(), whole.sum())
    width = np.ptp(spectrum.energy_edges, axis=1)
    # per keV, the mean over as many neighbours on either side as it takes to have enough counts
    total, length = (np.concatenate([[0.0], np.cumsum(a)]) for a in (counts, width))
    n = len(counts)
    smooth = np.empty(n)
    for i in range(n):
        reach = 0
        while True:
            first, end = max(i - reach, 0), min(i + reach + 1, n)
            if total[end] - total[first] >= _SMOOTH_COUNTS or end - first == n:
                break
            reach += 1
        smooth[i] = width[i] * (total[end] - total[first]) / (length[end] - length[first])
    return smooth
