"""The best beta-model of a cluster's surface brightness."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln, xlogy

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.maps.paint import Measured
from pyxt_hpc.preprocess.images import exposure_map

_MOST_CELLS = 160
"""A side of the image that is fitted; pixels are joined until it is no longer than this."""


@dataclass(frozen=True)
class BetaModel:
    """S(r) = S_0 (1 + (r/r_c)^2)^(1/2 - 3 beta) (Cavaliere & Fusco-Femiano 1976, A&A 49, 137).

    Parameters
    ----------
    row, col
        Centre [pixels, from 0].
    core
        r_c [pixels].
    beta
        Slope.
    peak
        S_0 [count s^-1 arcmin^-2].
    """

    row: float
    col: float
    core: float
    beta: float
    peak: float

    def radius(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Distance of every pixel from the centre, (ny, nx) [pixels]."""
        y, x = np.indices(shape, float)
        return np.hypot(y - self.row, x - self.col)

    def brightness(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """S of every pixel, (ny, nx) [count s^-1 arcmin^-2]."""
        return self.peak * (1.0 + (self.radius(shape) / self.core) ** 2) ** (0.5 - 3.0 * self.beta)

    def depth(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Length of a column whose emission the density at its middle would give, (ny, nx) [pixels].

        The density n = n_0 (1 + r^2/r_c^2)^(-3 beta/2) of a sphere has int n^2 dl = n(R)^2 L with
        L = sqrt(pi) Gamma(3 beta - 1/2)/Gamma(3 beta) sqrt(r_c^2 + R^2) at projected radius R.
        """
        factor = np.sqrt(np.pi) * np.exp(gammaln(3.0 * self.beta - 0.5) - gammaln(3.0 * self.beta))
        return factor * np.hypot(self.radius(shape), self.core)


def fit_beta_model(bundle: Bundle, smooth: Measured) -> BetaModel:
    """Fit centre, core, slope and peak to the counts by their Poisson likelihood (Cash 1979).

    Parameters
    ----------
    bundle
        The cluster.
    smooth
        Its smoothed brightness, in which the fit finds its start.

    Raises
    ------
    EmptySelection
        If the image does not determine a model: too few counts, or nothing that falls outwards.
    """
    shape = bundle.mask.shape
    exposure = exposure_map(bundle.observations) * (bundle.pixel_scale_arcsec / 60.0) ** 2
    live = (bundle.mask > 0) & (exposure > 0)
    factor = -(-max(shape) // _MOST_CELLS)
    counts, background, weight, number = (
        _joined(np.where(live, image, 0.0), factor)
        for image in (bundle.counts, bundle.background, exposure, np.ones(shape))
    )
    seen = number > 0
    y, x = (_joined(np.where(live, index, 0.0), factor)[seen] / number[seen] for index in np.indices(shape))
    counts, background, weight = counts[seen], background[seen], weight[seen]
    peak = np.unravel_index(np.nanargmax(smooth.value), shape)
    start = [float(peak[0]), float(peak[1]), np.log(0.05 * max(shape)), 0.65]
    total = counts.sum() - background.sum()
    if total < 100:
        raise EmptySelection(
            f"{bundle.name}: {total:.0f} counts above the background: too few for a beta-model"
        )

    def model(p: NDArray) -> tuple[NDArray, float]:
        profile = (1.0 + ((y - p[0]) ** 2 + (x - p[1]) ** 2) / np.exp(2 * p[2])) ** (0.5 - 3.0 * p[3])
        # the peak that gives the observed number of counts: exact at the maximum up to the background
        return profile, total / (weight @ profile)

    def cash(p: NDArray) -> float:
        if not (0.35 < p[3] < 3.0 and 0.0 < p[2] < np.log(3.0 * max(shape))):
            return np.inf
        profile, scale = model(p[:4])
        expected = weight * profile * scale * np.exp(p[4]) + background
        return float(2.0 * np.sum(expected - xlogy(counts, np.maximum(expected, 1e-300))))

    steps = np.array([3.0, 3.0, 0.4, 0.1, 0.05])
    best = np.array([*start, 0.0])
    for _ in range(3):  # a simplex that has collapsed starts anew
        simplex = np.vstack([best, best + np.diag(steps)])
        found = minimize(
            cash,
            best,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "maxiter": 1500, "xatol": 1e-3, "fatol": 1e-2},
        )
        best = found.x
    if not np.isfinite(found.fun) or not 0.36 < best[3] < 2.9:
        raise EmptySelection(
            f"{bundle.name}: no beta-model fits (beta {best[3]:.2f}, core {np.exp(best[2]):.1f} pixels): the "
            "emission does not fall outwards; use a constant depth"
        )
    scale = model(best[:4])[1] * np.exp(best[4])
    return BetaModel(float(best[0]), float(best[1]), float(np.exp(best[2])), float(best[3]), float(scale))


def _joined(image: NDArray, factor: int) -> NDArray[np.float64]:
    """Sums of squares of factor x factor pixels; incomplete ones at the far edges are smaller."""
    rows = np.add.reduceat(image, np.arange(0, image.shape[0], factor), axis=0, dtype=np.float64)
    return np.add.reduceat(rows, np.arange(0, image.shape[1], factor), axis=1)
