"""Flares of the particle background, found in light curves and cut out.

Cleaning follows CIAO's `deflare` with ``method=clean`` (lc_clean of M. Markevitch): bins are good while
their rate is within a factor ``scale`` of the quiet rate. That rule fails where counts are few (+-20% are
1.4 sigma at 50 counts a bin), and it leaves weak long flares and the wings of strong ones. Hence:

- a bad bin must leave the ``nsigma`` Poisson range as well as the factor ``scale``;
- runs of bins that are together too bright go too. The gain of a bin is the logarithm of the ratio of its
  likelihoods with a weak flare of ``scale`` - 1 and without. A run is a flare where its gains sum up to more
  than ln(number of bins) + 3, which chance alone does in less than one of 20 quiet light curves (Wald 1945,
  Ann. Math. Stat. 16, 117);
- a flare ends, on either side and in its pauses, where the gains sum up to a loss: so its weak wings go. Bins
  that are out already neither gain nor lose, and the wings on both sides of them count together.

The quiet rate begins with the lower part of the smoothed curve, as a clipped mean takes a flare of more than
half of the time for quiet, and is measured again from the good bins until these do not change.

Few counts: the weak flare has 1.5 sigma of a bin at least, or chance would be followed far out. With 50
counts a bin this is 21%, with 5 it is 67%. Many bins still speak together, but weaker flares stay, as
``excess`` of the result says; longer bins do not help, as nothing is lost by short ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, pdtr, pdtrik

from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.chandra.times.lightcurve import LightCurve
from pyxt_hpc.errors import EmptySelection

_MIN_GOOD = 0.1  # of the bins, as in deflare
_MIN_EXCESS_SIGMA = 1.5  # of a bin: the weakest flare that is looked for
_MIN_GAIN = 3.0  # nats that a flare must gain above the logarithm of the number of bins
_PAUSE_LOSS = 1.0  # nats that a pause of a flare must lose
_QUIET_QUANTILE = 0.2  # of the smoothed curve, so that flares may last for most of the observation
_SMOOTH_COUNTS = 400.0
_MAX_ITERATIONS = 20


@dataclass(frozen=True, eq=False)
class FlareCleaning:
    """Which bins of a light curve are quiet.

    ``good`` (n_bin,) bool, ``flare`` (n_bin,) bool: cut as too bright; ``mean`` the quiet rate, ``sigma`` the
    scatter of a full bin about it [count/s]; ``excess`` the weakest flare that was looked for, in quiet
    rates; ``gti`` (m, 2) [s] the good bins as intervals; ``share_kept`` of the live time, ``bins_kept`` of
    the bins with live time.
    """

    good: NDArray[np.bool_]
    flare: NDArray[np.bool_]
    mean: float
    sigma: float
    excess: float
    gti: NDArray[np.float64]
    share_kept: float
    bins_kept: float


def check_quiet(cleaning: FlareCleaning) -> None:
    """Raise EmptySelection if fewer than a tenth of the bins of a light curve are quiet, as in deflare."""
    if cleaning.bins_kept < _MIN_GOOD:
        raise EmptySelection(
            f"only {cleaning.bins_kept:.1%} of the bins of the light curve are quiet, "
            f"{cleaning.share_kept:.1%} of its time (mean {cleaning.mean:.3g}, sigma of a bin "
            f"{cleaning.sigma:.2g} count/s)"
        )


def find_quiet(
    curve: LightCurve, first: FlareCleaning | None = None, nsigma: float = 3.0, scale: float = 1.2
) -> FlareCleaning:
    """Find the quiet bins of a light curve, however few.

    They keep to the Poisson range of ``nsigma``, or to rates between mean/scale and mean*scale, whatever
    their Poisson range, unless their neighbours are bright too. ``first`` is of the same bins in another
    band, where the live time of ``curve`` has its good bins only: the wings of its flares are followed
    further.

    Raises EmptySelection if there is no live time or no count.
    """
    live = curve.live_s > 0
    if not live.any() or curve.counts[live].sum() == 0:
        raise EmptySelection("the light curve has no counts in its good time")
    known = np.zeros(len(live), dtype=bool) if first is None else first.flare & ~live
    mean = _first_mean(curve.counts[live], curve.live_s[live])
    tail = float(ndtr(-nsigma))
    seen: list[NDArray[np.bool_]] = []
    for _ in range(_MAX_ITERATIONS):
        expected = mean * curve.live_s
        excess = max(scale - 1.0, _MIN_EXCESS_SIGMA / float(np.sqrt(np.median(expected[live]))))
        high = live & (curve.counts > np.maximum(expected * scale, _poisson_quantile(1.0 - tail, expected)))
        low = live & (curve.counts < np.minimum(expected / scale, _poisson_quantile(tail, expected)))
        gain = curve.counts * np.log1p(excess) - excess * expected
        flare = _flares(gain, high | known, live)
        good = live & ~flare & ~low
        # it may go round in a circle of a bin or two
        if curve.counts[good].sum() == 0 or any(np.array_equal(good, s) for s in seen):
            break
        seen.append(good)
        mean = float(curve.counts[good].sum() / curve.live_s[good].sum())
    return FlareCleaning(
        good=good,
        flare=flare,
        mean=mean,
        sigma=float(np.sqrt(mean / np.diff(curve.edges)[0])),
        excess=excess,
        gti=gti_arithmetic.normalise(np.column_stack([curve.edges[:-1], curve.edges[1:]])[good]),
        share_kept=float(curve.live_s[good].sum() / curve.live_s.sum()),
        bins_kept=float(good.sum() / live.sum()),
    )


def _poisson_quantile(probability: float, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smallest counts (n,) that are not exceeded with at least this probability: `scipy.stats.poisson.ppf`.

    That module alone takes as long to import as all else that stage 3 needs.
    """
    above = np.ceil(pdtrik(probability, mean))
    below = np.maximum(above - 1.0, 0.0)
    return np.where(pdtr(below, mean) >= probability, below, above)


def _first_mean(counts: NDArray[np.int64], live_s: NDArray[np.float64]) -> float:
    """A guess of the quiet rate, rather too low than that of a flare."""
    width = int(np.ceil(_SMOOTH_COUNTS / max(np.median(counts), 1.0)))
    width = max(1, min(width, len(counts) // 8))
    together, live = (np.convolve(v, np.ones(width), "valid") for v in (counts, live_s))
    full = live >= 0.5 * live.max()
    return max(float(np.quantile(together[full] / live[full], _QUIET_QUANTILE)), 1.0 / live_s.sum())


def _flares(
    gain: NDArray[np.float64], certain: NDArray[np.bool_], live: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Bins of flares (n_bin,): the certain ones, all runs that chance does not explain, and their wings."""
    threshold = float(np.log(live.sum())) + _MIN_GAIN
    gain = np.where(certain, np.maximum(gain, 2.0 * threshold), gain)
    strict, loose = _best_runs(gain, threshold), _best_runs(gain, _PAUSE_LOSS)
    # of the loose runs those in which there is a strict one
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loose, [False]]).astype(int))).reshape(-1, 2)
    flare = np.zeros(len(gain), dtype=bool)
    for start, stop in edges.tolist():
        flare[start:stop] = strict[start:stop].any()
    return flare


def _best_runs(gain: NDArray[np.float64], cost: float) -> NDArray[np.bool_]:
    """The runs of bins with the largest sum of gains, each run at a cost (n_bin,): Viterbi's algorithm."""
    outside, inside = 0.0, -cost
    came_in = np.zeros(len(gain), dtype=bool)  # a run that holds this bin would begin with it
    went_out = np.zeros(len(gain), dtype=bool)  # a pause that holds this bin would begin with it
    for k, g in enumerate(gain.tolist()):
        came_in[k], went_out[k] = outside - cost >= inside, inside > outside
        outside, inside = max(outside, inside), max(inside, outside - cost) + g
    runs = np.zeros(len(gain), dtype=bool)
    in_run = inside > outside
    for k in range(len(gain) - 1, -1, -1):
        runs[k] = in_run
        in_run = not came_in[k] if in_run else bool(went_out[k])
    return runs
