"""Spectra and effective exposures of regions, against what they must be by construction."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.brightness.sky import MARGIN, SkyBrightness
from pyxt_hpc.fit.extraction.shapes import Shapes, extract_spectra
from pyxt_hpc.fit.observations import ObservationSet, fold_observations
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.spectra.grouping import bin_lookup, resolution_bins
from pyxt_hpc.spectra.templates import SourceModel
from pyxt_hpc.store.rows import MAX_OBSERVATIONS

SHAPE = (40, 50)
AREA_KEV = np.array([0.7, 4.0, 8.0])


def observation(obsid: str, mask: np.ndarray, per_pixel: int, area: np.ndarray) -> BundleObservation:
    """Every live pixel has the same events; the area is constant over the field."""
    live = np.flatnonzero(mask)
    channel = np.tile(np.arange(100, 100 + per_pixel, dtype=np.int16), len(live))
    indptr, ordered = sort_by_pixel(np.repeat(live, per_pixel), channel, mask.size)
    return BundleObservation(
        obsid=obsid,
        exposure_s=2e4,
        background_scale=0.2,
        mask=mask.astype(np.uint8),
        vignetting_keV=AREA_KEV,
        vignetting=(area[:, None, None] * mask).astype(np.float32),
        event_indptr=indptr,
        event_channel=ordered,
        background_indptr=indptr,
        background_channel=ordered,
        arf=on_axis_arf(),
        rmf=gaussian_rmf(),
    )


def steep(shape: tuple[int, int]) -> np.ndarray:
    """A brightness that falls by half every 3 columns, in the margin too."""
    col = np.arange(shape[1] + 2 * MARGIN) - MARGIN
    return np.tile(2.0 ** (-col / 3.0), (shape[0] + 2 * MARGIN, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def two(bundle_of: Callable[..., Bundle]) -> Bundle:
    """The first observation is live everywhere, the second in the right half, where its area is smaller."""
    everywhere, right = np.ones(SHAPE, bool), np.zeros(SHAPE, bool)
    right[:, 25:] = True
    return bundle_of(
        observation("1", everywhere, 3, np.ones(3)), observation("2", right, 5, np.array([0.9, 0.8, 0.6]))
    )


@pytest.fixture(scope="module")
def model(two: Bundle) -> ObservationSet:
    """Observations with the same weight for all parts of circles."""
    even = SkyBrightness.even(two).image
    return ObservationSet.from_arrays(fold_observations(two, even, 0.09, FitOptions(), "auto").to_arrays())


@pytest.fixture(scope="module")
def steep_model(two: Bundle) -> ObservationSet:
    """Observations with parts of circles weighted by the steep brightness."""
    return ObservationSet.from_arrays(
        fold_observations(two, steep(SHAPE), 0.09, FitOptions(), "resolution").to_arrays()
    )


def extract(model: ObservationSet, row: int, col: int, radius: float) -> dict[str, np.ndarray]:
    """Extract the spectra of one region."""
    spectra = extract_spectra(Shapes.circles(np.array([row]), np.array([col]), np.array([radius]), model))
    return {name: value[0] for name, value in vars(spectra).items()}


def test_whole_circle_has_all_events_and_the_whole_exposure(model: ObservationSet) -> None:
    spectra = extract(model, 20, 10, 2.0)
    first = slice(model.first_bin[0], model.first_bin[1])
    second = slice(model.first_bin[1], model.first_bin[2])
    assert spectra["takes_part"].tolist() == [True, False]
    assert spectra["source"][first].sum() == 13 * 3
    np.testing.assert_allclose(spectra["weight"][first], 2e4)
    np.testing.assert_allclose(spectra["ratio"][first], 5.0)
    assert not spectra["source"][second].any()
    assert not spectra["weight"][second].any()


def test_half_live_circle_has_half_the_exposure_and_the_area_of_each_energy(model: ObservationSet) -> None:
    spectra = extract(model, 20, 25, 2.0)
    second = slice(model.first_bin[1], model.first_bin[2])
    assert spectra["takes_part"].all()
    live = (5 + 3 + 1) / 13  # columns 25, 26 and 27 of the disc
    edges = resolution_bins(gaussian_rmf(), 0.7, 8.0)
    rmf = gaussian_rmf()
    centre = 0.5 * (rmf.channel_lo_keV[edges[:-1]] + rmf.channel_hi_keV[edges[1:] - 1])
    area = np.interp(centre, AREA_KEV, [0.9, 0.8, 0.6])
    np.testing.assert_allclose(spectra["weight"][second], 2e4 * live * area, rtol=2e-5)
    assert spectra["source"][second].sum() == 9 * 5


def test_images_of_a_part_give_the_same_spectra(two: Bundle) -> None:
    """Circles within the part, across its edge, across that of the images, and outside."""
    trimmed = replace(two, observations=tuple(o.trimmed() for o in two.observations))
    assert trimmed.observations[1].mask.shape == (40, 25)
    row, col = np.array([20, 20, 39, 0, 20]), np.array([35, 24, 30, 49, 5])
    whole, parts = (
        vars(
            extract_spectra(
                Shapes.circles(
                    row, col, np.full(5, 6.0), fold_observations(b, steep(SHAPE), 0.09, FitOptions(), "auto")
                )
            )
        )
        for b in (two, trimmed)
    )
    for name, values in whole.items():
        np.testing.assert_array_equal(parts[name], values, err_msg=name)


def test_circle_cut_by_the_edge_of_the_image_is_not_fully_exposed(model: ObservationSet) -> None:
    spectra = extract(model, 0, 10, 2.0)
    np.testing.assert_allclose(spectra["weight"][: model.first_bin[1]], 2e4 * 9 / 13)


def test_observation_below_the_threshold_stays_out(model: ObservationSet) -> None:
    # One of 29 pixels of the circle is live in the second observation: 3.4%, below 9%.
    assert not extract(model, 20, 22, 3.0)["takes_part"][1]
    assert extract(model, 20, 23, 3.0)["takes_part"][1]


def test_places_of_one_kind_count_together(two: Bundle) -> None:
    """One pixel in 29 is seen by the second place only: its events are fitted like the others."""
    even = SkyBrightness.even(two).image
    first, second = two.observations
    west = np.arange(SHAPE[1]) < 25
    first = replace(
        first, obsid="1", dataset="1-FI-p1", mask=first.mask * west, vignetting=first.vignetting * west
    )
    for dataset, takes_part in (("1-FI-p2", True), ("1-BI-p1", False), ("2-FI-p2", False)):
        second = replace(second, obsid=dataset[0], dataset=dataset)
        bundle = replace(two, observations=(first, second))
        places = fold_observations(bundle, even, 0.09, FitOptions(), "auto")
        found = extract(places, 20, 22, 3.0)
        np.testing.assert_allclose(found["live_share"], [28 / 29, 1 / 29])
        assert found["takes_part"].tolist() == [True, takes_part]
        assert found["weight"][places.first_bin[1] :].any() == takes_part
        # a place without a pixel in the region takes no part
        assert not extract(places, 20, 10, 2.0)["takes_part"][1]
    scarce = fold_observations(bundle, even, 0.97, FitOptions(), "auto")
    assert not extract(scarce, 20, 22, 3.0)["takes_part"].any()
    together = replace(bundle, observations=(first, replace(second, obsid="1", dataset="1-FI-p2")))
    whole = fold_observations(together, even, 0.97, FitOptions(), "auto")
    assert extract(whole, 20, 22, 3.0)["takes_part"].all()


def test_templates_are_the_folded_model_summed_over_bins(model: ObservationSet) -> None:
    arf, rmf = on_axis_arf(), gaussian_rmf()
    folded = SourceModel(redshift=0.1, nH=0.05).fold(arf, rmf)
    lookup = bin_lookup(resolution_bins(rmf, 0.7, 8.0), rmf.n_channels)
    band = lookup >= 0
    for rates, ours in ((folded.hhe, model.hhe), (folded.metals, model.metals)):
        expected = np.array([np.bincount(lookup[band], weights=r[band]) for r in rates])
        np.testing.assert_allclose(ours[0, :, : model.first_bin[1]], expected, rtol=1e-12)


def test_the_model_alone_holds_no_events(two: Bundle, model: ObservationSet) -> None:
    alone = fold_observations(two, None, 0.09, FitOptions(), "auto")
    np.testing.assert_array_equal(alone.hhe, model.hhe)
    np.testing.assert_array_equal(alone.level_edges, model.level_edges)
    large = two.observations[0].vignetting.nbytes
    assert not alone.per_observation
    assert max(array.nbytes for array in (alone.brightness, alone.background_shape)) < large


def test_wide_bins_begin_where_observations_begin(model: ObservationSet) -> None:
    levels = model.levels()
    sizes = [len(edges) - 1 for edges in levels]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < model.first_bin[-1]
    for edges in levels:
        assert edges[0] == 0
        assert set(model.first_bin) <= set(edges)
        assert (np.diff(edges) > 0).all()


def test_live_share_is_known_of_observations_that_stay_out_too(model: ObservationSet) -> None:
    # One of 29 pixels is live in the second observation.
    found = extract(model, 20, 22, 3.0)
    np.testing.assert_allclose(found["live_share"], [1, 1 / 29])


@pytest.mark.parametrize(
    ("row", "col", "radius"), [(20, 25, 2.0), (12, 28, 9.5), (39, 49, 7.0), (20, 1, 8.0)]
)
def test_parts_of_a_circle_weigh_as_they_are_bright(
    steep_model: ObservationSet, row: int, col: int, radius: float
) -> None:
    """Summed pixel by pixel; the whole circle includes its part beyond the edges of the images."""
    y, x = np.indices((SHAPE[0] + 2 * MARGIN, SHAPE[1] + 2 * MARGIN)) - MARGIN
    weight = steep(SHAPE).astype(float) * ((y - row) ** 2 + (x - col) ** 2 <= radius**2)
    on_image = (y >= 0) & (y < SHAPE[0]) & (x >= 0) & (x < SHAPE[1])
    first, second = (float((weight * live).sum() / weight.sum()) for live in (on_image, on_image & (x >= 25)))
    found = extract(steep_model, row, col, radius)
    np.testing.assert_allclose(found["live_share"], [first, second], rtol=1e-6)
    bins = [slice(*steep_model.first_bin[i : i + 2]) for i in range(2)]
    np.testing.assert_allclose(found["weight"][bins[0]], 2e4 * first, rtol=2e-5)
    assert found["takes_part"].tolist() == [True, second >= 0.09]
    if second >= 0.09:
        # at 0.7 keV, the lowest energy of the bins but for half a bin
        np.testing.assert_allclose(found["weight"][bins[1]][0], 2e4 * 0.9 * second, rtol=0.01)


def test_circle_beyond_the_known_brightness_is_refused(model: ObservationSet) -> None:
    extract(model, 0, 0, float(MARGIN))
    for row, col in ((0, 20), (20, 0), (39, 20), (20, 49)):
        with pytest.raises(ConfigError, match="create-bins"):
            extract(model, row, col, MARGIN + 1.0)


def test_more_observations_than_a_row_can_name_are_refused(two: Bundle) -> None:
    many = replace(two, observations=two.observations[:1] * (MAX_OBSERVATIONS + 1))
    with pytest.raises(ConfigError, match="257 observations; at most 256"):
        fold_observations(many, SkyBrightness.even(many).image, 0.09, FitOptions(), "auto")


@pytest.mark.parametrize("name", ["model", "steep_model"])
def test_chunks_do_not_change_a_bit(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    rng = np.random.default_rng(5)
    row, col = rng.integers(0, 40, 60), rng.integers(0, 50, 60)
    radius = rng.integers(8, 80, 60) / 8
    whole = vars(extract_spectra(Shapes.circles(row, col, radius, model)))
    for size in (1, 7):
        for at in range(0, 60, size):
            part = slice(at, at + size)
            spectra = vars(extract_spectra(Shapes.circles(row[part], col[part], radius[part], model)))
            for name, value in spectra.items():
                np.testing.assert_array_equal(value, whole[name][part])
