"""The share of a cluster in a region far from it, from images with a known answer."""

import numpy as np
import pytest

from pyxt_hpc.detect.cluster_share import cluster_share, fit_profile

SHAPE, CENTRE = (300, 320), (140, 170)


def field(peak: float, core: float, beta: float, flat: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, exposure with a gap, and the cluster's part of the expected counts."""
    y, x = np.indices(SHAPE)
    radius = np.hypot(y - CENTRE[0], x - CENTRE[1])
    exposure = np.full(SHAPE, 1e4)
    exposure[:, 250:254] = 0.0
    exposure[:, :60] *= 0.5
    cluster = exposure * peak * (1 + (radius / core) ** 2) ** (0.5 - 3 * beta)
    counts = np.random.default_rng(5).poisson(cluster + exposure * flat)
    return counts, exposure, cluster


def annulus(low: float, high: float) -> np.ndarray:
    y, x = np.indices(SHAPE)
    radius = np.hypot(y - CENTRE[0], x - CENTRE[1])
    return (radius >= low) & (radius < high)


@pytest.mark.parametrize(("low", "high"), [(30, 60), (60, 90), (110, 140)])
@pytest.mark.parametrize(("core", "beta"), [(8.0, 0.6), (20.0, 0.8)])
def test_known_share(core: float, beta: float, low: float, high: float) -> None:
    counts, exposure, cluster = field(5e-3, core, beta, 5e-5)
    region = annulus(low, high)
    true = cluster[region].sum() / (cluster[region].sum() + 5e-5 * exposure[region].sum())
    assert cluster_share(counts, exposure, region) == pytest.approx(true, abs=0.03)


def test_a_bright_core_and_an_edge_do_not_hide_the_background() -> None:
    y, x = np.indices((600, 600))
    radius = np.hypot(y - 300, x - 300)
    inside = (1 + (radius / 6) ** 2) ** (0.5 - 3 * 0.5)
    outside = 0.6 * (1 + (radius / 150) ** 2) ** (0.5 - 3 * 1.2) / (1 + (90 / 150) ** 2) ** (0.5 - 3 * 1.2)
    cluster = 5e-3 * np.where(radius < 90, inside, outside * (1 + (90 / 6) ** 2) ** (0.5 - 3 * 0.5))
    counts = np.random.default_rng(5).poisson(7e4 * (cluster + 3e-6))
    region = radius > 200
    true = cluster[region].mean() / (cluster[region].mean() + 3e-6)
    assert cluster_share(counts, np.full(counts.shape, 7e4), region) == pytest.approx(true, abs=0.1)


def test_the_background_is_not_taken_below_what_is_there_in_any_case() -> None:
    y, x = np.indices((600, 600))
    radius = np.hypot(y - 300, x - 300)
    cluster = np.where(radius < 300, 5e-3 * (1 + (radius / 10) ** 2) ** (0.5 - 3 * 0.55), 0.0)  # cut off
    counts = np.random.default_rng(5).poisson(7e4 * (cluster + 3e-6))
    exposure, region = np.full(counts.shape, 7e4), radius > 280
    assert cluster_share(counts, exposure, region) > 0.9
    most = 1 - 2e-6 / (cluster[region].mean() + 3e-6)
    assert cluster_share(counts, exposure, region, min_background=2e-6) < most + 0.05


def test_profile() -> None:
    counts, exposure, _ = field(5e-3, 15.0, 0.7, 5e-5)
    profile = fit_profile(counts, exposure)
    assert np.hypot(profile.row - CENTRE[0], profile.col - CENTRE[1]) < 3
    assert profile.core == pytest.approx(15.0, rel=0.05)
    assert profile.beta == pytest.approx(0.7, rel=0.03)
    assert profile.flat == pytest.approx(5e-5, rel=0.05)


def test_field_without_a_cluster() -> None:
    counts, exposure, _ = field(0.0, 10.0, 0.7, 5e-4)
    assert cluster_share(counts, exposure, annulus(100, 140)) < 0.05


def test_no_answer() -> None:
    counts, exposure, _ = field(5e-3, 15.0, 0.7, 5e-5)
    assert cluster_share(0 * counts, exposure, annulus(30, 60)) is None
    assert cluster_share(counts, exposure, exposure == 0) is None
