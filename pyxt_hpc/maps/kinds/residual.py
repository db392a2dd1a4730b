"""Residuals of the surface brightness from a smooth cluster."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.convolve import gaussian_sums
from pyxt_hpc.arrays.ellipse import Ellipse
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.fit.brightness.beta_model import fit_beta_model, image_for_peak
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.product import MapProduct, map_product

log = logging.getLogger(__name__)

SMOOTHING = 4.0
"""Standard deviation of the Gaussian with which residuals are smoothed [pixels]."""

_ANNULUS = 0.05
"""Width of an annulus over its inner radius; the width is at least a pixel."""

_MAX_ERROR = 0.5
"""Largest error of the ratio in its maps; the significance is shown everywhere."""


@dataclass(frozen=True, eq=False)
class Residual:
    """Residual of an image from a smooth cluster, (ny, nx) float32 each.

    Parameters
    ----------
    ratio, error
        (brightness - smooth brightness)/smooth brightness and its error; NaN where a pixel is dead or the
        smooth brightness is unknown.
    sigma
        Significance of the residual [standard deviations].
    """

    ratio: NDArray
    error: NDArray
    sigma: NDArray


def residual(image: ClusterImage, smooth: NDArray) -> Residual:
    """Compare the counts with the expectation from a smooth brightness, both smoothed with a Gaussian.

    The errors are those of the expected counts. Errors of the observed counts would be too small where the
    counts fluctuate down; with these, the significance of pure noise has mean 0 and scatter 1.

    Parameters
    ----------
    smooth : (ny, nx)
        Smooth brightness [count s^-1 arcmin^-2]; NaN where it is unknown.
    """
    used = (image.exposure > 0) & np.isfinite(smooth)
    expected = np.where(used, image.exposure * smooth, 0.0).astype(np.float32)
    bundle = image.bundle
    variance = np.where(used, expected + bundle.background + bundle.background_variance, 0.0)
    np.maximum(variance, 0.0, out=variance)  # an average brightness can be negative
    excess = gaussian_sums(np.where(used, image.signal - expected, np.float32(0.0)), SMOOTHING)
    error = np.sqrt(gaussian_sums(variance.astype(np.float32), SMOOTHING, squared=True))
    total = gaussian_sums(expected, SMOOTHING)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [excess / total, error / total, excess / error]
    for part in parts:
        part[~used] = np.nan
    return Residual(*parts)


def azimuthal_average(image: ClusterImage, radius: NDArray) -> NDArray[np.float32]:
    """Mean brightness at every pixel's distance from the centre.

    Parameters
    ----------
    radius : (ny, nx)
        Distance from the centre, along circles or ellipses [pixels].

    Returns
    -------
    (ny, nx) float32
        Brightness [count s^-1 arcmin^-2], interpolated linearly between annuli.
    """
    edges = [0.0]
    while edges[-1] <= radius.max():
        edges.append(edges[-1] + max(1.0, _ANNULUS * edges[-1]))
    number = np.searchsorted(edges, radius.ravel(), side="right") - 1
    signal, exposure, distance = (
        np.bincount(number, values.ravel(), len(edges))
        for values in (image.signal, image.exposure, image.exposure * radius)
    )
    some = exposure > 0
    mean, at = signal[some] / exposure[some], distance[some] / exposure[some]
    return np.interp(radius, at, mean).astype(np.float32)


def map_residuals(image: ClusterImage) -> Iterator[MapProduct]:
    """Maps of the residuals from the best elliptical beta model and from the average over ellipses.

    The ellipses have the shape of the beta model, but are centred on the brightness peak, since emission on
    one side shifts the centre of the model. If no beta model can be fitted, there is a warning, and only the
    residual from the average over circles about the peak.
    """
    shape = image.bundle.mask.shape
    width = f'{SMOOTHING:g} pixels ({SMOOTHING * image.bundle.pixel_scale_arcsec:.1f}")'
    smooth = image_for_peak(image.bundle)
    row, col = (float(at) for at in np.unravel_index(np.nanargmax(smooth), shape))
    ellipses = Ellipse(row, col)
    try:
        model = fit_beta_model(image.bundle, smooth, elliptical=True)
    except EmptySelection as error:
        log.warning("%s; there are only residuals from the average over circles about the peak", error)
    else:
        ellipses = replace(ellipses, stretch=model.stretch)
        text = f"beta model, beta {model.beta:.3f}, core {model.core:.1f} pixels, {_described(model)}"
        smooth_model = model.surface_brightness(shape).astype(np.float32)
        yield from _products(
            image, residual(image, smooth_model), "beta", "beta model", f"{text}; Gaussian of sigma {width}"
        )
        del smooth_model
    average = azimuthal_average(image, ellipses.radius(shape).astype(np.float32))
    text = f"average over ellipses, {_described(ellipses)}; Gaussian of sigma {width}"
    yield from _products(image, residual(image, average), "azimuthal", "azimuthal average", text)


def _described(model: Ellipse) -> str:
    return (
        f"centre at column {model.col + 1:.1f}, row {model.row + 1:.1f} (from 1), axis ratio "
        f"{model.axis_ratio:.3f}, long axis {np.degrees(model.angle):.0f} deg from columns to rows"
    )


def _products(
    image: ClusterImage, found: Residual, name: str, title: str, comment: str
) -> Iterator[MapProduct]:
    known = (found.error > 0) & (found.error < _MAX_ERROR)
    ratio, error = (np.where(known, part, np.float32(np.nan)) for part in (found.ratio, found.error))
    where = f"where its error is below {_MAX_ERROR:g}"
    if known.any():
        yield map_product(
            image, f"residual_{name}", f"Residual from the {title}", "", ratio,
            f"brightness/model - 1 {where}; {comment}", diverging=True,
        )  # fmt: skip
        yield map_product(
            image, f"residual_{name}_error", f"Error of the residual from the {title}", "", error,
            f"of brightness/model - 1 {where}; {comment}",
        )  # fmt: skip
    yield map_product(
        image, f"residual_{name}_significance", f"Residual from the {title} in sigma", "",
        found.sigma, f"(counts - expected counts)/error of the expected counts; {comment}", diverging=True,
    )  # fmt: skip
