"""Fits with abundance, nH or both free beside kT and norm: the same minimum and intervals, by Newton steps.

One primitive carries everything: `descent.descend` finds the minimum over some of the parameters while the
others are held.

* best fit: the nodes are scanned with t held; from every node that is nearly best a descent frees t, so that
  dents that the jumps make cannot hide a better minimum;
* ends of an interval: the parameter is held at trial values, all others free, until the statistic is 1
  higher than at best; Newton on the square root of the rise, as in `fit_temperature`. For kT the nodes are
  walked outwards to the first that lies higher. For the others the nodes nearby are asked afterwards
  whether a better minimum hides beyond a jump.
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
    MAX_STEPS,
    NODE_P,
    P_NH,
    P_NORM,
    P_T,
    P_Z,
    SLOPE,
    UN,
    UZ,
    P,
    U,
    copy_place,
    descend,
    evaluate,
    hold,
    set_first_norm,
    without_source,
)
from pyxt_hpc.spectra.kernels.fit_temperature import (
    AT_BOUND_HIGH,
    AT_BOUND_LOW,
    FAILED,
    KT_HI_OPEN,
    KT_LO_OPEN,
    NO_COUNTS,
    NORM_HI_OPEN,
    NORM_LO_OPEN,
    RISE,
    SECOND_MINIMUM,
    TWO_MINIMA,
)
from pyxt_hpc.spectra.kernels.statistics import cross_curvature

ABUNDANCE_AT_BOUND, ABUNDANCE_LO_OPEN, ABUNDANCE_HI_OPEN = 1 << 9, 1 << 10, 1 << 11
NH_AT_BOUND, NH_LO_OPEN, NH_HI_OPEN = 1 << 12, 1 << 13, 1 << 14

# Columns of the table of nodes: whether it is known; statistic, values of p; slopes by t on either side;
# whether it is inside kT's interval, then half-widths of norm, Z and nH with kT held there.
_KNOWN, _W, _P, _TO_LOWER, _TO_UPPER, _INSIDE, _WIDTH, N_COLUMNS = 0, 1, 2, 6, 7, 8, 9, 13

# See `fit_temperature`.
_COARSE, _FINE, _SLACK, _NEAR, _BESIDE = 8, 4, 0.2, 1.0, 2
_SCAN_FALL, _NODE_FALL, _END_FALL, _BEST_FALL = 0.3, 1e-2, 1e-4, 1e-8
_RISE_ERROR = 1e-3
# An end of an interval is moved if a node nearby lies lower by more than this: a quarter percent of sigma.
_BETTER = 0.005
# Nodes are asked if they promise at least the end found less this part of the interval.
_SHORT = 0.25
# So much lower than a node the profile may be beside it.
_DENT = 1.0
# Slopes by t that may be those of a minimum in spite of what is left of the fall.
_FLAT = 0.02


@kernel
def fit_with_more_free(kind, z, counts, hhe, metals, kT, nH, limits, work, nodes, small, result):  # type: ignore[no-untyped-def]
    """Fit one region.

    Parameters
    ----------
    kind, z, counts
        As for `fit_temperature.fit_kT_and_norm`.
    hhe, metals : (n_nH, n_kT, n_fine)
        Rates at norm 1, of metals at abundance 1.
    kT, nH : (n_kT,), (n_nH,)
        nH has one entry or at least four.
    limits : (5,)
        Lowest, highest and first abundance; lowest and highest nH. Equal bounds freeze a parameter.
    work, nodes, small : (descent.N_ROWS, n_bin), (n_kT, N_COLUMNS), (descent.N_SMALL, 4)
        Scratch.
    result : (13,)
        Filled with value and ends of kT, norm, abundance and nH, and W.

    Returns
    -------
    int
        Flags; where they hold NO_COUNTS or FAILED, `result` is meaningless.
    """
    last = kT.size - 1
    p, best, held, model = small[P], small[BEST_P], small[HELD], (hhe, metals, nH, limits, work, small)
    nodes[:, _KNOWN], nodes[:, _INSIDE] = 0.0, 0.0
    small[LOADED, 0] = -1.0
    k, W = _global_minimum(kind, z, counts, model, nodes, last, p, held)
    if k < 0:
        return NO_COUNTS if k == -1 else FAILED
    copy_place(best, p)
    flags, target = 0, W + RISE
    result[12] = W
    result[0] = kT[k] + p[P_T] * (kT[k + 1] - kT[k])
    result[3] = p[P_NORM]
    if k == 0 and p[P_T] == 0.0:
        flags |= AT_BOUND_LOW
    if k == last - 1 and p[P_T] == 1.0:
        flags |= AT_BOUND_HIGH
    free_Z, free_nH = limits[0] < limits[1], limits[3] < limits[4]
    if free_Z:
        result[6] = p[P_Z]
        if not limits[0] < p[P_Z] < limits[1]:
            flags |= ABUNDANCE_AT_BOUND
    if free_nH:
        result[9] = p[P_NH]
        if not limits[3] < p[P_NH] < limits[4]:
            flags |= NH_AT_BOUND

    # no source at all is the same at every kT: if that is within the interval, everything is
    if without_source(kind, z) < target:
        flags |= KT_LO_OPEN | KT_HI_OPEN | NORM_LO_OPEN | NORM_HI_OPEN
        if free_Z:
            flags |= ABUNDANCE_LO_OPEN | ABUNDANCE_HI_OPEN
        if free_nH:
            flags |= NH_LO_OPEN | NH_HI_OPEN
        return flags

    for side in (-1, 1):
        copy_place(p, best)
        end, beyond = _kT_end(kind, z, counts, model, nodes, kT, last, k, W, target, side, p, held)
        if np.isnan(end):
            flags |= KT_LO_OPEN if side < 0 else KT_HI_OPEN
        result[1 if side < 0 else 2] = end
        if _second_minimum(beyond, side, last, W, nodes):
            flags |= TWO_MINIMA
    for j in (P_NORM, P_Z, P_NH):
        if (j == P_Z and not free_Z) or (j == P_NH and not free_nH):
            continue
        for side in (-1, 1):
            copy_place(p, best)
            end = _end(kind, z, counts, model, nodes, last, k, W, target, j, side, p, held)
            place = 3 * (1 if j == P_NORM else j) + (1 if side < 0 else 2)
            result[place] = end
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
    """Segment of node j; p is set on it."""
    if j < last:
        p[P_T] = 0.0
        return j
    p[P_T] = 1.0
    return j - 1


@kernel
def _need_node(kind, z, counts, model, nodes, last, j, p, held, fall):  # type: ignore[no-untyped-def]
    """Profile at node j, from the values in p on, which move along."""
    limits = model[3]
    if nodes[j, _KNOWN] == 0.0:
        segment = _at_node(j, last, p)
        hold(held, 0.0, 1.0, 1.0 if limits[0] == limits[1] else 0.0, 1.0 if limits[3] == limits[4] else 0.0)
        if p[P_NORM] <= 0.0:
            set_first_norm(z, counts, model, segment, p)
        _, W = descend(kind, z, counts, model, last, segment, p, held, fall)
        nodes[j, _KNOWN], nodes[j, _W] = 1.0, W if W == W else np.inf
        for i in range(4):
            nodes[j, _P + i] = p[i]
    _set_p(p, nodes, j)


@kernel
def _norm_of(nodes, j):  # type: ignore[no-untyped-def]
    return nodes[j, _P + P_NORM]


@kernel
def _need_slopes(kind, z, counts, model, nodes, last, j, p, held):  # type: ignore[no-untyped-def]
    """Profile at node j well enough for its slopes by t, from the values in p on."""
    slopes = model[5][SLOPE]
    if nodes[j, _KNOWN] == 2.0:
        return
    nodes[j, _KNOWN] = 0.0
    _need_node(kind, z, counts, model, nodes, last, j, p, held, _END_FALL)
    nodes[j, _KNOWN] = 2.0
    if j < last:
        p[P_T] = 0.0
        evaluate(kind, z, model, j, p)
        nodes[j, _TO_UPPER] = slopes[P_T]
    else:
        nodes[j, _TO_UPPER] = np.inf
    if j > 0:
        p[P_T] = 1.0
        evaluate(kind, z, model, j - 1, p)
        nodes[j, _TO_LOWER] = slopes[P_T]
    else:
        nodes[j, _TO_LOWER] = -np.inf


@kernel
def _global_minimum(kind, z, counts, model, nodes, last, p, held):  # type: ignore[no-untyped-def]
    """Best place: its segment (-1 without source, -2 where nothing was found), p, and W."""
    limits, small = model[3], model[5]
    best_p = small[BEST_P]
    n_coarse = (last + _COARSE - 1) // _COARSE + 1
    _reset(p, limits)
    for i in range(n_coarse):
        k = min(i * _COARSE, last)
        p[P_NORM] = 0.0
        _need_node(kind, z, counts, model, nodes, last, k, p, held, _SCAN_FALL)
    best_k, best_W = -2, np.inf
    for i in range(n_coarse):
        middle = min(i * _COARSE, last)
        lower, upper = max((i - 1) * _COARSE, 0), min((i + 1) * _COARSE, last)
        if nodes[middle, _W] > min(nodes[lower, _W], nodes[upper, _W]) + _SLACK:
            continue
        # finer nodes, then all around the lowest
        lowest, stride = middle, _FINE
        while stride > 0:
            centre = lowest
            for j in (centre - stride, centre + stride):
                if lower <= j <= upper:
                    _set_p(p, nodes, centre)
                    _need_node(kind, z, counts, model, nodes, last, j, p, held, _SCAN_FALL)
                    if nodes[j, _W] < nodes[lowest, _W]:
                        lowest = j
            if lowest == centre:
                stride //= 2
        if _norm_of(nodes, lowest) <= 0.0:
            if nodes[lowest, _W] < best_W:
                best_k, best_W = -1, nodes[lowest, _W]
            continue
        # all nodes that are nearly as good, with their slopes
        first, final = lowest, lowest
        for side in (-1, 1):
            j = lowest
            while 0 <= j <= last:
                _set_p(p, nodes, j if nodes[j, _KNOWN] > 0.0 else j - side)
                _need_slopes(kind, z, counts, model, nodes, last, j, p, held)
                first, final = min(first, j), max(final, j)
                if nodes[j, _W] > nodes[lowest, _W] + _NEAR and abs(j - lowest) >= _BESIDE:
                    break
                j += side
        for j in range(first, final + 1):
            # no slope leads away from the node, or both ends of the segment above it fall inwards
            to_upper, to_lower = nodes[j, _TO_UPPER], nodes[j, _TO_LOWER]
            at_node = to_upper > -_FLAT and to_lower < _FLAT
            if at_node or (j < final and to_upper < _FLAT and nodes[j + 1, _TO_LOWER] > -_FLAT):
                _set_p(p, nodes, j)
                segment = _at_node(j, last, p)
                if not at_node:
                    p[P_T] = to_upper / (to_upper - nodes[j + 1, _TO_LOWER])
                    p[P_T] = p[P_T] if 0.0 < p[P_T] < 1.0 else 0.5
                held[P_T] = 0.0
                k, W = descend(kind, z, counts, model, last, segment, p, held, _BEST_FALL)
                if W < best_W and p[P_NORM] > 0.0:
                    best_k, best_W = k, W
                    copy_place(best_p, p)
    copy_place(p, best_p)
    return best_k, best_W


@kernel
def _reset(p, limits):  # type: ignore[no-untyped-def]
    p[P_NORM], p[P_T], p[P_Z], p[P_NH] = 0.0, 0.0, limits[2], 0.5 * (limits[3] + limits[4])


@kernel
def _set_p(p, nodes, j):  # type: ignore[no-untyped-def]
    for i in range(4):
        p[i] = nodes[j, _P + i]


@kernel
def _second_minimum(beyond, side, last, W, nodes):  # type: ignore[no-untyped-def]
    """Whether the scan saw another minimum from node `beyond` outwards, nearly as good."""
    barrier = -np.inf
    while 0 <= beyond <= last:
        if nodes[beyond, _KNOWN] > 0.0:
            if nodes[beyond, _W] < min(W + SECOND_MINIMUM, barrier - _SLACK):
                return True
            barrier = max(barrier, nodes[beyond, _W])
        beyond += side
    return False


@kernel
def _remember(z, model, nodes, j, p, W, target):  # type: ignore[no-untyped-def]
    """Keep what was found at node j, inside kT's interval, for the ends of the other intervals."""
    work = model[4]
    nodes[j, _INSIDE], nodes[j, _W] = 1.0, W
    for i in range(4):
        nodes[j, _P + i] = p[i]
    h, n = z[6], p[P_NORM]
    nn, nq, qq = (
        cross_curvature(h, work[U], work[U]),
        n * cross_curvature(h, work[U], work[UZ]),
        n * n * cross_curvature(h, work[UZ], work[UZ]),
    )
    free_Z = model[3][0] < model[3][1]
    of_norm = nn - nq * nq / qq if free_Z and qq > 0.0 else nn
    nodes[j, _WIDTH + P_NORM] = np.sqrt(2.0 * (target - W) / of_norm)
    nodes[j, _WIDTH + P_Z] = np.sqrt(2.0 * (target - W) / (qq - nq * nq / nn))
    if model[2].size > 1:
        by_nH = n * n * cross_curvature(h, work[UN], work[UN])
        cross = n * cross_curvature(h, work[U], work[UN])
        nodes[j, _WIDTH + P_NH] = np.sqrt(2.0 * (target - W) / (by_nH - cross * cross / nn))


@kernel
def _kT_end(kind, z, counts, model, nodes, kT, last, k, W_best, target, side, p, held):  # type: ignore[no-untyped-def]
    """End of kT's interval on one side (NaN if open), and the node beyond it; p starts at the best place."""
    limits, small = model[3], model[5]
    slopes, inner_p = small[SLOPE], small[LAST_P]
    hold(held, 0.0, 1.0, 1.0 if limits[0] == limits[1] else 0.0, 1.0 if limits[3] == limits[4] else 0.0)
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
        _, W_out = descend(kind, z, counts, model, last, segment, p, held, _END_FALL)
        if not W_out < target:
            break
        t_in, W_in = (0.0 if side > 0 else 1.0), W_out
        copy_place(inner_p, p)
        _remember(z, model, nodes, j, p, W_out, target)
        j += side
    if not 0 <= j <= last:
        return np.nan, j
    segment = j - 1 if side > 0 else j
    t_out = 1.0 if side > 0 else 0.0
    goal = np.sqrt(target - W_best)
    low, high = np.sqrt(max(W_in - W_best, 0.0)), np.sqrt(max(W_out - W_best, 0.0))
    inside, outside = t_in, t_out
    t = t_in + (t_out - t_in) * (min(max((goal - low) / (high - low), 0.0), 1.0) if high > low else 0.5)
    copy_place(p, inner_p)
    for _ in range(MAX_STEPS):
        p[P_T] = t
        _, W = descend(kind, z, counts, model, last, segment, p, held, _END_FALL)
        if np.isnan(W):
            return np.nan, j
        rises, height = slopes[P_T], np.sqrt(max(W - W_best, 0.0))
        if W < target:
            inside = t
        else:
            outside = t
        trial = t + (goal - height) * 2.0 * height / rises if rises != 0.0 else np.inf
        if not min(inside, outside) <= trial <= max(inside, outside):
            trial = 0.5 * (inside + outside)
        t = trial
        if abs(W - target) < _RISE_ERROR or abs(outside - inside) < 1e-12:
            break
    return kT[segment] + t * (kT[segment + 1] - kT[segment]), j


@kernel
def _end(kind, z, counts, model, nodes, last, k, W_best, target, j, side, p, held):  # type: ignore[no-untyped-def]
    """End of the interval of norm, Z or nH on one side, NaN if open; p starts at the best place."""
    limits, work, small = model[3], model[4], model[5]
    slopes, spare = small[SLOPE], small[LAST_P]
    inner_p, node_p = small[INNER_P], small[NODE_P]
    free_Z, free_nH = limits[0] < limits[1], limits[3] < limits[4]
    start, goal = p[j], np.sqrt(target - W_best)
    lowest, highest = 0.0, np.inf
    if j == P_Z:
        lowest, highest = limits[0], limits[1]
    elif j == P_NH:
        lowest, highest = limits[3], limits[4]
    if start == (lowest if side < 0 else highest):
        return np.nan
    # width if all else stayed
    evaluate(kind, z, model, k, p)
    row = U if j == P_NORM else (UZ if j == P_Z else UN)
    factor = 1.0 if j == P_NORM else p[P_NORM]
    curvature = factor * factor * cross_curvature(z[6], work[row], work[row])
    x = start + side * np.sqrt(2.0 / curvature) if curvature > 0.0 else start * (1.0 + 0.5 * side)
    inside, outside = start, np.inf if side > 0 else -np.inf
    # the node that promises the most extreme value
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
    hold(
        held, 1.0 if j == P_NORM else 0.0, 0.0,
        0.0 if free_Z and j != P_Z else 1.0, 0.0 if free_nH and j != P_NH else 1.0,
    )  # fmt: skip
    for _ in range(MAX_STEPS):
        if x <= lowest:
            x = lowest if j != P_NORM else 0.5 * (inside + lowest)
        x = min(x, highest)
        p[j] = x
        k, W = descend(kind, z, counts, model, last, k, p, held, _END_FALL)
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
            # does a better minimum hide beyond a jump?
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
                _, W_node = descend(kind, z, counts, model, last, segment, p, held, _NODE_FALL)
                held[P_T] = 0.0
                if not W_node < target + _DENT:
                    continue
                copy_place(node_p, p)
                # both ways from the node
                for way in range(2):
                    if (way == 0 and node == last) or (way == 1 and node == 0):
                        continue
                    copy_place(p, node_p)
                    k, p[P_T] = (node, 0.0) if way == 0 else (node - 1, 1.0)
                    k, W_node = descend(kind, z, counts, model, last, k, p, held, _END_FALL)
                    better = W_node < target - _BETTER
                    if better:
                        break
                if better:
                    break
            if not better:
                return trial if side * (trial - inside) >= 0.0 else x
            # on from there
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
            # a step so long may have led to another, worse minimum
            k = k_inside
            copy_place(p, inner_p)
        x = trial
    return np.nan
