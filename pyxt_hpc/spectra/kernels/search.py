"""What `fit_temperature` and `fit_free` share: the scan over nodes, ends of intervals."""

from __future__ import annotations

import numpy as np

from pyxt_hpc.arrays.compiled import kernel

RISE = 1.0
"""Above the minimum: the 68% interval of one parameter (Cash 1979, ApJ 228, 939)."""

SECOND_MINIMUM = 2.706
"""Another minimum that is higher by less than this (90%) is worth a flag."""

# First scan: every COARSE-th node, then every FINE-th around its minima.
COARSE, FINE = 8, 4
# Scanned nodes within SLACK of their neighbours count as minima; no farther than BESIDE nodes from the best
# they are made exact. Jumps of slope at the nodes make dents of some 0.1.
SLACK, BESIDE = 0.2, 2

MAX_STEPS = 60


@kernel
def second_minimum(j, side, last, W, state, scanned, statistic):  # type: ignore[no-untyped-def]
    """Whether the scan saw another minimum, nearly as good as W, from node j outwards.

    `statistic` (n_kT,) is known where `state` (n_kT,) is at least `scanned`.
    """
    barrier = -np.inf
    while 0 <= j <= last:
        if state[j] >= scanned:
            if statistic[j] < min(W + SECOND_MINIMUM, barrier - SLACK):
                return True
            barrier = max(barrier, statistic[j])
        j += side
    return False


@kernel
def first_place_of_rise(t_in, W_in, t_out, W_out, W_best, goal):  # type: ignore[no-untyped-def]
    """Place between t_in and t_out where the square root of the rise is `goal`, if it is linear."""
    low, high = np.sqrt(max(W_in - W_best, 0.0)), np.sqrt(max(W_out - W_best, 0.0))
    return t_in + (t_out - t_in) * (min(max((goal - low) / (high - low), 0.0), 1.0) if high > low else 0.5)


@kernel
def next_place_of_rise(x, height, slope, goal, inside, outside):  # type: ignore[no-untyped-def]
    """Newton step from x towards a root of the rise of `goal`; the middle where that leaves the bracket.

    `height` is the root of the rise at x, `slope` that of the statistic.
    """
    trial = x + (goal - height) * 2.0 * height / slope if slope != 0.0 else np.inf
    if not min(inside, outside) <= trial <= max(inside, outside):
        trial = 0.5 * (inside + outside)
    return trial
