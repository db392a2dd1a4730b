"""Cuts that only the events tell of: found where Poisson forbids them to be chance, and nowhere else."""

import numpy as np
import pytest

from pyxt_hpc.preprocess.checks.coverage import (
    empty_share_of_chip,
    empty_share_of_time,
    energy_ranges,
    quiet_rate,
)

RNG = np.random.default_rng(3)
FULL = (1, 1024)


def test_energies_that_were_not_cut() -> None:
    for n in (0, 1, 30, 1000, 100_000):
        energy = RNG.uniform(250, 13_000, n)
        np.testing.assert_array_equal(energy_ranges(energy), [[0, np.inf]])


def test_a_spectrum_of_lines_is_not_cut() -> None:
    # as steep as a cluster of 2 keV, behind an edge
    energy = np.concatenate([RNG.exponential(1000, 50_000) + 400, RNG.uniform(300, 12_000, 2000)])
    np.testing.assert_array_equal(energy_ranges(energy), [[0, np.inf]])


@pytest.mark.parametrize(("low", "high"), [(300, 10_000), (500, 7000), (2000, 12_000)])
def test_cut_energies(low: float, high: float) -> None:
    energy = RNG.uniform(300, 12_000, 30_000).astype(np.float32)
    energy = energy[(energy >= low) & (energy < high)]
    ranges = energy_ranges(energy)
    assert len(ranges) == 1
    assert ranges[0, 0] == pytest.approx(low if low > 300 else 0, abs=5)
    assert ranges[0, 1] == pytest.approx(high, abs=5) or (high == 12_000 and np.isinf(ranges[0, 1]))
    assert ((energy >= ranges[0, 0]) & (energy < ranges[0, 1])).all()


def test_hole_in_the_middle() -> None:
    energy = RNG.uniform(300, 12_000, 30_000)
    ranges = energy_ranges(energy[(energy < 6000) | (energy > 7000)])
    np.testing.assert_allclose(ranges, [[0, 6000], [7000, np.inf]], atol=5)


def chip(n: int) -> tuple[np.ndarray, np.ndarray]:
    return RNG.integers(1, 1025, n), RNG.integers(1, 1025, n)


def test_full_chips_of_any_brightness() -> None:
    for n in (0, 10, 300, 3000, 100_000):
        assert empty_share_of_chip(*chip(n), FULL) in (0.0, None)
    # a bright source, and background of half the rate at one edge
    x, y = chip(4000)
    kept = RNG.random(4000) < 0.5 + 0.5 * x / 1024
    x, y = (np.concatenate([v[kept], RNG.normal(500, 5, 50_000).astype(int)]) for v in (x, y))
    assert empty_share_of_chip(x, y, FULL) == 0.0


@pytest.mark.parametrize("n", [2000, 50_000])
def test_cut_chip(n: int) -> None:
    x, y = chip(n)
    assert empty_share_of_chip(x[x > 512], y[x > 512], FULL) == pytest.approx(0.5)
    inside = np.hypot(x - 512, y - 512) < 300
    # of few events a finer division does not tell
    assert (0.4 if n > 2000 else 0.0) <= empty_share_of_chip(x[inside], y[inside], FULL) < 0.75
    assert empty_share_of_chip(x[y <= 256], y[y <= 256], (1, 256)) == 0.0


def test_few_events_do_not_tell() -> None:
    x, y = chip(60)
    assert empty_share_of_chip(x[x > 512], y[x > 512], FULL) is None
    assert empty_share_of_time(np.sort(RNG.uniform(0, 100, 60)), np.array([[0.0, 100.0]])) is None


GTI = np.array([[0.0, 400.0], [1000.0, 1600.0]])


def in_gti(n: int) -> np.ndarray:
    time = RNG.uniform(0, 1000, n)
    return np.where(time < 400, time, time + 600)


def test_good_time_that_has_events() -> None:
    for n in (700, 5000, 300_000):
        assert empty_share_of_time(in_gti(n), GTI) in (0.0, None)
    flare = np.concatenate([in_gti(3000), RNG.uniform(1100, 1150, 60_000)])
    assert empty_share_of_time(flare, GTI) == 0.0


@pytest.mark.parametrize(("kept", "share"), [(0.41, 0.59), (0.9, 0.1), (0.98, 0.02)])
def test_good_time_without_events(kept: float, share: float) -> None:
    time = np.where((u := RNG.random(60_000) * 1000 * kept) < 400, u, u + 600)
    assert empty_share_of_time(time, GTI) == pytest.approx(share, abs=0.005)


def test_quiet_rate_is_not_moved_by_a_flare() -> None:
    flare = np.concatenate([in_gti(20_000), RNG.uniform(1100, 1200, 20_000)])
    assert quiet_rate(flare, GTI) == pytest.approx(20.0, rel=0.05)
    assert quiet_rate(in_gti(100), GTI) == pytest.approx(0.1)
