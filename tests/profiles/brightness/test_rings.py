"""Rings hold every event once, in the band, over an exposure that makes them the sky's brightness."""

from collections.abc import Callable

import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.profiles.brightness.rings import BandImages, rings_of, soft_band
from pyxt_hpc.profiles.centre import Frame
from pyxt_hpc.simulate.spherical import PRESETS

Observed = Callable[[str, float], Bundle]


def test_band_is_cut_by_the_energies_of_events(observed: Observed) -> None:
    bundle = observed("relaxed", 1.0)
    (own,) = bundle.observations
    energy = 0.5 * (own.rmf.channel_lo_keV + own.rmf.channel_hi_keV)[own.event_channel]
    band = soft_band(bundle, 0.5, 2.0)
    assert band.energy_keV == (0.7, 2.0)
    assert band.images.counts.sum() == np.count_nonzero(energy < 2.0)
    whole = soft_band(bundle, 0.5, 9.0)
    assert np.array_equal(whole.images.counts, bundle.counts)
    assert whole.images.background.sum() == pytest.approx(bundle.background.sum(dtype=float), rel=1e-6)


def test_brightness_is_that_of_the_truth(observed: Observed) -> None:
    """Against the rate of the truth's own gas in the band, ring by ring."""
    bundle = observed("relaxed", 1.0)
    preset = PRESETS["relaxed"]
    truth = preset.truth(field_arcmin=8.0)
    band = soft_band(bundle, 0.5, 2.0)
    expected = truth.norm * band.rate(truth.kT, 0.3) * preset.exposure_s
    frame = Frame(*(n // 2 for n in bundle.mask.shape))
    rings = rings_of(band.images, frame, bundle.pixel_scale_arcsec)
    own = rings_of(BandImages(expected, 0 * expected, 0 * expected, band.images.exposure), frame, 1.968)
    first = np.arange(0, len(rings.counts), 12)
    rings, own = rings.grouped(first), own.grouped(first)
    z = (rings.brightness - own.brightness) / rings.error
    assert np.sum(z**2) < len(z) + 4 * np.sqrt(2 * len(z))


def test_rings_hold_everything_once() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (41, 41)).astype(float)
    images = BandImages(counts, 0.1 * np.ones((41, 41)), 0.01 * np.ones((41, 41)), np.full((41, 41), 50.0))
    rings = rings_of(images, Frame(20.0, 20.0), 1.0)
    # the corners end where less than a seventh of a ring is there
    y, x = np.indices(counts.shape) - 20
    inside = np.hypot(y, x) < len(rings.counts)
    assert rings.counts.sum() == counts[inside].sum()
    assert rings.exposure.sum() * 3600 == pytest.approx(50.0 * inside.sum())
    for part in (rings.grouped(np.array([0, 3, 10])), rings.to_signal_to_noise(20.0)):
        assert part.counts.sum() == rings.counts.sum()
        assert part.edges[[0, -1]] == pytest.approx(rings.edges[[0, -1]])
    wide = rings.to_signal_to_noise(20.0)
    assert np.all((wide.counts - wide.background)[:-1] >= 19.0 * np.sqrt(wide.counts + wide.variance)[:-1])
    # whole rings are complete, those in the corners are not
    assert rings.complete[1:20].min() > 0.75
    assert rings.complete[-1] < 0.5
