"""Vignetting: its source, the ray trace; its smoothness, limits and shapes."""

import numpy as np
import pytest

from pyxt_hpc.chandra.sky.vignetting import (
    RAY_TRACE_PATH,
    TABLE_PATH,
    off_axis_arcmin,
    vignetting,
    vignetting_pairs,
)
from pyxt_hpc.data.makers.vignetting_table import make_table, read_ray_trace, smooth_curves
from pyxt_hpc.preprocess.crop_data import _VIGNETTING_KEV


def test_is_one_on_the_axis_and_falls_with_angle():
    v = vignetting(np.linspace(0.3, 11.0, 60), np.linspace(0.0, 25.0, 251))
    np.testing.assert_allclose(v[:, 0], 1.0, rtol=1e-12)
    assert np.all(np.diff(v, axis=1) < 0)
    assert v.min() > 0.15


def test_follows_the_ray_trace_within_its_errors():
    energy, angle, ratio, error = read_ray_trace(RAY_TRACE_PATH)
    v = vignetting(energy, angle).T
    off = angle > 0
    deviation = (ratio - v)[off] / error[off]
    assert np.abs(deviation).max() < 3
    assert np.sqrt(np.mean(deviation**2)) < 1.0
    # no single value has its way: the wiggles that the rays of 0.5' and 1' have are not in the curve
    assert v[1, 4] - v[0, 4] < 0
    # published by the Proposers' Observatory Guide only as a figure: 14% lost at 10' and 1.5 keV
    assert vignetting([1.49], [10.0]).item() == pytest.approx(0.856, abs=0.002)


def test_is_flat_on_the_axis_and_has_no_corner():
    """A cusp on the axis, or a corner at a node, would be a jump of the slope."""
    theta, step = np.linspace(0.0, 24.9, 250), 1e-4
    for energy in (0.7, 1.49, 3.0, 6.4, 8.0):
        rising, falling = (
            (vignetting([energy], theta + step * sign)[0] - vignetting([energy], theta)[0]) / (step * sign)
            for sign in (1, -1)
        )
        assert abs(rising[0]) < 1e-5
        np.testing.assert_allclose(rising[1:], falling[1:], atol=1e-5)
    energy = np.linspace(0.8, 8.5, 300)
    upwards, downwards = (
        (vignetting(energy + step * sign, [8.0]) - vignetting(energy, [8.0])) / (step * sign)
        for sign in (1, -1)
    )
    np.testing.assert_allclose(upwards, downwards, atol=1e-4)


def test_stays_between_the_energies_of_the_ray_trace():
    """Values at energies between those of the ray trace lie between its values."""
    nodes, theta = np.array([6.4, 7.5, 8.6]), np.arange(0.0, 20.0, 2.0)
    known = vignetting(nodes, theta)
    for i in range(2):
        low, high, at = nodes[i], nodes[i + 1], known[i : i + 2]
        between = vignetting(np.linspace(low, high, 23), theta)
        assert np.all(between <= at.max(axis=0) + 1e-4)
        assert np.all(between >= at.min(axis=0) - 1e-4)


def test_holds_the_last_value_beyond_the_table():
    assert vignetting([0.3], [5.0]) == vignetting([0.7], [5.0])
    assert vignetting([11.0], [5.0]) == vignetting([8.6], [5.0])
    assert vignetting([2.0], [40.0]) == vignetting([2.0], [25.0])
    # beyond the ray trace it goes on falling
    assert vignetting([2.0], [24.0]) < 0.93 * vignetting([2.0], [20.0])


def test_energies_of_the_bundle_are_enough():
    """Area maps are linear between the energies that stage 4 stores."""
    kept = np.array([0.7, *_VIGNETTING_KEV, 8.0])
    energy, theta = np.linspace(0.7, 8.0, 74), np.linspace(0.0, 14.0, 29)
    true, at_kept = vignetting(energy, theta), vignetting(kept, theta)
    linear = np.array([np.interp(energy, kept, column) for column in at_kept.T]).T
    off = np.abs(linear / true - 1)
    assert off[energy < 5].max() < 0.008
    assert off.max() < 0.025


def test_the_table_is_what_its_maker_makes(tmp_path):
    make_table(RAY_TRACE_PATH, tmp_path / "again.txt")
    # another machine's arithmetic may round the last digit the other way
    np.testing.assert_allclose(np.loadtxt(tmp_path / "again.txt"), np.loadtxt(TABLE_PATH), atol=1.1e-4)


def test_the_maker_finds_a_known_curve():
    """Rays of a known curve, with a common error at each energy, give the curve within the stated errors."""
    _, angle, _, error = read_ray_trace(RAY_TRACE_PATH)
    curve = 1.0 / (1.0 + (angle / 14.0) ** 2)
    nodes = 1.0 / (1.0 + (np.arange(26.0) / 14.0) ** 2)
    rng = np.random.default_rng(3)
    deviations = []
    for _ in range(30):
        rays = 2.0 / error[1] ** 2
        drawn = rng.poisson(rays * curve[:, None])
        ratio = drawn / drawn[0]
        stated = ratio * np.sqrt(1.0 / drawn + 1.0 / drawn[0])
        stated[0] = 0.0
        made, errors, _, _ = smooth_curves(angle, ratio, stated)
        deviations.append(((made - nodes) / np.maximum(errors, 1e-6))[:, 2:19])
    assert np.sqrt(np.mean(np.square(deviations))) == pytest.approx(1.0, abs=0.15)


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
