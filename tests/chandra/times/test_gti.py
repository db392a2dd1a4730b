import numpy as np
import pytest

from pyxt_hpc.chandra.times import gti


def on_a_clock(intervals: np.ndarray, times: np.ndarray) -> np.ndarray:
    return (
        np.any([(times >= a) & (times < b) for a, b in intervals], axis=0) if len(intervals) else times < -1
    )


def random_sets(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 100, (2, 8))
    return tuple(np.column_stack([s, s + rng.integers(0, 15, 8)]).astype(float) for s in starts)


def test_set_algebra_against_a_clock() -> None:
    times = np.arange(0, 130, 0.5) + 0.25
    for seed in range(50):
        a, b = random_sets(seed)
        in_a, in_b = on_a_clock(a, times), on_a_clock(b, times)
        for result, expected in (
            (gti.normalise(a), in_a),
            (gti.intersection(a, b), in_a & in_b),
            (gti.union([a, b]), in_a | in_b),
        ):
            np.testing.assert_array_equal(gti.in_gti(result, times), expected)
            assert gti.ontime(result) == expected.sum() * 0.5
            assert np.all(result[1:, 0] > result[:-1, 1])


def test_stop_is_excluded_and_start_included() -> None:
    one = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(
        gti.in_gti(one, [0.99, 1.0, 1.99, 2.0, 3.0, 4.0]), [False, True, True, False, True, False]
    )


def test_empty_sets() -> None:
    empty = np.empty((0, 2))
    assert gti.ontime(gti.intersection(empty, [[0, 1]])) == 0
    assert gti.ontime(gti.intersection([[0, 1]], [[2, 3]])) == 0
    assert not gti.in_gti(empty, [1.0]).any()
    assert len(gti.union([])) == 0
    np.testing.assert_array_equal(gti.live_time(empty, [0, 1, 2]), [0, 0])


def test_reversed_and_nan_intervals_are_dropped() -> None:
    assert gti.ontime(gti.normalise([[5, 1], [np.nan, 3], [1, 2]])) == 1


def test_live_time_per_bin() -> None:
    intervals = np.array([[0.5, 2.5], [7.0, 8.0]])
    np.testing.assert_allclose(gti.live_time(intervals, [0, 1, 2, 3, 7, 9]), [0.5, 1, 0.5, 0, 1])


def test_time_at_which_good_time_has_gone_by() -> None:
    gti_ = np.array([[10.0, 20.0], [100.0, 105.0], [200.0, 201.0]])
    np.testing.assert_array_equal(
        gti.at_elapsed(gti_, [0.0, 9.0, 10.0, 12.5, 15.5]), [10, 19, 100, 102.5, 200.5]
    )
    elapsed = np.random.default_rng(1).uniform(0, 16, 1000)
    times = gti.at_elapsed(gti_, elapsed)
    assert gti.in_gti(gti_, times).all()
    for time, passed in zip(times[:50], elapsed[:50], strict=True):
        assert gti.live_time(gti_, [0.0, time])[0] == pytest.approx(passed)
