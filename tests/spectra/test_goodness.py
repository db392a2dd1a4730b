"""Goodness of fit: moments as published, z-scores of simulated spectra with the right and a wrong model."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import poisson

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.spectra.goodness import (
    expected_statistic,
    goodness,
    moments,
    statistic_per_bin,
)
from pyxt_hpc.spectra.kernels.statistics import STATISTICS, wstat

N_BIN = 104
X = np.linspace(-1.0, 1.0, N_BIN)


def kaastra(mu: float) -> tuple[float, float]:
    """Expectation and variance of the C-statistic, Kaastra (2017), equations 8 to 22."""
    k, log = np.arange(5), np.log(mu)
    if mu <= 0.5:
        mean = -0.25 * mu**3 + 1.38 * mu**2 - 2 * mu * log
    elif mu <= 2:
        mean = -0.00335 * mu**5 + 0.04259 * mu**4 - 0.27331 * mu**3 + 1.381 * mu**2 - 2 * mu * log
    elif mu <= 5:
        mean = 1.019275 + 0.1345 * mu ** (0.461 - 0.9 * log)
    elif mu <= 10:
        mean = 1.00624 + 0.604 * mu**-1.68
    else:
        mean = 1 + 0.1649 / mu + 0.226 / mu**2
    if mu <= 0.1:
        c = np.array([mu, *(mu - k[1:] + k[1:] * np.log(k[1:] / mu))])
        variance = 4 * (np.exp(-mu) * mu**k / [1, 1, 2, 6, 24] * c**2).sum() - mean**2
    elif mu <= 0.2:
        variance = -262 * mu**4 + 195 * mu**3 - 51.24 * mu**2 + 4.34 * mu + 0.77005
    elif mu <= 0.3:
        variance = 4.23 * mu**2 - 2.8254 * mu + 1.12522
    elif mu <= 0.5:
        variance = -3.7 * mu**3 + 7.328 * mu**2 - 3.6926 * mu + 1.20641
    elif mu <= 1:
        variance = 1.28 * mu**4 - 5.191 * mu**3 + 7.666 * mu**2 - 3.5446 * mu + 1.15431
    elif mu <= 2:
        variance = 0.1125 * mu**4 - 0.641 * mu**3 + 0.859 * mu**2 + 1.0914 * mu - 0.05748
    elif mu <= 3:
        variance = 0.089 * mu**3 - 0.872 * mu**2 + 2.8422 * mu - 0.67539
    elif mu <= 5:
        variance = 2.12336 + 0.012202 * mu ** (5.717 - 2.6 * log)
    elif mu <= 10:
        variance = 2.05159 + 0.331 * mu ** (1.343 - log)
    else:
        variance = 12 / mu**3 + 0.79 / mu**2 + 0.6747 / mu + 2
    return mean, variance


def likely(mean: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts that may occur, and their probabilities."""
    counts = np.arange(poisson.isf(1e-15, mean) + 2) if mean > 0 else np.zeros(1)
    return counts, poisson.pmf(counts, mean)


def exact_moments(statistic: str, model: float, background: float, ratio: float) -> tuple[float, float]:
    """Expectation and variance of one bin's statistic by summing over all likely pairs of counts.

    Parameters
    ----------
    statistic : str
        One of `statistics.STATISTICS`.
    model : float
        Counts m that the model expects in the source spectrum, background excluded.
    background : float
        Counts r b expected in the background spectrum.
    ratio : float
        r, exposure of the background spectrum in units of the source's.

    Returns
    -------
    expectation, variance : float
    """
    S, probability = likely(model + background / ratio)
    B, of_background = (np.array([background]), np.ones(1)) if statistic == "cstat" else likely(background)
    probability = probability[:, None] * of_background
    W = statistic_per_bin(statistic, S[:, None], B, model, ratio)
    expectation = float((probability * W).sum())
    return expectation, float((probability * (W - expectation) ** 2).sum())


@pytest.mark.parametrize("mu", np.geomspace(1e-3, 300.0, 40))
def test_cstat_as_published(mu: float) -> None:
    """His formulas are good to a few 1e-4."""
    assert exact_moments("cstat", mu, 0.0, 1.0) == pytest.approx(kaastra(mu), rel=4e-4)
    table = expected_statistic([[mu]], [[0.0]], [[1.0]], moments("cstat", [1.0]))[0, :2]
    assert table == pytest.approx(kaastra(mu), abs=0.01)


def test_statistic_of_bins() -> None:
    rng = np.random.default_rng(4)
    S, B = rng.poisson(2.0, (2, 500))
    m, r = rng.exponential(2.0, 500), rng.uniform(0.5, 20.0, 500)
    assert statistic_per_bin("wstat", S, B, m, r).tolist() == wstat(S, B, m, r).tolist()
    assert statistic_per_bin("cstat", [0, 2], 0, [1.5, 1.0], 1.0) == pytest.approx([3.0, 4 * np.log(2) - 2])
    # 12 counts, 1.5 from the background, 4 in the model; Gehrels' errors
    variance = (1 + np.sqrt(12.75)) ** 2 + (1 + np.sqrt(6.75)) ** 2 / 16
    assert statistic_per_bin("chi2gehrels", 12, 6, 4.0, 4.0) == pytest.approx(6.5**2 / variance)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_moments_are_those_of_random_spectra(statistic: str) -> None:
    """Also tells model from background and the ratio from its inverse."""
    rng = np.random.default_rng(5)
    n = 200_000
    for m, b, r in ((0.3, 1.0, 4.0), (3.0, 2.0, 1.0), (20.0, 40.0, 0.5)):
        B = b if statistic == "cstat" else rng.poisson(b, n)
        W = statistic_per_bin(statistic, rng.poisson(m + b / r, n), B, m, r)
        mean, variance = exact_moments(statistic, m, b, r)
        assert W.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / n))
        fourth = ((W - mean) ** 4).mean()
        assert W.var() == pytest.approx(variance, abs=4 * np.sqrt((fourth - variance**2) / n))


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("ratio", [1.0, 7.0, 20.0])
def test_tables_are_the_sums(statistic: str, ratio: float) -> None:
    rng = np.random.default_rng(6)
    m, b = 10 ** rng.uniform(-2.5, 2.7, (2, 100))
    exact = np.array([exact_moments(statistic, *mean, ratio) for mean in zip(m, b, strict=True)])
    table = moments(statistic, [ratio])
    found = expected_statistic(m[:, None], b[:, None], np.ones((100, 1)), table)[:, :2]
    error = abs(found - exact)
    assert (error.max(axis=0) < (0.003, 0.05)).all()
    assert (np.median(error, axis=0) < (4e-4, 2e-3)).all()


def test_many_counts_are_chi_squared() -> None:
    for statistic in STATISTICS:
        for m in (2e4, 1e5, 1e7, 1e12):
            found = expected_statistic([[m]], [[0.5 * m]], [[1.0]], moments(statistic, [30.0]))[0, :2]
            # Gehrels' errors exceed the square root of the counts by 1
            assert found == pytest.approx((1.0, 2.0), rel=0.025 if statistic == "chi2gehrels" else 1e-3)


class Toy:
    """Spectra of two parameters, m = exp(a + slope x), over a flat background."""

    def __init__(self, counts: float, share: float, ratio: float, n: int, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        shape = np.exp(np.linspace(-2.0, 0.5, n)[:, None] * X)
        self.ratio, self.seed = ratio, seed
        self.true = counts * shape / shape.sum(axis=1, keepdims=True)
        self.flat = counts * share / (1 - share) / N_BIN
        self.background = rng.poisson(ratio * self.flat, (n, N_BIN)).astype(float)

    def z_scores(self, statistic: str, extra: np.ndarray | float = 0.0) -> np.ndarray:
        """Of fits to the model's counts and `extra`, by Newton steps with Gauss's second derivatives."""
        mean = np.repeat(self.background.mean(axis=1, keepdims=True), N_BIN, axis=1)
        B = mean if statistic == "cstat" else self.background
        S = np.random.default_rng(self.seed + 1).poisson(self.true + self.flat + extra).astype(float)
        total = S.sum(axis=1) - self.background.sum(axis=1) / self.ratio
        a, slope = np.log(np.maximum(total, 1.0) / N_BIN), np.zeros(len(S))

        def at(a: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            m = np.exp(a[:, None] + slope[:, None] * X)
            return m, statistic_per_bin(statistic, S, B, m, self.ratio)

        for _ in range(30):
            m, W = at(a, slope)
            up, down = (statistic_per_bin(statistic, S, B, m * h, self.ratio) for h in (1.001, 0.999))
            g, h = (up - down) / 2e-3, np.maximum((up - 2 * W + down) / 1e-6, 0.0) + 1e-9
            g_a, g_s, h_aa, h_as, h_ss = (f.sum(axis=1) for f in (g, g * X, h, h * X, h * X * X))
            determinant = h_aa * h_ss - h_as**2
            a = a - np.clip((h_ss * g_a - h_as * g_s) / determinant, -0.5, 0.5)
            slope = slope - np.clip((h_aa * g_s - h_as * g_a) / determinant, -0.5, 0.5)
        m, W = at(a, slope)
        table = moments(statistic, np.full(N_BIN, self.ratio))
        return goodness(W.sum(axis=1), 2, m, mean, np.ones(m.shape), table)


# wstat with 300 counts needs wider bins than these where the background has next to none (0.15 a bin)
@pytest.mark.parametrize(
    ("statistic", "counts", "share", "ratio"),
    [
        ("wstat", 300, 0.05, 5.0),
        ("wstat", 300, 0.5, 1.0),
        ("wstat", 1000, 0.05, 1.0),
        ("wstat", 1000, 0.5, 20.0),
        ("wstat", 10000, 0.2, 1.0),
        ("cstat", 300, 0.5, 5.0),
        ("cstat", 1000, 0.5, 1.0),
        ("chi2gehrels", 10000, 0.2, 10.0),
    ],
)
def test_z_scores_of_the_right_model(statistic: str, counts: float, share: float, ratio: float) -> None:
    n = 1000
    z = Toy(counts, share, ratio, n).z_scores(statistic)
    # three standard errors of a mean and of a scatter
    assert z.mean() == pytest.approx(0.0, abs=3 / np.sqrt(n))
    assert z.std() == pytest.approx(1.0, abs=3 / np.sqrt(2 * n))


@pytest.mark.parametrize("statistic", ["wstat", "cstat"])
@pytest.mark.parametrize(("counts", "z_least"), [(1000, 1.5), (10000, 15.0)])
def test_z_scores_of_wrong_models(statistic: str, counts: float, z_least: float) -> None:
    toy = Toy(counts, 0.2, 5.0, 200)
    line = np.where(abs(X - 0.3) < 0.03, 0.05 * counts / 3, 0.0)
    assert np.median(toy.z_scores(statistic, line)) > z_least
    edge = np.where(X > 0.0, 0.4, -0.4) * toy.true
    assert np.median(toy.z_scores(statistic, edge)) > z_least


def test_unused_bins_and_hopeless_regions() -> None:
    rng = np.random.default_rng(7)
    m, b = rng.exponential(2.0, (2, 5, 6))
    weight = np.full(m.shape, 1e5)
    table = moments("wstat", [2.0, 2.0, 2.0, 9.0, 9.0, 9.0])
    statistic = rng.chisquare(6, 5)
    all_bins = goodness(statistic, 2, m, b, weight, table)
    assert np.isfinite(all_bins).all()
    # the second observation takes no part in region 0: nothing there is of account
    weight[0, 3:], m[0, 3:], b[0, 3:] = 0.0, np.nan, np.nan
    m[1, 2] = np.nan
    b[2, 2] = -1.0
    weight[3] = 0.0
    statistic[4] = np.nan
    found = goodness(statistic, [2, 2, 2, 2, 2], m, b, weight, table)
    alone = goodness(statistic[:1], 2, m[:1, :3], b[:1, :3], weight[:1, :3], moments("wstat", [2.0] * 3))
    assert found[0] == alone[0]
    assert np.isnan(found[1:]).all()
    assert np.isnan(goodness([1.0], 3, m[:1, :3], b[:1, :3], weight[:1, :3], moments("wstat", [2.0] * 3)))


def test_a_region_depends_on_itself_alone() -> None:
    rng = np.random.default_rng(8)
    m, b = rng.exponential(2.0, (2, 30, N_BIN))
    ratio = np.repeat([3.0, 11.0], N_BIN // 2)
    arrays = rng.chisquare(N_BIN, 30), np.full(30, 2), m, b, np.ones(m.shape)
    whole = goodness(*arrays, moments("wstat", ratio))
    parts = [goodness(*(a[i : i + 1] for a in arrays), moments("wstat", ratio)) for i in range(30)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="wstat, cstat, chi2gehrels"):
        moments("chi2", [1.0])
    for ratio in ([0.0], [np.nan], 3.0):
        with pytest.raises(ConfigError, match="above 0"):
            moments("wstat", ratio)
    with pytest.raises(ConfigError, match="shapes"):
        expected_statistic(np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)), moments("wstat", [1.0]))
