"""The vignetting table: its values, its limits, its shapes."""

import numpy as np
import pytest

from pyxt_hpc.chandra.vignetting import off_axis_arcmin, vignetting, vignetting_pairs


def test_is_one_on_the_axis_and_falls_with_angle_and_energy():
    energy, theta = np.linspace(0.3, 11.0, 60), np.linspace(0.0, 20.0, 81)
    v = vignetting(energy, theta)
    assert np.all(v[:, 0] == 1.0)
    assert np.all(np.diff(v, axis=1) < 0)
    assert np.all(np.diff(v, axis=0) <= 0)
    assert v.min() > 0.2


def test_reads_the_table():
    assert vignetting([1.49, 6.40], [10.0]).ravel() == pytest.approx([0.812, 0.650])
    # half way in angle, then half way in energy
    assert vignetting([1.49], [8.75]).item() == pytest.approx(0.5 * (0.863 + 0.812))
    assert vignetting([3.0], [5.0]).item() == pytest.approx(0.5 * (0.915 + 0.890))


def test_holds_the_last_value_beyond_the_table():
    assert vignetting([0.3], [5.0]) == vignetting([1.49], [5.0])
    assert vignetting([11.0], [5.0]) == vignetting([8.6], [5.0])
    assert vignetting([2.0], [40.0]) == vignetting([2.0], [25.0])


def test_shapes():
    theta = np.linspace(0, 12, 12).reshape(3, 4)
    energy = np.array([1.0, 5.0])
    v = vignetting(energy, theta)
    assert v.shape == (2, 3, 4)
    assert v[1, 2, 3] == vignetting_pairs(5.0, theta[2, 3])
    assert np.array_equal(vignetting_pairs(np.full(theta.shape, 5.0), theta), v[1])


def test_angles_from_the_optical_axis():
    assert off_axis_arcmin(150.0, 20.1, 150.0, 20.0) == pytest.approx(6.0)
    assert off_axis_arcmin(359.9, 60.0, 0.1, 60.0) == pytest.approx(6.0, rel=1e-5)
    assert off_axis_arcmin([10.0, 190.0], [0.0, 89.0], 10.0, 90.0) == pytest.approx([5400.0, 60.0])
