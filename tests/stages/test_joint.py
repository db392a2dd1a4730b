"""Spectra and effective exposures of regions, against what they must be by construction."""

from collections.abc import Callable

import numpy as np
import pytest

from pyxt_hpc.brightness.estimate import MARGIN, SkyBrightness
from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel
from pyxt_hpc.simulate.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.spectra.grouping import bin_lookup, resolution_bins
from pyxt_hpc.spectra.templates import fold_templates
from pyxt_hpc.stages.joint import JointModel, extract_spectra, joint_model

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


@pytest.fixture(scope="module")
def model(bundle_of: Callable[..., Bundle]) -> JointModel:
    """The first observation is live everywhere, the second in the right half, where its area is smaller."""
    everywhere, right = np.ones(SHAPE, bool), np.zeros(SHAPE, bool)
    right[:, 25:] = True
    bundle = bundle_of(
        observation("1", everywhere, 3, np.ones(3)), observation("2", right, 5, np.array([0.9, 0.8, 0.6]))
    )
    even = SkyBrightness.even(bundle).image
    return JointModel.from_arrays(joint_model(bundle, even, 0.09, FitOptions(), "auto").to_arrays())


def extract(model: JointModel, row: int, col: int, radius: float) -> dict[str, np.ndarray]:
    """One region."""
    spectra = extract_spectra(model, np.array([row]), np.array([col]), np.array([radius]))
    return {name: value[0] for name, value in vars(spectra).items()}


def test_whole_circle_has_all_events_and_the_whole_exposure(model: JointModel) -> None:
    spectra = extract(model, 20, 10, 2.0)
    first = slice(model.first_bin[0], model.first_bin[1])
    second = slice(model.first_bin[1], model.first_bin[2])
    assert spectra["takes_part"].tolist() == [True, False]
    assert spectra["source"][first].sum() == 13 * 3
    np.testing.assert_allclose(spectra["weight"][first], 2e4)
    np.testing.assert_allclose(spectra["ratio"][first], 5.0)
    assert not spectra["source"][second].any()
    assert not spectra["weight"][second].any()


def test_half_live_circle_has_half_the_exposure_and_the_area_of_each_energy(model: JointModel) -> None:
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


def test_circle_cut_by_the_edge_of_the_image_is_not_fully_exposed(model: JointModel) -> None:
    spectra = extract(model, 0, 10, 2.0)
    np.testing.assert_allclose(spectra["weight"][: model.first_bin[1]], 2e4 * 9 / 13)


def test_observation_below_the_threshold_stays_out(model: JointModel) -> None:
    # One of 29 pixels of the circle is live in the second observation: 3.4%, below 9%.
    assert not extract(model, 20, 22, 3.0)["takes_part"][1]
    assert extract(model, 20, 23, 3.0)["takes_part"][1]


def test_templates_are_the_folded_model_summed_over_bins(model: JointModel) -> None:
    arf, rmf = on_axis_arf(), gaussian_rmf()
    folded = fold_templates(arf, rmf, redshift=0.1, nH=0.05)
    lookup = bin_lookup(resolution_bins(rmf, 0.7, 8.0), rmf.n_channels)
    band = lookup >= 0
    for rates, ours in ((folded.hhe, model.hhe), (folded.metals, model.metals)):
        expected = np.array([np.bincount(lookup[band], weights=r[band]) for r in rates])
        np.testing.assert_allclose(ours[0, :, : model.first_bin[1]], expected, rtol=1e-12)


def test_wide_bins_begin_where_observations_begin(model: JointModel) -> None:
    levels = model.levels()
    sizes = [len(edges) - 1 for edges in levels]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < model.first_bin[-1]
    for edges in levels:
        assert edges[0] == 0
        assert set(model.first_bin) <= set(edges)
        assert (np.diff(edges) > 0).all()


def test_live_share_is_known_of_observations_that_stay_out_too(model: JointModel) -> None:
    # One of 29 pixels is live in the second observation.
    found = extract(model, 20, 22, 3.0)
    np.testing.assert_allclose(found["live_share"], [1, 1 / 29])


def test_chunks_do_not_change_a_bit(model: JointModel) -> None:
    rng = np.random.default_rng(5)
    row, col = rng.integers(0, 40, 60), rng.integers(0, 50, 60)
    radius = rng.integers(8, 80, 60) / 8
    whole = vars(extract_spectra(model, row, col, radius))
    for size in (1, 7):
        for at in range(0, 60, size):
            part = slice(at, at + size)
            spectra = vars(extract_spectra(model, row[part], col[part], radius[part]))
            for name, value in spectra.items():
                np.testing.assert_array_equal(value, whole[name][part])
