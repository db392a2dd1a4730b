"""Detection of flares of the particle background in light curves.

Cleaning follows CIAO's `deflare` with ``method=clean`` (lc_clean of M. Markevitch): bins are good if their
rate is within a factor ``scale`` of the quiet rate. That rule fails for few counts (+-20% are 1.4 sigma at 50
counts per bin), and it keeps weak long flares and the wings of strong ones. Hence:

- a bad bin must lie outside the ``nsigma`` Poisson range as well as outside the factor ``scale``;
- runs of bins that are together too bright are removed too. The gain of a bin is the logarithm of the ratio
  of its likelihoods with and without a weak flare of relative height ``scale`` - 1. A run is a flare if the
  sum of its gains exceeds ln(number of bins) + 3, which happens by chance in less than one of 20 quiet light
  curves (Wald 1945, Ann. Math. Stat. 16, 117);
- a flare ends, on either side and at its pauses, where the sum of the gains turns into a loss; so its weak
  wings are removed. Bins that are already excluded neither gain nor lose, and the wings on both sides of them
  count together.

The first quiet rate comes from the lower part of the smoothed curve, because a clipped mean fails if a flare
lasts for more than half of the time. It is then measured from the good bins until these no longer change.

If counts are few, the height of the weak flare is raised to 1.5 sigma of a bin, so that flares are not
extended by chance: 21% at 50 counts per bin, 67% at 5. Runs of many bins are still found, but flares weaker
than ``excess`` of the result remain. Longer bins do not help, since short ones lose no information.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, pdtr, pdtrik

from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.chandra.times.lightcurve import LightCurve
from pyxt_hpc.errors import EmptySelection

_MIN_GOOD = 0.1  # fraction of the bins, as in deflare
_MIN_EXCESS_SIGMA = 1.5  # height of the weakest flare sought, in standard deviations of a bin
_MIN_GAIN = 3.0  # nats that a flare must gain above the logarithm of the number of bins
_PAUSE_LOSS = 1.0  # nats that a pause of a flare must lose
_QUIET_QUANTILE = 0.2  # of the smoothed curve; low, since flares may last for most of the observation
_SMOOTH_COUNTS = 400.0
_MAX_ITERATIONS = 20


@dataclass(frozen=True, eq=False)
class FlareCleaning:
    """Quiet bins of a light curve.

    ``good`` and ``flare`` (n_bin,) bool are the quiet bins and those excluded as too bright; ``mean`` is the
    quiet rate and ``sigma`` the scatter of a full bin [count/s]; ``excess`` is the weakest flare sought, in
    units of the quiet rate; ``gti`` (m, 2) [s] are the intervals of the good bins; ``share_kept`` is the good
    fraction of the live time, ``bins_kept`` that of the bins with live time.
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
    """Raise EmptySelection if less than a tenth of the bins with live time are quiet, as in deflare."""
    if cleaning.bins_kept < _MIN_GOOD:
        raise EmptySelection(
            f"only {cleaning.bins_kept:.1%} of the bins of the light curve are quiet, "
            f"or {cleaning.share_kept:.1%} of its time (mean {cleaning.mean:.3g}, sigma of a bin "
            f"{cleaning.sigma:.2g} count/s)"
        )


def find_quiet(
    curve: LightCurve, first: FlareCleaning | None = None, nsigma: float = 3.0, scale: float = 1.2
) -> FlareCleaning:
    """Find the quiet bins of a light curve, without a lower limit to their number.

    A quiet bin lies within the Poisson range of ``nsigma``, or has a rate between mean/scale and mean*scale,
    and is not part of a run that is too bright. ``first`` is the result for the same bins in another band;
    ``curve`` then has live time only in the good bins of ``first``, and the wings of its flares are searched
    in this band too.

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
        # The iteration may alternate between sets that differ in a bin or two.
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
    """Smallest counts k (n,) with P(counts <= k) >= probability, as `scipy.stats.poisson.ppf`.

    Importing scipy.stats would take as long as all other imports of stage 3.
    """
    above = np.ceil(pdtrik(probability, mean))
    below = np.maximum(above - 1.0, 0.0)
    return np.where(pdtr(below, mean) >= probability, below, above)


def _first_mean(counts: NDArray[np.int64], live_s: NDArray[np.float64]) -> float:
    """First guess of the quiet rate [count/s], from a low quantile to stay below the rate of flares."""
    width = int(np.ceil(_SMOOTH_COUNTS / max(np.median(counts), 1.0)))
    width = max(1, min(width, len(counts) // 8))
    together, live = (np.convolve(v, np.ones(width), "valid") for v in (counts, live_s))
    full = live >= 0.5 * live.max()
    return max(float(np.quantile(together[full] / live[full], _QUIET_QUANTILE)), 1.0 / live_s.sum())


def _flares(
    gain: NDArray[np.float64], certain: NDArray[np.bool_], live: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Bins of flares (n_bin,): the certain ones, all significant runs, and their wings."""
    threshold = float(np.log(live.sum())) + _MIN_GAIN
    gain = np.where(certain, np.maximum(gain, 2.0 * threshold), gain)
    strict, loose = _best_runs(gain, threshold), _best_runs(gain, _PAUSE_LOSS)
    # Only loose runs that contain a strict one are flares.
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loose, [False]]).astype(int))).reshape(-1, 2)
    flare = np.zeros(len(gain), dtype=bool)
    for start, stop in edges.tolist():
        flare[start:stop] = strict[start:stop].any()
    return flare


def _best_runs(gain: NDArray[np.float64], cost: float) -> NDArray[np.bool_]:
    """Find the runs (n_bin,) with the largest sum of gains less ``cost`` per run, by Viterbi's algorithm."""
    outside, inside = 0.0, -cost
    came_in = np.zeros(len(gain), dtype=bool)  # the best run with this bin begins here
    went_out = np.zeros(len(gain), dtype=bool)  # the best pause with this bin begins here
    for k, g in enumerate(gain.tolist()):
        came_in[k], went_out[k] = outside - cost >= inside, inside > outside
        outside, inside = max(outside, inside), max(inside, outside - cost) + g
    runs = np.zeros(len(gain), dtype=bool)
    in_run = inside > outside
    for k in range(len(gain) - 1, -1, -1):
        runs[k] = in_run
        in_run = not came_in[k] if in_run else bool(went_out[k])
    return runs
