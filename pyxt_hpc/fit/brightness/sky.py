"""Brightness of a cluster, also outside live pixels, as weights for the parts of a region."""

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
"""Width of the margin around the images [pixels]; circles may extend into it."""

BETA_TIMES_IMAGE = "beta-model x smoothed image"
IMAGE = "smoothed image"
EVEN = "even"
"""Possible origins of a `SkyBrightness`."""

_SCALES = (96.0, 48.0, 24.0, 12.0, 6.0)
"""Standard deviations of the Gaussians [pixels], from wide to narrow."""

_SIGNIFICANCE = 2.0
"""Deviations by fewer standard deviations count as noise."""

_PRIOR_COUNTS = 10.0
"""Prior counts under a Gaussian without deviation, so that there is no correction far from live pixels."""

_MAX_FACTOR = 10.0
"""Largest factor by which one scale changes the brightness."""

_MIN_COUNTS = 100.0


@dataclass(frozen=True, eq=False)
class SkyBrightness:
    """Relative brightness of all pixels that regions can contain.

    Parameters
    ----------
    image
        (ny + 2 MARGIN, nx + 2 MARGIN) float32, positive, with mean 1 over the images of the bundle.
    origin
        `BETA_TIMES_IMAGE`, `IMAGE` or `EVEN`.
    """

    image: NDArray[np.float32]
    origin: str

    @classmethod
    def even(cls, bundle: Bundle) -> "SkyBrightness":
        """Uniform brightness."""
        return cls(np.ones([n + 2 * MARGIN for n in bundle.mask.shape], np.float32), EVEN)


def sky_brightness(bundle: Bundle) -> SkyBrightness:
    """Estimate the brightness from the merged image, without most of its noise.

    The first estimate is the best elliptical beta model, or the mean if no model fits. Then, for Gaussians
    from wide to narrow, the net counts are compared with the estimate, and significant deviations correct it:
    a relative deviation d with error e < |d|/2 changes it by d (1 - (2 e/d)^2), a shrinkage like that of
    James & Stein (1961). Therefore holes, gaps and pixels outside the field have the brightness of a smooth
    cluster, corrected by their surroundings, and the noise of a region's own counts has little effect. The
    result is logged.
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
    # Poisson variance of the background counts, and variance of the estimated background.
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
    """Factor of the significant deviations from the expected counts on one scale.

    Parameters
    ----------
    difference, variance, expected
        (ny, nx) observed minus expected counts, their variance, and the expected counts of the cluster.
    sigma
        Standard deviation of the Gaussian [pixels]. Wide ones use blocks with a side of sigma/6, which is
        accurate enough and needs less time.
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
    """The best beta model in the coordinates of the padded images; None if no model fits."""
    try:
        found = fit_beta_model(bundle, image_for_peak(bundle), elliptical=True)
    except EmptySelection as error:
        log.warning("%s; circles that are partly live are weighted by the smoothed image alone", error)
        return None
    log.info(
        "brightness: beta model, beta %.3f, core %.1f pixels, axis ratio %.2f, times the smoothed image",
        found.beta, found.core, found.axis_ratio,
    )  # fmt: skip
    return replace(found, row=found.row + MARGIN, col=found.col + MARGIN)
