"""The truth that a fit of a circle or a bin is held against."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_fronts import shock_free_cluster

from pyxt_hpc.binning.geometric import grid_bins
from pyxt_hpc.cluster.fitting import fit_spectra
from pyxt_hpc.simulate.acis.write import write_truth
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.simulate.truth import (
    TruthComparison,
    compare_with_truth,
    ring_table,
    spectroscopic_like_temperature,
)


def circles(kT: np.ndarray, norm: np.ndarray) -> float:
    """Temperature of one circle in the middle of the images."""
    one = np.array([10])
    return float(spectroscopic_like_temperature(kT, norm, one, one, np.array([6.0]))[0])


def comparison_of(deviation: np.ndarray, inside: np.ndarray, **changes: np.ndarray) -> TruthComparison:
    """Comparison in the innermost ring; values that are not given are ideal."""
    n = len(deviation)
    others = {
        "norm_ratio": np.ones(n), "goodness": np.zeros(n), "poor": np.zeros(n, bool),
        "distance_arcmin": np.zeros(n),
    }  # fmt: skip
    return TruthComparison(deviation, inside, **(others | changes))


def test_one_temperature_stays_what_it_is() -> None:
    norm = np.random.default_rng(1).random((21, 21))
    np.testing.assert_allclose(circles(np.full((21, 21), 5.0), norm), 5.0)


def test_mixture_leans_to_the_cool_gas() -> None:
    kT = np.where(np.arange(21) < 10, 4.0, 8.0) * np.ones((21, 1))
    norm = np.ones((21, 21))
    norm[:, 10] = 0.0
    # Mazzotta et al. 2004: (4 * 4^-0.75 + 8 * 8^-0.75) / (4^-0.75 + 8^-0.75)
    np.testing.assert_allclose(circles(kT, norm), 5.4916, rtol=1e-4)


def test_summary_of_normal_deviates() -> None:
    deviation = np.random.default_rng(2).normal(0.2, 1.1, 100_000)
    comparison = comparison_of(deviation, np.abs(deviation) < 1)
    np.testing.assert_allclose([comparison.median, comparison.scatter], [0.2, 1.1], atol=0.01)
    np.testing.assert_allclose(comparison.coverage, 0.628, atol=0.01)


def test_rings_show_where_a_fault_is() -> None:
    rng = np.random.default_rng(3)
    far = np.arange(1000) >= 600
    head, rows = ring_table(
        comparison_of(
            rng.normal(size=1000),
            np.arange(1000) % 3 > 0,
            norm_ratio=np.where(far, 1.3, 1.0) + np.where(np.arange(1000) == 999, np.nan, 0.0),
            goodness=np.where(far, 3.0, 0.0) + rng.normal(size=1000),
            poor=far & (np.arange(1000) % 4 == 0),
            distance_arcmin=np.where(far, 7.0, 1.0),
        )
    )
    assert head[:3] == ("arcmin", "regions", "norm/truth")
    near, outer = rows
    assert near[:3] == ("0-1.5", "600", "1.000")
    assert outer[:3] == ("6-8", "400", "1.300")
    assert float(outer[3]) > 2.8
    assert (near[5], outer[5]) == ("0.0%", "25.0%")


def test_bins_are_held_against_their_own_pixels(tmp_path: Path) -> None:
    """Square bins: kT is as often within 68% as it should be, norms are those of the bins."""
    rng = np.random.default_rng(5)
    truth = shock_free_cluster("round", rng, 60).cluster
    truth = replace(truth, abundance=np.full_like(truth.kT, 0.3))  # as it is frozen
    write_truth(tmp_path, truth)
    bundle = observe_directly(truth, rng, exposure_s=2e5)
    labels = grid_bins(bundle.mask, 6)
    rows = fit_spectra(bundle, labels).stored.rows
    found = compare_with_truth(rows, bundle, tmp_path / "truth", labels)
    assert 0.55 < found.coverage < 0.82
    assert abs(found.median) < 0.3
    inside = np.isfinite(found.norm_ratio)  # bins at the border reach beyond the maps of the truth
    assert inside.mean() > 0.5
    # 400 counts a bin, in some of them gas of several temperatures
    assert np.average(found.norm_ratio[inside], weights=rows["counts"][inside]) == pytest.approx(
        1.0, abs=0.025
    )
    # bins taken for others: each is held against its own truth only
    wrong = rows.copy()
    wrong["region"] = np.roll(wrong["region"], len(rows) // 3)
    mixed = compare_with_truth(wrong, bundle, tmp_path / "truth", labels)
    assert np.nanstd(np.log(mixed.norm_ratio)) > 3.0 * np.nanstd(np.log(found.norm_ratio))
