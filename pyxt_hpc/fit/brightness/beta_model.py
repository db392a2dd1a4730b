"""Fit of a beta model to the surface brightness of a cluster."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

from pyxt_hpc.arrays.blocks import block_sums
from pyxt_hpc.arrays.convolve import gaussian_sums
from pyxt_hpc.arrays.ellipse import Ellipse, distance_sq
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.errors import EmptySelection

_FINE = 48
"""Half the side [pixels] of the square around the peak in which single pixels are fitted; blocks of 2 x 2
pixels are fitted up to twice this distance, blocks of 4 x 4 up to four times, and so on."""

_MAX_ELLIPTICITY = 0.8
"""Largest allowed e, which is an axis ratio of 1:3."""

_PEAK_SMOOTHING = 8.0
"""Standard deviation of the Gaussian that smooths the image for the search for the peak [pixels]."""


@dataclass(frozen=True)
class BetaModel(Ellipse):
    """S(r) = S_0 (1 + (r/r_c)^2)^(1/2 - 3 beta) (Cavaliere & Fusco-Femiano 1976, A&A 49, 137).

    Parameters
    ----------
    core
        r_c [pixels].
    beta
        Slope parameter.
    peak
        S_0 [count s^-1 arcmin^-2].
    """

    core: float
    beta: float
    peak: float

    def surface_brightness(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """S at every pixel, (ny, nx) [count s^-1 arcmin^-2]."""
        return self.peak * (1.0 + (self.radius(shape) / self.core) ** 2) ** (0.5 - 3.0 * self.beta)

    def depth(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Effective depth L along the line of sight, (ny, nx) [pixels].

        L converts the density in the plane of the sky to the emission: int n^2 dl = n(R)^2 L at projected
        radius R. For a sphere with n = n_0 (1 + r^2/r_c^2)^(-3 beta/2), it is
        L = sqrt(pi) Gamma(3 beta - 1/2)/Gamma(3 beta) sqrt(r_c^2 + R^2).
        """
        factor = np.sqrt(np.pi) * np.exp(gammaln(3.0 * self.beta - 0.5) - gammaln(3.0 * self.beta))
        length: NDArray[np.float64] = factor * np.hypot(self.radius(shape), self.core)
        return length


def image_for_peak(bundle: Bundle, sigma: float = _PEAK_SMOOTHING) -> NDArray[np.float32]:
    """Brightness smoothed by a Gaussian of `sigma` pixels, (ny, nx) [count s^-1 pixel^-1]; NaN if dead."""
    live = bundle.exposure > 0
    signal = np.where(live, bundle.counts - bundle.background, 0).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        smooth = gaussian_sums(signal, sigma) / gaussian_sums(bundle.exposure, sigma)
    smooth[~live] = np.nan
    return smooth


def fit_beta_model(
    bundle: Bundle, smooth: np.ndarray, *, elliptical: bool = False, otherwise: str = ""
) -> BetaModel:
    """Fit centre, core, slope and peak to the counts by maximum Poisson likelihood (Cash 1979, ApJ 228, 939).

    Parameters
    ----------
    smooth : (ny, nx)
        Smoothed brightness in any unit; its peak is the first guess of the centre; NaN where unknown.
    elliptical
        True: fit the axis ratio and angle, too.
    otherwise
        What the message of an error says to do if there is no model.

    Raises
    ------
    EmptySelection
        If there are too few counts for a model, or the brightness does not decrease outwards.
    """
    shape = bundle.mask.shape
    exposure = bundle.exposure * bundle.pixel_area_arcmin2
    live = exposure > 0
    start_row, start_col = map(int, np.unravel_index(np.nanargmax(smooth), shape))
    images = [
        np.where(live, image, 0).astype(np.float32) for image in (bundle.counts, bundle.background, exposure)
    ]
    del exposure
    counts, background, weight, y, x = _cells(images, live, start_row, start_col)
    total = counts.sum() - background.sum()
    otherwise = otherwise and f"; {otherwise}"
    if total < 100:
        raise EmptySelection(
            f"{bundle.name}: {total:.0f} counts above the background: too few for a beta model{otherwise}"
        )

    def model(p: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        radius_sq = distance_sq(y - p[0], x - p[1], p[5:])
        profile: NDArray[np.float64] = (1.0 + radius_sq / np.exp(2 * p[2])) ** (0.5 - 3.0 * p[3])
        # S_0 that gives the observed net counts; p[4] corrects it. np.sum, since sums by BLAS depend on the
        # number of threads, but a resumed run must have the same results.
        return profile, total / float(np.sum(weight * profile))

    def cash(p: NDArray[np.float64]) -> float:
        if not (0.35 < p[3] < 3.0 and 0.0 < p[2] < np.log(3.0 * max(shape))):
            return np.inf
        if len(p) > 5 and np.hypot(p[5], p[6]) > _MAX_ELLIPTICITY:
            return np.inf
        profile, scale = model(p)
        expected = weight * profile * scale * np.exp(p[4]) + background
        # np.log is vectorized, scipy's xlogy is not.
        return float(2.0 * np.sum(expected - counts * np.log(np.maximum(expected, 1e-300))))

    # The core is more than a pixel, also in an image of a few pixels.
    best = np.array([start_row, start_col, np.log(max(0.05 * max(shape), 1.2)), 0.65, 0.0])
    steps = np.array([3.0, 3.0, 0.4, 0.1, 0.05])
    for extra in range(1 + elliptical):
        if extra:  # start from the best circular model
            best, steps = np.append(best, [0.0, 0.0]), np.append(0.3 * steps, [0.1, 0.1])
        for _ in range(3):  # again with a new simplex, since a simplex can collapse
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
            f"{bundle.name}: no beta model fits (beta {best[3]:.2f}, core {np.exp(best[2]):.1f} pixels): the "
            f"emission does not fall outwards{otherwise}"
        )
    scale = model(best)[1] * np.exp(best[4])
    stretch = (float(best[5]), float(best[6])) if elliptical else (0.0, 0.0)
    row, col, core, beta = float(best[0]), float(best[1]), float(np.exp(best[2])), float(best[3])
    return BetaModel(row, col, core, beta, float(scale), stretch=stretch)


def _cells(images: list[np.ndarray], live: np.ndarray, row: int, col: int) -> tuple[np.ndarray, ...]:
    """Sums of images over square blocks, which grow with the distance from a pixel, and their positions.

    The images are overwritten.

    Returns
    -------
    tuple of (n,) arrays
        Sums, then mean row and mean column of the live pixels in each block that has live pixels.
    """
    rows, cols = np.ogrid[: live.shape[0], : live.shape[1]]
    number = live.astype(np.float32)
    layers = [*images, number, *(number * index.astype(np.float32) for index in (rows, cols))]
    parts = []
    side, complete = 1, False
    while not complete:
        # Align the window with the next larger blocks, so that none of them is cut.
        grid, reach = 2 * side, _FINE * side
        window = tuple(
            slice(max((at - reach) // grid * grid, 0), min(-(-(at + reach) // grid) * grid, n))
            for at, n in zip((row, col), live.shape, strict=True)
        )
        sums = [block_sums(layer[window], side) for layer in layers]
        parts.append(np.stack([image[sums[len(images)] > 0] for image in sums]))
        for layer in layers:
            layer[window] = 0
        complete = all(w.start == 0 and w.stop == n for w, n in zip(window, live.shape, strict=True))
        side *= 2
    found = np.concatenate(parts, axis=1)
    n, y, x = found[len(images) :]
    return *found[: len(images)], y / n, x / n
