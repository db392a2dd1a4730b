"""The truth that a fit of a circle is held against."""

import numpy as np

from pyxt_hpc.truth import TruthComparison, spectroscopic_like_temperature


def circles(kT: np.ndarray, norm: np.ndarray) -> float:
    """Temperature of one circle in the middle."""
    one = np.array([10])
    return float(spectroscopic_like_temperature(kT, norm, one, one, np.array([6.0]))[0])


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
    comparison = TruthComparison(deviation, np.abs(deviation) < 1)
    np.testing.assert_allclose([comparison.median, comparison.scatter], [0.2, 1.1], atol=0.01)
    np.testing.assert_allclose(comparison.coverage, 0.628, atol=0.01)
