"""Expected background of a region: the scaled spectrum of a larger area, or its own smoothed spectrum."""

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.spectra.spectrum import Spectrum

_SMOOTH_COUNTS = 50.0
"""Smallest number of background counts in an interval over which the spectrum is averaged."""


def background_share(counts: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Background counts of regions over those of a larger area; both are sums over the same bins."""
    return counts / np.maximum(whole, 1.0)


def expected_background(spectrum: Spectrum, shape: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Expected counts of the background spectrum in each bin, without its noise.

    Parameters
    ----------
    shape : (n_channels,), optional
        Background counts of a larger area; None, or no counts in the bins: neighbouring bins are averaged.

    Returns
    -------
    (n_bin,) float64
    """
    counts = spectrum.binned(spectrum.background)
    if shape is not None and (whole := spectrum.binned(shape)).any():
        return whole * background_share(counts.sum(), whole.sum())
    width = np.ptp(spectrum.energy_edges, axis=1)
    # Mean counts per keV over as many neighbours on both sides as give _SMOOTH_COUNTS.
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
