"""Fits of temperature and norm: the global minimum with profile-likelihood 68% intervals.

Expected counts are norm x weight x T(kT), T linear in kT between the templates' temperatures (nodes),
as XSPEC's apec is. On the segment between nodes k and k + 1, at kT = kT_k + t (kT_{k+1} - kT_k),

    m = a w T_k + c w T_{k+1},   a = norm (1 - t), c = norm t,

and the statistic W is convex in m, hence in (a, c). What makes this engine exact follows from that:

* at one kT the statistic is convex in norm: one minimum, found by Newton steps in a bracket;
* on one segment the profile over norm has one minimum and takes its largest value at an end. It is
  inside the segment only if the profile falls inwards at both ends (Karush-Kuhn-Tucker), else at a
  node. So minima are found without a search, whatever the jumps of slope at the nodes;
* a step of 1 above the minimum is first crossed in the segment whose inner node lies below it and
  whose outer node above: walking from node to node finds the ends of the interval.

Ends of the interval follow Newton steps along the profile as in Venzon & Moolgavkar (1988, Applied
Statistics 37, 87), on the square root of the rise, which is nearly linear, and inside a bracket.
"""

from __future__ import annotations

import numpy as np

from pyxt_hpc.arrays.compiled import kernel
from pyxt_hpc.spectra.kernels.bins import evaluate_at, evaluate_terms, statistic_there, weighted
from pyxt_hpc.spectra.kernels.outcome import (
    AT_BOUND_HIGH,
    AT_BOUND_LOW,
    FAILED,
    KT_HI_OPEN,
    KT_LO_OPEN,
    NO_COUNTS,
    NORM_HI_OPEN,
    NORM_LO_OPEN,
    R_KT,
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
from pyxt_hpc.spectra.kernels.statistics import (
    CHI2GEHRELS,
    cross_curvature,
    slope,
    slope_and_curvature,
    slopes_and_curvatures,
)

# Scanned nodes within _NEAR of the best are made exact.
_NEAR = 2.0
# Segments are skipped if the end of norm's interval, as estimated at their node, is shorter by more than this
# fraction.
_SHORT = 0.15
# Largest expected decrease of the statistic at convergence; the last Newton step makes the actual one far
# smaller.
_SCAN_FALL = 0.5
_PROFILE_FALL = 1e-3
_EXACT_FALL = 1e-4
_BEST_FALL = 1e-8
_RISE_ERROR = 1e-4

# Columns of the table of nodes: state of the computation; sum of the rates; best norm and statistic
# there; second derivative by norm; slope of the statistic towards the neighbours.
_STATE, _RATE, _NORM, _W, _CURVATURE, _TO_LOWER, _TO_UPPER, N_COLUMNS = range(8)
# `_W` is accurate to much less than 1 from _PROFILED on; the slopes are known from _EXACT on.
_UNSEEN, _LOADED, _SCANNED, _PROFILED, _EXACT = 0.0, 1.0, 2.0, 3.0, 4.0


@kernel
def _need_rates(bins, k, templates, rates, nodes):  # type: ignore[no-untyped-def]
    """Make sure that the rates of node k are loaded."""
    if nodes[k, _STATE] == _UNSEEN:
        nodes[k, _RATE] = weighted(bins.weight, bins.edges, templates[k], rates[k])
        nodes[k, _STATE] = _LOADED


@kernel
def _polar(bins, rates, k, norm, t):  # type: ignore[no-untyped-def]
    """W_n, W_t, W_nn, W_nt, W_tt on segment k, by norm and by t."""
    s = 1.0 - t
    a, c, rate_a, rate_c = norm * s, norm * t, rates[k], rates[k + 1]
    for i in range(rate_a.size):
        bins.expected[i] = a * rate_a[i] + c * rate_c[i]
    evaluate_terms(bins)
    g_a, g_c, h_aa, h_ac, h_cc = slopes_and_curvatures(
        bins.slope_complement, bins.half_curvature, rate_a, rate_c
    )
    w_n = s * g_a + t * g_c
    w_t = norm * (g_c - g_a)
    w_nn = s * s * h_aa + 2.0 * s * t * h_ac + t * t * h_cc
    w_nt = norm * (t * h_cc + (s - t) * h_ac - s * h_aa) + g_c - g_a
    w_tt = norm * norm * (h_cc - 2.0 * h_ac + h_aa)
    return w_n, w_t, w_nn, w_nt, w_tt


@kernel
def _first_norm(bins, counts, rate, norm):  # type: ignore[no-untyped-def]
    """First guess and upper bound of the best norm, from W_n >= 2 (rate - counts / norm)."""
    hi = np.inf if bins.kind == CHI2GEHRELS else counts / rate
    return (norm if 0.0 < norm < hi else 0.5 * counts / rate), hi


@kernel
def _next_norm(norm, w_n, w_nn, lo, hi):  # type: ignore[no-untyped-def]
    """Newton step, or the middle of the bracket; 0 if norm 0 must be checked."""
    trial = norm - w_n / w_nn if w_nn > 0.0 else -1.0
    if lo < trial < hi:
        return trial
    if lo > 0.0:
        return 0.5 * (lo + hi) if hi < np.inf else 2.0 * lo
    return 0.0


@kernel
def _profile_node(bins, rate, rate_sum, counts, norm, fall):  # type: ignore[no-untyped-def]
    """Best norm at a node, to an expected decrease `fall` of W; return norm, W_n, W_nn, evaluated last."""
    if rate_sum <= 0.0:
        evaluate_at(bins, rate, 0.0)
        return 0.0, 0.0, 0.0
    lo = 0.0
    norm, hi = _first_norm(bins, counts, rate_sum, norm)
    for _ in range(MAX_STEPS):
        evaluate_at(bins, rate, norm)
        w_n, w_nn = slope_and_curvature(bins.slope_complement, bins.half_curvature, rate)
        if 0.5 * w_n * w_n <= fall * w_nn:
            return norm, w_n, w_nn
        if w_n < 0.0:
            lo = norm
        else:
            hi = norm
        trial = _next_norm(norm, w_n, w_nn, lo, hi)
        if trial == 0.0:
            evaluate_at(bins, rate, 0.0)
            w_n, w_nn = slope_and_curvature(bins.slope_complement, bins.half_curvature, rate)
            if w_n >= 0.0:
                return 0.0, w_n, w_nn
            trial = 0.1 * min(norm, hi)
        norm = trial
    evaluate_at(bins, rate, norm)
    w_n, w_nn = slope_and_curvature(bins.slope_complement, bins.half_curvature, rate)
    return norm, w_n, w_nn


@kernel
def _profile_norm(bins, rates, nodes, counts, k, t, norm):  # type: ignore[no-untyped-def]
    """Best norm at one kT on segment k, as `_profile_node`; the last evaluation is at the norm returned."""
    rate = (1.0 - t) * nodes[k, _RATE] + t * nodes[k + 1, _RATE]
    if rate <= 0.0:
        return 0.0
    lo = 0.0
    norm, hi = _first_norm(bins, counts, rate, norm)
    for _ in range(MAX_STEPS):
        w_n, _, w_nn, _, _ = _polar(bins, rates, k, norm, t)
        if 0.5 * w_n * w_n <= _PROFILE_FALL * w_nn:
            break
        if w_n < 0.0:
            lo = norm
        else:
            hi = norm
        trial = _next_norm(norm, w_n, w_nn, lo, hi)
        if trial == 0.0:
            if _polar(bins, rates, k, 0.0, t)[0] >= 0.0:
                return 0.0
            trial = 0.1 * min(norm, hi)
        norm = trial
    return norm


@kernel
def _need_node(bins, k, state, guess, counts, templates, rates, nodes):  # type: ignore[no-untyped-def]
    """Make sure that the profile at node k is known to the accuracy of `state`."""
    if nodes[k, _STATE] >= state:
        return
    _need_rates(bins, k, templates, rates, nodes)
    if nodes[k, _STATE] >= _SCANNED:
        guess = nodes[k, _NORM]
    fall = _SCAN_FALL if state == _SCANNED else (_PROFILE_FALL if state == _PROFILED else _EXACT_FALL)
    norm, w_n, w_nn = _profile_node(bins, rates[k], nodes[k, _RATE], counts, guess, fall)
    W, to_best = statistic_there(bins), 0.0
    if norm > 0.0 and w_nn > 0.0:
        to_best = w_n / w_nn
        W -= 0.5 * w_n * to_best
    if state == _EXACT:
        to_upper, to_lower = np.inf, np.inf
        if k < nodes.shape[0] - 1:
            to_upper = _slope_towards(bins, k, k + 1, to_best, templates, rates, nodes)
        if k > 0:
            to_lower = _slope_towards(bins, k, k - 1, to_best, templates, rates, nodes)
        nodes[k, _TO_UPPER], nodes[k, _TO_LOWER] = to_upper, to_lower
    if norm > to_best:
        norm -= to_best
    nodes[k, _NORM], nodes[k, _W], nodes[k, _CURVATURE], nodes[k, _STATE] = norm, W, w_nn, state


@kernel
def _slope_towards(bins, k, j, to_best, templates, rates, nodes):  # type: ignore[no-untyped-def]
    """Derivative of W by the amount of node j at node k's best norm, `to_best` below the present one."""
    _need_rates(bins, j, templates, rates, nodes)
    here = slope(bins.slope_complement, rates[j])
    if to_best == 0.0:
        return here
    return here - to_best * cross_curvature(bins.half_curvature, rates[k], rates[j])


@kernel
def _best_on_segment(bins, k, counts, rates, nodes):  # type: ignore[no-untyped-def]
    """Minimum inside segment k, whose profile falls inwards at both ends: (t, norm, W)."""
    fall_lo, fall_hi = nodes[k, _NORM] * nodes[k, _TO_UPPER], nodes[k + 1, _NORM] * nodes[k + 1, _TO_LOWER]
    lo, hi = 0.0, 1.0
    t = fall_lo / (fall_lo + fall_hi)
    norm = (1.0 - t) * nodes[k, _NORM] + t * nodes[k + 1, _NORM]
    for _ in range(MAX_STEPS):
        w_n, w_t, w_nn, w_nt, w_tt = _polar(bins, rates, k, norm, t)
        if not 0.5 * w_n * w_n <= _PROFILE_FALL * w_nn:
            norm = _profile_norm(bins, rates, nodes, counts, k, t, norm)
            w_n, w_t, w_nn, w_nt, w_tt = _polar(bins, rates, k, norm, t)
        if not (w_nn > 0.0 and norm > 0.0):
            break
        falls, curvature = w_t - w_n * w_nt / w_nn, w_tt - w_nt * w_nt / w_nn
        if falls < 0.0:
            lo = t
        else:
            hi = t
        trial = t - falls / curvature if curvature > 0.0 else -1.0
        if not lo < trial < hi:
            trial = 0.5 * (lo + hi)
        norm = max(norm - w_n / w_nn - w_nt / w_nn * (trial - t), 0.1 * norm)
        left = max(0.5 * falls * falls / curvature, 0.5 * w_n * w_n / w_nn) if curvature > 0.0 else np.inf
        t = trial
        if left < _BEST_FALL or hi - lo < 1e-12:
            break
    _polar(bins, rates, k, norm, t)
    return t, norm, statistic_there(bins)


@kernel
def _kT_end(bins, k, t_in, norm_in, W_in, t_out, target, W_best, counts, rates, nodes):  # type: ignore[no-untyped-def]
    """Position on segment k, between t_in (below) and node t_out (above), where the profile is `target`."""
    j = k + 1 if t_out == 1.0 else k
    goal = np.sqrt(target - W_best)
    inside, outside = t_in, t_out
    t = first_place_of_rise(t_in, W_in, t_out, nodes[j, _W], W_best, goal)
    norm = norm_in + (nodes[j, _NORM] - norm_in) * (t - t_in) / (t_out - t_in)
    for _ in range(MAX_STEPS):
        w_n, w_t, w_nn, w_nt, _ = _polar(bins, rates, k, norm, t)
        if not 0.5 * w_n * w_n <= _PROFILE_FALL * w_nn:
            norm = _profile_norm(bins, rates, nodes, counts, k, t, norm)
            w_n, w_t, w_nn, w_nt, _ = _polar(bins, rates, k, norm, t)
        W, rises, to_best = statistic_there(bins), w_t, 0.0
        if w_nn > 0.0 and norm > 0.0:
            to_best = w_n / w_nn
            W -= 0.5 * w_n * to_best
            rises -= to_best * w_nt
        if W < target:
            inside = t
        else:
            outside = t
        height = np.sqrt(max(W - W_best, 0.0))
        trial = next_place_of_rise(t, height, rises, goal, inside, outside)
        if w_nn > 0.0:
            norm = max(norm - to_best - w_nt / w_nn * (trial - t), 0.1 * norm)
        t = trial
        if abs(W - target) < _RISE_ERROR or abs(outside - inside) < 1e-12:
            break
    return t


@kernel
def _norm_end(bins, k, t, norm_in, norm, side, target, W_best, rates):  # type: ignore[no-untyped-def]
    """Most extreme norm (side = 1 or -1) on segment k with W <= target; NaN if there is none.

    W at (norm_in, t) is below the target; `norm` is a first guess. Q(norm) = min over t of W is convex.
    """
    goal = np.sqrt(target - W_best)
    inside = norm_in
    outside = np.inf if side > 0 else 0.0
    for _ in range(MAX_STEPS):
        t, Q, rises, drift = _profile_t(bins, k, norm, t, rates)
        if Q < target:
            inside = norm
        else:
            outside = norm
        height = np.sqrt(max(Q - W_best, 0.0))
        if abs(Q - target) < _RISE_ERROR and rises != 0.0:
            return norm + (goal - height) * 2.0 * height / rises
        trial = norm + (goal - height) * 2.0 * height / rises if rises * side > 0.0 else np.nan
        if not min(inside, outside) < trial < max(inside, outside):
            trial = 0.5 * (inside + outside) if outside < np.inf else 2.0 * inside
        t = min(max(t + drift * (trial - norm), 0.0), 1.0)
        norm = trial
        if abs(outside - inside) <= 1e-12 * abs(inside):
            return inside
    return np.nan


@kernel
def _profile_t(bins, k, norm, t, rates):  # type: ignore[no-untyped-def]
    """Best t in [0, 1] on segment k at fixed norm: t, W there, its slope by norm, and dt/dnorm."""
    lo, hi = 0.0, 1.0
    w_n, w_t, w_nn, w_nt, w_tt = 0.0, 0.0, 0.0, 0.0, 0.0
    for _ in range(MAX_STEPS):
        w_n, w_t, w_nn, w_nt, w_tt = _polar(bins, rates, k, norm, t)
        if (t == 0.0 and w_t >= 0.0) or (t == 1.0 and w_t <= 0.0):
            return t, statistic_there(bins), w_n, 0.0
        if 0.5 * w_t * w_t <= _PROFILE_FALL * w_tt or hi - lo < 1e-12:
            break
        if w_t < 0.0:
            lo = t
        else:
            hi = t
        trial = t - w_t / w_tt if w_tt > 0.0 else np.nan
        if not lo < trial < hi:
            if trial <= 0.0 and lo == 0.0:
                trial = 0.0
            elif trial >= 1.0 and hi == 1.0:
                trial = 1.0
            else:
                trial = 0.5 * (lo + hi)
        t = trial
    W = statistic_there(bins)
    if not w_tt > 0.0:
        return t, W, w_n, 0.0
    best = min(max(t - w_t / w_tt, 0.0), 1.0)
    W += (best - t) * (w_t + 0.5 * w_tt * (best - t))
    return best, W, w_n + w_nt * (best - t), -w_nt / w_tt


@kernel
def _promise(k, side, target, nodes):  # type: ignore[no-untyped-def]
    """Estimate of side x log of the most extreme norm (side = 1 or -1) at node k."""
    norm, curvature = nodes[k, _NORM], nodes[k, _CURVATURE]
    if not (norm > 0.0 and curvature > 0.0):
        return -np.inf
    return side * np.log(norm) + min(np.sqrt(2.0 * (target - nodes[k, _W]) / curvature) / norm, 5.0)


@kernel
def fit_kT_and_norm(bins, counts, templates, rates, nodes, kT, result):  # type: ignore[no-untyped-def]
    """Fit one region.

    Parameters
    ----------
    counts : float
        All source counts, > 0.
    templates : (n_kT, n_fine)
        Count rates at norm 1.
    rates : (n_kT, n_bin)
        Scratch.
    nodes : (n_kT, N_COLUMNS)
        Scratch.
    kT : (n_kT,)
    result : (N_NUMBERS,)
        Filled with kT, its ends, norm, its ends, W.

    Returns
    -------
    int
        Flags; with NO_COUNTS or FAILED, `result` is meaningless.
    """
    last = kT.size - 1
    nodes[:] = 0.0
    k, t, norm, W = _global_minimum(bins, counts, templates, rates, nodes, last)
    if not norm > 0.0:
        return NO_COUNTS if norm == 0.0 else FAILED
    flags = 0
    target = W + RISE
    if k == 0 and t == 0.0:
        flags |= AT_BOUND_LOW
    if k == last - 1 and t == 1.0:
        flags |= AT_BOUND_HIGH
    result[R_KT] = kT[k] + t * (kT[k + 1] - kT[k])
    result[R_NORM], result[R_STATISTIC] = norm, W

    # Without a source, W does not depend on kT: if W is then below the target, all intervals are open.
    evaluate_at(bins, rates[k], 0.0)
    if statistic_there(bins) < target:
        return flags | KT_LO_OPEN | KT_HI_OPEN | NORM_LO_OPEN | NORM_HI_OPEN

    below, above = 0, last
    for side in (1, -1):
        # Go outwards to the first node above the target; t_in is the last position below it.
        t_near, t_far = (0.0, 1.0) if side > 0 else (1.0, 0.0)
        j = k + 1 if side > 0 else k
        t_in, norm_in, W_in = t, norm, W
        if t == t_far:
            j, t_in = j + side, t_near
        while 0 <= j <= last:
            _need_node(bins, j, _PROFILED, norm_in, counts, templates, rates, nodes)
            if nodes[j, _W] >= target:
                break
            t_in, norm_in, W_in = t_near, nodes[j, _NORM], nodes[j, _W]
            j += side
        if 0 <= j <= last:
            segment = j - 1 if side > 0 else j
            end = _kT_end(bins, segment, t_in, norm_in, W_in, t_far, target, W, counts, rates, nodes)
            result[R_KT + (2 if side > 0 else 1)] = kT[segment] + end * (kT[segment + 1] - kT[segment])
        else:
            flags |= KT_HI_OPEN if side > 0 else KT_LO_OPEN
        below, above = (below, j) if side > 0 else (j, above)
        if second_minimum(j, side, last, W, nodes[:, _STATE], _SCANNED, nodes[:, _W]):
            flags |= TWO_MINIMA

    w_n, w_t, w_nn, w_nt, w_tt = _polar(bins, rates, k, norm, t)
    variance = w_nn - w_nt * w_nt / w_tt if w_tt > 0.0 else w_nn
    step = np.sqrt(2.0 / variance) if variance > 0.0 else norm
    drift = -w_nt / w_tt if w_tt > 0.0 else 0.0
    for side in (1, -1):
        guess = norm + side * step if norm + side * step > 0.0 else 0.5 * norm
        t_guess = min(max(t + drift * (guess - norm), 0.0), 1.0)
        end = _norm_end(bins, k, t_guess, norm, guess, side, target, W, rates)
        # Start at the node inside kT's interval with the most extreme estimated norm. From there, go segment
        # by segment upwards and downwards, while the norm improves or the next node's estimate is nearly as
        # extreme.
        start, best = -1, -np.inf
        for i in range(below + 1, above):
            reach = _promise(i, side, target, nodes)
            if reach > best:
                start, best = i, reach
        if start >= 0:
            for direction in (1, -1):
                i = start
                while below < i < above:
                    segment, t_node = (i, 0.0) if direction > 0 else (i - 1, 1.0)
                    if not 0 <= segment < last:
                        break
                    if segment != k:
                        reach = _promise(i, side, target, nodes)
                        guess = np.exp(side * reach)
                        other = _norm_end(
                            bins, segment, t_node, nodes[i, _NORM], guess, side, target, W, rates
                        )
                        if np.isnan(end) or side * other > side * end:
                            end = other
                        elif reach < side * np.log(end) - _SHORT * abs(np.log(end / norm)):
                            break
                    i += direction
        result[R_NORM + (2 if side > 0 else 1)] = end
    if not result[R_NORM + 2] < np.inf:
        flags |= NORM_HI_OPEN
        result[R_NORM + 2] = np.nan
    if not result[R_NORM + 1] > 0.0:
        flags |= NORM_LO_OPEN
        result[R_NORM + 1] = np.nan
    return flags


@kernel
def _is_low(k, lower, upper, nodes):  # type: ignore[no-untyped-def]
    """Whether node k counts as a minimum between its neighbours; equal nodes all do."""
    return nodes[k, _W] <= min(nodes[lower, _W], nodes[upper, _W]) + SLACK


@kernel
def _global_minimum(bins, counts, templates, rates, nodes, last):  # type: ignore[no-untyped-def]
    """Best (segment, t, norm, W) over the whole range of kT."""
    # The source counts at one node are the first guess at the next.
    guess = 0.0
    n_coarse = (last + COARSE - 1) // COARSE + 1
    for i in range(n_coarse):
        k = min(i * COARSE, last)
        _need_rates(bins, k, templates, rates, nodes)
        per_count = 1.0 / nodes[k, _RATE] if nodes[k, _RATE] > 0.0 else 0.0
        _need_node(bins, k, _SCANNED, guess * per_count, counts, templates, rates, nodes)
        guess = nodes[k, _NORM] * nodes[k, _RATE]
    best_k, best_t, best_norm, best_W = 0, 0.0, 0.0, np.inf
    for i in range(n_coarse):
        middle = min(i * COARSE, last)
        lower, upper = max((i - 1) * COARSE, 0), min((i + 1) * COARSE, last)
        if not _is_low(middle, lower, upper, nodes):
            continue
        first, final = max(middle - FINE, lower), min(middle + FINE, upper)
        _need_node(bins, first, _SCANNED, nodes[middle, _NORM], counts, templates, rates, nodes)
        _need_node(bins, final, _SCANNED, nodes[middle, _NORM], counts, templates, rates, nodes)
        for c in range(3):
            k = (first, middle, final)[c]
            low = max(k - FINE, lower)
            high = min(k + FINE, upper)
            if nodes[low, _STATE] < _SCANNED or nodes[high, _STATE] < _SCANNED:
                # At the ends of the range, the distance to the neighbour differs.
                low, high = (lower, middle) if c == 0 else ((first, final) if c == 1 else (middle, upper))
            if not _is_low(k, low, high, nodes):
                continue
            lowest = k
            for j in range(low, high + 1):
                _need_node(bins, j, _SCANNED, nodes[k, _NORM], counts, templates, rates, nodes)
                if nodes[j, _W] < nodes[lowest, _W]:
                    lowest = j
            for j in range(low, high + 1):
                if abs(j - lowest) <= BESIDE or nodes[j, _W] < nodes[lowest, _W] + _NEAR:
                    _need_node(bins, j, _EXACT, nodes[j, _NORM], counts, templates, rates, nodes)
                    if nodes[j, _W] < best_W:
                        best_k, best_t, best_norm, best_W = j, 0.0, nodes[j, _NORM], nodes[j, _W]
            for j in range(low, high):
                if nodes[j, _STATE] < _EXACT or nodes[j + 1, _STATE] < _EXACT or nodes[j, _NORM] <= 0.0:
                    continue
                if nodes[j, _TO_UPPER] < 0.0 and nodes[j + 1, _TO_LOWER] < 0.0:
                    t, norm, W = _best_on_segment(bins, j, counts, rates, nodes)
                    if W < best_W:
                        best_k, best_t, best_norm, best_W = j, t, norm, W
    if best_k == last:
        best_k, best_t = last - 1, 1.0
    return best_k, best_t, best_norm, best_W
