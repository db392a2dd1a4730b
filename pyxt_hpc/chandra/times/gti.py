"""Arithmetic of good time intervals.

A set of intervals is an (n, 2) float64 array of start and stop [s]; the stop is excluded.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def normalise(intervals: ArrayLike) -> FloatArray:
    """Sort intervals, remove empty and non-finite ones, and join those that touch or overlap; (m, 2)."""
    gti = np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
    gti = gti[np.isfinite(gti).all(axis=1)]
    gti = gti[gti[:, 1] > gti[:, 0]]
    if len(gti) < 2:
        return gti
    gti = gti[np.argsort(gti[:, 0], kind="stable")]
    latest = np.maximum.accumulate(gti[:, 1])
    first = np.concatenate([[True], gti[1:, 0] > latest[:-1]])
    starts = np.flatnonzero(first)
    last = np.concatenate([starts[1:], [len(gti)]]) - 1
    return np.column_stack([gti[starts, 0], latest[last]])


def ontime(gti: FloatArray) -> float:
    """Sum of the lengths [s] of disjoint intervals."""
    return float(np.sum(gti[:, 1] - gti[:, 0])) if len(gti) else 0.0


def in_gti(gti: FloatArray, times: ArrayLike) -> NDArray[np.bool_]:
    """Whether each time [s] is in one of the sorted, disjoint intervals; the shape is that of times."""
    times = np.asarray(times, dtype=np.float64)
    if len(gti) == 0:
        return np.zeros(times.shape, dtype=bool)
    interval = np.searchsorted(gti[:, 0], times, side="right") - 1
    return (interval >= 0) & (times < gti[np.maximum(interval, 0), 1])


def in_gti_by_chip(
    gti: Mapping[int, FloatArray], ccd_id: NDArray[np.integer], times: FloatArray
) -> NDArray[np.bool_]:
    """Whether each event (n,) is in the good time of its own CCD; a CCD without intervals has none."""
    inside = np.zeros(len(times), dtype=bool)
    for ccd, intervals in gti.items():
        on_chip = np.flatnonzero(ccd_id == ccd)
        inside[on_chip] = in_gti(intervals, times[on_chip])
    return inside


def intersection(first: ArrayLike, *others: ArrayLike) -> FloatArray:
    """Intervals (m, 2) of the times in all of the sets, sorted and disjoint."""
    result = normalise(first)
    for other in others:
        other = normalise(other)
        edges = np.unique(np.concatenate([result.ravel(), other.ravel()]))
        if len(edges) < 2:
            return np.empty((0, 2))
        pieces = np.column_stack([edges[:-1], edges[1:]])
        inside = in_gti(result, pieces[:, 0]) & in_gti(other, pieces[:, 0])
        result = normalise(pieces[inside])
    return result


def union(sets: Sequence[ArrayLike]) -> FloatArray:
    """Intervals (m, 2) of the times in any of the sets, sorted and disjoint."""
    if not sets:
        return np.empty((0, 2))
    return normalise(np.concatenate([np.asarray(s, dtype=np.float64).reshape(-1, 2) for s in sets]))


def live_time(gti: FloatArray, edges: ArrayLike) -> FloatArray:
    """Good time [s] in each bin (n_bin,) between ascending edges (n_bin + 1,) [s]."""
    edges = np.asarray(edges, dtype=np.float64)
    if len(gti) == 0:
        return np.zeros(len(edges) - 1)
    # The good time elapsed since the first start is piecewise linear, with knots at starts and stops.
    knots = gti.ravel()
    lengths = gti[:, 1] - gti[:, 0]
    before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    elapsed = np.column_stack([before, before + lengths]).ravel()
    return np.diff(np.interp(edges, knots, elapsed))


def at_elapsed(gti: FloatArray, elapsed: ArrayLike) -> FloatArray:
    """Times [s] at which the elapsed good time of sorted, disjoint intervals reaches each value [s]."""
    elapsed = np.asarray(elapsed, dtype=np.float64)
    lengths = gti[:, 1] - gti[:, 0]
    before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    interval = np.maximum(np.searchsorted(before, elapsed, side="right") - 1, 0)
    return gti[interval, 0] + (elapsed - before[interval])
