"""Fits with free abundance, nH or both, besides kT and norm: global minimum and intervals by Newton steps.

All is based on `descent.descend`, which finds the minimum over some parameters while the others are held.

* Best fit: the nodes are scanned with t held. From every node that is nearly the best, a descent with free t
  follows, so that dents from the jumps of slope cannot hide a better minimum.
* Ends of an interval: the parameter is held at trial values with all others free, until the statistic is 1
above its
  minimum, by Newton steps on the square root of the rise, as in `fit_temperature`. For kT, the nodes are
  followed outwards to the first that is higher. For the other parameters, nearby nodes are checked afterwards
  for a better minimum beyond a jump.
"""

from __future__ import annotations

import numpy as np

from pyxt_hpc.arrays.compiled import kernel
from pyxt_hpc.spectra.kernels.descent import (
    BEST_P,
    HELD,
    INNER_P,
    LAST_P,
    LOADED,
    NH_MAX,
    NH_MIN,
    NODE_P,
    P_NH,
    P_NORM,
    P_T,
    P_Z,
    SLOPE,
    UN,
    UZ,
    Z_FIRST,
    Z_MAX,
    Z_MIN,
    P,
    U,
    copy_place,
    descend,
    evaluate,
    hold,
    set_first_norm,
    without_source,
)
from pyxt_hpc.spectra.kernels.outcome import (
    ABUNDANCE_AT_BOUND,
    ABUNDANCE_HI_OPEN,
    ABUNDANCE_LO_OPEN,
    AT_BOUND_HIGH,
    AT_BOUND_LOW,
    FAILED,
    KT_HI_OPEN,
    KT_LO_OPEN,
    NH_AT_BOUND,
    NH_HI_OPEN,
    NH_LO_OPEN,
    NO_COUNTS,
    NORM_HI_OPEN,
    NORM_LO_OPEN,
    R_ABUNDANCE,
    R_KT,
    R_NH,
    R_NORM,
    R_STATISTIC,
    TWO_MINIMA,
)
from pyxt_hpc.spectra.kernels.search import (
    BESIDE,
    COARSE,
    FINE,
    MAX_STEPS,
    RISE,
    SLACK,
    first_place_of_rise,
    next_place_of_rise,
    second_minimum,
)
from pyxt_hpc.spectra.kernels.statistics import cross_curvature

# Columns of the table of nodes: whether it is known; statistic, values of p; slopes by t on either side;
# whether it is inside kT's interval, then half-widths of norm, Z and nH with kT held there.
_KNOWN, _W, _P, _TO_LOWER, _TO_UPPER, _INSIDE, _WIDTH, N_COLUMNS = 0, 1, 2, 6, 7, 8, 9, 13

# As in `fit_temperature`.
_NEAR = 1.0
_SCAN_FALL, _NODE_FALL, _END_FALL, _BEST_FALL = 0.3, 1e-2, 1e-4, 1e-8
_RISE_ERROR = 1e-3
# An end of an interval is moved if a node nearby lies lower by more than this: a quarter percent of sigma.
_BETTER = 0.005
# Nodes are checked if their estimated end is shorter than the end found by at most this fraction of the
# interval.
_SHORT = 0.25
# Largest depth of the profile below a node in its neighbourhood.
_DENT = 1.0
# Slopes by t up to this may be those of a minimum, given the tolerance of the scan.
_FLAT = 0.02


@kernel
def fit_with_more_free(bins, counts, model, kT, nodes, result):  # type: ignore[no-untyped-def]
    """Fit one region.

    Parameters
    ----------
    bins, counts
        As for `fit_temperature.fit_kT_and_norm`.
    kT : (n_kT,)
    nodes : (n_kT, N_COLUMNS)
        Scratch.
    result : (N_NUMBERS,)
        Filled with value and ends of kT, norm, abundance and nH, and W.

    Returns
    -------
    int
        Flags; with NO_COUNTS or FAILED, `result` is meaningless.
    """
    last = kT.size - 1
    vectors, limits = model.vectors, model.limits
    p, best, held = vectors[P], vectors[BEST_P], vectors[HELD]
    nodes[:, _KNOWN], nodes[:, _INSIDE] = 0.0, 0.0
    vectors[LOADED, 0] = -1.0
    k, W = _global_minimum(bins, counts, model, nodes, last, p, held)
    if k < 0:
        return NO_COUNTS if k == -1 else FAILED
    copy_place(best, p)
    flags, target = 0, W + RISE
    result[R_STATISTIC] = W
    result[R_KT] = kT[k] + p[P_T] * (kT[k + 1] - kT[k])
    result[R_NORM] = p[P_NORM]
    if k == 0 and p[P_T] == 0.0:
        flags |= AT_BOUND_LOW
    if k == last - 1 and p[P_T] == 1.0:
        flags |= AT_BOUND_HIGH
    free_Z, free_nH = limits[Z_MIN] < limits[Z_MAX], limits[NH_MIN] < limits[NH_MAX]
    if free_Z:
        result[R_ABUNDANCE] = p[P_Z]
        if not limits[Z_MIN] < p[P_Z] < limits[Z_MAX]:
            flags |= ABUNDANCE_AT_BOUND
    if free_nH:
        result[R_NH] = p[P_NH]
        if not limits[NH_MIN] < p[P_NH] < limits[NH_MAX]:
            flags |= NH_AT_BOUND

    # Without a source, W does not depend on kT: if W is then below the target, all intervals are open.
    if without_source(bins) < target:
        flags |= KT_LO_OPEN | KT_HI_OPEN | NORM_LO_OPEN | NORM_HI_OPEN
        if free_Z:
            flags |= ABUNDANCE_LO_OPEN | ABUNDANCE_HI_OPEN
        if free_nH:
            flags |= NH_LO_OPEN | NH_HI_OPEN
        return flags

    for side in (-1, 1):
        copy_place(p, best)
        end, beyond = _kT_end(bins, counts, model, nodes, kT, last, k, W, target, side, p, held)
        if np.isnan(end):
            flags |= KT_LO_OPEN if side < 0 else KT_HI_OPEN
        result[R_KT + (1 if side < 0 else 2)] = end
        if second_minimum(beyond, side, last, W, nodes[:, _KNOWN], 1.0, nodes[:, _W]):
            flags |= TWO_MINIMA
    for j in (P_NORM, P_Z, P_NH):
        if (j == P_Z and not free_Z) or (j == P_NH and not free_nH):
            continue
        for side in (-1, 1):
            copy_place(p, best)
            end = _end(bins, counts, model, nodes, last, k, W, target, j, side, p, held)
            first = R_NORM if j == P_NORM else (R_ABUNDANCE if j == P_Z else R_NH)
            result[first + (1 if side < 0 else 2)] = end
            if np.isnan(end):
                if j == P_NORM:
                    flags |= NORM_LO_OPEN if side < 0 else NORM_HI_OPEN
                elif j == P_Z:
                    flags |= ABUNDANCE_LO_OPEN if side < 0 else ABUNDANCE_HI_OPEN
                else:
                    flags |= NH_LO_OPEN if side < 0 else NH_HI_OPEN
    return flags


@kernel
def _at_node(j, last, p):  # type: ignore[no-untyped-def]
    """Set p on node j; return a segment that ends there."""
    if j < last:
        p[P_T] = 0.0
        return j
    p[P_T] = 1.0
    return j - 1


@kernel
def _need_node(bins, counts, model, nodes, last, j, p, held, fall):  # type: ignore[no-untyped-def]
    """Make sure that the profile at node j is known, starting from p, which becomes its point."""
    limits = model.limits
    if nodes[j, _KNOWN] == 0.0:
        segment = _at_node(j, last, p)
        hold(held, P_T, limits)
        if p[P_NORM] <= 0.0:
            set_first_norm(bins, counts, model, segment, p)
        _, W = descend(bins, counts, model, last, segment, p, held, fall)
        nodes[j, _KNOWN], nodes[j, _W] = 1.0, W if W == W else np.inf
        for i in range(4):
            nodes[j, _P + i] = p[i]
    _set_p(p, nodes, j)


@kernel
def _norm_of(nodes, j):  # type: ignore[no-untyped-def]
    return nodes[j, _P + P_NORM]


@kernel
def _need_slopes(bins, counts, model, nodes, last, j, p, held):  # type: ignore[no-untyped-def]
    """Make sure that the profile at node j is known well enough for its slopes by t, starting from p."""
    slopes = model.vectors[SLOPE]
    if nodes[j, _KNOWN] == 2.0:
        return
    nodes[j, _KNOWN] = 0.0
    _need_node(bins, counts, model, nodes, last, j, p, held, _END_FALL)
    nodes[j, _KNOWN] = 2.0
    if j < last:
        p[P_T] = 0.0
        evaluate(bins, model, j, p)
        nodes[j, _TO_UPPER] = slopes[P_T]
    else:
        nodes[j, _TO_UPPER] = np.inf
    if j > 0:
        p[P_T] = 1.0
        evaluate(bins, model, j - 1, p)
        nodes[j, _TO_LOWER] = slopes[P_T]
    else:
        nodes[j, _TO_LOWER] = -np.inf


@kernel
def _global_minimum(bins, counts, model, nodes, last, p, held):  # type: ignore[no-untyped-def]
    """Segment of the global minimum (-1: no source, -2: nothing found) and W; p becomes its point."""
    limits, vectors = model.limits, model.vectors
    best_p = vectors[BEST_P]
    n_coarse = (last + COARSE - 1) // COARSE + 1
    _reset(p, limits)
    for i in range(n_coarse):
        k = min(i * COARSE, last)
        p[P_NORM] = 0.0
        _need_node(bins, counts, model, nodes, last, k, p, held, _SCAN_FALL)
    best_k, best_W = -2, np.inf
    for i in range(n_coarse):
        middle = min(i * COARSE, last)
        lower, upper = max((i - 1) * COARSE, 0), min((i + 1) * COARSE, last)
        if nodes[middle, _W] > min(nodes[lower, _W], nodes[upper, _W]) + SLACK:
            continue
        # Finer nodes, then all nodes around the lowest.
        lowest, stride = middle, FINE
        while stride > 0:
            centre = lowest
            for j in (centre - stride, centre + stride):
                if lower <= j <= upper:
                    _set_p(p, nodes, centre)
                    _need_node(bins, counts, model, nodes, last, j, p, held, _SCAN_FALL)
                    if nodes[j, _W] < nodes[lowest, _W]:
                        lowest = j
            if lowest == centre:
                stride //= 2
        if _norm_of(nodes, lowest) <= 0.0:
            if nodes[lowest, _W] < best_W:
                best_k, best_W = -1, nodes[lowest, _W]
            continue
        # All nodes that are nearly as good, with their slopes.
        first, final = lowest, lowest
        for side in (-1, 1):
            j = lowest
            while 0 <= j <= last:
                _set_p(p, nodes, j if nodes[j, _KNOWN] > 0.0 else j - side)
                _need_slopes(bins, counts, model, nodes, last, j, p, held)
                first, final = min(first, j), max(final, j)
                if nodes[j, _W] > nodes[lowest, _W] + _NEAR and abs(j - lowest) >= BESIDE:
                    break
                j += side
        for j in range(first, final + 1):
            # A minimum at the node, or in the segment above it, whose profile falls inwards at both ends.
            to_upper, to_lower = nodes[j, _TO_UPPER], nodes[j, _TO_LOWER]
            at_node = to_upper > -_FLAT and to_lower < _FLAT
            if at_node or (j < final and to_upper < _FLAT and nodes[j + 1, _TO_LOWER] > -_FLAT):
                _set_p(p, nodes, j)
                segment = _at_node(j, last, p)
                if not at_node:
                    p[P_T] = to_upper / (to_upper - nodes[j + 1, _TO_LOWER])
                    p[P_T] = p[P_T] if 0.0 < p[P_T] < 1.0 else 0.5
                held[P_T] = 0.0
                k, W = descend(bins, counts, model, last, segment, p, held, _BEST_FALL)
                if W < best_W and p[P_NORM] > 0.0:
                    best_k, best_W = k, W
                    copy_place(best_p, p)
    copy_place(p, best_p)
    return best_k, best_W


@kernel
def _reset(p, limits):  # type: ignore[no-untyped-def]
    p[P_NORM], p[P_T], p[P_Z], p[P_NH] = 0.0, 0.0, limits[Z_FIRST], 0.5 * (limits[NH_MIN] + limits[NH_MAX])


@kernel
def _set_p(p, nodes, j):  # type: ignore[no-untyped-def]
    for i in range(4):
        p[i] = nodes[j, _P + i]


@kernel
def _remember(bins, model, nodes, j, p, W, target):  # type: ignore[no-untyped-def]
    """Store the point found at node j, inside kT's interval, for the ends of the other intervals."""
    rates = model.rates
    nodes[j, _INSIDE], nodes[j, _W] = 1.0, W
    for i in range(4):
        nodes[j, _P + i] = p[i]
    h, n = bins.half_curvature, p[P_NORM]
    nn, nq, qq = (
        cross_curvature(h, rates[U], rates[U]),
        n * cross_curvature(h, rates[U], rates[UZ]),
        n * n * cross_curvature(h, rates[UZ], rates[UZ]),
    )
    free_Z = model.limits[Z_MIN] < model.limits[Z_MAX]
    of_norm = nn - nq * nq / qq if free_Z and qq > 0.0 else nn
    nodes[j, _WIDTH + P_NORM] = np.sqrt(2.0 * (target - W) / of_norm)
    nodes[j, _WIDTH + P_Z] = np.sqrt(2.0 * (target - W) / (qq - nq * nq / nn))
    if model.nH.size > 1:
        by_nH = n * n * cross_curvature(h, rates[UN], rates[UN])
        cross = n * cross_curvature(h, rates[U], rates[UN])
        nodes[j, _WIDTH + P_NH] = np.sqrt(2.0 * (target - W) / (by_nH - cross * cross / nn))


@kernel
def _kT_end(bins, counts, model, nodes, kT, last, k, W_best, target, side, p, held):  # type: ignore[no-untyped-def]
    """End of kT's interval on one side (NaN if open), and the node beyond it; p starts at the minimum."""
    limits, vectors = model.limits, model.vectors
    slopes, inner_p = vectors[SLOPE], vectors[LAST_P]
    hold(held, P_T, limits)
    t_in, W_in = p[P_T], W_best
    j = k + 1 if side > 0 else k
    if (side > 0 and t_in == 1.0) or (side < 0 and t_in == 0.0):
        j += side
        t_in = 1.0 - t_in
    copy_place(inner_p, p)
    W_out = np.inf
    while 0 <= j <= last:
        segment = j - 1 if side > 0 else j
        p[P_T] = 1.0 if side > 0 else 0.0
        _, W_out = descend(bins, counts, model, last, segment, p, held, _END_FALL)
        if not W_out < target:
            break
        t_in, W_in = (0.0 if side > 0 else 1.0), W_out
        copy_place(inner_p, p)
        _remember(bins, model, nodes, j, p, W_out, target)
        j += side
    if not 0 <= j <= last:
        return np.nan, j
    segment = j - 1 if side > 0 else j
    t_out = 1.0 if side > 0 else 0.0
    goal = np.sqrt(target - W_best)
    inside, outside = t_in, t_out
    t = first_place_of_rise(t_in, W_in, t_out, W_out, W_best, goal)
    copy_place(p, inner_p)
    for _ in range(MAX_STEPS):
        p[P_T] = t
        _, W = descend(bins, counts, model, last, segment, p, held, _END_FALL)
        if np.isnan(W):
            return np.nan, j
        rises, height = slopes[P_T], np.sqrt(max(W - W_best, 0.0))
        if W < target:
            inside = t
        else:
            outside = t
        t = next_place_of_rise(t, height, rises, goal, inside, outside)
        if abs(W - target) < _RISE_ERROR or abs(outside - inside) < 1e-12:
            break
    return kT[segment] + t * (kT[segment + 1] - kT[segment]), j


@kernel
def _end(bins, counts, model, nodes, last, k, W_best, target, j, side, p, held):  # type: ignore[no-untyped-def]
    """End of the interval of norm, Z or nH on one side (NaN if open); p starts at the minimum."""
    limits, rates, vectors = model.limits, model.rates, model.vectors
    slopes, spare = vectors[SLOPE], vectors[LAST_P]
    inner_p, node_p = vectors[INNER_P], vectors[NODE_P]
    start, goal = p[j], np.sqrt(target - W_best)
    lowest, highest = 0.0, np.inf
    if j == P_Z:
        lowest, highest = limits[Z_MIN], limits[Z_MAX]
    elif j == P_NH:
        lowest, highest = limits[NH_MIN], limits[NH_MAX]
    if start == (lowest if side < 0 else highest):
        return np.nan
    # First guess: the width with all other parameters fixed.
    evaluate(bins, model, k, p)
    row = U if j == P_NORM else (UZ if j == P_Z else UN)
    factor = 1.0 if j == P_NORM else p[P_NORM]
    curvature = factor * factor * cross_curvature(bins.half_curvature, rates[row], rates[row])
    x = start + side * np.sqrt(2.0 / curvature) if curvature > 0.0 else start * (1.0 + 0.5 * side)
    inside, outside = start, np.inf if side > 0 else -np.inf
    # Start from the node with the most extreme estimate.
    for node in range(last + 1):
        if nodes[node, _INSIDE] > 0.0:
            reach = nodes[node, _P + j] + side * nodes[node, _WIDTH + j]
            if side * reach > side * x:
                x = reach
                _set_p(p, nodes, node)
                k = _at_node(node, last, p)
                inside = p[j] if side * p[j] > side * start else start
    k_inside = k
    copy_place(inner_p, p)
    hold(held, j, limits)
    for _ in range(MAX_STEPS):
        if x <= lowest:
            x = lowest if j != P_NORM else 0.5 * (inside + lowest)
        x = min(x, highest)
        p[j] = x
        k, W = descend(bins, counts, model, last, k, p, held, _END_FALL)
        if np.isnan(W):
            return np.nan
        rises, height = slopes[j], np.sqrt(max(W - W_best, 0.0))
        if W < target:
            if x in (lowest, highest):
                return np.nan
            inside, k_inside = x, k
            copy_place(inner_p, p)
        else:
            outside = x
        trial = x + (goal - height) * 2.0 * height / rises if rises * side > 0.0 else np.nan
        if abs(W - target) < _RISE_ERROR or abs(outside - inside) < 1e-12 * abs(inside):
            # Check for a better minimum beyond a jump.
            centre, better = k, False
            copy_place(spare, p)
            for node in range(last + 1):
                reach = nodes[node, _P + j] + side * nodes[node, _WIDTH + j]
                short = side * (reach - x) < -_SHORT * abs(x - start)
                if (nodes[node, _INSIDE] == 0.0 or short) and not centre <= node <= centre + 1:
                    continue
                copy_place(p, spare)
                segment = _at_node(node, last, p)
                held[P_T] = 1.0
                _, W_node = descend(bins, counts, model, last, segment, p, held, _NODE_FALL)
                held[P_T] = 0.0
                if not W_node < target + _DENT:
                    continue
                copy_place(node_p, p)
                # Descend in both directions from the node.
                for way in range(2):
                    if (way == 0 and node == last) or (way == 1 and node == 0):
                        continue
                    copy_place(p, node_p)
                    k, p[P_T] = (node, 0.0) if way == 0 else (node - 1, 1.0)
                    k, W_node = descend(bins, counts, model, last, k, p, held, _END_FALL)
                    better = W_node < target - _BETTER
                    if better:
                        break
                if better:
                    break
            if not better:
                return trial if side * (trial - inside) >= 0.0 else x
            # Continue from there.
            inside, outside, k_inside = x, np.inf * side, k
            copy_place(inner_p, p)
            height = np.sqrt(max(W_node - W_best, 0.0))
            trial = x + (goal - height) * 2.0 * height / slopes[j]
            if not 0.0 < (trial - x) / (x - start) < 0.5:
                trial = x + 0.1 * (x - start)
        elif not min(inside, outside) < trial < max(inside, outside):
            if abs(outside) < np.inf:
                trial = 0.5 * (inside + outside)
            else:
                trial = inside + side * max(abs(inside - start), 0.1 * abs(start))
        elif abs(trial - start) > 4.0 * abs(x - start):
            trial = start + 4.0 * (x - start)
        if W > target + _DENT:
            # A long step may have led to another, worse minimum.
            k = k_inside
            copy_place(p, inner_p)
        x = trial
    return np.nan
