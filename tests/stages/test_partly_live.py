"""Norm of circles that reach over the edge of a field, of a steep cluster, from photons to rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.brightness.beta_model import BetaModel
from pyxt_hpc.fit.brightness.sky import BETA_TIMES_IMAGE, MARGIN, SkyBrightness, sky_brightness
from pyxt_hpc.fit.extraction.extract import disc_sums
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.spectra.templates import SourceModel
from pyxt_hpc.store.rows import REGION_DTYPE, unpacked_observations

SHAPE = (110, 130)
MODEL = BetaModel(row=MARGIN + 55.0, col=MARGIN + 35.0, core=9.0, beta=0.66, peak=1.0)
SKY = MODEL.surface_brightness(tuple(n + 2 * MARGIN for n in SHAPE))
"""True brightness; the norm of a pixel is NORM times it."""
NORM = 8e-6
BACKGROUND = 0.05  # counts a pixel and observation
CONFIG = ClusterConfig(
    path=Path("A.ini"), name="A", observation_ids=("1", "2"), redshift=0.1, nH=0.05, abundance=0.3
)
# over the edges of one field or both, over the images' edge; the last is nearly all off the fields
CIRCLES = [(55, 62, 14.0), (30, 66, 18.0), (85, 66, 18.0), (55, 84, 20.0), (20, 82, 24.0), (90, 84, 24.0),
           (3, 45, 20.0), (106, 45, 20.0), (55, 3, 14.0), (55, 99, 17.0)]  # fmt: skip


def observation(name: str, last_live_column: int, exposure_s: float, seed: int) -> BundleObservation:
    """Gas of 5 keV on a field that ends at a column, whose area falls to the edge."""
    rng = np.random.default_rng(seed)
    arf, rmf = on_axis_arf(), gaussian_rmf()
    folded = SourceModel(redshift=0.1, nH=0.05).fold(arf, rmf)
    rate = folded.at_abundance(0.3)[np.abs(folded.kT - 5.0).argmin()]
    band = np.arange(48, 548)
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :last_live_column] = 1
    area = np.linspace(1.0, 0.7, SHAPE[1]) * mask
    inner = SKY[MARGIN:-MARGIN, MARGIN:-MARGIN]

    def events(expected: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        per_pixel = rng.poisson(expected).ravel()
        channel = rng.choice(band, per_pixel.sum(), p=shape / shape.sum())
        return np.repeat(np.arange(mask.size), per_pixel), channel.astype(np.int16)

    flat = np.ones(len(band))
    source = events(NORM * inner * area * exposure_s * rate[band].sum(), rate[band])
    own, blank = events(BACKGROUND * mask, flat), events(5 * BACKGROUND * mask, flat)
    both = sort_by_pixel(*(np.concatenate(part) for part in zip(source, own, strict=True)), mask.size)
    background = sort_by_pixel(*blank, mask.size)
    return BundleObservation(
        obsid=name, exposure_s=exposure_s, background_scale=0.2, mask=mask,
        vignetting_keV=np.array([1.0, 6.0]), vignetting=np.stack([area, area]).astype(np.float32),
        event_indptr=both[0], event_channel=both[1],
        background_indptr=background[0], background_channel=background[1], arf=arf, rmf=rmf,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bundle(bundle_of) -> Bundle:
    """Two fields that end at columns 90 and 70."""
    observations = observation("1", 90, 1.5e5, 1), observation("2", 70, 1e5, 2)
    counts = sum(np.diff(o.event_indptr).reshape(SHAPE) for o in observations)
    background = 0.2 * sum(np.diff(o.background_indptr).reshape(SHAPE) for o in observations)
    return replace(
        bundle_of(*observations),
        counts=counts.astype(np.int32),
        background=background.astype(np.float32),
        background_variance=(0.2 * background).astype(np.float32),
        mask=np.max([o.mask for o in observations], axis=0),
    )


def regions() -> np.ndarray:
    """The circles."""
    out = np.zeros(len(CIRCLES), REGION_DTYPE)
    out["region"] = 1 + np.arange(len(CIRCLES))
    out["row"], out["col"], out["radius"] = np.transpose(CIRCLES)
    return out


def ratio_and_error(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Norm over that of the whole circle, and the statistical error of this."""
    true = NORM * disc_sums(rows["row"] + MARGIN, rows["col"] + MARGIN, rows["radius"], SKY[None])[:, 0]
    return rows["norm"] / true, 0.5 * (rows["norm_hi"] - rows["norm_lo"]) / true


def test_norm_is_that_of_the_whole_circle(bundle: Bundle) -> None:
    """With the true brightness but for photon noise, with the estimated one within 3% more."""
    estimated = sky_brightness(bundle)
    assert estimated.origin == BETA_TIMES_IMAGE
    for sky, systematic in ((SkyBrightness(SKY.astype(np.float32), "truth"), 0.0), (estimated, 0.03)):
        rows = RegionFits.of(bundle, CONFIG, regions(), sky).fit(np.arange(9))
        ratio, error = ratio_and_error(rows)
        assert (error < 0.05).all()
        assert (np.abs(ratio - 1.0) < 3.5 * error + systematic).all()
        mean, of_mean = np.average(ratio, weights=error**-2), 1.0 / np.sqrt((error**-2).sum())
        assert abs(mean - 1.0) < 2.5 * of_mean + systematic
        assert (rows["goodness"] < 3.5).all()
    # the test would see it if all parts had the same weight
    rows = RegionFits.of(bundle, CONFIG, regions(), SkyBrightness.even(bundle)).fit(np.arange(9))
    ratio, error = ratio_and_error(rows)
    assert (np.abs(ratio - 1.0) > 3.5 * error + 0.03).sum() >= 5


def test_circles_of_which_little_was_seen_are_flagged(bundle: Bundle) -> None:
    rows = RegionFits.of(bundle, CONFIG, regions()).fit(np.arange(len(CIRCLES)))
    live = np.pad(bundle.observations[0].mask, MARGIN) * SKY
    at = rows["row"] + MARGIN, rows["col"] + MARGIN, rows["radius"]
    # the last circle is beyond the second field
    seen = disc_sums(*at, np.stack([live, SKY]))[-1]
    assert seen[0] / seen[1] < 1 / 3
    np.testing.assert_allclose(rows["live_fraction"][-1], seen[0] / seen[1], rtol=0.05)
    assert rows["exposure"][-1] == pytest.approx(1.5e5 * rows["live_fraction"][-1])
    flagged = (rows["flags"] & FitFlag.PARTLY_LIVE) != 0
    np.testing.assert_array_equal(flagged, rows["live_fraction"] < 1 / 3)
    assert flagged.tolist() == [False] * 9 + [True]


def test_chips_of_two_kinds_see_a_circle_together(bundle: Bundle) -> None:
    """The datasets of one observation add up, and a column that both saw counts once."""
    whole, other = bundle.observations
    left, right = whole.mask.copy(), whole.mask.copy()
    left[:, 61:], right[:, :60] = 0, 0
    parts = tuple(
        replace(whole, dataset=f"1-{kind}", mask=mask, vignetting=whole.vignetting * mask)
        for kind, mask in (("FI", left), ("BI", right))
    )
    sky = sky_brightness(bundle)
    one, two = (
        RegionFits.of(replace(bundle, observations=(*first, other)), CONFIG, regions(), sky).fit(np.arange(9))
        for first in ((whole,), parts)
    )
    for name, tolerance in (("live_fraction", 0.03), ("exposure", 0.03)):
        np.testing.assert_allclose(two[name], one[name], rtol=tolerance)
        assert (two[name] < 1.001 * one[name]).all()
    assert two["observations"][0, 0] == 0b111


def test_more_than_64_observations_all_take_part(bundle: Bundle) -> None:
    """The bits of a row were 64 once, and what came after was lost without a word."""
    many = replace(bundle, observations=bundle.observations[:1] * 69 + bundle.observations[1:])
    config = replace(CONFIG, spectral_grouping="resolution")
    (row,) = RegionFits.of(many, config, regions(), sky_brightness(bundle)).fit(np.array([0]))
    assert unpacked_observations(row["observations"][None], 70)[0].all()
    assert not unpacked_observations(row["observations"][None], 256)[0, 70:].any()
    first, second = (np.diff(o.event_indptr).reshape(1, *SHAPE) for o in bundle.observations)
    at = [row["row"]], [row["col"]], [row["radius"]]
    counts = 69 * disc_sums(*at, first)[0, 0] + disc_sums(*at, second)[0, 0]
    assert row["counts"] == pytest.approx(counts, rel=2e-3)  # but those of channels half in the band
