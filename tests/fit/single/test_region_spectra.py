"""A region's spectra are those of the map's fits, channel by channel and with a response of their own."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel
from pyxt_hpc.chandra.sky.vignetting import vignetting
from pyxt_hpc.fit.brightness.sky import MARGIN
from pyxt_hpc.fit.extraction.shapes import Shapes, extract_spectra
from pyxt_hpc.fit.observations import ObservationSet, fold_observations
from pyxt_hpc.fit.single.region_spectra import region_spectra
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.spectra.templates import SourceModel

SHAPE = (60, 80)
VIGNETTING_KEV = np.array([0.7, 1.5, 3.0, 4.5, 6.0, 8.0])
ARCMIN_PER_PIXEL = 0.15
MINIMUM_FRACTION = 0.09


def observation(obsid: str, axis: tuple[int, int], first_live_column: int, seed: int) -> BundleObservation:
    """Random events on a chip that begins at a column; the field is 14 arcmin wide."""
    rng = np.random.default_rng(seed)
    rmf = gaussian_rmf()
    row, col = np.indices(SHAPE)
    mask = col >= first_live_column
    theta = ARCMIN_PER_PIXEL * np.hypot(row - axis[0], col - axis[1])
    live = np.flatnonzero(mask)
    events = [
        sort_by_pixel(
            rng.choice(live, n), rng.integers(40, 560, n).astype(np.int16), mask.size
        )
        for n in (20000, 30000)
    ]  # fmt: skip
    return BundleObservation(
        obsid=obsid,
        exposure_s=2e4 * seed,
        background_scale=0.2 / seed,
        mask=mask.astype(np.uint8),
        vignetting_keV=VIGNETTING_KEV,
        vignetting=vignetting(VIGNETTING_KEV, theta).astype(np.float32),
        event_indptr=events[0][0],
        event_channel=events[0][1],
        background_indptr=events[1][0],
        background_channel=events[1][1],
        arf=on_axis_arf(),
        rmf=rmf,
    )


@pytest.fixture(scope="module")
def bundle(bundle_of: Callable[..., Bundle]) -> Bundle:
    """Two observations with axes far apart; the second is live in the right half only."""
    return bundle_of(observation("1", (10, 10), 0, 1), observation("2", (50, 60), 40, 2))


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> ObservationSet:
    """What the fast engine fits."""
    return model_of(bundle)


def model_of(bundle: Bundle, minimum_fraction: float = MINIMUM_FRACTION) -> ObservationSet:
    """Of a cluster that is brighter to the right, where the second observation is live."""
    brightness = np.tile(np.linspace(1.0, 3.0, SHAPE[1] + 2 * MARGIN), (SHAPE[0] + 2 * MARGIN, 1))
    return fold_observations(bundle, brightness, minimum_fraction, FitOptions(), "resolution")


# A whole circle of one observation; both; cut by the second chip's edge; by the image's corner.
REGIONS = [(20, 12, 6.0), (40, 60, 8.5), (30, 39, 5.0), (59, 79, 12.0)]


def circle(model: ObservationSet, row: int, col: int, radius: float) -> Shapes:
    """One circle."""
    return Shapes.circles(np.array([row]), np.array([col]), np.array([radius]), model)


@pytest.mark.parametrize(("row", "col", "radius"), REGIONS)
def test_counts_in_bins_are_those_of_the_binned_spectra(
    bundle: Bundle, model: ObservationSet, row: int, col: int, radius: float
) -> None:
    binned = extract_spectra(circle(model, row, col, radius))
    spectra = region_spectra(bundle, circle(model, row, col, radius))
    assert list(spectra) == np.flatnonzero(binned.takes_part[0]).tolist()
    for i, spectrum in spectra.items():
        bins = slice(model.first_bin[i], model.first_bin[i + 1])
        np.testing.assert_array_equal(spectrum.binned(spectrum.counts), binned.source[0, bins])
        np.testing.assert_array_equal(spectrum.binned(spectrum.background), binned.background[0, bins])
        np.testing.assert_array_equal(binned.ratio[0, bins], spectrum.ratio)
        assert spectrum.counts.sum() > 0
        assert spectrum.exposure_s == bundle.observations[i].exposure_s


@pytest.mark.parametrize(("row", "col", "radius"), REGIONS)
def test_folded_model_is_that_of_the_binned_spectra(
    bundle: Bundle, model: ObservationSet, row: int, col: int, radius: float
) -> None:
    """Area before redistribution against area at a bin's own energy: the one approximation of the bins.

    A relative error d of the expected counts m shifts any parameter by at most sqrt(sum m d^2) sigma
    (Cauchy-Schwarz): 3.7e-4, measured 12 arcmin off the axis, of 3000 counts is 0.02 sigma at most. The
    sum, that is the norm, is off by far less.
    """
    binned = extract_spectra(circle(model, row, col, radius))
    spectra = region_spectra(bundle, circle(model, row, col, radius))
    hot = (model.kT > 1.0) & (model.kT < 15.0)
    for i, observation in enumerate(bundle.observations):
        if i not in spectra:
            continue
        bins = slice(model.first_bin[i], model.first_bin[i + 1])
        spectrum = spectra[i]
        folded = SourceModel(redshift=bundle.redshift, nH=bundle.nH).fold(spectrum.arf, spectrum.rmf)
        exact = spectrum.exposure_s * spectrum.binned(folded.at_abundance(bundle.abundance))[hot]
        rates = (model.hhe[0] + bundle.abundance * model.metals[0])[:, bins]
        in_bins = (binned.weight[0, bins] * rates)[hot]
        share = exact / exact.sum(axis=1, keepdims=True)
        error = in_bins / exact - 1.0
        assert np.sqrt((share * error**2).sum(axis=1)).max() < 5e-4
        assert np.abs((share * error).sum(axis=1)).max() < 5e-5
        # not because there is nothing to see: the area changes over the band
        relative = spectrum.arf.area / observation.arf.area
        assert relative.min() < 0.98 * relative.max()


def test_observation_below_the_threshold_stays_out(bundle: Bundle) -> None:
    # The outermost column of the circle is live in the second observation: 1 of 29 pixels.
    assert list(region_spectra(bundle, circle(model_of(bundle, 0.04), 30, 37, 3.0))) == [0]
    assert list(region_spectra(bundle, circle(model_of(bundle, 0.03), 30, 37, 3.0))) == [0, 1]
    # Not live at all is out even without a threshold.
    assert list(region_spectra(bundle, circle(model_of(bundle, 0.0), 30, 36, 3.0))) == [0]


def test_dead_region_has_no_spectra(bundle: Bundle) -> None:
    dead = replace(bundle, observations=bundle.observations[1:])
    assert region_spectra(dead, circle(model_of(dead), 30, 10, 3.0)) == {}
