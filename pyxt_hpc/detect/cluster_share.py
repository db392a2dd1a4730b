"""The cluster's share of the counts in a background region, from a beta model of the radial profile."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from scipy.special import xlogy

_SMOOTHING = 4.0  # pixels, to find the peak
_MIN_EXPOSURE = 0.3  # fraction of the largest exposure, above which the peak is sought
_RINGS = 60
_BETA_RANGE = (0.4, 1.5)  # clusters have 0.5 to 0.9
_MIN_COUNTS = 400  # smallest number of counts for a profile
_MIN_RADIUS = 0.5  # smallest radius of the fitted profile, over the distance of the region


@dataclass(frozen=True)
class BetaAndBackground:
    """S(r) = S_0 (1 + (r/r_c)^2)^(1/2 - 3 beta) + B about (row, col); counts per second and pixel."""

    row: float
    col: float
    peak: float
    core: float
    beta: float
    flat: float

    def cluster(self, radius: NDArray[np.float64]) -> NDArray[np.float64]:
        """Brightness of the cluster alone at radii [pixels]."""
        return self.peak * _shape(radius, self.core, self.beta)


def cluster_share(
    counts: NDArray[np.integer],
    exposure: NDArray[np.floating],
    region: NDArray[np.bool_],
    *,
    min_background: float = 0.0,
) -> float | None:
    """Fraction (0 to 1) of the counts in a region (ny, nx) that come from the cluster.

    The fit finds the background level, but not below ``min_background`` [count s^-1 per pixel], because a
    profile that falls to the edge of the field does not constrain it. The background is assumed proportional
    to the exposure (ny, nx) [s], which is 0 where sources were cut out. Returns None if there are too few
    counts for a profile, or no exposure in the region.
    """
    region = region & (exposure > 0)
    if counts[exposure > 0].sum() < _MIN_COUNTS or not region.any():
        return None
    row, col = _peak(counts, exposure)
    y, x = np.nonzero(region)
    radius = np.hypot(y - row, x - col)
    # Cores, edges and subclusters farther in do not follow a beta model; their many counts would dominate.
    beyond = _MIN_RADIUS * float(radius.min())
    profile = fit_profile(counts, exposure, (row, col), beyond=beyond, min_background=min_background)
    weight = exposure[region].astype(np.float64)
    cluster = float(weight @ profile.cluster(radius))
    return cluster / (cluster + profile.flat * float(weight.sum()))


def fit_profile(
    counts: NDArray[np.integer],
    exposure: NDArray[np.floating],
    centre: tuple[float, float] | None = None,
    *,
    beyond: float = 0.0,
    min_background: float = 0.0,
) -> BetaAndBackground:
    """Fit peak, core, slope and a flat background to the counts in rings, by their Poisson likelihood.

    The rings are centred on `centre` (row, col), or on the peak if it is None. The fit uses the rings with a
    mean radius of at least `beyond` [pixels]; the background is at least `min_background`.
    """
    row, col = centre or _peak(counts, exposure)
    live = exposure > 0
    y, x = np.nonzero(live)
    radius = np.hypot(y - row, x - col)
    # Rings grow outwards, so that all have similar numbers of counts from the cluster.
    ring = np.minimum((np.sqrt(radius / (radius.max() + 1.0)) * _RINGS).astype(np.int64), _RINGS - 1)
    weight = exposure[live].astype(np.float64)
    seen = np.bincount(ring, weight, _RINGS)
    middle = np.bincount(ring, weight * radius, _RINGS) / np.maximum(seen, 1e-300)
    used = (seen > 0) & (middle >= beyond)
    middle, seen, number = middle[used], seen[used], np.bincount(ring, counts[live], _RINGS)[used]
    rate = number / seen
    outer = max(float(np.median(rate[-len(rate) // 4 :])), 1e-3 / seen.sum())

    def expected(p: NDArray[np.float64]) -> NDArray[np.float64]:
        model: NDArray[np.float64] = seen * (
            np.exp(p[0]) * _shape(middle, np.exp(p[1]), p[2]) + np.exp(p[3]) + min_background
        )
        return model

    def cash(p: NDArray[np.float64]) -> float:
        if not (_BETA_RANGE[0] < p[2] < _BETA_RANGE[1] and 0.0 < p[1] < np.log(radius.max())):
            return np.inf
        model = expected(p)
        return float(2.0 * np.sum(model - xlogy(number, np.maximum(model, 1e-300))))

    best, value = np.zeros(4), np.inf
    for share in (0.02, 0.1):  # core radius over that of the field; 2 starts: compact, wide
        start = np.array(
            [
                np.log(max(rate[0], outer)),
                np.log(2.0 + share * radius.max()),
                0.65,
                np.log(max(0.7 * outer - min_background, 0.1 * outer)),
            ]
        )
        for _ in range(2):  # The second run starts with a new simplex, in case the first collapsed.
            found = minimize(cash, start, method="Nelder-Mead", options={"maxiter": 2000, "fatol": 1e-3})
            start = found.x
        if found.fun < value:
            best, value = found.x, found.fun
    return BetaAndBackground(
        row,
        col,
        *(float(v) for v in (np.exp(best[0]), np.exp(best[1]), best[2], np.exp(best[3]) + min_background)),
    )


def _shape(radius: NDArray[np.float64], core: float, beta: float) -> NDArray[np.float64]:
    profile: NDArray[np.float64] = (1.0 + (radius / core) ** 2) ** (0.5 - 3.0 * beta)
    return profile


def _peak(counts: NDArray[np.integer], exposure: NDArray[np.floating]) -> tuple[float, float]:
    smooth, seen = (gaussian_filter(image.astype(np.float64), _SMOOTHING) for image in (counts, exposure))
    rate = np.where(seen > _MIN_EXPOSURE * seen.max(), smooth / np.maximum(seen, 1e-300), 0.0)
    row, col = np.unravel_index(int(np.argmax(rate)), rate.shape)
    return float(row), float(col)
