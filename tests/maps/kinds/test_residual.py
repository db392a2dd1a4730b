"""Residuals are noise where the cluster is smooth, and show what is not."""

import logging

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.fit.brightness.beta_model import BetaModel
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.kinds.residual import azimuthal_average, map_residuals, residual
from pyxt_hpc.maps.make import make_maps

SHAPE, EXPOSURE, BACKGROUND = (260, 300), 1e5, 0.2
TRUTH = BetaModel(row=124.0, col=161.0, core=18.0, beta=0.62, peak=0.8, stretch=(0.15, -0.2))
PIXEL = (1.968 / 60) ** 2
Y, X = np.indices(SHAPE)


@pytest.fixture
def observed(fitted):
    """Observe a beta model times a factor; with a hole and a gap."""

    def make(factor: np.ndarray | float = 1.0, seed: int = 8) -> ClusterImage:
        expected = TRUTH.surface_brightness(SHAPE) * factor * EXPOSURE * PIXEL + BACKGROUND
        counts = np.random.default_rng(seed).poisson(expected)
        image = fitted(np.ones(SHAPE), np.ones(SHAPE), counts=counts, background=BACKGROUND)
        image.bundle.mask[100:110, 60:70] = 0
        image.bundle.mask[:, 200:204] = 0
        image.bundle.background_variance[:] = 0.0  # the simulated background is exact
        return image

    return make


def maps(image: ClusterImage) -> dict[str, np.ndarray]:
    """Maps of the residuals, by their names."""
    return {p.path.name.removeprefix("A_").removesuffix("_map.fits"): p.values for p in map_residuals(image)}


def spiral() -> np.ndarray:
    """Half a turn that is a third brighter, ending at a sharp outer edge, as a cold front does."""
    radius, angle = TRUTH.radius(SHAPE), np.arctan2(Y - TRUTH.row, X - TRUTH.col)
    outer = 30.0 + 10.0 * (angle + np.pi) / np.pi
    return (radius > outer - 12) & (radius < outer) & (angle > 0)


def test_pure_model_leaves_standard_noise(observed) -> None:
    found = maps(observed())
    for name in ("beta", "azimuthal"):
        sigma = found[f"residual_{name}_significance"]
        assert np.isnan(sigma[105, 65])
        some = sigma[np.isfinite(sigma)]
        assert some.size > 0.9 * sigma.size
        # about 500 independent Gaussians: mean known to 0.045, scatter to 0.03
        assert some.mean() == pytest.approx(0.0, abs=0.12)
        assert some.std() == pytest.approx(1.0, abs=0.08)
        ratio, error = found[f"residual_{name}"], found[f"residual_{name}_error"]
        assert np.nanstd(ratio / error) == pytest.approx(1.0, abs=0.08)


def test_ratio_is_the_excess(observed) -> None:
    near = TRUTH.radius(SHAPE) < 60
    ratios = [residual(observed(1.3, seed), TRUTH.surface_brightness(SHAPE)).ratio[near] for seed in range(5)]
    assert np.nanmean(ratios) == pytest.approx(0.3, abs=0.004)


def test_spiral_is_found(observed) -> None:
    arm = spiral()
    found = maps(observed(1.0 + 0.35 * arm))
    for name in ("beta", "azimuthal"):
        sigma, ratio = found[f"residual_{name}_significance"], found[f"residual_{name}"]
        assert np.nanmedian(sigma[arm]) > 4
        assert 0.12 < np.nanmedian(ratio[arm]) < 0.35
        # what is on the other side at the same distance is not
        other = np.roll(arm[::-1, ::-1], (2 * 124 - 259, 2 * 161 - 299), axis=(0, 1))
        assert np.nanmedian(sigma[other]) < 1
        bright = np.nan_to_num(sigma) > 4
        assert (bright & arm).sum() > 0.6 * bright.sum()


def test_average_follows_the_profile_between_annuli(observed) -> None:
    image = observed()
    smooth = azimuthal_average(image, TRUTH.radius(SHAPE))
    near = TRUTH.radius(SHAPE) < 50
    assert (
        np.nanmax(abs(smooth / TRUTH.surface_brightness(SHAPE) - 1)[near & (TRUTH.radius(SHAPE) > 4)]) < 0.12
    )
    assert np.nanmean((smooth / TRUTH.surface_brightness(SHAPE))[near]) == pytest.approx(1.0, abs=0.01)


def test_without_a_model_there_is_the_average_alone(fitted, caplog: pytest.LogCaptureFixture) -> None:
    counts = np.random.default_rng(9).poisson(3.0, (90, 90))
    image = fitted(np.ones((90, 90)), np.ones((90, 90)), counts=counts, background=0.2)
    with caplog.at_level(logging.WARNING):
        found = maps(image)
    assert "no beta model fits" in caplog.text
    assert set(found) == {f"residual_azimuthal{end}" for end in ("", "_error", "_significance")}


def test_files_need_no_fits_and_say_what_was_compared(observed) -> None:
    regions = observed()
    image = ClusterImage(regions.config, regions.bundle, ("no fits",))
    paths = [product.path for product in make_maps(image, ["residual"])]
    header = fits.getheader(next(path for path in paths if path.name == "A_residual_beta_map.fits"))
    assert "beta 0.6" in str(header["COMMENT"])
    assert {"CONFIGID", "BUNDLEID", "CREATOR"} <= set(header)
    assert "RESULTID" not in header
