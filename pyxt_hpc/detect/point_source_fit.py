"""Fit of a point source on extended emission.

The model of the counts in a round window, with exposure e relative to the mean under the source, is
mu = e (exp(Q + A step) + S P) + known sources. Q is a quadratic polynomial of the position, step a straight
edge such as a shock front, and P a Gaussian integrated over pixels. The exponential follows the gradient and
the curvature of a cluster and is never negative; a weak prior keeps it flat where there are no counts. The
Poisson likelihood is maximised by Fisher scoring.
"""

from math import cos, erf, exp, log, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import compiled

WIDTHS = np.array([1.0, 1.3, 1.7, 2.2, 2.9, 3.8])
"""Widths tried for the source, in units of the width of the point spread."""

_N_POLYNOMIAL = 6
_STEP, _COUNTS, _ROW, _COL = 6, 7, 8, 9  # further parameters
_N = 10
_SMOOTH = np.arange(_N_POLYNOMIAL)
_SMOOTH_AND_COUNTS = np.array([0, 1, 2, 3, 4, 5, _COUNTS])
_SMOOTH_AND_SOURCE = np.array([0, 1, 2, 3, 4, 5, _COUNTS, _ROW, _COL])
_EDGE = np.array([0, 1, 2, 3, 4, 5, _STEP])
_PRIOR = 1.0  # standard deviation of the change of log(background) from the middle of the window to its rim
_MIN_EXPOSURE = 0.1  # fraction of the window's highest; pixels below are left out, since maps err at edges
_SHARP = 0.4  # pixels: width of an edge that is not blurred by the point spread
_N_ANGLES = 12
_N_OFFSETS = 4  # to either side
_MAX_EDGE_SHIFT = 2.5  # largest distance of an edge from the source, in widths of the point spread


@compiled
def _profile(n: int, centre: float, sigma: float, share: NDArray, slope: NDArray) -> None:
    """Fill in the fraction of a Gaussian in each of n pixels, and its derivative by the centre."""
    norm = 1.0 / (sqrt(2.0 * pi) * sigma)
    for i in range(n):
        low, high = (i - 0.5 - centre) / sigma, (i + 0.5 - centre) / sigma
        share[i] = 0.5 * (erf(high / sqrt(2.0)) - erf(low / sqrt(2.0)))
        slope[i] = norm * (exp(-0.5 * low * low) - exp(-0.5 * high * high))


@compiled
def _background(p: NDArray, y: float, x: float, step: float) -> float:
    log_b = p[0] + p[1] * y + p[2] * x + p[3] * y * y + p[4] * x * y + p[5] * x * x + p[_STEP] * step
    return exp(min(log_b, 50.0))


@compiled
def _evaluate(
    images: NDArray, steps: NDArray, half: int, p: NDArray, sigma: float, free: NDArray,
    shares: NDArray, gradient: NDArray, fisher: NDArray,
) -> float:  # fmt: skip
    """Return the penalised log-likelihood; fill in its gradient and Fisher matrix for the free parameters."""
    n = steps.shape[0]
    _profile(n, p[_ROW], sigma, shares[0], shares[1])
    _profile(n, p[_COL], sigma, shares[2], shares[3])
    n_free = len(free)
    gradient[:] = 0.0
    fisher[:, :] = 0.0
    d = np.empty(_N)
    total = 0.0
    for i in range(n):
        y = (i - half) / half
        for j in range(n):
            e = images[1, i, j]
            if e <= 0.0:
                continue
            x = (j - half) / half
            b = e * _background(p, y, x, steps[i, j])
            share = e * shares[0, i] * shares[2, j]
            mu = b + p[_COUNTS] * share + images[2, i, j] + 1e-12
            total += images[0, i, j] * log(mu) - mu
            d[0], d[1], d[2], d[3], d[4], d[5] = b, b * y, b * x, b * y * y, b * x * y, b * x * x
            d[_STEP] = b * steps[i, j]
            d[_COUNTS] = share
            d[_ROW] = p[_COUNTS] * e * shares[1, i] * shares[2, j]
            d[_COL] = p[_COUNTS] * e * shares[0, i] * shares[3, j]
            residual = images[0, i, j] / mu - 1.0
            for k in range(n_free):
                gradient[k] += residual * d[free[k]]
                for m in range(k + 1):
                    fisher[k, m] += d[free[k]] * d[free[m]] / mu
    for k in range(n_free):
        if 1 <= free[k] <= _STEP:
            total -= 0.5 * (p[free[k]] / _PRIOR) ** 2
            gradient[k] -= p[free[k]] / _PRIOR**2
            fisher[k, k] += 1.0 / _PRIOR**2
        for m in range(k):
            fisher[m, k] = fisher[k, m]
        fisher[k, k] = fisher[k, k] * (1.0 + 1e-9) + 1e-9
    return total


@compiled
def _maximise(
    images: NDArray, steps: NDArray, half: int, p: NDArray, sigma: float, free: NDArray, reach: float
) -> float:  # fmt: skip
    """Maximise the likelihood over the free parameters of ``p``, in place, and return it.

    The source moves by at most ``reach`` [pixels] in row and column.
    """
    n_free = len(free)
    shares = np.empty((4, steps.shape[0]))
    gradient, fisher = np.empty(n_free), np.empty((n_free, n_free))
    row0, col0 = p[_ROW], p[_COL]
    best = _evaluate(images, steps, half, p, sigma, free, shares, gradient, fisher)
    trial = p.copy()
    for _ in range(40):
        step = np.linalg.solve(fisher, gradient)
        factor, value = 1.0, -np.inf
        for _ in range(8):
            for k in range(n_free):
                change = factor * step[k]
                if free[k] <= _STEP:
                    change = min(max(change, -2.0), 2.0)
                trial[free[k]] = p[free[k]] + change
            trial[_COUNTS] = max(trial[_COUNTS], 0.0)
            trial[_ROW] = min(max(trial[_ROW], row0 - reach), row0 + reach)
            trial[_COL] = min(max(trial[_COL], col0 - reach), col0 + reach)
            value = _evaluate(images, steps, half, trial, sigma, free, shares, gradient, fisher)
            if value >= best:
                break
            factor *= 0.5
        if not value >= best:
            break
        gain = value - best
        p[:] = trial
        best = value
        if gain < 1e-3:
            break
    return best


@compiled
def _cut(
    counts: NDArray, exposure: NDArray, known: NDArray, row0: int, col0: int, half: int, spread: float
) -> NDArray:  # fmt: skip
    """Counts, relative exposure and known counts (3, n, n) in a round window.

    The exposure is 0 outside of the window, and everywhere if too little of the source is seen.
    """
    ny, nx = counts.shape
    n = 2 * half + 1
    images = np.zeros((3, n, n))
    highest = 0.0
    for i in range(n):
        for j in range(n):
            y, x = row0 + i - half, col0 + j - half
            inside = (i - half) ** 2 + (j - half) ** 2 <= (half + 0.5) ** 2
            if inside and 0 <= y < ny and 0 <= x < nx:
                images[1, i, j] = exposure[y, x]
                highest = max(highest, exposure[y, x])
    seen, area = 0.0, 0.0
    for i in range(n):
        for j in range(n):
            weight = exp(-0.5 * ((i - half) ** 2 + (j - half) ** 2) / spread)
            area += weight
            if images[1, i, j] <= _MIN_EXPOSURE * highest:
                images[1, i, j] = 0.0
                continue
            seen += weight * images[1, i, j]
            images[0, i, j] = counts[row0 + i - half, col0 + j - half]
            images[2, i, j] = known[row0 + i - half, col0 + j - half]
    if highest <= 0.0 or seen < 0.3 * area * highest:
        images[1] = 0.0
        return images
    images[1] *= area / seen
    return images


@compiled
def _edge(images: NDArray, half: int, p: NDArray, sigma: float, spread: float, enough: float) -> float:
    """Largest log-likelihood of an edge instead of the source; the search ends above ``enough``."""
    n = 2 * half + 1
    steps = np.zeros((n, n))
    best = -np.inf
    scale = sqrt(spread)
    for width in (_SHARP, scale):
        for angle in range(_N_ANGLES):
            along_y, along_x = sin(pi * angle / _N_ANGLES), cos(pi * angle / _N_ANGLES)
            for offset in range(-_N_OFFSETS, _N_OFFSETS + 1):
                shift = _MAX_EDGE_SHIFT * scale * offset / _N_OFFSETS
                for i in range(n):
                    for j in range(n):
                        distance = (i - p[_ROW]) * along_y + (j - p[_COL]) * along_x - shift
                        steps[i, j] = 0.5 * erf(distance / (width * sqrt(2.0)))
                q = p.copy()
                q[_COUNTS] = 0.0
                best = max(best, _maximise(images, steps, half, q, sigma, _EDGE, 0.0))
                if best > enough:
                    return best
    return best


@compiled
def fit_point(
    counts: NDArray,
    exposure: NDArray,
    known: NDArray,
    row: float,
    col: float,
    sigma: float,
    half: int,
    threshold: float,
    result: NDArray,
) -> None:
    """Fit one source in a window of radius ``half`` [pixels].

    The images (ny, nx) are ``counts``, ``exposure`` [s] and ``known``, the expected counts of other point
    sources. The fit starts at ``row``, ``col``; the source may move by ``sigma``, the width of the point
    spread [pixels], or by a pixel if that is larger. Other widths and an edge are tried only if the test
    statistic is at least ``threshold``.

    ``result`` (8,) is filled with: the test statistic 2 ln(L/L0) of the source on smooth emission; its row,
    column and counts; background and known counts within R90; the width with the highest likelihood, in units
    of ``sigma``; and 2 ln L of this width, and of an edge instead of the source, each minus 2 ln L of the
    source (-inf if no edge was tried). All are 0 if too little of the source is seen.
    """
    result[:] = 0.0
    row0, col0 = round(row), round(col)
    n = 2 * half + 1
    spread = sigma * sigma + 1.0 / 12.0
    images = _cut(counts, exposure, known, row0, col0, half, spread)
    exposed = images[1].sum()
    if exposed <= 0.0:
        return
    steps = np.zeros((n, n))
    p = np.zeros(_N)
    p[0] = log(max(images[0].sum() - images[2].sum(), 0.5) / exposed)
    p[_ROW], p[_COL] = half + row - row0, half + col - col0
    null = _maximise(images, steps, half, p, sigma, _SMOOTH, 0.0)
    expected = images[1, half, half] * exp(p[0]) + images[2, half, half]
    p[_COUNTS] = 1.0 + max(images[0, half, half] - expected, 0.0)
    point = _maximise(images, steps, half, p, sigma, _SMOOTH_AND_SOURCE, max(1.0, sigma))
    statistic = 2.0 * (point - null)
    background = 0.0
    for i in range(n):
        for j in range(n):
            if (i - p[_ROW]) ** 2 + (j - p[_COL]) ** 2 <= 2.0 * log(10.0) * spread:
                b = _background(p, (i - half) / half, (j - half) / half, 0.0)
                background += images[1, i, j] * b + images[2, i, j]
    best, width, edge = point, 1.0, -np.inf
    if statistic >= threshold:
        q = p.copy()
        for m in range(1, len(WIDTHS)):
            value = _maximise(images, steps, half, q, sigma * WIDTHS[m], _SMOOTH_AND_COUNTS, 0.0)
            if value > best:
                best, width = value, WIDTHS[m]
        if p[_COUNTS] < 3.0 * background:  # No front adds three times the brightness around it.
            edge = 2.0 * (_edge(images, half, p, sigma, spread, point) - point)
    result[0] = statistic
    result[1], result[2], result[3] = row0 + p[_ROW] - half, col0 + p[_COL] - half, p[_COUNTS]
    result[4] = background
    result[5], result[6], result[7] = width, 2.0 * (best - point), edge
