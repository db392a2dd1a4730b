"""Light curves of the particle background, from which flares are cut out.

Cleaning follows CIAO's `deflare` with ``method=clean`` (lc_clean of M. Markevitch): the quiet rate is the
mean of the bins within ``nsigma`` of it, and a bin is good while its rate is within a factor ``scale`` of
that. With the few counts of a 259.28 s bin, Poisson scatter alone leaves that range (+-20% are 1.4 sigma at
50 counts), so here a bad bin must leave the ``nsigma`` Poisson range as well. The edges of a flare are then
followed outwards: its neighbours go while they are a sigma above the mean, then one bin more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, poisson

from pyxt_hpc.chandra import gti as gti_arithmetic
from pyxt_hpc.errors import EmptySelection

BIN_S = 259.28  # the bin in which CXC's blank-sky files were cleaned
_LEAST_GOOD = 0.1  # of the bins, as in deflare


@dataclass(frozen=True, eq=False)
class LightCurve:
    """Counts (n_bin,) and live time (n_bin,) [s] between the bin edges (n_bin + 1,) [s]."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    live_s: NDArray[np.float64]

    @property
    def rate(self) -> NDArray[np.float64]:
        """Counts per live second (n_bin,), NaN where there is no live time."""
        return np.divide(
            self.counts, self.live_s, out=np.full(len(self.counts), np.nan), where=self.live_s > 0
        )


@dataclass(frozen=True, eq=False)
class FlareCleaning:
    """Which bins of a light curve are quiet.

    ``good`` (n_bin,) bool; ``mean`` the quiet rate, ``sigma`` the scatter of a full bin about it [count/s];
    ``gti`` (m, 2) [s] the good bins as intervals; ``share_kept`` of the live time.
    """

    good: NDArray[np.bool_]
    mean: float
    sigma: float
    gti: NDArray[np.float64]
    share_kept: float


def light_curve(
    times: NDArray[np.float64],
    gtis: list[NDArray[np.float64]],
    bin_s: float = BIN_S,
) -> LightCurve:
    """Bin events in time, with the live time averaged over chips.

    Parameters
    ----------
    times : (n,) [s]
    gtis : good time intervals (m, 2) [s] of each chip, at least one interval in all
    bin_s : float
    """
    together = gti_arithmetic.union(gtis)
    start, stop = together[0, 0], together[-1, 1]
    n_bin = max(1, int(np.ceil((stop - start) / bin_s - 1e-9)))
    edges = start + bin_s * np.arange(n_bin + 1)
    counts = np.histogram(times, edges)[0].astype(np.int64)
    live_s = np.mean([gti_arithmetic.live_time(gti, edges) for gti in gtis], axis=0)
    return LightCurve(edges, counts, live_s)


def clean_flares(curve: LightCurve, nsigma: float = 3.0, scale: float = 1.2) -> FlareCleaning:
    """Find the quiet bins of a light curve.

    Parameters
    ----------
    curve : LightCurve
    nsigma : float
        Clip for the mean, and Poisson range that quiet bins keep to.
    scale : float
        A bin is quiet while its rate is between mean/scale and mean*scale, whatever its Poisson range.

    Raises
    ------
    EmptySelection
        There is no live time, no count, or fewer than a tenth of the bins are quiet.
    """
    live = curve.live_s > 0
    if not live.any() or curve.counts[live].sum() == 0:
        raise EmptySelection("the light curve has no counts in its good time")
    mean = _quiet_mean(curve.counts[live], curve.live_s[live], nsigma)
    expected = mean * curve.live_s
    tail = norm.sf(nsigma)
    high = curve.counts > np.maximum(expected * scale, poisson.isf(tail, expected))
    low = curve.counts < np.minimum(expected / scale, poisson.ppf(tail, expected))
    flare = _with_shoulders(high & live, curve.counts > expected + np.sqrt(expected))
    good = live & ~flare & ~low
    if good.sum() < _LEAST_GOOD * live.sum():
        raise EmptySelection(
            f"only {good.sum()} of {live.sum()} bins of the light curve are quiet (mean {mean:.3g} count/s)"
        )
    return FlareCleaning(
        good=good,
        mean=mean,
        sigma=float(np.sqrt(mean / np.diff(curve.edges)[0])),
        gti=gti_arithmetic.normalise(np.column_stack([curve.edges[:-1], curve.edges[1:]])[good]),
        share_kept=float(curve.live_s[good].sum() / curve.live_s.sum()),
    )


def _quiet_mean(counts: NDArray[np.int64], live_s: NDArray[np.float64], nsigma: float) -> float:
    # a quarter of the way up, not half, so that a flare may last for most of the observation
    full = live_s >= 0.5 * live_s.max()
    mean = max(float(np.percentile(counts[full] / live_s[full], 25)), 1.0 / live_s.sum())
    for _ in range(50):
        within = np.abs(counts - mean * live_s) <= nsigma * np.sqrt(np.maximum(mean * live_s, 1.0))
        if not within.any() or counts[within].sum() == 0:
            break
        previous, mean = mean, float(counts[within].sum() / live_s[within].sum())
        if mean == previous:
            break
    return mean


def _with_shoulders(flare: NDArray[np.bool_], raised: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Flares, the raised bins connected with them, then one bin on either side."""
    for _ in range(2):
        flare = flare.copy()
        for k in range(1, len(flare)):
            flare[k] |= flare[k - 1] & raised[k]
        flare = flare[::-1]
        raised = raised[::-1]
    padded = flare.copy()
    padded[1:] |= flare[:-1]
    padded[:-1] |= flare[1:]
    return padded
