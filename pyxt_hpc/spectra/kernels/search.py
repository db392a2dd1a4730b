"""Scan over nodes and ends of intervals, common to `fit_temperature` and `fit_free`."""

from __future__ import annotations

import numpy as np

from pyxt_hpc.arrays.compiled import kernel

RISE = 1.0
"""Rise of the statistic above its minimum at the ends of a 68% interval (Cash 1979, ApJ 228, 939)."""

SECOND_MINIMUM = 2.706
"""Another minimum that is higher by less than this (90%) gives a flag."""

# First scan: every COARSE-th node, then every FINE-th around its minima.
COARSE, FINE = 8, 4
# Scanned nodes within SLACK of their neighbours count as minima, since jumps of slope at the nodes cause
# dents of about 0.1. Nodes up to BESIDE nodes from the best are computed exactly.
SLACK, BESIDE = 0.2, 2

MAX_STEPS = 60


@kernel
def second_minimum(j, side, last, W, state, scanned, statistic):  # type: ignore[no-untyped-def]
    """Whether the scan found another minimum, nearly as good as W, from node j outwards.

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
    """Position between t_in and t_out where the square root of the rise, taken as linear, is `goal`."""
    low, high = np.sqrt(max(W_in - W_best, 0.0)), np.sqrt(max(W_out - W_best, 0.0))
    return t_in + (t_out - t_in) * (min(max((goal - low) / (high - low), 0.0), 1.0) if high > low else 0.5)


@kernel
def next_place_of_rise(x, height, slope, goal, inside, outside):  # type: ignore[no-untyped-def]
    """Newton step from x to where the square root of the rise is `goal`, or the middle of the bracket.

    `height` is the square root of the rise at x, `slope` the slope of the statistic.
    """
    trial = x + (goal - height) * 2.0 * height / slope if slope != 0.0 else np.inf
    if not min(inside, outside) <= trial <= max(inside, outside):
        trial = 0.5 * (inside + outside)
    return trial
