"""The fit of a point source that stands on smooth extended emission.

Model of the counts in a round window, with exposure e relative to that under the source:
mu = e (exp(quadratic polynomial of the position) + S P) + known sources, P a Gaussian integrated over pixels.
The exponential of a polynomial follows the gradient and the curvature of a cluster and is never negative.
A weak prior keeps it flat where there are no counts. Maximum of the Poisson likelihood by Fisher scoring.
"""

from math import erf, exp, log, pi, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

N_BACKGROUND = 6
_N = N_BACKGROUND + 3  # and S, row, col of the source
_PRIOR = 1.0  # standard deviation of the change of log(background) from the middle of the window to its rim
_LEAST_EXPOSURE = 0.1  # pixels below this share of the window's best exposure are left out: maps err at edges

WIDTHS = np.array([1.0, 1.3, 1.7, 2.2, 2.9, 3.8])
"""Widths of the source that are tried, in units of the point spread."""


@njit(cache=True)
def _profile(n: int, centre: float, sigma: float, share: NDArray, slope: NDArray) -> None:
    """Share of a Gaussian in each of n pixels, and its derivative by the centre."""
    norm = 1.0 / (sqrt(2.0 * pi) * sigma)
    for i in range(n):
        low, high = (i - 0.5 - centre) / sigma, (i + 0.5 - centre) / sigma
        share[i] = 0.5 * (erf(high / sqrt(2.0)) - erf(low / sqrt(2.0)))
        slope[i] = norm * (exp(-0.5 * low * low) - exp(-0.5 * high * high))


@njit(cache=True)
def _evaluate(
    counts, exposure, known, half, p, sigma, n_free, row_share, row_slope, col_share, col_slope, gradient, fisher
):  # fmt: skip
    """Penalised log-likelihood; its gradient and Fisher matrix in the first n_free parameters."""
    n = counts.shape[0]
    middle = (n - 1) // 2
    _profile(n, p[7], sigma, row_share, row_slope)
    _profile(n, p[8], sigma, col_share, col_slope)
    gradient[:] = 0.0
    fisher[:, :] = 0.0
    d = np.empty(_N)
    total = 0.0
    for i in range(n):
        y = (i - middle) / half
        for j in range(n):
            e = exposure[i, j]
            if e <= 0.0:
                continue
            x = (j - middle) / half
            background = e * exp(
                min(p[0] + p[1] * y + p[2] * x + p[3] * y * y + p[4] * x * y + p[5] * x * x, 50.0)
            )
            share = e * row_share[i] * col_share[j]
            mu = background + p[6] * share + known[i, j] + 1e-12
            total += counts[i, j] * log(mu) - mu
            d[0], d[1], d[2] = background, background * y, background * x
            d[3], d[4], d[5] = background * y * y, background * x * y, background * x * x
            d[6] = share
            d[7] = p[6] * e * row_slope[i] * col_share[j]
            d[8] = p[6] * e * row_share[i] * col_slope[j]
            residual = counts[i, j] / mu - 1.0
            for k in range(n_free):
                gradient[k] += residual * d[k]
                for m in range(k + 1):
                    fisher[k, m] += d[k] * d[m] / mu
    for k in range(1, N_BACKGROUND):
        total -= 0.5 * (p[k] / _PRIOR) ** 2
        gradient[k] -= p[k] / _PRIOR**2
        fisher[k, k] += 1.0 / _PRIOR**2
    for k in range(n_free):
        for m in range(k):
            fisher[m, k] = fisher[k, m]
        fisher[k, k] = fisher[k, k] * (1.0 + 1e-9) + 1e-9
    return total


@njit(cache=True)
def _maximise(counts, exposure, known, half, p, sigma, n_free, reach):
    """Climb to the maximum in the first n_free parameters, in place; the source moves at most ``reach``."""
    n = counts.shape[0]
    shares = np.empty((4, n))
    gradient, fisher = np.empty(_N), np.empty((_N, _N))
    row0, col0 = p[7], p[8]
    args = (counts, exposure, known, half)
    best = _evaluate(*args, p, sigma, n_free, shares[0], shares[1], shares[2], shares[3], gradient, fisher)
    trial = p.copy()
    for _ in range(40):
        step = np.linalg.solve(fisher[:n_free, :n_free].copy(), gradient[:n_free].copy())
        factor, gain = 1.0, 0.0
        for _ in range(8):
            for k in range(n_free):
                change = factor * step[k]
                if k < N_BACKGROUND:
                    change = min(max(change, -2.0), 2.0)
                trial[k] = p[k] + change
            trial[6] = max(trial[6], 0.0)
            if n_free == _N:
                trial[7] = min(max(trial[7], row0 - reach), row0 + reach)
                trial[8] = min(max(trial[8], col0 - reach), col0 + reach)
            value = _evaluate(
                *args, trial, sigma, n_free, shares[0], shares[1], shares[2], shares[3], gradient, fisher
            )
            gain = value - best
            if gain >= 0.0:
                break
            factor *= 0.5
        if gain < 0.0:
            break
        p[:] = trial
        best = value
        if gain < 1e-3:
            break
    return best


@njit(cache=True)
def fit_point(
    counts: NDArray,
    exposure: NDArray,
    known: NDArray,
    row: float,
    col: float,
    sigma: float,
    half: int,
    widths: NDArray,
    result: NDArray,
) -> None:
    """Fit one source in the window of ``half`` pixels about it.

    Parameters
    ----------
    counts, exposure, known : (ny, nx)
        Counts, exposure [s], counts expected of other point sources.
    row, col : float
        Where the source is about; it may move by sigma, and by a pixel at least.
    sigma : float
        Of the point spread [pixels].
    half : int
        Radius of the window [pixels].
    widths : (n,)
        Widths to try with the position found, in units of ``sigma``, ascending from 1.
    result : (7,) float64
        Filled with: test statistic 2 ln(L/L0) of a point source; its row, col and counts; background and known
        counts within R90; width with the highest likelihood; by how much its 2 ln L exceeds that of a point.
        All 0 where too little of the source is seen.
    """
    ny, nx = counts.shape
    row0, col0 = int(round(row)), int(round(col))
    n = 2 * half + 1
    c, e, k = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    highest = 0.0
    for i in range(n):
        for j in range(n):
            y, x = row0 + i - half, col0 + j - half
            inside = (i - half) ** 2 + (j - half) ** 2 <= (half + 0.5) ** 2
            if inside and 0 <= y < ny and 0 <= x < nx:
                e[i, j] = exposure[y, x]
                highest = max(highest, e[i, j])
    result[:] = 0.0
    total, seen, area = 0.0, 0.0, 0.0
    spread = sigma * sigma + 1.0 / 12.0
    for i in range(n):
        for j in range(n):
            weight = exp(-0.5 * ((i - half) ** 2 + (j - half) ** 2) / spread)
            area += weight
            if e[i, j] <= _LEAST_EXPOSURE * highest:
                e[i, j] = 0.0
                continue
            y, x = row0 + i - half, col0 + j - half
            seen += weight * e[i, j]
            c[i, j], k[i, j] = counts[y, x], known[y, x]
            total += c[i, j] - k[i, j]
    if highest <= 0.0 or seen < 0.3 * area * highest:
        return
    reference = seen / area
    exposed = 0.0
    for i in range(n):
        for j in range(n):
            e[i, j] /= reference
            exposed += e[i, j]
    p = np.zeros(_N)
    p[0] = log(max(total, 0.5) / exposed)
    p[7], p[8] = half + row - row0, half + col - col0
    null = _maximise(c, e, k, half, p, sigma, N_BACKGROUND, 0.0)
    p[6] = 1.0 + max(c[half, half] - e[half, half] * exp(p[0]) - k[half, half], 0.0)
    point = _maximise(c, e, k, half, p, sigma, _N, max(1.0, sigma))
    best, width = point, widths[0]
    q = p.copy()
    for m in range(1, len(widths)):
        value = _maximise(c, e, k, half, q, sigma * widths[m], N_BACKGROUND + 1, 0.0)
        if value > best:
            best, width = value, widths[m]
    background = 0.0
    reach = 2.0 * log(10.0) * spread
    for i in range(n):
        y = (i - half) / half
        for j in range(n):
            x = (j - half) / half
            if (i - p[7]) ** 2 + (j - p[8]) ** 2 <= reach:
                log_b = p[0] + p[1] * y + p[2] * x + p[3] * y * y + p[4] * x * y + p[5] * x * x
                background += e[i, j] * exp(min(log_b, 50.0)) + k[i, j]
    result[0] = 2.0 * (point - null)
    result[1], result[2] = row0 + p[7] - half, col0 + p[8] - half
    result[3] = p[6]
    result[4] = background
    result[5], result[6] = width, 2.0 * (best - point)
