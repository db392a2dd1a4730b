"""The brightness of a cluster also where nothing was live: the weights of the parts of a circle."""

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.blocks import block_sums
from pyxt_hpc.arrays.convolve import gaussian_sums
from pyxt_hpc.arrays.interpolate import enlarged
from pyxt_hpc.binning.circles import RADIUS_MAX
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.fit.brightness.beta_model import BetaModel, fit_beta_model, image_for_peak

log = logging.getLogger(__name__)

MARGIN = int(RADIUS_MAX)
"""Pixels around the images in which the brightness is known, too: circles reach as far."""

BETA_TIMES_IMAGE = "beta-model x smoothed image"
IMAGE = "smoothed image"
EVEN = "even"
"""Origins of a `SkyBrightness`."""

_SCALES = (96.0, 48.0, 24.0, 12.0, 6.0)
"""Standard deviations of the Gaussians, from wide to narrow [pixels]."""

_SIGNIFICANCE = 2.0
"""What deviates by fewer standard deviations is taken for noise."""

_PRIOR_COUNTS = 10.0
"""Counts under a Gaussian that speak for no deviation: far from live pixels none is seen."""

_MAX_FACTOR = 10.0
"""A scale changes the brightness by no more than this factor."""

_MIN_COUNTS = 100.0


@dataclass(frozen=True, eq=False)
class SkyBrightness:
    """Relative brightness of every place that a circle may reach.

    Parameters
    ----------
    image
        (ny + 2 MARGIN, nx + 2 MARGIN) float32, positive, mean 1 over the bundle's images: only ratios matter.
    origin
        `BETA_TIMES_IMAGE`, `IMAGE` or `EVEN`.
    """

    image: NDArray[np.float32]
    origin: str

    @classmethod
    def even(cls, bundle: Bundle) -> "SkyBrightness":
        """The same everywhere."""
        return cls(np.ones([n + 2 * MARGIN for n in bundle.mask.shape], np.float32), EVEN)


def sky_brightness(bundle: Bundle) -> SkyBrightness:
    """Estimate the brightness from the merged image, its noise left out.

    It begins with the best elliptical beta-model (without one: with the mean). From wide to narrow Gaussians
    the counts above the background are compared with those expected so far, and what deviates significantly
    is taken over: d (1 - (2 e/d)^2) of a relative deviation d with error e < d/2, in the manner of James &
    Stein (1961). So holes, gaps and places beyond the field get the brightness of a smooth cluster times what
    is seen around them, and the noise of a circle's own counts hardly enters. A log line says what was found.
    """
    pad = ((MARGIN, MARGIN), (MARGIN, MARGIN))
    exposure = np.pad(bundle.exposure * np.float32(bundle.pixel_area_arcmin2), pad)
    live = exposure > 0
    counts = np.where(live, np.pad(bundle.counts, pad), 0).astype(np.float32)
    background = np.where(live, np.pad(bundle.background, pad), 0).astype(np.float32)
    net = float(counts.sum(dtype=float) - background.sum(dtype=float))
    if net < _MIN_COUNTS:
        log.warning(
            "%s: %.0f counts above the background do not show where the cluster is bright: all parts of a "
            "circle have the same weight",
            bundle.name, net,
        )  # fmt: skip
        return SkyBrightness.even(bundle)
    model = _beta_model(bundle)
    if model is None:
        origin = IMAGE
        estimate = np.full(live.shape, net / exposure.sum(dtype=float), np.float32)
    else:
        origin = BETA_TIMES_IMAGE
        estimate = model.surface_brightness(live.shape).astype(np.float32)
    # of the difference from what is expected: the background's estimate has an error of its own
    known = background + np.where(live, np.pad(bundle.background_variance, pad), 0).astype(np.float32)
    for sigma in _SCALES:
        expected = exposure * estimate
        estimate *= _correction(counts - background - expected, expected + known, expected, sigma)
    inner = estimate[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return SkyBrightness((estimate / inner.mean(dtype=float)).astype(np.float32), origin)


def _correction(
    difference: NDArray[np.float32],
    variance: NDArray[np.float32],
    expected: NDArray[np.float32],
    sigma: float,
) -> NDArray[np.float32]:
    """Factor by which images deviate significantly from what is expected, on one scale.

    Parameters
    ----------
    difference, variance, expected
        (ny, nx) counts less those expected; the variance of that; the cluster's counts that are expected.
    sigma
        Standard deviation of the Gaussian [pixels]. Wide ones see blocks of a sixth of it: that is as good,
        and the time does not grow with their width.
    """
    side = max(int(sigma / _SCALES[-1]), 1)
    excess, noise, total = (
        gaussian_sums(block_sums(image, side), sigma / side, squared=squared)
        for image, squared in ((difference, False), (np.maximum(variance, 0.0), True), (expected, False))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 1.0 - _SIGNIFICANCE**2 * noise / excess**2
        factor = 1.0 + np.where(share > 0, share * excess / (total + _PRIOR_COUNTS), 0.0)
    if side > 1:
        factor = enlarged(factor, side, difference.shape)
    return np.clip(factor, 1.0 / _MAX_FACTOR, _MAX_FACTOR).astype(np.float32)


def _beta_model(bundle: Bundle) -> BetaModel | None:
    """The best beta-model in the coordinates of the padded images, or None where none fits."""
    try:
        found = fit_beta_model(bundle, image_for_peak(bundle), elliptical=True)
    except EmptySelection as error:
        log.warning("%s; circles that are partly live are weighted by the smoothed image alone", error)
        return None
    log.info(
        "brightness: beta-model, beta %.3f, core %.1f pixels, axis ratio %.2f, times the smoothed image",
        found.beta, found.core, found.axis_ratio,
    )  # fmt: skip
    return replace(found, row=found.row + MARGIN, col=found.col + MARGIN)
