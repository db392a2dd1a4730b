"""Fits with abundance, nH or both free beside kT and norm: the same minimum and intervals, by Newton steps.

Expected counts are m = norm x weight x [H(kT, nH) + Z M(kT, nH)]: H and He, and metals at abundance Z. Both
are linear in kT between the templates' temperatures (nodes) and cubic polynomials in nH between its
columns. A place is a segment k of kT and the values p = (norm, t, Z, nH), t in [0, 1] along the segment.

One primitive carries everything: `_descend` finds the minimum over some of the parameters while the others
are held, by Newton steps with all second derivatives by (norm, norm Z), in which the model is linear, from
segment to segment. It may end inside a segment, at a bound or on a node, where the slope jumps.

* best fit: the nodes are scanned with t held; from every node that is nearly best a descent frees t, so that
  dents that the jumps make cannot hide a better minimum;
* ends of an interval: the parameter is held at trial values, all others free, until the statistic is 1
  higher than at best; Newton on the square root of the rise, as in `fit_temperature`. For kT the nodes are
  walked outwards to the first that lies higher. For the others the nodes nearby are asked afterwards
  whether a better minimum hides beyond a jump.
"""

from __future__ import annotations

import numpy as np

from pyxt_hpc.spectra.compiled import kernel
from pyxt_hpc.spectra.fit_temperature import (
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
    scale,
    statistic_there,
    weighted,
)
from pyxt_hpc.spectra.statistics import cross_curvature, slope, terms

ABUNDANCE_AT_BOUND, ABUNDANCE_LO_OPEN, ABUNDANCE_HI_OPEN = 1 << 9, 1 << 10, 1 << 11
NH_AT_BOUND, NH_LO_OPEN, NH_HI_OPEN = 1 << 12, 1 << 13, 1 << 14

# Places in p, and in arrays of slopes.
_NORM, _T, _Z, _NH = range(4)

# Rows of the work space: weighted rates at norm 1 of the segment's nodes; their derivatives by nH; the
# model at norm 1 and its derivatives by t, Z and nH; what multiplies norm at constant norm x Z.
_H0, _H1, _M0, _M1, _H0N, _H1N, _M0N, _M1N, _U, _UT, _UZ, _UN, _UH, N_ROWS = range(14)

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
_RIDGE = 0.01
_MAX_STEPS = 60
_DAMPED_AFTER = 12


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
    work, nodes, small : (N_ROWS, n_bin), (n_kT, N_COLUMNS), (N_SMALL, 4)
        Scratch.
    result : (13,)
        Filled with value and ends of kT, norm, abundance and nH, and W.

    Returns
    -------
    int
        Flags; where they hold NO_COUNTS or FAILED, `result` is meaningless.
    """
    last = kT.size - 1
    p, best, held, model = small[0], small[1], small[2], (hhe, metals, nH, limits, work, small)
    nodes[:, _KNOWN], nodes[:, _INSIDE] = 0.0, 0.0
    small[_LOADED, 0] = -1.0
    k, W = _global_minimum(kind, z, counts, model, nodes, last, p, held)
    if k < 0:
        return NO_COUNTS if k == -1 else FAILED
    _set(best, p)
    flags, target = 0, W + RISE
    result[12] = W
    result[0] = kT[k] + p[_T] * (kT[k + 1] - kT[k])
    result[3] = p[_NORM]
    if k == 0 and p[_T] == 0.0:
        flags |= AT_BOUND_LOW
    if k == last - 1 and p[_T] == 1.0:
        flags |= AT_BOUND_HIGH
    free_Z, free_nH = limits[0] < limits[1], limits[3] < limits[4]
    if free_Z:
        result[6] = p[_Z]
        if not limits[0] < p[_Z] < limits[1]:
            flags |= ABUNDANCE_AT_BOUND
    if free_nH:
        result[9] = p[_NH]
        if not limits[3] < p[_NH] < limits[4]:
            flags |= NH_AT_BOUND

    # no source at all is the same at every kT: if that is within the interval, everything is
    if _empty(kind, z) < target:
        flags |= KT_LO_OPEN | KT_HI_OPEN | NORM_LO_OPEN | NORM_HI_OPEN
        if free_Z:
            flags |= ABUNDANCE_LO_OPEN | ABUNDANCE_HI_OPEN
        if free_nH:
            flags |= NH_LO_OPEN | NH_HI_OPEN
        return flags

    for side in (-1, 1):
        _set(p, best)
        end, beyond = _kT_end(kind, z, counts, model, nodes, kT, last, k, W, target, side, p, held)
        if np.isnan(end):
            flags |= KT_LO_OPEN if side < 0 else KT_HI_OPEN
        result[1 if side < 0 else 2] = end
        if _second_minimum(beyond, side, last, W, nodes):
            flags |= TWO_MINIMA
    for j in (_NORM, _Z, _NH):
        if (j == _Z and not free_Z) or (j == _NH and not free_nH):
            continue
        for side in (-1, 1):
            _set(p, best)
            end = _end(kind, z, counts, model, nodes, last, k, W, target, j, side, p, held)
            place = 3 * (1 if j == _NORM else j) + (1 if side < 0 else 2)
            result[place] = end
            if np.isnan(end):
                if j == _NORM:
                    flags |= NORM_LO_OPEN if side < 0 else NORM_HI_OPEN
                elif j == _Z:
                    flags |= ABUNDANCE_LO_OPEN if side < 0 else ABUNDANCE_HI_OPEN
                else:
                    flags |= NH_LO_OPEN if side < 0 else NH_HI_OPEN
    return flags


# Rows of the small scratch: p, best p, which parameters are held; steps, slopes; segment and nH loaded;
# p of a search for an end: last, slopes put aside, on the inner side, at a node; Hessian matrix, its
# triangular factor.
_STEP, _SLOPE, _LOADED, _LAST_P, _SPARE, _INNER_P, _NODE_P = range(3, 10)
_HESSIAN, _FACTOR, N_SMALL = 10, 14, 18


@kernel
def _set(to, values):  # type: ignore[no-untyped-def]
    for i in range(4):
        to[i] = values[i]


@kernel
def _hold(held, norm, t, Z, nH):  # type: ignore[no-untyped-def]
    held[_NORM], held[_T], held[_Z], held[_NH] = norm, t, Z, nH


@kernel
def _add(share, weight, template, edges, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        value = 0.0
        for j in range(edges[i], edges[i + 1]):
            value += weight[j] * template[j]
        out[i] += share * value


@kernel
def _load_segment(model, z, k, nH_value):  # type: ignore[no-untyped-def]
    """Put the weighted rates of nodes k and k + 1 at this nH into the work space."""
    hhe, metals, nH, _, work, small = model
    loaded = small[_LOADED]
    if loaded[0] == k and loaded[1] == nH_value:
        return
    loaded[0], loaded[1] = k, nH_value
    if nH.size == 1:
        for j in range(2):
            weighted(z[3], hhe[0, k + j], z[8], work[_H0 + j])
            weighted(z[3], metals[0, k + j], z[8], work[_M0 + j])
        return
    for row in range(_H0, _M1N + 1):
        work[row, :] = 0.0
    # Lagrange's polynomial through the two columns on either side
    first = min(max(np.searchsorted(nH, nH_value) - 2, 0), nH.size - 4)
    for a in range(4):
        value, derivative = 1.0, 0.0
        for b in range(4):
            if a != b:
                width = nH[first + a] - nH[first + b]
                derivative = (derivative * (nH_value - nH[first + b]) + value) / width
                value *= (nH_value - nH[first + b]) / width
        for j in range(2):
            _add(value, z[3], hhe[first + a, k + j], z[8], work[_H0 + j])
            _add(value, z[3], metals[first + a, k + j], z[8], work[_M0 + j])
            _add(derivative, z[3], hhe[first + a, k + j], z[8], work[_H0N + j])
            _add(derivative, z[3], metals[first + a, k + j], z[8], work[_M0N + j])


@kernel
def _model(h0, h1, m0, m1, t, Z, u, ut, uz, uh):  # type: ignore[no-untyped-def]
    s = 1.0 - t
    for i in range(u.size):
        uh[i] = s * h0[i] + t * h1[i]
        uz[i] = s * m0[i] + t * m1[i]
        u[i] = uh[i] + Z * uz[i]
        ut[i] = h1[i] - h0[i] + Z * (m1[i] - m0[i])


@kernel
def _model_by_nH(h0n, h1n, m0n, m1n, t, Z, un):  # type: ignore[no-untyped-def]
    s = 1.0 - t
    for i in range(un.size):
        un[i] = s * (h0n[i] + Z * m0n[i]) + t * (h1n[i] + Z * m1n[i])


@kernel
def _evaluate(kind, z, model, k, p):  # type: ignore[no-untyped-def]
    """Go to a place: fills the spectrum's scratch arrays, the work space and the slopes by p."""
    nH, work, small = model[2], model[4], model[5]
    _load_segment(model, z, k, p[_NH])
    _model(
        work[_H0], work[_H1], work[_M0], work[_M1], p[_T], p[_Z], work[_U], work[_UT], work[_UZ], work[_UH]
    )
    scale(work[_U], p[_NORM], z[4])
    terms(kind, z[0], z[1], z[2], z[4], z[5], z[6])
    slopes = small[_SLOPE]
    slopes[_NORM] = slope(z[5], work[_U])
    slopes[_T] = p[_NORM] * slope(z[5], work[_UT])
    slopes[_Z] = p[_NORM] * slope(z[5], work[_UZ])
    slopes[_NH] = 0.0
    if nH.size > 1:
        _model_by_nH(work[_H0N], work[_H1N], work[_M0N], work[_M1N], p[_T], p[_Z], work[_UN])
        slopes[_NH] = p[_NORM] * slope(z[5], work[_UN])


@kernel
def _empty(kind, z):  # type: ignore[no-untyped-def]
    """Statistic without a source."""
    z[4][:] = 0.0
    terms(kind, z[0], z[1], z[2], z[4], z[5], z[6])
    return statistic_there(kind, z)


@kernel
def _newton(z, work, small, p, free_norm, free_t, free_Z, free_nH):  # type: ignore[no-untyped-def]
    """Newton step from the place last evaluated into row _STEP; expected fall of W.

    Where Z is free the coordinates are norm and q = norm Z. The terms with W' and a second derivative of
    the model are left out for nH, and for all where the matrix would not be positive; if that is not
    enough its diagonal is enlarged (Levenberg & Marquardt).
    """
    hessian, step, slopes = small[_HESSIAN : _HESSIAN + 4], small[_STEP], small[_SLOPE]
    n, Z = p[_NORM], p[_Z]
    free = (free_norm, free_t, free_Z, free_nH)
    first = _UH if free_Z else _U
    rows = (first, _UT, _UZ, _UN)
    scales = (1.0, n, 1.0, n)
    for i in range(4):
        for j in range(i + 1):
            hessian[i, j] = 0.0
            if free[i] and free[j]:
                hessian[i, j] = scales[i] * scales[j] * cross_curvature(z[6], work[rows[i]], work[rows[j]])
    g_n, g_q = slopes[_NORM], slopes[_Z] / n
    if free_Z:
        g_n -= Z * g_q
    gradient = (g_n, slopes[_T], g_q, slopes[_NH])
    mixed_n, mixed_q = 0.0, 0.0
    if free_t and free_Z:
        # d/dt of what multiplies norm and q; together they make the slope by t
        mixed_q = slope(z[5], work[_M1]) - slope(z[5], work[_M0])
        mixed_n = slopes[_T] / n - Z * mixed_q
    elif free_t:
        mixed_n = slopes[_T] / n
    for attempt in range(3):
        if attempt < 2 and free_t:
            sign = 1.0 if attempt == 0 else -1.0
            if free_norm:
                hessian[1, 0] += sign * mixed_n
            if free_Z:
                hessian[2, 1] += sign * mixed_q
        if attempt == 2:
            # fewer bins with counts than parameters
            for i in range(4):
                hessian[i, i] *= 1.0 + _RIDGE
        if _solve(hessian, free, gradient, small, step):
            break
        if attempt == 2:
            return np.nan
    fall = 0.0
    for i in range(4):
        if free[i]:
            fall -= 0.5 * gradient[i] * step[i]
    return fall


@kernel
def _solve(hessian, free, gradient, small, step):  # type: ignore[no-untyped-def]
    """step = -hessian^-1 gradient over the free coordinates; False if the matrix is not positive."""
    L = small[_FACTOR : _FACTOR + 4]
    for i in range(4):
        step[i] = 0.0
        if not free[i]:
            continue
        value = -gradient[i]
        for j in range(i + 1):
            if not free[j]:
                continue
            element = hessian[i, j]
            for m in range(j):
                if free[m]:
                    element -= L[i, m] * L[j, m]
            if i == j:
                if not element > 1e-13 * hessian[i, i]:
                    return False
                L[i, i] = np.sqrt(element)
            else:
                L[i, j] = element / L[j, j]
                value -= L[i, j] * step[j]
        step[i] = value / L[i, i]
    for a in range(4):
        i = 3 - a
        if not free[i]:
            continue
        for j in range(i + 1, 4):
            if free[j]:
                step[i] -= L[j, i] * step[j]
        step[i] /= L[i, i]
    return True


@kernel
def _descend(kind, z, counts, model, last, k, p, held, fall):  # type: ignore[no-untyped-def]
    """Minimum over the parameters that are not held, from place (k, p) on; p moves along.

    Returns the segment and W. Where W is NaN nothing was found; a norm of 0 means no source.
    """
    limits, work, small = model[3], model[4], model[5]
    slopes, step = small[_SLOPE], small[_STEP]
    pinned = False
    for n_step in range(_MAX_STEPS):
        _evaluate(kind, z, model, k, p)
        free_t = held[_T] == 0.0
        if free_t and not pinned:
            # at the end of a segment the neighbour may go on, or the jump of slope be the minimum
            if p[_T] == 0.0 and slopes[_T] > 0.0:
                if k == 0:
                    free_t = False
                else:
                    k, p[_T] = k - 1, 1.0
                    _evaluate(kind, z, model, k, p)
                    if slopes[_T] <= 0.0:
                        pinned = True
            elif p[_T] == 1.0 and slopes[_T] < 0.0:
                if k == last - 1:
                    free_t = False
                else:
                    k, p[_T] = k + 1, 0.0
                    _evaluate(kind, z, model, k, p)
                    if slopes[_T] >= 0.0:
                        pinned = True
        if pinned:
            free_t = False
        free_norm = held[_NORM] == 0.0
        free_Z = held[_Z] == 0.0 and not (
            (p[_Z] <= limits[0] and slopes[_Z] > 0.0) or (p[_Z] >= limits[1] and slopes[_Z] < 0.0)
        )
        free_nH = held[_NH] == 0.0 and not (
            (p[_NH] <= limits[3] and slopes[_NH] > 0.0) or (p[_NH] >= limits[4] and slopes[_NH] < 0.0)
        )
        left, length, hit = 0.0, 0.0, 0
        while length == 0.0:
            left = _newton(z, work, small, p, free_norm, free_t, free_Z, free_nH)
            if not left >= 0.0:
                return k, np.nan
            if left <= fall:
                break
            length, hit = _move(p, step, free_Z, limits, 1.0 if n_step < _DAMPED_AFTER else 0.5)
            if length == 0.0:
                # at a bound and the step leads out: without that parameter
                free_t, free_Z, free_nH = free_t and hit != _T, free_Z and hit != _Z, free_nH and hit != _NH
        if left <= fall:
            if pinned and held[_T] == 0.0:
                # the others have settled: is the jump of slope still the minimum?
                pinned = False
                outward = slopes[_T] < 0.0 if p[_T] == 0.0 else slopes[_T] > 0.0
                if outward:
                    continue
                other = k - 1 if p[_T] == 0.0 else k + 1
                if 0 <= other < last:
                    here, W = p[_T], statistic_there(kind, z) - left
                    spare = small[_SPARE]
                    _set(spare, slopes)
                    p[_T] = 1.0 - here
                    _evaluate(kind, z, model, other, p)
                    if (slopes[_T] < 0.0) if here == 1.0 else (slopes[_T] > 0.0):
                        k = other
                        continue
                    p[_T] = here
                    _set(slopes, spare)
                    return k, W
            W = statistic_there(kind, z) - left
            _move(p, step, free_Z, limits, 1.0)
            return k, W
        if p[_NORM] * _sum(work[_U]) < 1e-9 * counts:
            p[_NORM] = 0.0
            return k, _empty(kind, z)
    return k, np.nan


@kernel
def _sum(row):  # type: ignore[no-untyped-def]
    value = 0.0
    for i in range(row.size):
        value += row[i]
    return value


@kernel
def _move(p, step, free_Z, limits, length):  # type: ignore[no-untyped-def]
    """Take the part of the step that keeps p within its bounds: how much that is, and which bound is hit."""
    n, Z, hit, bound = p[_NORM], p[_Z], -1, 0.0
    if step[_NORM] < 0.0:
        length = min(length, -0.8 * n / step[_NORM])
    elif step[_NORM] > 0.0:
        length = min(length, 4.0 * n / step[_NORM])
    for j in (_T, _NH):
        if step[j] != 0.0:
            low, high = (0.0, 1.0) if j == _T else (limits[3], limits[4])
            nearest = low if step[j] < 0.0 else high
            if abs(nearest - p[j]) <= length * abs(step[j]):
                length, hit, bound = abs(nearest - p[j]) / abs(step[j]), j, nearest
    if free_Z:
        for i in range(2):
            # norm Z + x dq = bound (norm + x dnorm)
            towards, distance = step[_Z] - limits[i] * step[_NORM], n * (limits[i] - Z)
            outwards = towards < 0.0 if i == 0 else towards > 0.0
            if outwards and distance / towards <= length:
                length, hit, bound = max(distance / towards, 0.0), _Z, limits[i]
        p[_Z] = (n * Z + length * step[_Z]) / (n + length * step[_NORM])
        p[_Z] = min(max(p[_Z], limits[0]), limits[1])
    p[_NORM] = n + length * step[_NORM]
    p[_T] = min(max(p[_T] + length * step[_T], 0.0), 1.0)
    p[_NH] = min(max(p[_NH] + length * step[_NH], limits[3]), limits[4])
    if hit >= 0:
        p[hit] = bound
    return length, hit


@kernel
def _at_node(j, last, p):  # type: ignore[no-untyped-def]
    """Segment of node j; p is set on it."""
    if j < last:
        p[_T] = 0.0
        return j
    p[_T] = 1.0
    return j - 1


@kernel
def _need_node(kind, z, counts, model, nodes, last, j, p, held, fall):  # type: ignore[no-untyped-def]
    """Profile at node j, from the values in p on, which move along."""
    limits = model[3]
    if nodes[j, _KNOWN] == 0.0:
        segment = _at_node(j, last, p)
        _hold(held, 0.0, 1.0, 1.0 if limits[0] == limits[1] else 0.0, 1.0 if limits[3] == limits[4] else 0.0)
        if p[_NORM] <= 0.0:
            _first_norm(z, counts, model, segment, p)
        _, W = _descend(kind, z, counts, model, last, segment, p, held, fall)
        nodes[j, _KNOWN], nodes[j, _W] = 1.0, W if W == W else np.inf
        for i in range(4):
            nodes[j, _P + i] = p[i]
    _set_p(p, nodes, j)


@kernel
def _norm_of(nodes, j):  # type: ignore[no-untyped-def]
    return nodes[j, _P + _NORM]


@kernel
def _need_slopes(kind, z, counts, model, nodes, last, j, p, held):  # type: ignore[no-untyped-def]
    """Profile at node j well enough for its slopes by t, from the values in p on."""
    slopes = model[5][_SLOPE]
    if nodes[j, _KNOWN] == 2.0:
        return
    nodes[j, _KNOWN] = 0.0
    _need_node(kind, z, counts, model, nodes, last, j, p, held, _END_FALL)
    nodes[j, _KNOWN] = 2.0
    if j < last:
        p[_T] = 0.0
        _evaluate(kind, z, model, j, p)
        nodes[j, _TO_UPPER] = slopes[_T]
    else:
        nodes[j, _TO_UPPER] = np.inf
    if j > 0:
        p[_T] = 1.0
        _evaluate(kind, z, model, j - 1, p)
        nodes[j, _TO_LOWER] = slopes[_T]
    else:
        nodes[j, _TO_LOWER] = -np.inf


@kernel
def _first_norm(z, counts, model, segment, p):  # type: ignore[no-untyped-def]
    """Norm that gives half of the counts."""
    work = model[4]
    _load_segment(model, z, segment, p[_NH])
    _model(
        work[_H0], work[_H1], work[_M0], work[_M1], p[_T], p[_Z], work[_U], work[_UT], work[_UZ], work[_UH]
    )
    rate = _sum(work[_U])
    p[_NORM] = 0.5 * counts / rate if rate > 0.0 else 1.0


@kernel
def _global_minimum(kind, z, counts, model, nodes, last, p, held):  # type: ignore[no-untyped-def]
    """Best place: its segment (-1 without source, -2 where nothing was found), p, and W."""
    limits, small = model[3], model[5]
    best_p = small[1]
    n_coarse = (last + _COARSE - 1) // _COARSE + 1
    _reset(p, limits)
    for i in range(n_coarse):
        k = min(i * _COARSE, last)
        p[_NORM] = 0.0
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
                    p[_T] = to_upper / (to_upper - nodes[j + 1, _TO_LOWER])
                    p[_T] = p[_T] if 0.0 < p[_T] < 1.0 else 0.5
                held[_T] = 0.0
                k, W = _descend(kind, z, counts, model, last, segment, p, held, _BEST_FALL)
                if W < best_W and p[_NORM] > 0.0:
                    best_k, best_W = k, W
                    _set(best_p, p)
    _set(p, best_p)
    return best_k, best_W


@kernel
def _reset(p, limits):  # type: ignore[no-untyped-def]
    p[_NORM], p[_T], p[_Z], p[_NH] = 0.0, 0.0, limits[2], 0.5 * (limits[3] + limits[4])


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
    h, n = z[6], p[_NORM]
    nn, nq, qq = (
        cross_curvature(h, work[_U], work[_U]),
        n * cross_curvature(h, work[_U], work[_UZ]),
        n * n * cross_curvature(h, work[_UZ], work[_UZ]),
    )
    free_Z = model[3][0] < model[3][1]
    of_norm = nn - nq * nq / qq if free_Z and qq > 0.0 else nn
    nodes[j, _WIDTH + _NORM] = np.sqrt(2.0 * (target - W) / of_norm)
    nodes[j, _WIDTH + _Z] = np.sqrt(2.0 * (target - W) / (qq - nq * nq / nn))
    if model[2].size > 1:
        by_nH = n * n * cross_curvature(h, work[_UN], work[_UN])
        cross = n * cross_curvature(h, work[_U], work[_UN])
        nodes[j, _WIDTH + _NH] = np.sqrt(2.0 * (target - W) / (by_nH - cross * cross / nn))


@kernel
def _kT_end(kind, z, counts, model, nodes, kT, last, k, W_best, target, side, p, held):  # type: ignore[no-untyped-def]
    """End of kT's interval on one side (NaN if open), and the node beyond it; p starts at the best place."""
    limits, small = model[3], model[5]
    slopes, inner_p = small[_SLOPE], small[_LAST_P]
    _hold(held, 0.0, 1.0, 1.0 if limits[0] == limits[1] else 0.0, 1.0 if limits[3] == limits[4] else 0.0)
    t_in, W_in = p[_T], W_best
    j = k + 1 if side > 0 else k
    if (side > 0 and t_in == 1.0) or (side < 0 and t_in == 0.0):
        j += side
        t_in = 1.0 - t_in
    _set(inner_p, p)
    W_out = np.inf
    while 0 <= j <= last:
        segment = j - 1 if side > 0 else j
        p[_T] = 1.0 if side > 0 else 0.0
        _, W_out = _descend(kind, z, counts, model, last, segment, p, held, _END_FALL)
        if not W_out < target:
            break
        t_in, W_in = (0.0 if side > 0 else 1.0), W_out
        _set(inner_p, p)
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
    _set(p, inner_p)
    for _ in range(_MAX_STEPS):
        p[_T] = t
        _, W = _descend(kind, z, counts, model, last, segment, p, held, _END_FALL)
        if np.isnan(W):
            return np.nan, j
        rises, height = slopes[_T], np.sqrt(max(W - W_best, 0.0))
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
    slopes, spare = small[_SLOPE], small[_LAST_P]
    inner_p, node_p = small[_INNER_P], small[_NODE_P]
    free_Z, free_nH = limits[0] < limits[1], limits[3] < limits[4]
    start, goal = p[j], np.sqrt(target - W_best)
    lowest, highest = 0.0, np.inf
    if j == _Z:
        lowest, highest = limits[0], limits[1]
    elif j == _NH:
        lowest, highest = limits[3], limits[4]
    if start == (lowest if side < 0 else highest):
        return np.nan
    # width if all else stayed
    _evaluate(kind, z, model, k, p)
    row = _U if j == _NORM else (_UZ if j == _Z else _UN)
    factor = 1.0 if j == _NORM else p[_NORM]
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
    _set(inner_p, p)
    _hold(
        held, 1.0 if j == _NORM else 0.0, 0.0,
        0.0 if free_Z and j != _Z else 1.0, 0.0 if free_nH and j != _NH else 1.0,
    )  # fmt: skip
    for _ in range(_MAX_STEPS):
        if x <= lowest:
            x = lowest if j != _NORM else 0.5 * (inside + lowest)
        x = min(x, highest)
        p[j] = x
        k, W = _descend(kind, z, counts, model, last, k, p, held, _END_FALL)
        if np.isnan(W):
            return np.nan
        rises, height = slopes[j], np.sqrt(max(W - W_best, 0.0))
        if W < target:
            if x in (lowest, highest):
                return np.nan
            inside, k_inside = x, k
            _set(inner_p, p)
        else:
            outside = x
        trial = x + (goal - height) * 2.0 * height / rises if rises * side > 0.0 else np.nan
        if abs(W - target) < _RISE_ERROR or abs(outside - inside) < 1e-12 * abs(inside):
            # does a better minimum hide beyond a jump?
            centre, better = k, False
            _set(spare, p)
            for node in range(last + 1):
                reach = nodes[node, _P + j] + side * nodes[node, _WIDTH + j]
                short = side * (reach - x) < -_SHORT * abs(x - start)
                if (nodes[node, _INSIDE] == 0.0 or short) and not centre <= node <= centre + 1:
                    continue
                _set(p, spare)
                segment = _at_node(node, last, p)
                held[_T] = 1.0
                _, W_node = _descend(kind, z, counts, model, last, segment, p, held, _NODE_FALL)
                held[_T] = 0.0
                if not W_node < target + _DENT:
                    continue
                _set(node_p, p)
                # both ways from the node
                for way in range(2):
                    if (way == 0 and node == last) or (way == 1 and node == 0):
                        continue
                    _set(p, node_p)
                    k, p[_T] = (node, 0.0) if way == 0 else (node - 1, 1.0)
                    k, W_node = _descend(kind, z, counts, model, last, k, p, held, _END_FALL)
                    better = W_node < target - _BETTER
                    if better:
                        break
                if better:
                    break
            if not better:
                return trial if side * (trial - inside) >= 0.0 else x
            # on from there
            inside, outside, k_inside = x, np.inf * side, k
            _set(inner_p, p)
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
            _set(p, inner_p)
        x = trial
    return np.nan
