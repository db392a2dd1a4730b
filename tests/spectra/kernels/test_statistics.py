"""Statistics against closed forms, against minimisation over the background; kernels against numpy."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from pyxt_hpc.spectra.kernels.statistics import (
    STATISTICS,
    _log,
    chi2gehrels,
    cross_curvature,
    cstat,
    prepared,
    slope,
    slope_and_curvature,
    slopes_and_curvatures,
    terms,
    total,
    wstat,
)

BY_NAME = {"wstat": wstat, "cstat": cstat, "chi2gehrels": chi2gehrels}


def _term(counts: float, expected: float) -> float:
    return expected - counts + (counts * np.log(counts / expected) if counts else 0.0)


@pytest.mark.parametrize("ratio", [0.1, 1.0, 22.2])
@pytest.mark.parametrize(
    ("S", "B", "m"), [(7, 3, 2.0), (1, 40, 9.0), (12, 1, 0.01), (3, 3, 3.0), (5, 2, 0.0)]
)
def test_background_is_profiled(S: int, B: int, m: float, ratio: float) -> None:
    def both(log_b: float) -> float:
        b = np.exp(log_b)
        return 2.0 * (_term(S, m + b) + _term(B, ratio * b))

    best = minimize_scalar(both, bounds=(-25, 10), method="bounded", options={"xatol": 1e-10}).fun
    assert wstat(S, B, m, ratio) == pytest.approx(best, abs=1e-7)


@pytest.mark.parametrize("r", [0.5, 10.0])
def test_zero_cases_of_the_xspec_manual(r: float) -> None:
    assert wstat(0, 6, 2.5, r) == pytest.approx(2 * (2.5 - 6 * np.log(r / (1 + r))))
    assert wstat(0, 0, 2.5, r) == pytest.approx(2 * 2.5)
    assert wstat(0, 0, 0.0, r) == 0.0
    # B = 0, model below S / (1 + r): the background takes the rest; above: there is none
    m = 0.4 * 8 / (1 + r)
    assert wstat(8, 0, m, r) == pytest.approx(2 * (-r * m + 8 * np.log(1 + r)))
    assert wstat(8, 0, 0.0, r) == pytest.approx(2 * 8 * np.log(1 + r))
    assert wstat(8, 0, 11.0, r) == pytest.approx(2 * (11 - 8 + 8 * np.log(8 / 11)))
    assert wstat(8, 0, 8 / (1 + r), r) == pytest.approx(2 * (-r * 8 / (1 + r) + 8 * np.log(1 + r)))


def test_no_model_leaves_the_comparison_of_two_rates() -> None:
    b = (9 + 4) / (1 + 2.0)
    assert wstat(9, 4, 0.0, 2.0) == pytest.approx(2 * (_term(9, b) + _term(4, 2 * b)))


def test_perfect_model_is_zero() -> None:
    assert wstat(25, 30, 22.0, 10.0) == pytest.approx(0.0, abs=1e-12)


def _random_bins() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(3)
    n = 61
    S, B = rng.poisson(3, n).astype(float), rng.poisson(1, n).astype(float)
    rate = rng.random((2, n)) * np.where(rng.random(n) < 0.2, 0.0, 3.0)
    return S, B, rng.choice([0.3, 1.0, 17.0], n), rate[0], rate[1]


class Kernel:
    """The kernels as a user of one statistic calls them."""

    def __init__(self, name: str) -> None:
        self.kind = STATISTICS.index(name)
        S, B, r, self.p, self.q = _random_bins()
        self.bins = np.array([prepared(self.kind, *a) for a in zip(S, B, r, strict=True)]).T.copy()
        self.m, self.x, self.h, self.scratch = np.empty((4, len(S)))
        self.numpy = lambda m: BY_NAME[name](S, B, m, r).sum()

    def go(self, a: float, c: float) -> None:
        self.m[:] = a * self.p + c * self.q
        terms(self.kind, *self.bins, self.m, self.x, self.h)

    def total(self, a: float, c: float) -> float:
        self.go(a, c)
        return total(self.kind, *self.bins, self.m, self.x, self.scratch)


@pytest.mark.parametrize("name", STATISTICS)
def test_kernel_equals_numpy(name: str) -> None:
    kernel = Kernel(name)
    for a, c in [(0.0, 0.0), (1.0, 0.0), (0.3, 2.0), (1e6, 1e3), (1e-12, 0.0)]:
        expected = kernel.numpy(a * kernel.p + c * kernel.q)
        assert kernel.total(a, c) == pytest.approx(expected, rel=1e-12, abs=1e-11)


@pytest.mark.parametrize("name", STATISTICS)
def test_derivatives(name: str) -> None:
    kernel = Kernel(name)
    a, c, h = 0.71, 0.44, 1e-5

    def slopes(a: float, c: float) -> np.ndarray:
        kernel.go(a, c)
        return np.array([slope(kernel.x, kernel.p), slope(kernel.x, kernel.q)])

    by_a = (kernel.total(a + h, c) - kernel.total(a - h, c)) / (2 * h)
    by_c = (kernel.total(a, c + h) - kernel.total(a, c - h)) / (2 * h)
    assert slopes(a, c) == pytest.approx([by_a, by_c], rel=1e-6, abs=1e-6)
    second_a = (slopes(a + h, c) - slopes(a - h, c)) / (2 * h)
    second_c = (slopes(a, c + h) - slopes(a, c - h)) / (2 * h)
    kernel.go(a, c)
    w_a, w_c, w_aa, w_ac, w_cc = slopes_and_curvatures(kernel.x, kernel.h, kernel.p, kernel.q)
    assert [w_a, w_c] == pytest.approx(slopes(a, c), rel=1e-12)
    assert second_a == pytest.approx([w_aa, w_ac], rel=1e-6)
    assert second_c == pytest.approx([w_ac, w_cc], rel=1e-6)
    assert slope_and_curvature(kernel.x, kernel.h, kernel.p) == pytest.approx((w_a, w_aa), rel=1e-12)
    assert cross_curvature(kernel.h, kernel.p, kernel.q) == pytest.approx(w_ac, rel=1e-12)


def test_cstat_is_the_limit_of_wstat_for_a_background_without_error() -> None:
    S, b, m = np.array([3.0, 0.0, 7.0]), np.array([0.5, 2.0, 0.1]), np.array([2.0, 0.3, 9.0])
    assert cstat(S, 1e9 * b, m, 1e9) == pytest.approx(wstat(S, 1e9 * b, m, 1e9), abs=1e-6)
    # finite where nothing is expected
    assert cstat(4, 0, 0.0, 1.0) == pytest.approx(2 * (4 * np.log(4e100) - 4))


def test_chi2gehrels_as_sherpa_defines_it() -> None:
    # Sherpa's documentation of Chi2Gehrels: sigma = 1 + sqrt(counts + 0.75), background scaled and added
    assert chi2gehrels(0, 0, 1.0, 2.0) == pytest.approx(1 / ((1 + 0.75**0.5) ** 2 * 1.25))


def test_logarithm() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([10.0 ** rng.uniform(-300, 300, 500), rng.uniform(0.5, 2, 500), [1.0, 0.5, 2.0]])
    assert [_log(v) for v in values] == pytest.approx(np.log(values), rel=4e-16, abs=1e-17)


def test_large_counts_next_to_a_single_background_count() -> None:
    # (r + g) / r suffers from cancellation if written carelessly
    reference = wstat(10**6, 1, 10**6 - 1.0, 10.0)
    assert 0 <= reference < 10
