"""Goodness of fit: the deviation of the statistic from its expectation for the best model.

If the model is right, a bin's statistic has an expectation and a variance that depend on the expected counts:
1 and 2 for many counts, as for chi^2, and very different values for few. Kaastra (2017, A&A 605, A51) gives
them for the C-statistic. Here they are sums over Poisson probabilities, for any statistic of
source counts S ~ Poisson(m + b) and background counts B ~ Poisson(r b):

    E = sum_S sum_B P(S) P(B) W(S, B; m, r),    V = sum_S sum_B P(S) P(B) W^2 - E^2.

For cstat the background is known: B = r b. The sums are tabulated once for each r over the counts m
and r b, from 0 to infinity; a region then costs one interpolation per bin. A fit of p parameters to n
bins lowers the expectation by p (Wilks) and takes p of the n independent terms from the variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import lgamma

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.arrays.compiled import kernel
from pyxt_hpc.arrays.views import read_only
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.spectra.kernels.statistics import STATISTICS, chi2gehrels, cstat, wstat

_FUNCTIONS = {"wstat": wstat, "cstat": cstat, "chi2gehrels": chi2gehrels}

# Nodes of the tables: x = s / (1 + s) from 0 to 1, s the square root of the counts. In x the moments are
# smooth at both ends (mu ln mu towards 0, 1 / s towards infinity); errors are below 0.002 in E, 0.02 in V.
_N_NODES = 65
_INFINITE = 1e6
# Sums run over +- _REACH standard deviations, where these are many counts in steps of 1 / _FINE of one: the
# trapezoidal rule is exact to 1e-8 for smooth functions under a Gaussian.
_REACH, _FINE = 6.0, 1.5
_IMPROBABLE = 1e-10
_MAX_TERMS = 200


@dataclass(frozen=True, eq=False)
class Moments:
    """Expectation and variance of a statistic, ready for interpolation.

    Attributes
    ----------
    tables : (n_ratio, n_node, n_node, 2) float64
        E and V for each different ratio, as functions of model counts and background counts.
    table_of_bin : (n_bin,) int32
        Index of the table of each bin.
    """

    tables: NDArray[np.float64]
    table_of_bin: NDArray[np.int32]


def statistic_per_bin(
    statistic: str, source: ArrayLike, background: ArrayLike, model: ArrayLike, ratio: ArrayLike
) -> NDArray[np.float64]:
    """Contribution of each bin to a statistic given by name; other arguments as for `statistics.wstat`.

    Raises
    ------
    ConfigError
        Unknown statistic.
    """
    _index(statistic)
    return _FUNCTIONS[statistic](source, background, model, ratio)


def moments(statistic: str, ratio: ArrayLike) -> Moments:
    """Tabulate the moments for every ratio (about 0.04 s each; tables are cached).

    Parameters
    ----------
    statistic : str
        One of `statistics.STATISTICS`.
    ratio : (n_bin,) > 0
        Exposure of the background spectrum over that of the source, for each bin.

    Raises
    ------
    ConfigError
        Unknown statistic, or ratios that are not positive numbers.
    """
    kind, ratio = _index(statistic), np.asarray(ratio, np.float64)
    if ratio.ndim != 1 or not np.all((ratio > 0) & (ratio < np.inf)):
        raise ConfigError(
            f"background exposure ratio: found {ratio}, expected one number above 0 for each spectral bin"
        )
    different, table_of_bin = np.unique(ratio, return_inverse=True)
    return Moments(np.stack([_table(kind, float(r)) for r in different]), table_of_bin.astype(np.int32))


def expected_statistic(
    model: ArrayLike, background: ArrayLike, weight: ArrayLike, tables: Moments
) -> NDArray[np.float64]:
    """Expectation and variance of the statistic at the true model, over the bins in use, and their number.

    Parameters
    ----------
    model : (n_reg, n_bin)
        Expected counts in the source spectrum, without background.
    background : (n_reg, n_bin)
        Expected counts in the background spectrum: a smooth expectation from the spectrum of a larger area,
        scaled to the region, and neither the observed counts nor wstat's estimate.
    weight : (n_reg, n_bin)
        0 where a bin is not used.

    Returns
    -------
    (n_reg, 3) float64
        E, V and n_bin; NaN where an expectation is not a number.
    """
    m, b, w = (np.ascontiguousarray(a, np.float64) for a in (model, background, weight))
    n_bin = len(tables.table_of_bin)
    if m.ndim != 2 or m.shape[1] != n_bin or not m.shape == b.shape == w.shape:
        raise ConfigError(
            f"goodness of fit: found shapes {m.shape}, {b.shape}, {w.shape}, expected (n_reg, {n_bin})"
        )
    sums = np.empty((len(m), 3))
    _fill_sums(m, b, w, read_only(tables.tables), tables.table_of_bin, sums)
    return sums


def goodness(
    statistic: ArrayLike,
    n_free: ArrayLike,
    model: ArrayLike,
    background: ArrayLike,
    weight: ArrayLike,
    tables: Moments,
) -> NDArray[np.float64]:
    """Standard deviations by which the best statistic lies above its expectation.

    Parameters
    ----------
    statistic : (n_reg,)
        At the best fit.
    n_free : int or (n_reg,)
        Number of fitted parameters.
    model, background, weight : (n_reg, n_bin)
    tables : Moments
        See `expected_statistic`.

    Returns
    -------
    (n_reg,) float64
        Approximately normally distributed with mean 0 and scatter 1 if the model is right (for chi2gehrels
        only with many counts, since its fits are biased); NaN if `statistic` is NaN or too few bins are used.
    """
    expectation, variance, n = expected_statistic(model, background, weight, tables).T
    p = np.asarray(n_free, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = variance * (n - p) / n
        z = (np.asarray(statistic, np.float64) - (expectation - p)) / np.sqrt(variance)
    return np.where(variance > 0, z, np.nan)


def _index(statistic: str) -> int:
    if statistic not in STATISTICS:
        raise ConfigError(f"statistic: found {statistic!r}, expected one of {', '.join(STATISTICS)}")
    return STATISTICS.index(statistic)


@lru_cache(maxsize=128)
def _table(kind: int, ratio: float) -> NDArray[np.float64]:
    """E and V of one statistic and ratio: (n_node, n_node, 2)."""
    s = np.arange(_N_NODES - 1) / np.arange(_N_NODES - 1, 0, -1)
    counts = np.append(s * s, _INFINITE)
    table = np.empty((_N_NODES, _N_NODES, 2))
    _fill_table(kind, ratio, counts, np.empty((4, _MAX_TERMS)), table)
    table.setflags(write=False)
    return table


@kernel
def _statistic_of_bin(kind, S, B, m, r):  # type: ignore[no-untyped-def]
    """Statistic (index in STATISTICS) of one bin; wstat as derived in `spectra.statistics`."""
    if kind == 0:
        u = (1.0 + r) * m + B - S
        y = (u + 2.0 * S + np.sqrt(u * u + 4.0 * S * B)) / (2.0 * (1.0 + r))
        x = S / y if S > 0.0 else 0.0
        W = m * (1.0 - x)
        if S > 0.0:
            W += S * np.log(x)
        if B > 0.0:
            W += B * np.log((1.0 + r - x) / r)
        return 2.0 * W
    if kind == 1:
        y = m + B / r
        return 2.0 * (y - S + S * np.log(S / y)) if S > 0.0 else 2.0 * y
    sigma_S, sigma_B = 1.0 + np.sqrt(S + 0.75), (1.0 + np.sqrt(B + 0.75)) / r
    return (S - B / r - m) ** 2 / (sigma_S * sigma_S + sigma_B * sigma_B)


@kernel
def _poisson(mean, counts, probability):  # type: ignore[no-untyped-def]
    """Fill in the counts of a sum and their probabilities; return their number."""
    if mean <= 0.0:
        counts[0], probability[0] = 0.0, 1.0
        return 1
    sigma = np.sqrt(mean)
    value, step = max(np.floor(mean - _REACH * sigma), 0.0), 1.0
    if value > 0.0:
        step = max(np.floor(sigma / _FINE), 1.0)
    n, total = 0, 0.0
    while n < counts.size:
        p = np.exp(value * np.log(mean) - mean - lgamma(value + 1.0))
        if value > mean + _REACH * sigma and p < _IMPROBABLE:
            break
        counts[n], probability[n] = value, p
        total += p
        n += 1
        value += step
    for i in range(n):
        probability[i] /= total
    return n


@kernel
def _fill_table(kind, ratio, counts, scratch, table):  # type: ignore[no-untyped-def]
    S, P_S, B, P_B = scratch[0], scratch[1], scratch[2], scratch[3]
    for j in range(counts.size):
        if kind == 1:
            n_B, B[0], P_B[0] = 1, counts[j], 1.0
        else:
            n_B = _poisson(counts[j], B, P_B)
        for i in range(counts.size):
            m = counts[i]
            n_S = _poisson(m + counts[j] / ratio, S, P_S)
            first, second = 0.0, 0.0
            for k in range(n_S):
                for q in range(n_B):
                    W = _statistic_of_bin(kind, S[k], B[q], m, ratio)
                    first += P_S[k] * P_B[q] * W
                    second += P_S[k] * P_B[q] * W * W
            table[i, j, 0] = first
            table[i, j, 1] = second - first * first


@kernel
def _fill_sums(model, background, weight, tables, table_of_bin, out):  # type: ignore[no-untyped-def]
    last = tables.shape[1] - 1
    for region in range(model.shape[0]):
        E, V, n = 0.0, 0.0, 0
        for i in range(model.shape[1]):
            if weight[region, i] == 0.0:
                continue
            m, b = model[region, i], background[region, i]
            # This form of the condition is also true for NaN.
            if not (0.0 <= m < np.inf and 0.0 <= b < np.inf):
                E = np.nan
                break
            s_m, s_b = np.sqrt(m), np.sqrt(b)
            u, v = last * s_m / (1.0 + s_m), last * s_b / (1.0 + s_b)
            j, k = min(int(u), last - 1), min(int(v), last - 1)
            u -= j
            v -= k
            table = tables[table_of_bin[i]]
            w00, w01, w10, w11 = (1.0 - u) * (1.0 - v), (1.0 - u) * v, u * (1.0 - v), u * v
            E += w00 * table[j, k, 0] + w01 * table[j, k + 1, 0]
            E += w10 * table[j + 1, k, 0] + w11 * table[j + 1, k + 1, 0]
            V += w00 * table[j, k, 1] + w01 * table[j, k + 1, 1]
            V += w10 * table[j + 1, k, 1] + w11 * table[j + 1, k + 1, 1]
            n += 1
        out[region, 0], out[region, 2] = E, n
        out[region, 1] = V if E == E else np.nan
