import numpy as np
import pytest

from pyxt_hpc.chandra import gti
from pyxt_hpc.chandra.lightcurve import BIN_S, LightCurve, clean_flares, light_curve
from pyxt_hpc.errors import EmptySelection

LENGTH = 60_000.0
FLARES = {
    "box": lambda t: 2.0 * ((t > 20_000) & (t < 26_000)),
    "decay": lambda t: np.where(t > 30_000, 6.0 * np.exp(-np.clip(t - 30_000, 0, None) / 2000), 0),
    "gauss": lambda t: 3.0 * np.exp(-0.5 * ((t - 10_000) / 1500) ** 2),
    "long": lambda t: 1.5 * (t < 36_000),
    "two": lambda t: 1.0 * ((t < 4000) | (t > 57_000)),
}


def simulate(rate: float, flare, seed: int) -> np.ndarray:
    """Events of a quiet rate [count/s] and a flare, given as a fraction of it, between 0 and LENGTH."""
    rng = np.random.default_rng(seed)
    highest = 8.0
    times = np.sort(rng.uniform(0, LENGTH, rng.poisson(rate * highest * LENGTH)))
    return times[rng.random(len(times)) * highest < 1 + flare(times)]


@pytest.mark.parametrize("rate", [0.08, 0.2, 1.0])
@pytest.mark.parametrize("name", FLARES)
def test_flares_go_and_quiet_time_stays(name: str, rate: float) -> None:
    flare = FLARES[name]
    whole = np.array([[0.0, LENGTH]])
    t = np.arange(0, LENGTH, 5.0)
    flaring = flare(t) > 0.5  # 50% above quiet: less is noise in a bin of 20 counts
    quiet = flare(t) < 0.02
    removed, lost, means = [], [], []
    for seed in range(8):
        cleaning = clean_flares(light_curve(simulate(rate, flare, seed), [whole]))
        kept = gti.contains(cleaning.gti, t)
        removed.append(np.mean(~kept[flaring]))
        lost.append(np.mean(~kept[quiet]))
        means.append(cleaning.mean)
        assert cleaning.share_kept == pytest.approx(np.mean(kept), abs=0.01)
    assert np.mean(removed) > 0.95
    assert np.mean(lost) < 0.05
    assert np.mean(means) == pytest.approx(rate, rel=0.05)


def test_quiet_curve_is_left_alone() -> None:
    whole = np.array([[0.0, LENGTH]])
    for rate in (0.01, 0.05, 0.2, 1.0, 5.0):
        kept = [
            clean_flares(light_curve(simulate(rate, lambda t: 0 * t, seed), [whole])).share_kept
            for seed in range(8)
        ]
        assert np.mean(kept) > 0.97, rate


def test_gaps_in_the_good_time_are_not_dips() -> None:
    gaps = np.array([[0.0, 10_000.0], [10_100.0, 30_050.0], [40_000.0, LENGTH]])
    times = simulate(0.3, lambda t: 0 * t, 3)
    curve = light_curve(times[gti.contains(gaps, times)], [gaps])
    assert curve.live_s.sum() == pytest.approx(gti.total(gaps))
    assert clean_flares(curve).share_kept > 0.97


def test_live_time_is_averaged_over_chips() -> None:
    one, two = np.array([[0.0, 1000.0]]), np.array([[0.0, 500.0]])
    curve = light_curve(np.array([1.0, 999.0]), [one, two])
    assert curve.live_s.sum() == pytest.approx(750.0)
    assert curve.counts.sum() == 2
    assert len(curve.counts) == int(np.ceil(1000 / BIN_S))


def test_dropouts_go_without_their_neighbours() -> None:
    counts = np.full(40, 100)
    counts[10] = 20
    curve = LightCurve(np.arange(41) * BIN_S, counts, np.full(40, BIN_S))
    assert list(np.flatnonzero(~clean_flares(curve).good)) == [10]


def test_shoulders_of_a_flare() -> None:
    counts = np.full(40, 100)
    counts[10:14] = [112, 500, 115, 112]
    curve = LightCurve(np.arange(41) * BIN_S, counts, np.full(40, BIN_S))
    assert list(np.flatnonzero(~clean_flares(curve).good)) == [9, 10, 11, 12, 13, 14]


def test_hopeless_light_curves_are_refused() -> None:
    empty = LightCurve(np.arange(5) * BIN_S, np.zeros(4, int), np.full(4, BIN_S))
    with pytest.raises(EmptySelection, match="no counts"):
        clean_flares(empty)
    ramp = LightCurve(np.arange(41) * BIN_S, np.geomspace(100, 1e9, 40).astype(int), np.full(40, BIN_S))
    with pytest.raises(EmptySelection, match="of 40 bins"):
        clean_flares(ramp)
