"""Arithmetic of good times agrees with counts on a fine clock, for any sets of intervals."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxt_hpc.chandra.times import gti

END = 24
CLOCK = np.arange(0, END, 0.25) + 0.125  # no interval begins or ends at these times
TICK = 0.25

edge = st.one_of(st.integers(0, END), st.sampled_from([float("nan"), float("inf")]))
intervals = st.lists(st.tuples(edge, edge), max_size=8).map(
    lambda rows: np.array(rows, dtype=float).reshape(-1, 2)
)


def on_clock(rows: np.ndarray) -> np.ndarray:
    """Ticks in any of the intervals, as given; intervals without an end do not count."""
    rows = rows[np.isfinite(rows).all(axis=1)]
    return ((rows[:, :1] <= CLOCK) & (rows[:, 1:] > CLOCK)).any(axis=0)


def complement(good: np.ndarray) -> np.ndarray:
    """The clock's time outside of sorted, disjoint intervals."""
    return np.concatenate([[0.0], good.ravel(), [float(END)]]).reshape(-1, 2)


def check(result: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(gti.in_gti(result, CLOCK), expected)
    assert gti.ontime(result) == pytest.approx(TICK * expected.sum())
    assert (result[:, 1] > result[:, 0]).all()
    assert (result[1:, 0] > result[:-1, 1]).all()  # sorted, and none touches the next


@settings(max_examples=80, deadline=None)
@given(intervals, intervals, intervals)
def test_union_and_intersection(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    in_a, in_b, in_c = (on_clock(rows) for rows in (a, b, c))
    check(gti.normalise(a), in_a)
    check(gti.union([a, b, c]), in_a | in_b | in_c)
    check(gti.intersection(a, b, c), in_a & in_b & in_c)
    np.testing.assert_array_equal(gti.normalise(gti.normalise(a)), gti.normalise(a))


@settings(max_examples=80, deadline=None)
@given(intervals, intervals)
def test_complement_of_a_union_is_the_intersection_of_the_complements(a: np.ndarray, b: np.ndarray) -> None:
    a, b = gti.normalise(a), gti.normalise(b)
    without = gti.intersection(complement(a), complement(b))
    check(without, ~(on_clock(a) | on_clock(b)))
    np.testing.assert_array_equal(gti.normalise(complement(gti.union([a, b]))), without)


@settings(max_examples=80, deadline=None)
@given(intervals, st.lists(st.integers(0, END), min_size=2, max_size=6, unique=True))
def test_live_time_and_elapsed_time(rows: np.ndarray, edges: list[int]) -> None:
    good, bins = gti.normalise(rows), np.sort(edges)
    ticks = on_clock(rows)
    expected = [TICK * ticks[(lo <= CLOCK) & (hi > CLOCK)].sum() for lo, hi in pairwise(bins)]
    np.testing.assert_allclose(gti.live_time(good, bins), expected, atol=1e-9)
    if len(good):
        # the good ticks are the times at which so much good time has gone by
        elapsed = TICK * (np.arange(ticks.sum()) + 0.5)
        np.testing.assert_allclose(gti.at_elapsed(good, elapsed), CLOCK[ticks])


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(0, 9), intervals.map(gti.normalise), max_size=3), st.integers(0, 999))
def test_every_event_is_looked_up_on_its_own_chip(of_chip: dict[int, np.ndarray], seed: int) -> None:
    rng = np.random.default_rng(seed)
    ccd_id, times = rng.integers(0, 10, 40), rng.choice(CLOCK, 40)
    none = np.empty((0, 2))
    expected = [gti.in_gti(of_chip.get(c, none), [t])[0] for c, t in zip(ccd_id, times, strict=True)]
    np.testing.assert_array_equal(gti.in_gti_by_chip(of_chip, ccd_id, times), expected)
