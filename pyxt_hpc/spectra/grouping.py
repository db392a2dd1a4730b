"""Spectral bins: which channels are summed before a fit.

Bins of half the detector's resolution lose almost nothing (errors grow by 1-2%) and keep counts in
the background's bins, without which wstat is biased. Bins are given by edges: bin i holds the
channels edges[i] .. edges[i + 1] - 1, 0-based.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.response import Rmf
from pyxt_hpc.errors import ConfigError, ResponseMismatch


def channel_bins(energy_min: float, energy_max: float, rmf: Rmf) -> NDArray[np.int64]:
    """Edges of bins of one channel each.

    A channel belongs to the band if its nominal energies (EBOUNDS) lie wholly inside: what is left in
    Sherpa after ``ignore(None, energy_min); ignore(energy_max, None)``.

    Parameters
    ----------
    energy_min, energy_max : float
        Band [keV].
    rmf : Rmf

    Returns
    -------
    (n_bin + 1,) int64

    Raises
    ------
    ConfigError
        If the band holds no channel.
    """
    inside = np.flatnonzero((rmf.channel_lo_keV >= energy_min) & (rmf.channel_hi_keV <= energy_max))
    if len(inside) == 0:
        raise ConfigError(
            f"energy band {energy_min}-{energy_max} keV: found no channel inside, the response has "
            f"{rmf.channel_lo_keV.min():.3g}-{rmf.channel_hi_keV.max():.3g} keV; choose a band within"
        )
    return np.arange(inside[0], inside[-1] + 2)


def fwhm(rmf: Rmf) -> NDArray[np.float64]:
    """Full width at half maximum of the response to photons of each energy.

    Half maximum is crossed between channel centres by linear interpolation, outwards from the peak:
    escape peaks and the low-energy tail do not count, as they would in a second moment.

    Returns
    -------
    (n_energy,) float64
        [keV]; NaN for energies without response.
    """
    matrix = rmf.to_sparse()
    width = rmf.channel_hi_keV - rmf.channel_lo_keV
    centre = 0.5 * (rmf.channel_hi_keV + rmf.channel_lo_keV)
    result = np.full(matrix.shape[0], np.nan)
    for i in range(matrix.shape[0]):
        row = slice(matrix.indptr[i], matrix.indptr[i + 1])
        channel = matrix.indices[row]
        if len(channel) == 0 or not matrix.data[row].max() > 0:
            continue
        # one empty channel on either side, so that the half maximum is always crossed
        first = channel.min() - 1
        height = np.zeros(channel.max() - first + 2)
        height[channel - first] = matrix.data[row] / width[channel]
        at = np.clip(np.arange(first, first + len(height)), 0, len(centre) - 1)
        energy = centre[at] + (np.arange(first, first + len(height)) - at) * width[at]
        peak, half = int(np.argmax(height)), 0.5 * height.max()
        below = np.flatnonzero(height < half)
        left, right = below[below < peak].max(), below[below > peak].min()
        low = np.interp(half, height[left : left + 2], energy[left : left + 2])
        high = np.interp(-half, -height[right - 1 : right + 1], energy[right - 1 : right + 1])
        result[i] = high - low
    return result


def resolution_bins(
    rmf: Rmf, energy_min: float, energy_max: float, fraction: float = 0.5
) -> NDArray[np.int64]:
    """Edges of bins `fraction` x FWHM wide.

    Parameters
    ----------
    rmf : Rmf
    energy_min, energy_max : float
        Band [keV]; channels as in `channel_bins`.
    fraction : float
        Width of a bin in units of the response's FWHM at its energy; a bin has one channel at least.

    Returns
    -------
    (n_bin + 1,) int64
        Channel indices. The bins fill the band without a remainder.

    Raises
    ------
    ConfigError
        If the fraction is not positive or the band holds no channel.
    ResponseMismatch
        If the response does not reach into the band.
    """
    if not fraction > 0:
        raise ConfigError(f"bin width: found {fraction} of the resolution, expected more than 0")
    channels = channel_bins(energy_min, energy_max, rmf)[:-1]
    width = fwhm(rmf)
    energy = 0.5 * (rmf.energy_lo + rmf.energy_hi)
    known = np.isfinite(width) & (energy >= energy_min) & (energy <= energy_max)
    if not known.any():
        raise ResponseMismatch(
            f"RMF: no response to photons of {energy_min}-{energy_max} keV; choose another band or response"
        )
    centre = 0.5 * (rmf.channel_lo_keV + rmf.channel_hi_keV)[channels]
    local = np.interp(centre, energy[known], width[known])
    step = (rmf.channel_hi_keV - rmf.channel_lo_keV)[channels] / (fraction * local)
    # coordinate in which a bin has length 1, stretched so that a whole number of bins fills the band
    position = np.concatenate([[0.0], np.cumsum(step)])
    n_bin = max(round(float(position[-1])), 1)
    cuts = np.arange(n_bin + 1) * (position[-1] / n_bin)
    nearest = np.abs(position[:, None] - cuts).argmin(axis=0)
    return channels[0] + np.unique(nearest)


def bin_lookup(edges: NDArray[np.int64], n_channels: int) -> NDArray[np.int16]:
    """Bin of each channel, -1 outside the band: (n_channels,) int16.

    Raises
    ------
    ResponseMismatch
        If the edges do not ascend within 0 .. n_channels.
    """
    edges = np.asarray(edges)
    if len(edges) < 2 or edges[0] < 0 or edges[-1] > n_channels or np.any(np.diff(edges) <= 0):
        raise ResponseMismatch(
            f"bin edges {edges[0]}..{edges[-1]}: expected ascending channel indices within 0..{n_channels}; "
            "make the bins from the same RMF as the spectra"
        )
    lookup = np.full(n_channels, -1, np.int16)
    lookup[edges[0] : edges[-1]] = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    return lookup
