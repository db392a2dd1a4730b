"""The gradient is that of the brightness, holes make no edges, and its error is that of the counts."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_gradient_magnitude

from pyxt_hpc.maps.kinds.gradient import gradient, map_gradients

SHAPE = (150, 170)
Y, X = np.indices(SHAPE, float)


def holed(rng: np.random.Generator) -> np.ndarray:
    """Sensitivity that varies, with a gap and holes."""
    exposure = 1e5 * (1.0 + 0.3 * np.sin(X / 25.0)) * np.ones(SHAPE)
    exposure[60:64] = 0.0
    for row, col in rng.integers(10, 140, (12, 2)):
        exposure[np.hypot(Y - row, X - col) < 5] = 0.0
    return exposure


@pytest.mark.parametrize("sigma", [1, 2, 4, 8, 16])
def test_a_plane_keeps_its_slope_beside_holes_and_edges(sigma: int) -> None:
    exposure = holed(np.random.default_rng(1))
    brightness = 0.02 + 3e-5 * Y - 4e-5 * X
    found = gradient(brightness * exposure, brightness * exposure, exposure, float(sigma))
    live = exposure > 0
    assert np.array_equal(np.isfinite(found.magnitude), live)
    # squares of pixels that are cut by a hole are a little off their middle
    tolerance = 1e-4 if sigma < 8 else 0.02
    assert np.nanmax(abs(found.magnitude / 5e-5 - 1)) < tolerance
    assert np.nanmax(abs(found.brightness / brightness - 1)) < 0.01


@pytest.mark.parametrize("sigma", [1, 2, 4, 8, 16])
def test_a_flat_sky_has_no_edge(sigma: int) -> None:
    exposure = holed(np.random.default_rng(1))
    found = gradient(0.02 * exposure, 0.02 * exposure, exposure, float(sigma))
    assert np.nanmax(found.magnitude) < 1e-5 * 0.02


@pytest.mark.parametrize(("sigma", "tolerance"), [(1, 0.02), (2, 0.02), (4, 0.02), (8, 0.02), (16, 0.03)])
def test_a_beta_model_has_the_gradient_of_its_smoothed_image(sigma: int, tolerance: float) -> None:
    size = 401
    y, x = np.indices((size, size)) - size // 2
    brightness = (1 + (y**2 + x**2) / 20.0**2) ** -1.5
    found = gradient(1e5 * brightness, 1e5 * brightness, np.full((size, size), 1e5), float(sigma))
    expected = gaussian_gradient_magnitude(brightness, sigma)
    inner = slice(100, 301), slice(100, 301)
    difference = abs(found.magnitude - expected)[inner]
    assert difference.max() < tolerance * expected[inner].max()


def test_error_is_the_scatter() -> None:
    rng = np.random.default_rng(3)
    exposure, brightness = np.full(SHAPE, 1e5), 1e-3 * (1.0 + X / 60.0)
    magnitude, error = [], []
    for _ in range(40):
        counts = rng.poisson(exposure * brightness)
        found = gradient(counts, counts, exposure, 4.0)
        magnitude.append(found.magnitude[::12, ::12])
        error.append(found.error[::12, ::12])
    scatter = np.std(magnitude, axis=0, ddof=1)
    assert np.median(scatter / np.mean(error, axis=0)) == pytest.approx(1.0, abs=0.05)
    assert np.mean(magnitude) == pytest.approx(1e-3 / 60.0, rel=0.05)


def test_noise_alone_has_the_significance_that_the_header_says(fitted) -> None:
    counts = np.random.default_rng(4).poisson(2.0, (300, 300))
    image = fitted(np.ones(counts.shape), np.ones(counts.shape), counts=counts)
    made = {product.path.name: product for product in map_gradients(image)}
    significance = made["A_gradient_significance_2pix_map.fits"].values
    assert np.nanmean(significance > 3) == pytest.approx(np.exp(-4.5), abs=0.003)


def test_an_edge_is_found_where_it_is_in_the_units_of_the_file(fitted) -> None:
    brightness = np.where(X < 90, 60.0, 20.0)
    counts = np.random.default_rng(5).poisson(brightness)
    image = fitted(np.ones(SHAPE), np.ones(SHAPE), counts=counts)
    made = {product.path.name: product.values for product in map_gradients(image)}
    row = made["A_gradient_4pix_map.fits"][75]
    assert abs(int(np.argmax(row)) - 89.5) <= 2
    # a step under a Gaussian: height/(sigma sqrt(2 pi)) per pixel
    arcmin = 1.968 / 60
    expected = 40.0 / (4.0 * np.sqrt(2 * np.pi)) / 1e5 / arcmin**3
    assert row.max() == pytest.approx(expected, rel=0.1)
    relative = made["A_log_gradient_4pix_map.fits"][75]
    assert relative[88:91].mean() == pytest.approx(expected * 1e5 * arcmin**2 / 40.0, rel=0.15)
    assert made["A_gradient_significance_4pix_map.fits"][75, 85:95].max() > 10
