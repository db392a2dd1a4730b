"""Fits of temperature and norm: the global minimum of wstat with profile-likelihood 68% intervals.

Expected counts are norm x weight x T(kT), T linear in kT between the templates' temperatures (nodes),
as XSPEC's apec is. On the segment between nodes k and k + 1, at kT = kT_k + t (kT_{k+1} - kT_k),

    m = a w T_k + c w T_{k+1},   a = norm (1 - t), c = norm t,

and wstat is convex in m, hence in (a, c). What makes this engine exact follows from that:

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

from enum import IntFlag

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.spectra.statistics import STRICT, wstat_derivatives, wstat_sum

FIT_DTYPE = np.dtype(
    [
        ("kT", np.float64),
        ("kT_lo", np.float64),
        ("kT_hi", np.float64),
        ("norm", np.float64),
        ("norm_lo", np.float64),
        ("norm_hi", np.float64),
        ("statistic", np.float64),
        ("dof", np.int32),
        ("flags", np.int32),
    ]
)
"""Result of one region: kT [keV], norm [XSPEC's apec norm], ends of the 68% intervals (NaN where open)."""


class FitFlag(IntFlag):
    """What is special about a fit; 0 is a minimum with closed intervals."""

    AT_BOUND_LOW = 1
    """Best kT is the lowest of the templates."""
    AT_BOUND_HIGH = 2
    """Best kT is the highest of the templates."""
    KT_LO_OPEN = 4
    """The statistic does not rise by 1 down to the lowest kT: kT_lo is NaN."""
    KT_HI_OPEN = 8
    """The statistic does not rise by 1 up to the highest kT: kT_hi is NaN."""
    NORM_LO_OPEN = 16
    """The statistic does not rise by 1 down to norm 0: norm_lo is NaN."""
    NORM_HI_OPEN = 32
    """Norm 0 is within the interval, hence every kT; or no end was found: norm_hi is NaN."""
    NO_COUNTS = 64
    """No source counts, or not more than the background at any kT: there is nothing to fit."""
    FAILED = 128
    """Counts, weights or ratios are negative or not finite, or the fit did not converge."""


# Plain integers for the kernels.
_AT_BOUND_LOW, _AT_BOUND_HIGH = int(FitFlag.AT_BOUND_LOW), int(FitFlag.AT_BOUND_HIGH)
_KT_LO_OPEN, _KT_HI_OPEN = int(FitFlag.KT_LO_OPEN), int(FitFlag.KT_HI_OPEN)
_NORM_LO_OPEN, _NORM_HI_OPEN = int(FitFlag.NORM_LO_OPEN), int(FitFlag.NORM_HI_OPEN)
_NO_COUNTS, _FAILED = int(FitFlag.NO_COUNTS), int(FitFlag.FAILED)

# 68% interval of one parameter (Cash 1979).
_RISE = 1.0
# First scan: every _STRIDE-th node; the segments around its minima are then searched exactly.
_STRIDE = 4
# Largest expected fall of the statistic that may be left (Newton: the last step squares it away).
_SCAN_FALL = 0.1
_PROFILE_FALL = 1e-3
_BEST_FALL = 1e-8
_RISE_ERROR = 1e-4
_MAX_STEPS = 60


def fit_regions(
    source: ArrayLike,
    background: ArrayLike,
    weight: ArrayLike,
    ratio: ArrayLike,
    templates: ArrayLike,
    kT: ArrayLike,
) -> NDArray:
    """Fit kT and norm of many regions.

    Parameters
    ----------
    source, background : (n_reg, n_bin)
        Counts of the source spectra and of their background spectra; the bins of all observations
        side by side.
    weight : (n_reg, n_bin)
        Effective exposure [s], vignetting included; 0 takes the bin out of the fit.
    ratio : (n_reg, n_bin)
        Exposure of the background spectrum in units of the source's; of no account where weight is 0.
    templates : (n_kT, n_bin)
        Count rates at norm 1 [count s^-1].
    kT : (n_kT,)
        Their temperatures [keV], ascending: the range of the fit.

    Returns
    -------
    (n_reg,) FIT_DTYPE
        A region's row depends on that region alone. A region that cannot be fitted has NaN in every
        number and says why in `flags` (FitFlag).

    Raises
    ------
    ConfigError
        If shapes disagree or templates are not finite, not negative, and of ascending kT.
    """
    T, nodes = np.ascontiguousarray(templates, np.float64), np.ascontiguousarray(kT, np.float64)
    spectra = [np.ascontiguousarray(a, np.float64) for a in (source, background, weight, ratio)]
    if nodes.ndim != 1 or len(nodes) < 2 or not np.all(np.diff(nodes) > 0):
        raise ConfigError(
            f"kT of the templates: found shape {nodes.shape}, expected 2 or more ascending temperatures"
        )
    if T.ndim != 2 or len(T) != len(nodes) or not (np.all(np.isfinite(T)) and np.all(T >= 0)):
        raise ConfigError(
            f"templates: found shape {T.shape}, expected ({len(nodes)}, n_bin) finite rates >= 0"
        )
    shape = spectra[0].shape
    if len(shape) != 2 or shape[1] != T.shape[1] or any(a.shape != shape for a in spectra):
        shapes = [a.shape for a in spectra]
        raise ConfigError(f"spectra to fit: found shapes {shapes}, expected four times (n_reg, {T.shape[1]})")
    out = np.zeros(shape[0], FIT_DTYPE)
    numbers = np.full((shape[0], 7), np.nan)
    integers = np.zeros((shape[0], 2), np.int32)
    _fit_batch(*spectra, T, nodes, numbers, integers)
    for i, name in enumerate(("kT", "kT_lo", "kT_hi", "norm", "norm_lo", "norm_hi", "statistic")):
        out[name] = numbers[:, i]
    out["dof"], out["flags"] = integers[:, 0], integers[:, 1]
    return out


@njit(cache=True)
def _fit_batch(source, background, weight, ratio, templates, kT, numbers, integers):  # type: ignore[no-untyped-def]
    """Fit regions one after the other with the same scratch arrays."""
    n_kT, n_bin = templates.shape
    spectrum = np.empty((7, n_bin))  # S, B, r, weight; m and S / y of the last evaluation; scratch
    rates = np.empty((n_kT, n_bin))  # weight x template, of the nodes visited
    nodes = np.empty((n_kT, _N_COLUMNS))
    for region in range(source.shape[0]):
        flags, n_used = _load(source[region], background[region], weight[region], ratio[region], spectrum)
        integers[region, 0] = max(n_used - 2, 0)
        if flags == 0:
            flags = _fit_one(spectrum, templates, rates, nodes, kT, numbers[region])
        if flags & (_FAILED | _NO_COUNTS):
            numbers[region] = np.nan
        integers[region, 1] = flags


@njit(cache=True)
def _load(source, background, weight, ratio, spectrum):  # type: ignore[no-untyped-def]
    """Copy one region into the scratch arrays, bins out of the fit as bins without counts."""
    n_used, total = 0, 0.0
    for i in range(source.size):
        S, B, w, r = source[i], background[i], weight[i], ratio[i]
        if w == 0.0:
            S, B, r = 0.0, 0.0, 1.0
        else:
            # written so that NaN fails
            if not (0.0 <= S < np.inf and 0.0 <= B < np.inf and 0.0 < w < np.inf and 0.0 < r < np.inf):
                return _FAILED, 0
            n_used += 1
            total += S
        spectrum[0, i], spectrum[1, i], spectrum[2, i], spectrum[3, i] = S, B, r, w
    return (0 if total > 0.0 else _NO_COUNTS), n_used


# Columns of the table of nodes: state of the computation; sum of the rates; best norm and statistic
# there; second derivative by norm; slope of the statistic towards the neighbours.
_STATE, _RATE, _NORM, _W, _CURVATURE, _TO_LOWER, _TO_UPPER, _N_COLUMNS = range(8)
# `_W` is good to much less than 1 from _PROFILED on; the slopes are there from _EXACT on.
_UNSEEN, _LOADED, _SCANNED, _PROFILED, _EXACT = 0.0, 1.0, 2.0, 3.0, 4.0


@njit(cache=True)
def _need_rates(k, spectrum, templates, rates, nodes):  # type: ignore[no-untyped-def]
    """Make sure that the rates of node k are there."""
    if nodes[k, _STATE] == _UNSEEN:
        total = 0.0
        for i in range(templates.shape[1]):
            rates[k, i] = spectrum[3, i] * templates[k, i]
            total += rates[k, i]
        nodes[k, _RATE] = total
        nodes[k, _STATE] = _LOADED


@njit(cache=True)
def _derivatives(spectrum, rates, k, a, c):  # type: ignore[no-untyped-def]
    """W_a, W_c, W_aa, W_ac, W_cc on segment k."""
    return wstat_derivatives(
        spectrum[0],
        spectrum[1],
        spectrum[2],
        rates[k],
        rates[k + 1],
        a,
        c,
        spectrum[4],
        spectrum[5],
        spectrum[6],
    )


@njit(cache=True)
def _statistic(spectrum):  # type: ignore[no-untyped-def]
    """W at the place of the last call of `_derivatives`."""
    return wstat_sum(spectrum[0], spectrum[1], spectrum[2], spectrum[4], spectrum[5], spectrum[6])


@njit(cache=True)
def _polar(spectrum, rates, k, norm, t):  # type: ignore[no-untyped-def]
    """W_n, W_t, W_nn, W_nt, W_tt on segment k, by norm and by t."""
    g_a, g_c, h_aa, h_ac, h_cc = _derivatives(spectrum, rates, k, norm * (1.0 - t), norm * t)
    s = 1.0 - t
    w_n = s * g_a + t * g_c
    w_t = norm * (g_c - g_a)
    w_nn = s * s * h_aa + 2.0 * s * t * h_ac + t * t * h_cc
    w_nt = norm * (t * h_cc + (s - t) * h_ac - s * h_aa) + g_c - g_a
    w_tt = norm * norm * (h_cc - 2.0 * h_ac + h_aa)
    return w_n, w_t, w_nn, w_nt, w_tt


@njit(cache=True)
def _profile_norm(spectrum, rates, nodes, k, t, norm, fall):  # type: ignore[no-untyped-def]
    """Best norm at one kT, up to an expected fall of W; the last evaluation is at the norm returned.

    W_n rises with norm, and y >= m gives W_n >= 2 (sum of rates - total counts / norm): the root is
    below total counts / sum of rates.
    """
    rate = (1.0 - t) * nodes[k, _RATE] + t * nodes[k + 1, _RATE]
    if rate <= 0.0:
        return 0.0
    lo, hi = 0.0, spectrum[0].sum() / rate
    if not 0.0 < norm < hi:
        norm = 0.5 * hi
    for _ in range(_MAX_STEPS):
        w_n, _, w_nn, _, _ = _polar(spectrum, rates, k, norm, t)
        if 0.5 * w_n * w_n <= fall * w_nn:
            break
        if w_n < 0.0:
            lo = norm
        else:
            hi = norm
        trial = norm - w_n / w_nn if w_nn > 0.0 else -1.0
        if lo < trial < hi:
            norm = trial
        elif lo > 0.0:
            norm = 0.5 * (lo + hi)
        else:
            if _polar(spectrum, rates, k, 0.0, t)[0] >= 0.0:
                return 0.0
            norm = 0.1 * hi
    return norm


@njit(cache=True)
def _need_node(k, state, guess, spectrum, templates, rates, nodes):  # type: ignore[no-untyped-def]
    """Make sure that the profile at node k is known as well as `state` says."""
    if nodes[k, _STATE] >= state:
        return
    last = templates.shape[0] - 1
    # node k as the lower end of a segment, except the last one
    segment, t = (k, 0.0) if k < last else (k - 1, 1.0)
    _need_rates(segment, spectrum, templates, rates, nodes)
    _need_rates(segment + 1, spectrum, templates, rates, nodes)
    if nodes[k, _STATE] >= _SCANNED:
        guess = nodes[k, _NORM]
    fall = _SCAN_FALL if state == _SCANNED else (_PROFILE_FALL if state == _PROFILED else _BEST_FALL)
    norm = _profile_norm(spectrum, rates, nodes, segment, t, guess, fall)
    w_n, _, w_nn, _, _ = _polar(spectrum, rates, segment, norm, t)
    W = _statistic(spectrum)
    if norm > 0.0 and w_nn > 0.0:
        W -= 0.5 * w_n * w_n / w_nn
    if state == _EXACT:
        to_upper, to_lower = np.inf, np.inf
        if k < last:
            to_upper = _slope(spectrum, rates[k + 1])
        if k > 0:
            _need_rates(k - 1, spectrum, templates, rates, nodes)
            to_lower = _slope(spectrum, rates[k - 1])
        nodes[k, _TO_UPPER], nodes[k, _TO_LOWER] = to_upper, to_lower
    nodes[k, _NORM], nodes[k, _W], nodes[k, _CURVATURE], nodes[k, _STATE] = norm, W, w_nn, state


@njit(cache=True, **STRICT)
def _slope(spectrum, rate):  # type: ignore[no-untyped-def]
    """Derivative of W by the amount of a component added at the place last evaluated."""
    total = 0.0
    for i in range(rate.size):
        total += (1.0 - spectrum[5, i]) * rate[i]
    return 2.0 * total


@njit(cache=True)
def _best_on_segment(k, spectrum, rates, nodes):  # type: ignore[no-untyped-def]
    """Minimum inside segment k, whose profile falls inwards at both ends: (t, norm, W)."""
    fall_lo, fall_hi = nodes[k, _NORM] * nodes[k, _TO_UPPER], nodes[k + 1, _NORM] * nodes[k + 1, _TO_LOWER]
    lo, hi = 0.0, 1.0
    t = fall_lo / (fall_lo + fall_hi)
    norm = (1.0 - t) * nodes[k, _NORM] + t * nodes[k + 1, _NORM]
    for _ in range(_MAX_STEPS):
        w_n, w_t, w_nn, w_nt, w_tt = _polar(spectrum, rates, k, norm, t)
        if not 0.5 * w_n * w_n <= _PROFILE_FALL * w_nn:
            norm = _profile_norm(spectrum, rates, nodes, k, t, norm, _PROFILE_FALL)
            w_n, w_t, w_nn, w_nt, w_tt = _polar(spectrum, rates, k, norm, t)
        if not (w_nn > 0.0 and norm > 0.0):
            break
        slope, curvature = w_t - w_n * w_nt / w_nn, w_tt - w_nt * w_nt / w_nn
        if slope < 0.0:
            lo = t
        else:
            hi = t
        trial = t - slope / curvature if curvature > 0.0 else -1.0
        if not lo < trial < hi:
            trial = 0.5 * (lo + hi)
        norm = max(norm - w_n / w_nn - w_nt / w_nn * (trial - t), 0.1 * norm)
        left = max(0.5 * slope * slope / curvature, 0.5 * w_n * w_n / w_nn) if curvature > 0.0 else np.inf
        t = trial
        if left < _BEST_FALL or hi - lo < 1e-12:
            break
    _polar(spectrum, rates, k, norm, t)
    return t, norm, _statistic(spectrum)


@njit(cache=True)
def _kT_end(k, t_in, norm_in, W_in, t_out, target, W_best, spectrum, rates, nodes):  # type: ignore[no-untyped-def]
    """Place t on segment k, from t_in (below) to the node t_out (above), where the profile is `target`."""
    j = k + 1 if t_out == 1.0 else k
    norm_out, W_out = nodes[j, _NORM], nodes[j, _W]
    z_in, z_out = np.sqrt(max(W_in - W_best, 0.0)), np.sqrt(W_out - W_best)
    goal = np.sqrt(target - W_best)
    inside, outside = t_in, t_out
    t = t_in + (t_out - t_in) * min(max((goal - z_in) / (z_out - z_in), 0.0), 1.0)
    norm = norm_in + (norm_out - norm_in) * (t - t_in) / (t_out - t_in)
    for _ in range(_MAX_STEPS):
        w_n, w_t, w_nn, w_nt, _ = _polar(spectrum, rates, k, norm, t)
        if not 0.5 * w_n * w_n <= _PROFILE_FALL * w_nn:
            norm = _profile_norm(spectrum, rates, nodes, k, t, norm, _PROFILE_FALL)
            w_n, w_t, w_nn, w_nt, _ = _polar(spectrum, rates, k, norm, t)
        W, slope, to_best = _statistic(spectrum), w_t, 0.0
        if w_nn > 0.0 and norm > 0.0:
            to_best = w_n / w_nn
            W -= 0.5 * w_n * to_best
            slope -= to_best * w_nt
        if W < target:
            inside = t
        else:
            outside = t
        z = np.sqrt(max(W - W_best, 0.0))
        trial = t + (goal - z) * 2.0 * z / slope if slope != 0.0 else np.inf
        if not min(inside, outside) <= trial <= max(inside, outside):
            trial = 0.5 * (inside + outside)
        if w_nn > 0.0:
            norm = max(norm - to_best - w_nt / w_nn * (trial - t), 0.1 * norm)
        t = trial
        if abs(W - target) < _RISE_ERROR or abs(outside - inside) < 1e-12:
            break
    return t


@njit(cache=True)
def _norm_end(k, t, norm_in, norm, side, target, W_best, spectrum, rates, nodes):  # type: ignore[no-untyped-def]
    """Most extreme norm (side = 1 or -1) on segment k with W <= target; NaN if there is none.

    (norm_in, t) lies below the target, `norm` is a first guess. Q(norm) = min over t of W is convex.
    """
    goal = np.sqrt(target - W_best)
    inside = norm_in
    outside = np.inf if side > 0 else 0.0
    for _ in range(_MAX_STEPS):
        t, Q, slope, drift = _profile_t(k, norm, t, spectrum, rates)
        if Q < target:
            inside = norm
        else:
            outside = norm
        if abs(Q - target) < _RISE_ERROR and slope != 0.0:
            z = np.sqrt(max(Q - W_best, 0.0))
            return norm + (goal - z) * 2.0 * z / slope
        z = np.sqrt(max(Q - W_best, 0.0))
        trial = norm + (goal - z) * 2.0 * z / slope if slope * side > 0.0 else np.nan
        if not min(inside, outside) < trial < max(inside, outside):
            trial = 0.5 * (inside + outside) if outside < np.inf else 2.0 * inside
        t = min(max(t + drift * (trial - norm), 0.0), 1.0)
        norm = trial
        if abs(outside - inside) <= 1e-12 * abs(inside):
            return inside
    return np.nan


@njit(cache=True)
def _profile_t(k, norm, t, spectrum, rates):  # type: ignore[no-untyped-def]
    """Best t in [0, 1] on segment k at fixed norm: t, W there, its slope by norm, and dt/dnorm."""
    lo, hi = 0.0, 1.0
    w_n, w_t, w_nn, w_nt, w_tt = 0.0, 0.0, 0.0, 0.0, 0.0
    for _ in range(_MAX_STEPS):
        w_n, w_t, w_nn, w_nt, w_tt = _polar(spectrum, rates, k, norm, t)
        if (t == 0.0 and w_t >= 0.0) or (t == 1.0 and w_t <= 0.0):
            return t, _statistic(spectrum), w_n, 0.0
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
    W = _statistic(spectrum)
    if not w_tt > 0.0:
        return t, W, w_n, 0.0
    best = min(max(t - w_t / w_tt, 0.0), 1.0)
    W += (best - t) * (w_t + 0.5 * w_tt * (best - t))
    return best, W, w_n + w_nt * (best - t), -w_nt / w_tt


@njit(cache=True)
def _promise(k, side, target, nodes):  # type: ignore[no-untyped-def]
    """Estimate of side x log of the most extreme norm (side = 1 or -1) at node k."""
    norm, curvature = nodes[k, _NORM], nodes[k, _CURVATURE]
    if not (norm > 0.0 and curvature > 0.0):
        return -np.inf
    return side * np.log(norm) + min(np.sqrt(2.0 * (target - nodes[k, _W]) / curvature) / norm, 5.0)


@njit(cache=True)
def _fit_one(spectrum, templates, rates, nodes, kT, result):  # type: ignore[no-untyped-def]
    """Fit the region in `spectrum`; fills `result`, returns flags."""
    last = kT.size - 1
    nodes[:] = 0.0
    k, t, norm, W = _global_minimum(spectrum, templates, rates, nodes, last)
    if not norm > 0.0:
        return _NO_COUNTS if norm == 0.0 else _FAILED
    flags = 0
    target = W + _RISE
    if k == 0 and t == 0.0:
        flags |= _AT_BOUND_LOW
    if k == last - 1 and t == 1.0:
        flags |= _AT_BOUND_HIGH
    result[0] = kT[k] + t * (kT[k + 1] - kT[k])
    result[3], result[6] = norm, W

    # no source at all is the same at every kT: if that is within the interval, everything is
    _polar(spectrum, rates, k, 0.0, 0.0)
    if _statistic(spectrum) < target:
        return flags | _KT_LO_OPEN | _KT_HI_OPEN | _NORM_LO_OPEN | _NORM_HI_OPEN

    # upwards: outer node j
    j, t_in, norm_in, W_in = (k + 1, t, norm, W) if t < 1.0 else (k + 2, 0.0, norm, W)
    while j <= last:
        _need_node(j, _PROFILED, norm_in, spectrum, templates, rates, nodes)
        if nodes[j, _W] >= target:
            break
        t_in, norm_in, W_in = 0.0, nodes[j, _NORM], nodes[j, _W]
        j += 1
    if j > last:
        flags |= _KT_HI_OPEN
    else:
        end = _kT_end(j - 1, t_in, norm_in, W_in, 1.0, target, W, spectrum, rates, nodes)
        result[2] = kT[j - 1] + end * (kT[j] - kT[j - 1])
    above = j

    j, t_in, norm_in, W_in = (k, t, norm, W) if t > 0.0 else (k - 1, 1.0, norm, W)
    while j >= 0:
        _need_node(j, _PROFILED, norm_in, spectrum, templates, rates, nodes)
        if nodes[j, _W] >= target:
            break
        t_in, norm_in, W_in = 1.0, nodes[j, _NORM], nodes[j, _W]
        j -= 1
    if j < 0:
        flags |= _KT_LO_OPEN
    else:
        end = _kT_end(j, t_in, norm_in, W_in, 0.0, target, W, spectrum, rates, nodes)
        result[1] = kT[j] + end * (kT[j + 1] - kT[j])
    below = j

    w_n, w_t, w_nn, w_nt, w_tt = _polar(spectrum, rates, k, norm, t)
    variance = w_nn - w_nt * w_nt / w_tt if w_tt > 0.0 else w_nn
    step = np.sqrt(2.0 / variance) if variance > 0.0 else norm
    drift = -w_nt / w_tt if w_tt > 0.0 else 0.0
    for side in (1, -1):
        guess = norm + side * step if norm + side * step > 0.0 else 0.5 * norm
        t_guess = min(max(t + drift * (guess - norm), 0.0), 1.0)
        end = _norm_end(k, t_guess, norm, guess, side, target, W, spectrum, rates, nodes)
        # the node inside the interval of kT that promises the most extreme norm, and from there
        # segment by segment upwards and downwards as long as it helps
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
                        guess = np.exp(side * _promise(i, side, target, nodes))
                        other = _norm_end(
                            segment, t_node, nodes[i, _NORM], guess, side, target, W, spectrum, rates, nodes
                        )
                        if not (np.isnan(end) or side * other > side * end):
                            break
                        end = other
                    i += direction
        result[5 if side > 0 else 4] = end
    if not result[5] < np.inf:
        flags |= _NORM_HI_OPEN
        result[5] = np.nan
    if not result[4] > 0.0:
        flags |= _NORM_LO_OPEN
        result[4] = np.nan
    return flags


@njit(cache=True)
def _global_minimum(spectrum, templates, rates, nodes, last):  # type: ignore[no-untyped-def]
    """Best (segment, t, norm, W) over the whole range of kT."""
    # scan; the source counts of one node are the guess for the next
    n_scan = (last + _STRIDE - 1) // _STRIDE + 1
    guess = 0.0
    for i in range(n_scan):
        k = min(i * _STRIDE, last)
        _need_rates(k, spectrum, templates, rates, nodes)
        if nodes[k, _RATE] > 0.0:
            _need_node(k, _SCANNED, guess / nodes[k, _RATE], spectrum, templates, rates, nodes)
            guess = nodes[k, _NORM] * nodes[k, _RATE]
        else:
            _need_node(k, _SCANNED, 0.0, spectrum, templates, rates, nodes)
    best_k, best_t, best_norm, best_W = 0, 0.0, 0.0, np.inf
    for i in range(n_scan):
        k, lower, upper = min(i * _STRIDE, last), max((i - 1) * _STRIDE, 0), min((i + 1) * _STRIDE, last)
        # of nodes with equal statistic each counts as a minimum
        if nodes[k, _W] > min(nodes[lower, _W], nodes[upper, _W]) + 2.0 * _SCAN_FALL:
            continue
        for j in range(lower, upper + 1):
            _need_node(j, _EXACT, nodes[k, _NORM], spectrum, templates, rates, nodes)
            if nodes[j, _W] < best_W:
                best_k, best_t, best_norm, best_W = j, 0.0, nodes[j, _NORM], nodes[j, _W]
        for j in range(lower, upper):
            if nodes[j, _NORM] > 0.0 and nodes[j, _TO_UPPER] < 0.0 and nodes[j + 1, _TO_LOWER] < 0.0:
                t, norm, W = _best_on_segment(j, spectrum, rates, nodes)
                if W < best_W:
                    best_k, best_t, best_norm, best_W = j, t, norm, W
    if best_k == last:
        best_k, best_t = last - 1, 1.0
    return best_k, best_t, best_norm, best_W
