"""The estimated brightness is that of the cluster, also where nothing was live, and not its noise."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.fit.brightness.beta_model import BetaModel
from pyxt_hpc.fit.brightness.sky import BETA_TIMES_IMAGE, EVEN, IMAGE, MARGIN, sky_brightness
from pyxt_hpc.fit.extraction.extract import disc_sums

SHAPE = (150, 160)
EXPOSURE, PIXEL_AREA = 1e5, (1.968 / 60) ** 2
MODEL = BetaModel(row=70.0, col=60.0, core=14.0, beta=0.62, peak=0.08, stretch=(0.2, 0.1))


def whole_sky(front: float = 1.0) -> np.ndarray:
    """The true brightness, also in the margin; gas behind a front in one quarter is brighter by a factor."""
    shape = tuple(n + 2 * MARGIN for n in SHAPE)
    moved = replace(MODEL, row=MODEL.row + MARGIN, col=MODEL.col + MARGIN)
    row, col = np.indices(shape) - MARGIN
    distance = np.hypot(row - MODEL.row, col - MODEL.col)
    behind = (distance < 50) & (row > MODEL.row) & (col > MODEL.col)
    return moved.surface_brightness(shape) * np.where(behind, front, 1.0)


def observed(made_up_bundle, sky: np.ndarray, background: float = 0.2, seed: int = 1) -> Bundle:
    """An observation of the part inside the images, with a dead gap and a dead corner."""
    inner = sky[MARGIN:-MARGIN, MARGIN:-MARGIN]
    mask = np.ones(SHAPE, np.uint8)
    mask[:, 90:96] = 0
    mask[100:, :40] = 0
    counts = np.random.default_rng(seed).poisson(inner * EXPOSURE * PIXEL_AREA + background) * mask
    bundle = made_up_bundle(counts, background, EXPOSURE)
    one = replace(bundle.observations[0], mask=mask, vignetting=mask[None].astype(np.float32))
    return replace(bundle, mask=mask, observations=(one,))


def shares(sky: np.ndarray, mask: np.ndarray, circles: tuple) -> np.ndarray:
    """Fraction of the brightness of circles that is live."""
    row, col, radius = circles
    live = np.pad(mask, MARGIN).astype(float)
    sums = disc_sums(row + MARGIN, col + MARGIN, radius, np.stack([sky * live, sky]))
    return sums[:, 0] / sums[:, 1]


# over the gap, the dead corner, and the edges and corner of the images
CIRCLES = (
    np.array([70, 70, 110, 120, 5, 75, 149, 140]),
    np.array([93, 97, 38, 20, 60, 155, 80, 150]),
    np.array([10.0, 25.0, 30.0, 40.0, 40.0, 50.0, 60.0, 80.0]),
)


@pytest.mark.parametrize("front", [1.0, 2.5])
def test_live_shares_are_those_of_the_truth(made_up_bundle, front: float) -> None:
    sky = whole_sky(front)
    bundle = observed(made_up_bundle, sky)
    found = sky_brightness(bundle)
    assert found.origin == BETA_TIMES_IMAGE
    assert (found.image > 0).all()
    true = shares(sky, bundle.mask, CIRCLES)
    even = shares(np.ones_like(sky), bundle.mask, CIRCLES)
    np.testing.assert_allclose(shares(found.image, bundle.mask, CIRCLES) / true, 1.0, atol=0.04)
    assert np.abs(even / true - 1.0).max() > 0.2


def test_noise_of_a_circle_hardly_enters(made_up_bundle) -> None:
    """Over 8 short observations of one sky, shares scatter far less than the counts of the circles."""
    sky = 0.1 * whole_sky()
    bundles = [observed(made_up_bundle, sky, 0.02, seed) for seed in range(8)]
    mask = bundles[0].mask
    found = [shares(sky_brightness(bundle).image, mask, CIRCLES) for bundle in bundles]
    live = np.pad(mask, MARGIN) * sky * EXPOSURE * PIXEL_AREA
    counts = disc_sums(CIRCLES[0] + MARGIN, CIRCLES[1] + MARGIN, CIRCLES[2], live[None])[:, 0]
    assert (np.std(found, axis=0) / np.mean(found, axis=0) < 0.35 / np.sqrt(counts)).all()


def test_without_a_beta_model_the_image_alone_is_used_and_that_is_said(made_up_bundle, caplog) -> None:
    """The brightness rises outwards."""
    row, col = np.indices([n + 2 * MARGIN for n in SHAPE]) - MARGIN
    sky = 0.002 + 0.02 * (np.hypot(row - 75, col - 80) / 100.0) ** 2
    bundle = observed(made_up_bundle, sky)
    with caplog.at_level(logging.WARNING):
        found = sky_brightness(bundle)
    assert found.origin == IMAGE
    assert "does not fall outwards; circles that are partly live" in caplog.text
    over_the_gap = tuple(values[:2] for values in CIRCLES)
    true = shares(sky, bundle.mask, over_the_gap)
    np.testing.assert_allclose(shares(found.image, bundle.mask, over_the_gap) / true, 1.0, atol=0.03)


def test_nothing_to_be_seen_is_even_and_that_is_said(made_up_bundle, caplog) -> None:
    bundle = observed(made_up_bundle, np.zeros([n + 2 * MARGIN for n in SHAPE]))
    bundle = replace(bundle, counts=np.zeros(SHAPE, np.int32))
    with caplog.at_level(logging.WARNING):
        found = sky_brightness(bundle)
    assert found.origin == EVEN
    assert (found.image == 1.0).all()
    assert "same weight" in caplog.text
