"""Spectral bins: groups of channels that are summed before a fit.

Bins of half the detector's resolution lose almost no information: errors grow by 1-2%. Bins are given by
edges: bin i has the channels edges[i] .. edges[i + 1] - 1, from 0.

Such bins are too fine if the background spectrum has few counts. wstat fits a separate background in every
bin. Each of these nuisance parameters biases the slope of the statistic by an amount that depends on the
expected counts m (source), b (background) and r b (background spectrum). The bias is largest if all three are
a few counts, and does not shrink with more bins or observations (Neyman & Scott 1948, Econometrica 16, 1).
Only fewer bins help. `merge_levels` therefore merges neighbouring bins in the order that loses least
information about the temperature: half of the bins cost 0.3% of the precision, three quarters 1%.
`choose_level` chooses the number of bins; benchmarks/accuracy/calibration.py measures the bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.arrays.interpolate import bracket
from pyxt_hpc.chandra.ogip.response import Rmf
from pyxt_hpc.errors import ConfigError, ResponseMismatch

if TYPE_CHECKING:
    from pyxt_hpc.spectra.fit import FitOptions

LEVEL_BINS = (48, 32, 24, 16, 12)
"""Number of bins of an observation at each level, if kT and norm are fitted."""
BINS_PER_PARAMETER = 4
"""Number of additional bins for each further parameter."""
LEVEL_BACKGROUND = (2000.0, 400.0, 60.0, 25.0, 0.0)
"""Smallest number of counts of an observation's background spectrum in the band for each level."""

# Temperatures [keV] of the spectra whose information is kept, and the variance per source count of a
# background of 20% of the counts whose own spectrum has twice the exposure: 0.25 (1 + 1 / 2).
_REFERENCE_KT = (0.6, 1.0, 2.0, 4.0, 8.0, 12.0)
_BACKGROUND_VARIANCE = 0.375
_STEP = 1.05


def channel_bins(energy_min: float, energy_max: float, rmf: Rmf) -> NDArray[np.int64]:
    """Edges of bins of one channel each.

    A channel belongs to the band if its nominal energies (EBOUNDS) lie completely inside, as in Sherpa after
    ``ignore(None, energy_min); ignore(energy_max, None)``.

    Parameters
    ----------
    energy_min, energy_max : float
        Band [keV].

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

    The crossings of half maximum are found by linear interpolation between channel centres, outwards from the
    peak. Escape peaks and the low-energy tail do not count, as they would in a second moment.

    Returns
    -------
    (n_energy,) float64
        [keV]; NaN for energies without response.
    """
    matrix = rmf.sparse
    width = rmf.channel_hi_keV - rmf.channel_lo_keV
    centre = 0.5 * (rmf.channel_hi_keV + rmf.channel_lo_keV)
    # One empty channel is added on either side, so that there is always a crossing.
    energy = np.concatenate([centre[:1] - width[:1], centre, centre[-1:] + width[-1:]])
    every = np.zeros((matrix.shape[0], len(energy)))
    every[:, 1:-1] = matrix.toarray() / width
    result = np.full(len(every), np.nan)
    seen = np.flatnonzero(every.max(axis=1) > 0)
    height, row = every[seen], np.arange(len(seen))
    peak = np.argmax(height, axis=1)
    half = 0.5 * height[row, peak]
    below, channel = height < half[:, None], np.arange(len(energy))
    right = np.argmax(below & (channel > peak[:, None]), axis=1)
    left = len(energy) - 1 - np.argmax((below & (channel < peak[:, None]))[:, ::-1], axis=1)

    def crossing(first: NDArray[np.int64]) -> NDArray[np.float64]:
        slope = (energy[first + 1] - energy[first]) / (height[row, first + 1] - height[row, first])
        return energy[first] + slope * (half - height[row, first])

    result[seen] = crossing(right - 1) - crossing(left)
    return result


def resolution_bins(
    rmf: Rmf, energy_min: float, energy_max: float, fraction: float = 0.5
) -> NDArray[np.int64]:
    """Edges of bins with a width of `fraction` x FWHM.

    Parameters
    ----------
    energy_min, energy_max : float
        Band [keV]; channels as in `channel_bins`.
    fraction : float
        Width of a bin over the response's FWHM at its energy; a bin has at least one channel.

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
    # Coordinate in which bins have equal length, scaled so that a whole number of bins fills the band.
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


def choose_level(background: ArrayLike) -> NDArray[np.int64]:
    """Level of bins at which fits of a region's spectra with wstat are not biased.

    The choice depends only on sums over the band, since a choice by the counts of single bins would select
    their fluctuations, which is another bias. Observations are weighted by their background counts, so that a
    few short ones do not coarsen the bins of a long one.

    Parameters
    ----------
    background : (..., n_observation)
        Unscaled counts of each background spectrum in the band; 0 for an observation that does not take part.

    Returns
    -------
    (...) int64
        Index of a level of `merge_levels`, for all observations of the region.
    """
    counts = np.asarray(background, np.float64)
    typical = (counts * counts).sum(axis=-1) / np.maximum(counts.sum(axis=-1), 1.0)
    return (typical[..., None] >= np.array(LEVEL_BACKGROUND)).argmax(axis=-1)


def levels_of_fit(
    kT: NDArray[np.float64],
    columns: NDArray[np.float64],
    hhe: NDArray[np.float64],
    metals: NDArray[np.float64],
    background: NDArray[np.float64],
    nH: float,
    options: FitOptions,
) -> tuple[NDArray[np.int64], ...]:
    """Nested coarser bins that keep the information about all free parameters of a fit.

    Parameters
    ----------
    kT : (n_kT,)
        Temperatures [keV].
    columns : (n_nH,)
        Column densities [1e22 cm^-2].
    hhe, metals : (n_nH, n_kT, n_bin)
        Expected rates of H and He, and of the metals at solar abundance, of an observation.
    background : (n_bin,)
        Shape of its background, in any unit; all zero if not known.
    nH : float
        Column density where the information is measured; the nearest of `columns` is used [1e22 cm^-2].
    options : FitOptions
        Free parameters, and the abundance where the information is measured.

    Returns
    -------
    tuple of (n_level_bin + 1,) int64
        As from `merge_levels`.
    """
    rates = hhe + options.abundance * metals
    nearest = int(np.abs(columns - nH).argmin())
    other: list[NDArray[np.float64]] = []
    if options.abundance_bounds is not None:
        other.append(metals[nearest])
    if options.nH_bounds is not None:
        other.append(rates[min(nearest + 1, len(columns) - 1)] - rates[max(nearest - 1, 0)])
    return merge_levels(kT, rates[nearest], background, other)


def merge_levels(
    kT: NDArray[np.float64],
    rates: NDArray[np.float64],
    background: NDArray[np.float64],
    other: Sequence[NDArray[np.float64]] = (),
) -> tuple[NDArray[np.int64], ...]:
    """Nested coarser bins that keep the information about kT and other free parameters.

    Each step merges the neighbours whose sum loses least Fisher information, where the norm is fitted, too.
    The loss is the largest over spectra of 0.6 to 12 keV and over the parameters (the method of Ward 1963,
    Journal of the American Statistical Association 58, 236, in one dimension).

    Parameters
    ----------
    kT : (n_kT,)
        Temperatures [keV].
    rates : (n_kT, n_bin)
        Expected source rates of an observation at these temperatures, in any unit.
    background : (n_bin,)
        Shape of its background, in any unit; all zero if not known.
    other : sequence of (n_kT, n_bin)
        Derivative of `rates` by each further free parameter; for a free abundance, the rates of the metals.

    Returns
    -------
    tuple of (n_level_bin + 1,) int64
        For each level of LEVEL_BINS the edges of its bins in units of the given bins: counts and rates of
        a level are ``np.add.reduceat(values, edges[:-1], axis=-1)``, its channel edges
        ``channel_edges[edges]``. If fewer bins are given than a level has, they are kept.
    """
    variance, score = _efficient_scores(kT, rates, background, other)
    n_bin = rates.shape[1]
    edges = np.arange(n_bin + 1)
    levels = []
    loss = np.zeros(len(score))
    for size in LEVEL_BINS:
        while len(edges) - 1 > size + BINS_PER_PARAMETER * len(other):
            v, d = variance, score
            # d_1^2 / v_1 + d_2^2 / v_2 - (d_1 + d_2)^2 / (v_1 + v_2)
            cost = (d[:, 1:] * v[:, :-1] - d[:, :-1] * v[:, 1:]) ** 2
            cost /= v[:, 1:] * v[:, :-1] * (v[:, 1:] + v[:, :-1])
            # Spectra without temperature dependence have no information to lose.
            i = int(np.argmin((loss[:, None] + cost).max(axis=0, initial=0.0)))
            loss += cost[:, i]
            kept = np.delete(np.arange(v.shape[1]), i + 1)
            edges = np.delete(edges, i + 1)
            variance, score = (np.add.reduceat(a, kept, axis=1) for a in (v, d))
        levels.append(edges)
    return tuple(levels)


def _efficient_scores(
    kT: NDArray[np.float64],
    rates: NDArray[np.float64],
    background: NDArray[np.float64],
    other: Sequence[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance v and derivative d of the counts of each bin, in a row for each spectrum and parameter.

    d is orthogonal to the derivatives by the other parameters, and scaled to the information sum(d^2 / v) =
    1.
    """
    total = background.sum()
    shape = background / total if total > 0 else np.zeros(len(background))
    variances, scores = [], []
    for reference in np.clip(_REFERENCE_KT, kT[0] * _STEP, kT[-1] / _STEP):
        source = _at(reference, kT, rates)
        # Keep a positive variance in bins without expected counts.
        v = source + source.sum() * (_BACKGROUND_VARIANCE * shape + 1e-9)
        by_kT = _at(reference * _STEP, kT, rates) - _at(reference / _STEP, kT, rates)
        directions = np.array([source, by_kT, *(_at(reference, kT, one) for one in other)])
        for i in range(1, len(directions)):
            rest = np.delete(directions, i, axis=0) / np.sqrt(v)
            overlap = np.linalg.lstsq(rest.T, directions[i] / np.sqrt(v))[0]
            d = directions[i] - overlap @ rest * np.sqrt(v)
            information = (d * d / v).sum()
            # A parameter without effect on these spectra has no information to lose.
            if information > 0.0:
                variances.append(v)
                scores.append(d / np.sqrt(information))
    return np.reshape(variances, (-1, len(background))), np.reshape(scores, (-1, len(background)))


def _at(reference: float, kT: NDArray[np.float64], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates at one temperature, by linear interpolation."""
    k, t = bracket(kT, reference)
    return (1.0 - t) * rates[k] + t * rates[k + 1]
