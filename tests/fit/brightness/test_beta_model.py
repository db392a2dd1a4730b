"""The fitted beta model is the one that the counts were drawn from."""

import numpy as np
import pytest
from scipy.integrate import quad

from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.fit.brightness.beta_model import BetaModel, fit_beta_model
from pyxt_hpc.maps.painting.brightness import smooth_brightness

TRUTH = BetaModel(row=93.0, col=110.0, core=14.0, beta=0.65, peak=0.05)
SHAPE, EXPOSURE = (200, 230), 1e5


def test_parameters_are_found(fitted) -> None:
    rng = np.random.default_rng(6)
    expected = TRUTH.surface_brightness(SHAPE) * EXPOSURE * (1.968 / 60) ** 2
    counts = rng.poisson(expected + 0.2)
    regions = fitted(np.ones(SHAPE), np.ones(SHAPE), counts=counts, background=0.2)
    regions.bundle.mask[90:100, 120:130] = 0
    found = fit_beta_model(regions.bundle, smooth_brightness(regions.bundle, regions.radius).value)
    assert (found.row, found.col) == pytest.approx((TRUTH.row, TRUTH.col), abs=0.7)
    assert found.beta == pytest.approx(TRUTH.beta, abs=0.03)
    assert found.core == pytest.approx(TRUTH.core, rel=0.08)
    assert found.peak == pytest.approx(TRUTH.peak, rel=0.06)


def test_no_cluster_is_an_error(fitted) -> None:
    counts = np.random.default_rng(7).poisson(0.2, SHAPE)
    regions = fitted(np.ones(SHAPE), np.ones(SHAPE), counts=counts, background=0.2)
    smooth = smooth_brightness(regions.bundle, regions.radius).value
    with pytest.raises(EmptySelection, match="beta model") as caught:
        fit_beta_model(regions.bundle, smooth)
    assert "depth" not in str(caught.value)
    with pytest.raises(EmptySelection, match=r"beta model.*; do without$"):
        fit_beta_model(regions.bundle, smooth, otherwise="do without")


def test_image_of_a_few_pixels(made_up_bundle) -> None:
    y, x = np.mgrid[:6, :6] - 2.5
    counts = np.round(4000 * (1 + (x**2 + y**2) / 2**2) ** -1.5)
    found = fit_beta_model(made_up_bundle(counts, 0.2), counts)
    assert found.core == pytest.approx(2.0, rel=0.2)
    assert found.beta == pytest.approx(2 / 3, rel=0.1)


def test_depth_gives_the_density_at_the_middle_of_the_column() -> None:
    x = 30.0
    density_sq = lambda r: (1 + (r / TRUTH.core) ** 2) ** (-3 * TRUTH.beta)  # noqa: E731
    emission = quad(lambda l: density_sq(np.hypot(x, l)), -np.inf, np.inf)[0]  # noqa: E741
    depth = TRUTH.depth(SHAPE)[round(TRUTH.row), round(TRUTH.col + x)]
    assert emission == pytest.approx(density_sq(x) * depth, rel=1e-5)
