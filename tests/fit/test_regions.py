"""What a worker makes of regions: against fits by hand of the same spectra, whatever the chunks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.fit.extraction.shapes import BinnedSpectra, Shapes, extract_spectra
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.inputs import fit_options
from pyxt_hpc.fit.region_map import regions_of_labels
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.fit.single.region_spectra import spectra_as_fitted
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.spectra.fit import FIT_DTYPE, fit_regions
from pyxt_hpc.spectra.grouping import choose_level
from pyxt_hpc.spectra.templates import SourceModel
from pyxt_hpc.store.rows import REGION_DTYPE, unpacked_observations

SHAPE = (24, 60)


def observation(obsid: str, seed: int, exposure_s: float) -> BundleObservation:
    """5 keV gas that fades from left to right over an even background, none at all in the last columns."""
    rng = np.random.default_rng(seed)
    arf, rmf = on_axis_arf(), gaussian_rmf()
    folded = SourceModel(redshift=0.1, nH=0.05).fold(arf, rmf)
    rate = folded.at_abundance(0.3)[np.abs(folded.kT - 5.0).argmin()]
    band = np.arange(48, 548)
    mask = np.ones(SHAPE, np.uint8)
    mask[:, 54:] = 0
    brightness = np.exp(-np.arange(SHAPE[1]) / 12.0) * mask
    per_pixel = rng.poisson(brightness * exposure_s / 100.0)
    n = per_pixel.sum()
    pixel = np.repeat(np.arange(mask.size), per_pixel.ravel())
    source = rng.choice(band, n, p=rate[band] / rate[band].sum()).astype(np.int16)

    def even(n_event: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.choice(np.flatnonzero(mask), n_event), rng.choice(band, n_event).astype(np.int16)

    level = int(exposure_s / 2)
    own, blank = even(level), even(4 * level)
    events = sort_by_pixel(np.concatenate([pixel, own[0]]), np.concatenate([source, own[1]]), mask.size)
    background = sort_by_pixel(*blank, mask.size)
    return BundleObservation(
        obsid=obsid, exposure_s=exposure_s, background_scale=0.25, mask=mask,
        vignetting_keV=np.array([1.0, 6.0]),
        vignetting=np.stack([0.8 * mask, 0.8 * mask]).astype(np.float32),
        event_indptr=events[0], event_channel=events[1],
        background_indptr=background[0], background_channel=background[1], arf=arf, rmf=rmf,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bundle(bundle_of: Callable[..., Bundle]) -> Bundle:
    return bundle_of(observation("1", 1, 2e4), observation("2", 2, 5e3))


CONFIG = ClusterConfig(
    path=Path("A.ini"), name="A", observation_ids=("1", "2"), redshift=0.1, nH=0.05, abundance=0.3
)


def regions() -> np.ndarray:
    """Circles from the bright end to beyond the live pixels."""
    out = np.zeros(9, REGION_DTYPE)
    out["region"] = np.arange(1, 10)
    out["row"] = 12
    out["col"] = [8, 12, 16, 20, 24, 30, 40, 50, 59]
    out["radius"] = [5, 5, 3, 5, 8, 8, 8, 2, 2]
    return out


@pytest.fixture(scope="module")
def fits(bundle: Bundle) -> RegionFits:
    return RegionFits.of(bundle, CONFIG, regions())


def test_rows_are_the_fits_of_the_extracted_spectra(fits: RegionFits) -> None:
    rows = fits.fit(np.arange(9))
    model, where = fits.observations, regions()
    spectra = extract_spectra(Shapes.circles(where["row"], where["col"], where["radius"], model))
    counts = np.add.reduceat(spectra.background, model.first_bin[:-1], axis=1)
    level = choose_level(counts)
    assert len(set(level.tolist())) >= 3  # bins of several widths are in use
    for i, number in enumerate(level):
        one = [a[i : i + 1] for a in (spectra.source, spectra.background, spectra.weight, spectra.ratio)]
        alone = fit_regions(*one, model.grid, fits.options, model.levels()[number])
        for name in set(FIT_DTYPE.names) - {"flags"}:
            np.testing.assert_array_equal(rows[name][i], alone[name][0], err_msg=name)
    np.testing.assert_array_equal(rows["counts"], spectra.source.sum(axis=1))
    live = rows["observations"].any(axis=1)
    assert live.tolist() == [True] * 8 + [False]
    np.testing.assert_allclose(rows["exposure"][:6], 2.5e4, rtol=1e-4)
    np.testing.assert_array_equal(rows["dof"][live], rows["bins"][live] - 2)
    assert (np.diff(rows["bins"][:2]) <= 0).all()


@pytest.mark.parametrize("settings", [{}, {"free_abundance": True}])
def test_observations_that_do_not_see_a_region_do_not_matter(
    bundle: Bundle, settings: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a mosaic of 60 fields, a fit in the bins of all of them would take ten times as long."""
    config = replace(CONFIG, **settings)
    # In sums of multiples of 0.25, as of the fixture, the order would not matter.
    bundle = replace(
        bundle, observations=tuple(replace(o, background_scale=0.3) for o in bundle.observations)
    )
    elsewhere = []
    for o in bundle.observations:
        right = o.mask * (np.arange(SHAPE[1]) >= 44)
        dead = replace(o, event_indptr=0 * o.event_indptr, event_channel=o.event_channel[:0])
        elsewhere.append(replace(dead, mask=right, vignetting=o.vignetting * right))
    many = replace(bundle, observations=(*elsewhere, *bundle.observations, *elsewhere))
    widths = []

    def counted(source: np.ndarray, *arguments: object) -> np.ndarray:
        widths.append(source.shape[1])
        return fit_regions(source, *arguments)

    def extracted(shapes: Shapes) -> BinnedSpectra:
        spectra = extract_spectra(shapes)
        widths.append(spectra.source.shape[1])
        return spectra

    monkeypatch.setattr("pyxt_hpc.fit.regions.fit_regions", counted)
    monkeypatch.setattr("pyxt_hpc.fit.regions.extract_spectra", extracted)
    at = np.arange(5)
    mosaic = RegionFits.of(many, config, regions())
    alone, among = (made.fit(at) for made in (RegionFits.of(bundle, config, regions()), mosaic))
    assert max(widths) == len(RegionFits.of(bundle, config, regions()).observations.background_shape)
    assert unpacked_observations(among["observations"], 6).tolist() == 5 * [
        [False] * 2 + [True] * 2 + [False] * 2
    ]
    with_others = mosaic.fit(np.arange(9))[at]  # of which some are seen by all
    for name in set(among.dtype.names) - {"seconds", "observations"}:
        np.testing.assert_array_equal(among[name], alone[name], err_msg=name)
        np.testing.assert_array_equal(with_others[name], alone[name], err_msg=name)


def test_a_large_chunk_takes_no_more_memory(fits: RegionFits, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk of a second has up to 20,000 regions, and a node has many workers."""
    expected = fits.fit(np.arange(9))
    together = []

    def extracted(shapes: Shapes) -> BinnedSpectra:
        together.append(len(shapes.runs))
        return extract_spectra(shapes)

    monkeypatch.setattr("pyxt_hpc.fit.regions.extract_spectra", extracted)
    monkeypatch.setattr("pyxt_hpc.fit.regions._MAX_CELLS", 4 * len(fits.observations.background_shape) + 1)
    rows = fits.fit(np.arange(9))
    assert together == [4, 4, 1]
    for name in set(rows.dtype.names) - {"seconds"}:
        np.testing.assert_array_equal(rows[name], expected[name], err_msg=name)


def test_temperatures_and_goodness_are_right(fits: RegionFits) -> None:
    rows = fits.fit(np.arange(9))[:6]
    sigma = 0.5 * (rows["kT_hi"] - rows["kT_lo"])
    assert (np.abs(rows["kT"] - 5.0) < 3.5 * sigma).all()
    assert (np.abs(rows["goodness"]) < 4).all()


def test_flags_tell_what_kind_of_region_it_is(fits: RegionFits) -> None:
    rows = fits.fit(np.arange(9))
    flags = rows["flags"]
    assert flags[0] == 0
    assert flags[8] & FitFlag.NO_COUNTS
    few = (flags & FitFlag.FEW_COUNTS) != 0
    np.testing.assert_array_equal(few, rows["counts"] - rows["background_counts"] < 300)
    dominated = (flags & FitFlag.BACKGROUND_DOMINATED) != 0
    np.testing.assert_array_equal(dominated, rows["background_counts"] > 0.5 * rows["counts"])
    assert 0 < few.sum() < 9
    assert 0 < dominated.sum() < 9


def test_wrong_model_is_a_poor_fit(bundle: Bundle) -> None:
    spoiled = []
    for o in bundle.observations:
        channel = o.event_channel.copy()
        channel[::6] = 300  # a line that no plasma has
        spoiled.append(replace(o, event_channel=channel))
    rows = RegionFits.of(replace(bundle, observations=tuple(spoiled)), CONFIG, regions()).fit(np.arange(2))
    assert (rows["goodness"] > 5).all()
    assert (rows["flags"] & FitFlag.POOR_FIT).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"statistic": "cstat"},
        {"statistic": "chi2gehrels", "spectral_grouping": "channels"},
        {"free_abundance": True},
        {"spectral_grouping": "resolution"},
    ],
)
def test_chunks_and_sharing_do_not_change_a_bit(bundle: Bundle, changes: dict) -> None:
    config = replace(CONFIG, **changes)
    made = RegionFits.of(bundle, config, regions())
    shared = RegionFits.from_shared(*made.to_shared())
    whole = made.fit(np.arange(9))
    for part in ([3], [8, 2], [0, 1, 4, 5, 6, 7]):
        rows = shared.fit(np.array(part))
        for name in set(rows.dtype.names) - {"seconds"}:
            np.testing.assert_array_equal(rows[name], whole[name][part], err_msg=name)
    free = config.free_abundance
    assert np.isfinite(whole["abundance_hi"][0]) == free
    assert whole["dof"][0] == whole["bins"][0] - 2 - free


def test_binnings(bundle: Bundle) -> None:
    bins = {
        name: int(
            RegionFits.of(bundle, replace(CONFIG, spectral_grouping=name), regions()).fit(np.arange(1))[
                "bins"
            ][0]
        )
        for name in ("auto", "resolution", "channels")
    }
    assert bins["auto"] < bins["resolution"] < bins["channels"]
    assert bins["channels"] == 2 * 499


def test_damaged_bundle_is_refused_before_the_first_fit(bundle: Bundle) -> None:
    first = bundle.observations[0]
    area = first.arf.area.copy()
    area[100] = np.nan
    for spoiled, message in (
        (replace(first, arf=replace(first.arf, area=area)), r"observation 1: .*ARF"),
        (replace(first, exposure_s=-5.0), "observation 1: .*exposure_s in the bundle is -5.0"),
        (replace(first, background_scale=0.0), "observation 1: .*background_scale"),
    ):
        with pytest.raises(DamagedFile, match=message):
            RegionFits.of(replace(bundle, observations=(spoiled,)), CONFIG, regions())


def test_no_background_counts_at_all(bundle: Bundle) -> None:
    first = bundle.observations[0]
    empty = replace(
        first,
        background_indptr=np.zeros_like(first.background_indptr),
        background_channel=first.background_channel[:0],
    )
    for name in ("wstat", "cstat", "chi2gehrels"):
        config = replace(CONFIG, statistic=name)
        rows = RegionFits.of(replace(bundle, observations=(empty,)), config, regions()).fit(np.arange(9))
        assert np.isfinite(rows["kT"][:7]).all(), name
        assert rows["flags"][8] & FitFlag.NO_COUNTS


def test_options_come_from_the_configuration() -> None:
    options = fit_options(replace(CONFIG, free_nH=True, free_abundance=True, abundance_max=2.0))
    assert options.abundance_bounds == (0.0, 2.0)
    assert options.nH_bounds == (0.0, 1.0)
    assert options.kT_bounds == (0.1, 40.0)
    assert options.free == ("kT", "norm", "abundance", "nH")


@pytest.mark.parametrize("statistic", ["wstat", "cstat"])
def test_label_image_of_discs_gives_what_the_discs_give(bundle: Bundle, statistic: str) -> None:
    config = replace(CONFIG, statistic=statistic)
    discs = regions()[[0, 3, 6]]  # which share no pixel and stay inside
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    labels = np.zeros(SHAPE, np.int32)
    for disc in discs:
        labels[(y - disc["row"]) ** 2 + (x - disc["col"]) ** 2 <= disc["radius"] ** 2] = disc["region"]
    bins, runs = regions_of_labels(labels)
    by_disc = RegionFits.of(bundle, config, discs)
    by_label = RegionFits.from_shared(*RegionFits.of(bundle, config, bins, runs=runs).to_shared())
    for chunk in ([0, 1, 2], [2, 0], [1]):
        expected, found = by_disc.fit(np.array(chunk)), by_label.fit(np.array(chunk))
        for name in set(found.dtype.names) - {"seconds", "radius"}:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        np.testing.assert_allclose(np.pi * found["radius"] ** 2, expected["area"], rtol=1e-6)
        some = by_label.only(np.array(chunk)).fit(np.arange(len(chunk)))
        np.testing.assert_array_equal(some["kT"], found["kT"])
    spectra = zip(*(spectra_as_fitted(bundle, config, fits) for fits in (by_disc, by_label)), strict=True)
    for expected, found in spectra:
        assert expected.keys() == found.keys()
        for i in expected:
            np.testing.assert_array_equal(found[i].counts, expected[i].counts)
            np.testing.assert_array_equal(found[i].background, expected[i].background)
            np.testing.assert_array_equal(found[i].arf.area, expected[i].arf.area)
