"""Bias, coverage and trust of fits whose errors are known."""

from collections.abc import Callable

import numpy as np
import pytest

from pyxt_hpc.calibrate.recovery import NOMINAL, Recovery, by_place
from pyxt_hpc.calibrate.trust import FITS, Trust, judge

N, DRAWS = 1600, 10
Make = Callable[..., Recovery]


@pytest.fixture
def made() -> Make:
    """Gaussian fits of 5 keV with an error of 0.5 keV, which they tell `told` times as large."""

    def make(told: np.ndarray | float = 1.0, shift: np.ndarray | float = 0.0) -> Recovery:
        random = np.random.default_rng(3)
        value = 5.0 + 0.5 * (random.normal(size=(N, DRAWS)) + np.reshape(shift, (-1, 1)))
        half = 0.5 * np.broadcast_to(np.reshape(told, (-1, 1)), value.shape)
        return Recovery(np.full(N, 5.0), value, value - half, value + half)

    return make


def test_right_errors_are_right(made: Make) -> None:
    found = made().summary()
    assert found.fits == N * DRAWS
    assert found.coverage == pytest.approx(NOMINAL, abs=3 * found.coverage_error)
    assert found.bias == pytest.approx(0.0, abs=3 * found.bias_error)
    assert found.bias_error == pytest.approx(1.2533 * 0.1 / np.sqrt(N * DRAWS), rel=0.05)
    assert found.error_factor == pytest.approx(1.0, abs=0.02)


def test_wrong_errors_and_shifts_are_told_as_they_are(made: Make) -> None:
    narrow = made(told=0.5).summary()
    assert narrow.coverage == pytest.approx(0.383, abs=0.012)  # a Gaussian within half a sigma
    assert narrow.error_factor == pytest.approx(2.0, rel=0.03)
    high = made(shift=1.0).summary()
    assert high.bias == pytest.approx(0.1, abs=0.004)
    assert high.shift == pytest.approx(1.0, abs=0.04)
    assert high.coverage == pytest.approx(0.477, abs=0.012)  # within 0 and 2 sigma of the mean


def test_open_sides_hold_every_truth_beyond_and_fits_that_are_missing_hold_none() -> None:
    value = np.array([[4.0, 4.0, 6.0, np.nan]])
    low, high = np.array([[3.5, np.nan, 5.5, np.nan]]), np.array([[np.nan, 4.5, np.nan, np.nan]])
    recovery = Recovery(np.array([5.0]), value, low, high)
    assert recovery.inside.tolist() == [[True, False, False, False]]
    assert recovery.open.tolist() == [[True, True, True, True]]
    found = recovery.summary()
    assert found.coverage == 0.25
    assert found.without_fit == 0.25


def test_places_are_judged_by_themselves(made: Make) -> None:
    """A field of 40 x 40 regions with another fault in each quarter."""
    row, col = (axis.ravel() for axis in np.indices((40, 40)))
    quarter = 2 * (row >= 20) + (col >= 20)
    recovery = made(
        told=np.choose(quarter, [1.0, 0.6, 1.0, 1.6]), shift=np.choose(quarter, [0.0, 0.0, -0.8, 0.0])
    )
    trust = judge(by_place(recovery, row, col, FITS))
    inner = np.minimum.reduce([row % 20, 19 - row % 20, col % 20, 19 - col % 20]) >= 5
    expected = np.array([Trust.TRUSTED, Trust.ERRORS_TOO_SMALL, Trust.TOO_LOW, Trust.ERRORS_TOO_LARGE])
    assert inner.sum() == 400
    assert (trust[inner] == expected[quarter[inner]]).all()


def test_where_intervals_are_open_nothing_is_measured(made: Make) -> None:
    closed = made()
    high = closed.high.copy()
    high[:800, ::3] = np.nan
    half_open = Recovery(closed.truth, closed.value, closed.low, high)
    row, col = np.divmod(np.arange(N), 40)
    trust = judge(by_place(half_open, row, col, FITS))
    assert (trust[:600] == Trust.UNMEASURED).all()
    assert (trust[1000:] == Trust.TRUSTED).all()


def test_few_regions_are_all_put_together(made: Make) -> None:
    whole = made()
    few = Recovery(*(a[:3] for a in (whole.truth, whole.value, whole.low, whole.high)))
    found = by_place(few, np.arange(3), np.arange(3), FITS)
    assert found.fits == 30
    assert found.coverage == pytest.approx(few.inside.mean())
    assert (judge(found) == Trust.TRUSTED).all()  # 30 fits say little
