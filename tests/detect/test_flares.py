import numpy as np
import pytest
from scipy.stats import poisson

from pyxt_hpc.chandra.times import gti
from pyxt_hpc.chandra.times.lightcurve import BIN_S, LightCurve, light_curve
from pyxt_hpc.detect.flares import FlareCleaning, _poisson_quantile, check_quiet, find_quiet
from pyxt_hpc.errors import EmptySelection

LENGTH = 60_000.0
FLARES = {
    "box": lambda t: 2.0 * ((t > 20_000) & (t < 26_000)),
    "decay": lambda t: np.where(t > 30_000, 6.0 * np.exp(-np.clip(t - 30_000, 0, None) / 2000), 0),
    "gauss": lambda t: 3.0 * np.exp(-0.5 * ((t - 10_000) / 1500) ** 2),
    "long": lambda t: 1.5 * (t < 36_000),
    "two": lambda t: 1.0 * ((t < 4000) | (t > 57_000)),
}


def clean_flares(
    curve: LightCurve, first: FlareCleaning | None = None, nsigma: float = 3.0, scale: float = 1.2
) -> FlareCleaning:
    """`find_quiet`, then `check_quiet`."""
    cleaning = find_quiet(curve, first, nsigma, scale)
    check_quiet(cleaning)
    return cleaning


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
        kept = gti.in_gti(cleaning.gti, t)
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
    curve = light_curve(times[gti.in_gti(gaps, times)], [gaps])
    assert curve.live_s.sum() == pytest.approx(gti.ontime(gaps))
    assert clean_flares(curve).share_kept > 0.97


def test_dropouts_go_without_their_neighbours() -> None:
    counts = np.full(40, 100)
    counts[10] = 20
    curve = LightCurve(np.arange(41) * BIN_S, counts, np.full(40, BIN_S))
    assert list(np.flatnonzero(~clean_flares(curve).good)) == [10]


def full_bins(counts: object) -> LightCurve:
    counts = np.asarray(counts)
    return LightCurve(np.arange(len(counts) + 1) * BIN_S, counts, np.full(len(counts), BIN_S))


def test_wings_of_a_flare_go_and_no_more() -> None:
    counts = np.full(40, 100)
    counts[8:14] = [100, 116, 118, 500, 115, 112]
    assert list(np.flatnonzero(~clean_flares(full_bins(counts)).good)) == [9, 10, 11, 12, 13]


def test_pause_between_flares_stays() -> None:
    counts = np.full(60, 100)
    counts[10:14], counts[18:22] = 300, 300
    assert list(np.flatnonzero(~clean_flares(full_bins(counts)).good)) == [*range(10, 14), *range(18, 22)]


def test_weak_long_flare_goes_though_each_bin_is_within_its_scatter() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(np.where(np.arange(200) < 60, 60.0, 47.0))
    assert (counts[:60] < 47 + 3 * np.sqrt(47)).mean() > 0.8
    bad = ~clean_flares(full_bins(counts)).good
    assert bad[:60].mean() > 0.95
    assert bad[60:].mean() < 0.03


@pytest.mark.parametrize("peak", [1.3, 1.5, 3.0])
def test_flare_that_lasts_for_most_of_the_time_is_not_taken_for_quiet(peak: float) -> None:
    rng = np.random.default_rng(2)
    flaring = np.arange(150) >= 60
    for _ in range(5):
        cleaning = clean_flares(full_bins(rng.poisson(np.where(flaring, 190 * peak, 190.0))))
        assert cleaning.mean * BIN_S == pytest.approx(190, rel=0.04)
        assert (~cleaning.good)[flaring].mean() > 0.95
        assert (~cleaning.good)[~flaring].mean() < 0.1


def test_quiet_rate_may_drift_by_some_percent() -> None:
    rng = np.random.default_rng(3)
    phase = np.linspace(0, 6, 300)
    kept = [
        clean_flares(full_bins(rng.poisson(500 * (1 + 0.03 * np.sin(phase + k))))).share_kept
        for k in range(10)
    ]
    assert np.mean(kept) > 0.98


def test_few_counts_lose_no_quiet_time_and_say_what_would_not_be_seen() -> None:
    rng = np.random.default_rng(4)
    cleanings = [clean_flares(full_bins(rng.poisson(np.full(150, 3.0)))) for _ in range(20)]
    assert np.mean([c.share_kept for c in cleanings]) > 0.98
    assert cleanings[0].excess == pytest.approx(1.5 / np.sqrt(3), rel=0.1)
    counts = rng.poisson(np.where(np.arange(150) < 20, 9.0, 3.0))
    bad = ~clean_flares(full_bins(counts)).good
    assert bad[:20].mean() > 0.9
    assert bad[22:].mean() < 0.02


def test_second_pass_follows_the_wings_of_the_first() -> None:
    counts = np.full(60, 100)
    counts[30] = 400
    first = clean_flares(full_bins(counts))
    more = np.full(60, 400)
    more[28:33] = [410, 452, 1600, 448, 410]
    live = np.where(first.good, BIN_S, 0.0)
    second = LightCurve(np.arange(61) * BIN_S, np.where(first.good, more, 0), live)
    assert list(np.flatnonzero(~find_quiet(second, first).good)) == [29, 30, 31]
    # a gap that is no flare has no wings
    assert list(np.flatnonzero(~find_quiet(second).good)) == [30]


def deflare(curve: LightCurve, nsigma: float = 3.0, scale: float = 1.2) -> np.ndarray:
    """Good bins by the rule of CIAO's deflare with method=clean."""
    rate, width = curve.rate, np.diff(curve.edges)
    used = rate > 0
    mean = rate[used].mean()
    for _ in range(100):
        clipped = used & (np.abs(rate - mean) <= nsigma * np.sqrt(mean / width))
        if rate[clipped].mean() == mean:
            break
        mean = rate[clipped].mean()
    return used & (rate > mean / scale) & (rate < mean * scale)


@pytest.mark.parametrize("name", ["none", "box", "decay", "gauss", "two"])
def test_well_populated_curve_keeps_nearly_the_bins_of_deflare(name: str) -> None:
    rng = np.random.default_rng(5)
    t = BIN_S * (np.arange(230) + 0.5)
    flare = 0 * t if name == "none" else FLARES[name](t)
    both, either, theirs_only_above = 0, 0, 0
    for _ in range(5):
        curve = full_bins(rng.poisson(500 * (1 + flare)))
        ours, theirs = clean_flares(curve).good, deflare(curve)
        both += np.sum(ours & theirs)
        either += np.sum(ours | theirs)
        theirs_only_above += np.sum(theirs & ~ours & (flare < 0.02))
        assert not np.any(ours & ~theirs & (flare > 0.2))
    assert both / either > 0.97
    assert theirs_only_above / either < 0.01


def test_hopeless_light_curves_are_refused() -> None:
    empty = LightCurve(np.arange(5) * BIN_S, np.zeros(4, int), np.full(4, BIN_S))
    with pytest.raises(EmptySelection, match="no counts"):
        clean_flares(empty)
    ramp = full_bins(np.geomspace(100, 1e9, 40).astype(int))
    with pytest.raises(
        EmptySelection, match=r"only 2.5% of the bins .* 2.5% of its time \(mean .*, sigma of"
    ):
        clean_flares(ramp)
    assert find_quiet(ramp).good.sum() == 1  # for the picture


@pytest.mark.parametrize("probability", [1e-9, 0.00135, 0.5, 0.99865, 1 - 1e-9])
def test_poisson_quantile_is_that_of_scipy(probability: float) -> None:
    mean = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 500), np.arange(1.0, 300.0)])
    np.testing.assert_array_equal(_poisson_quantile(probability, mean), poisson.ppf(probability, mean))
