"""Newton descent of the statistic over norm, kT, abundance and nH, of which any may be held fixed.

Expected counts are m = norm x weight x [H(kT, nH) + Z M(kT, nH)]: H and He, and metals at abundance Z. Both
are linear in kT between the templates' temperatures (nodes) and cubic polynomials in nH between its
columns. A point is a segment k of kT and the values p = (norm, t, Z, nH), with t in [0, 1] along the segment.

Newton steps use all second derivatives by (norm, norm Z), in which the model is linear, and may go from
segment to segment. A descent may end inside a segment, at a bound, or on a node, where the slope jumps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import kernel
from pyxt_hpc.spectra.kernels.bins import evaluate_terms, statistic_there, weighted
from pyxt_hpc.spectra.kernels.search import MAX_STEPS
from pyxt_hpc.spectra.kernels.statistics import cross_curvature, slope, terms

# Places in p, and in arrays of slopes.
P_NORM, P_T, P_Z, P_NH = range(4)

# Places in the limits.
Z_MIN, Z_MAX, Z_FIRST, NH_MIN, NH_MAX = range(5)

# Rows of the rates: weighted rates at norm 1 of the segment's nodes; their derivatives by nH; the model at
# norm 1 and its derivatives by t, Z and nH; what multiplies norm at constant norm x Z.
_H0, _H1, _M0, _M1, _H0N, _H1N, _M0N, _M1N, U, _UT, UZ, UN, _UH, N_RATES = range(14)

# Rows of the vectors: p, best p, which parameters are held; steps, slopes; segment and nH loaded;
# p of a search for an end: last, slopes put aside, on the inner side, at a node; Hessian matrix, its
# triangular factor.
P, BEST_P, HELD, _STEP, SLOPE, LOADED, LAST_P, _SPARE, INNER_P, NODE_P = range(10)
_HESSIAN, _FACTOR, N_VECTORS = 10, 14, 18

_DAMPED_AFTER = 12
_RIDGE = 0.01


class FreeModel(NamedTuple):
    """Model that all regions share, and scratch arrays of the kernels.

    Parameters
    ----------
    hhe, metals
        (n_nH, n_kT, n_fine) count rates at norm 1, of metals at abundance 1.
    nH
        (n_nH,) columns of the templates: one, or at least four.
    limits
        (5,) lowest, highest and first abundance; lowest and highest nH. Equal bounds freeze a parameter.
    rates, vectors
        (N_RATES, n_bin), (N_VECTORS, 4) scratch; the rows are named above.
    """

    hhe: NDArray[np.float64]
    metals: NDArray[np.float64]
    nH: NDArray[np.float64]
    limits: NDArray[np.float64]
    rates: NDArray[np.float64]
    vectors: NDArray[np.float64]


@kernel
def copy_place(to, values):  # type: ignore[no-untyped-def]
    """Copy the four values of a point, without a temporary array."""
    for i in range(4):
        to[i] = values[i]


@kernel
def hold(held, j, limits):  # type: ignore[no-untyped-def]
    """Mark parameter j and the frozen parameters as held."""
    for i in range(4):
        held[i] = 1.0 if i == j else 0.0
    if limits[Z_MIN] == limits[Z_MAX]:
        held[P_Z] = 1.0
    if limits[NH_MIN] == limits[NH_MAX]:
        held[P_NH] = 1.0


@kernel
def set_first_norm(bins, counts, model, segment, p):  # type: ignore[no-untyped-def]
    """Set the norm that gives half of the counts."""
    rates = model.rates
    _load_segment(bins, model, segment, p[P_NH])
    _mix(
        rates[_H0], rates[_H1], rates[_M0], rates[_M1], p[P_T], p[P_Z],
        rates[U], rates[_UT], rates[UZ], rates[_UH],
    )  # fmt: skip
    rate = _sum(rates[U])
    p[P_NORM] = 0.5 * counts / rate if rate > 0.0 else 1.0


@kernel
def descend(bins, counts, model, last, k, p, held, fall):  # type: ignore[no-untyped-def]
    """Find the minimum over the parameters that are not held, from the point (k, p) on; p is updated.

    Returns the segment and W. NaN means that no minimum was found; a norm of 0 means no source.
    """
    limits, rates, vectors = model.limits, model.rates, model.vectors
    slopes, step = vectors[SLOPE], vectors[_STEP]
    pinned = False
    for n_step in range(MAX_STEPS):
        evaluate(bins, model, k, p)
        free_t = held[P_T] == 0.0
        if free_t and not pinned:
            # At the end of a segment, the descent may continue in the neighbour, or the jump of slope is the
            # minimum.
            if p[P_T] == 0.0 and slopes[P_T] > 0.0:
                if k == 0:
                    free_t = False
                else:
                    k, p[P_T] = k - 1, 1.0
                    evaluate(bins, model, k, p)
                    if slopes[P_T] <= 0.0:
                        pinned = True
            elif p[P_T] == 1.0 and slopes[P_T] < 0.0:
                if k == last - 1:
                    free_t = False
                else:
                    k, p[P_T] = k + 1, 0.0
                    evaluate(bins, model, k, p)
                    if slopes[P_T] >= 0.0:
                        pinned = True
        if pinned:
            free_t = False
        free_norm = held[P_NORM] == 0.0
        free_Z = held[P_Z] == 0.0 and not (
            (p[P_Z] <= limits[Z_MIN] and slopes[P_Z] > 0.0) or (p[P_Z] >= limits[Z_MAX] and slopes[P_Z] < 0.0)
        )
        free_nH = held[P_NH] == 0.0 and not (
            (p[P_NH] <= limits[NH_MIN] and slopes[P_NH] > 0.0)
            or (p[P_NH] >= limits[NH_MAX] and slopes[P_NH] < 0.0)
        )
        left, length, hit = 0.0, 0.0, 0
        while length == 0.0:
            left = _newton(bins, rates, vectors, p, free_norm, free_t, free_Z, free_nH)
            if not left >= 0.0:
                return k, np.nan
            if left <= fall:
                break
            length, hit = _move(p, step, free_Z, limits, 1.0 if n_step < _DAMPED_AFTER else 0.5)
            if length == 0.0:
                # The step leads out of a bound: repeat it without that parameter.
                free_t, free_Z, free_nH = (
                    free_t and hit != P_T,
                    free_Z and hit != P_Z,
                    free_nH and hit != P_NH,
                )
        if left <= fall:
            if pinned and held[P_T] == 0.0:
                # The other parameters have converged: check that the jump of slope is still the minimum.
                pinned = False
                outward = slopes[P_T] < 0.0 if p[P_T] == 0.0 else slopes[P_T] > 0.0
                if outward:
                    continue
                other = k - 1 if p[P_T] == 0.0 else k + 1
                if 0 <= other < last:
                    here, W = p[P_T], statistic_there(bins) - left
                    spare = vectors[_SPARE]
                    copy_place(spare, slopes)
                    p[P_T] = 1.0 - here
                    evaluate(bins, model, other, p)
                    if (slopes[P_T] < 0.0) if here == 1.0 else (slopes[P_T] > 0.0):
                        k = other
                        continue
                    p[P_T] = here
                    copy_place(slopes, spare)
                    return k, W
            W = statistic_there(bins) - left
            _move(p, step, free_Z, limits, 1.0)
            return k, W
        if p[P_NORM] * _sum(rates[U]) < 1e-9 * counts:
            p[P_NORM] = 0.0
            return k, without_source(bins)
    return k, np.nan


@kernel
def evaluate(bins, model, k, p):  # type: ignore[no-untyped-def]
    """Evaluate a point: fill the scratch of the bins, the rates and the slopes by p."""
    rates, slopes = model.rates, model.vectors[SLOPE]
    _load_segment(bins, model, k, p[P_NH])
    _mix(
        rates[_H0], rates[_H1], rates[_M0], rates[_M1], p[P_T], p[P_Z],
        rates[U], rates[_UT], rates[UZ], rates[_UH],
    )  # fmt: skip
    # Not by evaluate_at, because another call that passes all arrays makes fits slower.
    norm, rate = p[P_NORM], rates[U]
    for i in range(rate.size):
        bins.expected[i] = norm * rate[i]
    terms(
        bins.kind,
        bins.first,
        bins.second,
        bins.third,
        bins.expected,
        bins.slope_complement,
        bins.half_curvature,
    )
    slopes[P_NORM] = slope(bins.slope_complement, rates[U])
    slopes[P_T] = p[P_NORM] * slope(bins.slope_complement, rates[_UT])
    slopes[P_Z] = p[P_NORM] * slope(bins.slope_complement, rates[UZ])
    slopes[P_NH] = 0.0
    if model.nH.size > 1:
        _mix_by_nH(rates[_H0N], rates[_H1N], rates[_M0N], rates[_M1N], p[P_T], p[P_Z], rates[UN])
        slopes[P_NH] = p[P_NORM] * slope(bins.slope_complement, rates[UN])


@kernel
def without_source(bins):  # type: ignore[no-untyped-def]
    """Statistic without a source."""
    bins.expected[:] = 0.0
    evaluate_terms(bins)
    return statistic_there(bins)


@kernel
def _add(share, weight, edges, template, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        value = 0.0
        for j in range(edges[i], edges[i + 1]):
            value += weight[j] * template[j]
        out[i] += share * value


@kernel
def _load_segment(bins, model, k, nH_value):  # type: ignore[no-untyped-def]
    """Put the weighted rates of nodes k and k + 1 at this nH into the rates."""
    hhe, metals, nH, rates, loaded = model.hhe, model.metals, model.nH, model.rates, model.vectors[LOADED]
    if loaded[0] == k and loaded[1] == nH_value:
        return
    loaded[0], loaded[1] = k, nH_value
    weight, edges = bins.weight, bins.edges
    if nH.size == 1:
        for j in range(2):
            weighted(weight, edges, hhe[0, k + j], rates[_H0 + j])
            weighted(weight, edges, metals[0, k + j], rates[_M0 + j])
        return
    for row in range(_H0, _M1N + 1):
        rates[row, :] = 0.0
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
            _add(value, weight, edges, hhe[first + a, k + j], rates[_H0 + j])
            _add(value, weight, edges, metals[first + a, k + j], rates[_M0 + j])
            _add(derivative, weight, edges, hhe[first + a, k + j], rates[_H0N + j])
            _add(derivative, weight, edges, metals[first + a, k + j], rates[_M0N + j])


@kernel
def _mix(h0, h1, m0, m1, t, Z, u, ut, uz, uh):  # type: ignore[no-untyped-def]
    s = 1.0 - t
    for i in range(u.size):
        uh[i] = s * h0[i] + t * h1[i]
        uz[i] = s * m0[i] + t * m1[i]
        u[i] = uh[i] + Z * uz[i]
        ut[i] = h1[i] - h0[i] + Z * (m1[i] - m0[i])


@kernel
def _mix_by_nH(h0n, h1n, m0n, m1n, t, Z, un):  # type: ignore[no-untyped-def]
    s = 1.0 - t
    for i in range(un.size):
        un[i] = s * (h0n[i] + Z * m0n[i]) + t * (h1n[i] + Z * m1n[i])


@kernel
def _newton(bins, rates, vectors, p, free_norm, free_t, free_Z, free_nH):  # type: ignore[no-untyped-def]
    """Put the Newton step from the point evaluated last into row _STEP; return the expected decrease of W.

    If Z is free, the coordinates are norm and q = norm Z. Terms with W' and a second derivative of the model
    are neglected for nH, and for all parameters if the matrix would not be positive definite; if it still is
    not, its diagonal is enlarged (Levenberg & Marquardt).
    """
    hessian, step, slopes = vectors[_HESSIAN : _HESSIAN + 4], vectors[_STEP], vectors[SLOPE]
    n, Z = p[P_NORM], p[P_Z]
    free = (free_norm, free_t, free_Z, free_nH)
    first = _UH if free_Z else U
    rows = (first, _UT, UZ, UN)
    scales = (1.0, n, 1.0, n)
    for i in range(4):
        for j in range(i + 1):
            hessian[i, j] = 0.0
            if free[i] and free[j]:
                hessian[i, j] = (
                    scales[i]
                    * scales[j]
                    * cross_curvature(bins.half_curvature, rates[rows[i]], rates[rows[j]])
                )
    g_n, g_q = slopes[P_NORM], slopes[P_Z] / n
    if free_Z:
        g_n -= Z * g_q
    gradient = (g_n, slopes[P_T], g_q, slopes[P_NH])
    mixed_n, mixed_q = 0.0, 0.0
    if free_t and free_Z:
        # Derivatives by t of the factors of norm and q, which add up to the slope by t.
        mixed_q = slope(bins.slope_complement, rates[_M1]) - slope(bins.slope_complement, rates[_M0])
        mixed_n = slopes[P_T] / n - Z * mixed_q
    elif free_t:
        mixed_n = slopes[P_T] / n
    for attempt in range(3):
        if attempt < 2 and free_t:
            sign = 1.0 if attempt == 0 else -1.0
            if free_norm:
                hessian[1, 0] += sign * mixed_n
            if free_Z:
                hessian[2, 1] += sign * mixed_q
        if attempt == 2:
            # There are fewer bins with counts than parameters.
            for i in range(4):
                hessian[i, i] *= 1.0 + _RIDGE
        if _solve(hessian, free, gradient, vectors, step):
            break
        if attempt == 2:
            return np.nan
    fall = 0.0
    for i in range(4):
        if free[i]:
            fall -= 0.5 * gradient[i] * step[i]
    return fall


@kernel
def _solve(hessian, free, gradient, vectors, step):  # type: ignore[no-untyped-def]
    """step = -hessian^-1 gradient over the free coordinates; False if the matrix is not positive."""
    L = vectors[_FACTOR : _FACTOR + 4]
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
def _sum(row):  # type: ignore[no-untyped-def]
    value = 0.0
    for i in range(row.size):
        value += row[i]
    return value


@kernel
def _move(p, step, free_Z, limits, length):  # type: ignore[no-untyped-def]
    """Take the part of the step within the bounds of p; return its length and the parameter at a bound."""
    n, Z, hit, bound = p[P_NORM], p[P_Z], -1, 0.0
    if step[P_NORM] < 0.0:
        length = min(length, -0.8 * n / step[P_NORM])
    elif step[P_NORM] > 0.0:
        length = min(length, 4.0 * n / step[P_NORM])
    for j in (P_T, P_NH):
        if step[j] != 0.0:
            low, high = (0.0, 1.0) if j == P_T else (limits[NH_MIN], limits[NH_MAX])
            nearest = low if step[j] < 0.0 else high
            if abs(nearest - p[j]) <= length * abs(step[j]):
                length, hit, bound = abs(nearest - p[j]) / abs(step[j]), j, nearest
    if free_Z:
        for i in range(2):
            # norm Z + x dq = bound (norm + x dnorm)
            towards, distance = step[P_Z] - limits[i] * step[P_NORM], n * (limits[i] - Z)
            outwards = towards < 0.0 if i == 0 else towards > 0.0
            if outwards and distance / towards <= length:
                length, hit, bound = max(distance / towards, 0.0), P_Z, limits[i]
        p[P_Z] = (n * Z + length * step[P_Z]) / (n + length * step[P_NORM])
        p[P_Z] = min(max(p[P_Z], limits[Z_MIN]), limits[Z_MAX])
    p[P_NORM] = n + length * step[P_NORM]
    p[P_T] = min(max(p[P_T] + length * step[P_T], 0.0), 1.0)
    p[P_NH] = min(max(p[P_NH] + length * step[P_NH], limits[NH_MIN]), limits[NH_MAX])
    if hit >= 0:
        p[hit] = bound
    return length, hit
