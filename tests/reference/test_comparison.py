"""Both engines find the same in the same regions, and where they do not, the comparison says so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.reference import comparison as module
from pyxt_hpc.reference.comparison import (
    EngineComparison,
    compare_engines,
    fit_regions_with_sherpa,
    write_comparison,
)
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.spectra.fit import FIT_DTYPE
from pyxt_hpc.spectra.templates import SourceModel
from pyxt_hpc.store.rows import REGION_DTYPE

SHAPE = (30, 40)


def observation(obsid: str, n_source: int, seed: int) -> BundleObservation:
    """5 keV gas and background spread evenly over the image, with constant vignetting."""
    rng = np.random.default_rng(seed)
    arf, rmf = on_axis_arf(), gaussian_rmf()
    folded = SourceModel(redshift=0.1, nH=0.05).fold(arf, rmf)
    rate = folded.at_abundance(0.3)[np.abs(folded.kT - 5.0).argmin()]
    band = np.arange(45, 545)
    n_pixel = SHAPE[0] * SHAPE[1]
    source = rng.choice(band, n_source, p=rate[band] / rate[band].sum())
    channels = (np.concatenate([source, rng.choice(band, n_source // 4)]), rng.choice(band, n_source))
    events = [sort_by_pixel(rng.integers(0, n_pixel, len(c)), c.astype(np.int16), n_pixel) for c in channels]
    return BundleObservation(
        obsid=obsid,
        exposure_s=2e4,
        background_scale=0.25,
        mask=np.ones(SHAPE, np.uint8),
        vignetting_keV=np.array([1.0, 6.0]),
        vignetting=np.full((2, *SHAPE), 0.75, np.float32),
        event_indptr=events[0][0],
        event_channel=events[0][1],
        background_indptr=events[1][0],
        background_channel=events[1][1],
        arf=arf,
        rmf=rmf,
    )


@pytest.fixture
def config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle_of: Callable[..., Bundle]
) -> ClusterConfig:
    """A configuration whose bundle and scale map are in memory."""
    bundle = bundle_of(observation("1", 30000, 1), observation("2", 12000, 2))
    radius = np.full(SHAPE, 6.0)
    monkeypatch.setattr(module, "read_cluster_bundle", lambda config: bundle)
    monkeypatch.setattr(module, "read_region_map", lambda config, bundle: RegionMap(radius))
    return ClusterConfig(
        path=tmp_path / "a.ini", name="A", observation_ids=("1", "2"), redshift=0.1, nH=0.05, abundance=0.3
    )


@pytest.fixture
def sherpa() -> None:
    """Skips where Sherpa is not installed."""
    pytest.importorskip("sherpa", reason="Sherpa, an optional engine, is not installed")


@pytest.mark.usefixtures("sherpa")
@pytest.mark.parametrize("statistic", ["wstat", "cstat", "chi2gehrels"])
def test_engines_agree_where_their_models_are_the_same(config: ClusterConfig, statistic: str) -> None:
    found = compare_engines(replace(config, statistic=statistic), resolution=1, sample=2)
    assert found.regions.dtype == REGION_DTYPE
    assert len(found.regions) == len(set(found.regions["region"])) == 2
    assert found.free == ("kT", "norm")
    assert found.same_minimum.all()
    np.testing.assert_array_equal(found.fast["dof"], found.sherpa["dof"])
    # The area is constant, so that the models differ by the area's rounding to 1/65535 alone. Sherpa stops
    # just above the minimum.
    assert found.gain.min() > -1e-6
    assert found.gain.max() < 1e-4
    np.testing.assert_allclose(found.statistic_difference, -found.gain, atol=1e-6)
    assert np.abs(found.deviation("norm")).max() < 0.01
    assert np.abs(found.deviation("kT")).max() < 0.01
    assert np.abs(found.side_ratio("kT") - 1.0).max() < 0.03
    assert not found.noticeable.any()
    assert found.fast_seconds < found.sherpa_seconds


@pytest.mark.usefixtures("sherpa")
def test_free_abundance_in_other_bins(config: ClusterConfig) -> None:
    config = replace(config, free_abundance=True, spectral_grouping="resolution")
    found = compare_engines(config, resolution=1, sample=2)
    assert found.free == ("kT", "norm", "abundance")
    np.testing.assert_array_equal(found.fast["dof"], found.sherpa["dof"])
    assert (found.fast["dof"] > 100).all()
    assert np.abs(found.deviation("abundance")).max() < 0.02
    # The same regions every time, and the same fits as for a list of regions.
    bundle = module.read_cluster_bundle(config)
    again = fit_regions_with_sherpa(bundle, config, RegionFits.of(bundle, config, found.regions[1:]))
    assert again.tobytes() == found.sherpa[1:].tobytes()


def made_up() -> EngineComparison:
    """Four regions: equal, another minimum, an open side and far off, failed in one engine."""
    fast = np.zeros(4, FIT_DTYPE)
    for name, value, lo, hi in (("kT", 5.0, 4.5, 6.0), ("norm", 1e-3, 0.9e-3, 1.1e-3)):
        fast[name], fast[f"{name}_lo"], fast[f"{name}_hi"] = value, lo, hi
    fast["statistic"] = 100.0
    sherpa = fast.copy()
    sherpa["kT"][1], sherpa["statistic"][1] = 7.0, 103.0
    judged = np.array([100.0, 100.5, 100.0, np.nan])
    fast["kT_hi"][2] = np.nan
    sherpa["kT"][2], sherpa["kT_lo"][2] = 4.9, 4.0
    sherpa["flags"][3] = FitFlag.FAILED
    for name in ("kT", "norm", "statistic"):
        sherpa[name][3] = np.nan
    regions = np.zeros(4, REGION_DTYPE)
    regions["region"] = [3, 5, 8, 9]
    return EngineComparison(regions, fast, sherpa, judged, 1e-4, 0.5, ("kT", "norm"), "XSPEC 12")


def test_differences_are_told_apart() -> None:
    comparison = made_up()
    assert comparison.usable.tolist() == [True, True, True, False]
    assert comparison.same_minimum.tolist() == [True, False, True, False]
    assert comparison.noticeable.tolist() == [False, True, True, True]
    # half of 4.5 .. 6; an open side as wide as the other
    np.testing.assert_allclose(comparison.deviation("kT"), [0.0, -2.0 / 0.75, 0.1 / 0.5, np.nan])
    np.testing.assert_allclose(comparison.side_ratio("kT")[:, 2], [0.5 / 0.9, np.nan])
    np.testing.assert_allclose(comparison.statistic_difference, [0.0, -3.0, 0.0, np.nan])
    np.testing.assert_allclose(comparison.gain, [0.0, 2.5, 0.0, np.nan])


def test_summary_is_over_regions_in_the_same_minimum() -> None:
    summary = {what: (median, worst) for what, median, worst in made_up().summary()}
    assert summary["|kT difference| / sigma"] == pytest.approx((0.1, 0.2))
    assert summary["|norm difference| / sigma"] == pytest.approx((0.0, 0.0))
    assert summary["|statistic difference|"] == (0.0, 0.0)
    assert summary["|upper side of kT / Sherpa's - 1|"] == (0.0, 0.0)
    assert summary["|lower side of kT / Sherpa's - 1|"] == pytest.approx((2 / 9, 4 / 9))
    none = replace(made_up(), fast=made_up().fast[:0], sherpa=made_up().sherpa[:0], judged=np.empty(0))
    assert all(np.isnan(median) and np.isnan(worst) for _, median, worst in none.summary())


def test_table_holds_both_engines(tmp_path: Path) -> None:
    comparison = made_up()
    path = tmp_path / "comparison.ecsv"
    write_comparison(path, comparison)
    table = Table.read(path)
    assert table["region"].tolist() == [3, 5, 8, 9]
    np.testing.assert_array_equal(table["kT_sherpa"], comparison.sherpa["kT"])
    np.testing.assert_array_equal(table["statistic_fast"], comparison.fast["statistic"])
    np.testing.assert_allclose(table["kT_deviation"], comparison.deviation("kT"))
    assert table["noticeable"].tolist() == [False, True, True, True]
    assert table.meta["sherpa_model"] == "XSPEC 12"
