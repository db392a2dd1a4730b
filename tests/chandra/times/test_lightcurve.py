import numpy as np
import pytest

from pyxt_hpc.chandra.times.lightcurve import BIN_S, light_curve


def test_live_time_is_averaged_over_chips() -> None:
    one, two = np.array([[0.0, 1000.0]]), np.array([[0.0, 500.0]])
    curve = light_curve(np.array([1.0, 999.0]), [one, two])
    assert curve.live_s.sum() == pytest.approx(750.0)
    assert curve.counts.sum() == 2
    assert len(curve.counts) == int(np.ceil(1000 / BIN_S))


def test_light_curve_takes_the_bins_of_another() -> None:
    whole = np.array([[1000.0, 4000.0]])
    first = light_curve(np.array([1100.0]), [whole])
    later = light_curve(np.array([2500.0]), [np.array([[2000.0, 3000.0]])], edges=first.edges)
    np.testing.assert_array_equal(later.edges, first.edges)
    assert later.live_s.sum() == pytest.approx(1000)
    assert later.live_s[0] == 0
    assert later.counts.sum() == 1
