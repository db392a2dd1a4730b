"""Gaussian gradient magnitude of the surface brightness, in which edges are visible."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from pyxt_hpc.arrays.blocks import block_sums
from pyxt_hpc.arrays.convolve import gaussian
from pyxt_hpc.arrays.interpolate import enlarged
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.product import MapProduct, map_product

SCALES = (1, 2, 4, 8, 16)
"""Standard deviations of the Gaussian [pixels]: small for the core, large for the outskirts."""

_BAND = 64
"""Number of rows that are computed at a time, so that their sums fit into the cache."""

_MIN_JOINED_SIGMA = 4.0
"""Smallest standard deviation of a Gaussian in binned pixels; images are binned as far as this allows."""

_MAX_DEAD = 0.8
"""Largest fraction of the Gaussian's weight on dead pixels; at the corner of a field it is 0.75."""

_SEEN = 3.0
"""Smallest brightness, over its error, by which a gradient is divided."""


@dataclass(frozen=True, eq=False)
class Gradient:
    """Gradient of the smoothed brightness, (ny, nx) float32 each; NaN where too few pixels are live.

    Parameters
    ----------
    magnitude, error
        Length of the gradient, and the error of its component in the gradient's direction [brightness/pixel].
    brightness, brightness_error
        Smoothed brightness and its error.
    """

    magnitude: NDArray
    error: NDArray
    brightness: NDArray
    brightness_error: NDArray


def gradient(signal: NDArray, variance: NDArray, exposure: NDArray, sigma: float) -> Gradient:
    """Gradient on one scale, not biased by holes, gaps and the field's edge.

    About each pixel, a plane is fitted to signal/exposure, with the Gaussian times the exposure as weight
    (normalized differential convolution: Knutsson & Westin 1993, CVPR, 515). If the exposure is uniform, the
    result is the gradient of the image smoothed with the Gaussian (Sanders et al. 2016, MNRAS 460, 1898). The
    gradient of a plane is exact for any pattern of dead pixels. The error is from the variance of the signal.

    Parameters
    ----------
    signal, variance, exposure : (ny, nx)
        Counts less background, the variance of this, and the exposure; all 0 where dead.
    sigma : float
        Standard deviation of the Gaussian [pixels].
    """
    factor = 1
    while sigma / (2 * factor) >= _MIN_JOINED_SIGMA:
        factor *= 2
    shape = signal.shape
    live = exposure > 0
    images = [signal, variance, exposure, live]
    if factor > 1:
        images = [block_sums(image, factor) for image in images]
        images[-1] /= factor**2
        # The binning adds its own variance to the Gaussian.
        sigma = float(np.sqrt((sigma / factor) ** 2 - 1.0 / 12.0))
    fitted = _planes(images, sigma)
    if factor > 1:
        fitted = _spread(fitted, factor, shape)
    fitted[:, ~live] = np.nan
    down, right, error, height, height_error = fitted
    return Gradient(np.hypot(down, right) / factor, error / factor, height, height_error)


def _planes(images: list[NDArray], sigma: float) -> NDArray[np.float32]:
    """Fit a plane about every pixel: slopes down and right, error of the gradient, height, its error."""
    ny, nx = images[0].shape
    kernels = [gaussian(sigma, power) for power in range(3)]
    squares = [gaussian(sigma, power, squared=True) for power in range(3)]
    reach = len(kernels[0]) // 2
    result = np.empty((5, ny, nx), np.float32)
    for first in range(0, ny, _BAND):
        last = min(first + _BAND, ny)
        top, bottom = max(first - reach, 0), min(last + reach, ny)
        inner = slice(first - top, last - top)
        signal, variance, exposure, live = (image[top:bottom].astype(float) for image in images)
        v, m = _moments(signal, kernels, 1, inner), _moments(exposure, kernels, 2, inner)
        q = _moments(variance, squares, 2, inner)
        share = _moments(live, kernels, 0, inner)[0, 0] / kernels[0].sum() ** 2
        result[:, first:last] = _solved(v, m, q)
        result[:, first:last][:, share < 1.0 - _MAX_DEAD] = np.nan
    return result


def _moments(
    image: NDArray, kernels: list[NDArray], order: int, inner: slice
) -> dict[tuple[int, int], NDArray]:
    """Sums of image x Gaussian x y^i x^j about every pixel, for all (i, j) with i + j <= order."""
    found = {}
    for j in range(order + 1):
        along = correlate1d(image, kernels[j], axis=1, mode="constant")
        for i in range(order + 1 - j):
            found[i, j] = correlate1d(along, kernels[i], axis=0, mode="constant")[inner]
    return found


def _solved(v: dict, m: dict, q: dict) -> NDArray[np.float64]:
    """Planes from the moments of signal, exposure and variance."""
    m00, m10, m01, m20, m11, m02 = (m[key] for key in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)))
    # Rows of the adjugate of the symmetric matrix of moments of (1, y, x)
    c00, c01, c02 = m20 * m02 - m11**2, m11 * m01 - m10 * m02, m10 * m11 - m20 * m01
    c11, c12, c22 = m00 * m02 - m01**2, m10 * m01 - m00 * m11, m00 * m20 - m10**2
    adjugate = ((c00, c01, c02), (c01, c11, c12), (c02, c12, c22))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1.0 / (m00 * c00 + m10 * c01 + m01 * c02)
        height, down, right = (scale * (a * v[0, 0] + b * v[1, 0] + c * v[0, 1]) for a, b, c in adjugate)
        slope = np.maximum(np.hypot(down, right), 1e-300)
        y, x = down / slope, right / slope
        # Weights of (1, y, x) in the slope along the gradient
        along = [scale * (y * a + x * b) for a, b in zip(adjugate[1], adjugate[2], strict=True)]
        upright = [scale * a for a in adjugate[0]]
        errors = [
            np.sqrt(
                a * (a * q[0, 0] + 2.0 * b * q[1, 0] + 2.0 * c * q[0, 1])
                + b * (b * q[2, 0] + 2.0 * c * q[1, 1])
                + c * c * q[0, 2]
            )
            for a, b, c in (along, upright)
        ]
    return np.stack([down, right, errors[0], height, errors[1]])


def _spread(images: NDArray, factor: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate binned images (n, my, mx) bilinearly to the pixels (n, ny, nx), ignoring NaN."""
    seen = np.isfinite(images[0])
    weight = enlarged(seen.astype(np.float32), factor, shape)
    result = np.stack([enlarged(np.where(seen, image, np.float32(0.0)), factor, shape) for image in images])
    with np.errstate(divide="ignore", invalid="ignore"):
        result /= weight
    return result


def map_gradients(image: ClusterImage) -> Iterator[MapProduct]:
    """Maps of the gradient, of the gradient of ln brightness, and of the significance, on every scale.

    Sanders et al. 2016 and Walker et al. 2016 show the gradient itself, which is large where the cluster is
    bright. The gradient of ln brightness is gradient/brightness; a jump by the same factor has the same value
    in the core and in the outskirts. Both have the same significance.
    """
    pixels_per_arcmin = 60.0 / image.bundle.pixel_scale_arcsec
    for sigma in SCALES:
        found = gradient(image.signal, image.variance, image.exposure, float(sigma))
        width = f'sigma {sigma} pixel{"s" * (sigma > 1)} ({sigma / pixels_per_arcmin * 60:.1f}")'
        how = f"gradient of the brightness under a Gaussian of {width}, dead pixels left out: its magnitude"
        yield map_product(
            image,
            f"gradient_{sigma}pix",
            f"Gradient of brightness, {width}",
            "count s-1 arcmin-3",
            found.magnitude * np.float32(pixels_per_arcmin),
            how,
            logarithmic=True,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = found.magnitude / found.brightness * np.float32(pixels_per_arcmin)
            relative[~(found.brightness > _SEEN * found.brightness_error)] = np.nan
            significance = found.magnitude / found.error
        if np.isfinite(relative).any():
            yield map_product(
                image,
                f"log_gradient_{sigma}pix",
                f"Gradient of ln brightness, {width}",
                "arcmin-1",
                relative,
                f"{how}; over the brightness, where that is above {_SEEN:g} times its error",
                logarithmic=True,
            )
        significance[~np.isfinite(significance)] = np.nan
        yield map_product(
            image,
            f"gradient_significance_{sigma}pix",
            f"Significance of the gradient, {width}",
            "",
            significance,
            f"{how}; over its error. Noise alone exceeds 3 in 1% of the pixels (Rayleigh distribution)",
            logarithmic=True,
            marks=(3.0,),
        )
