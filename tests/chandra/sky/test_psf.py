"""The size of the point spread, alone and in a sum of observations."""

import numpy as np
import pytest

from pyxt_hpc.chandra.sky.psf import R90_PER_SIGMA, merged_r90_arcsec, psf_r90_arcsec


def test_it_grows_with_the_square_of_the_angle():
    assert psf_r90_arcsec([0.0, 5.0, 10.0]) == pytest.approx([1.0, 3.5, 11.0])


def test_a_gaussian_holds_90_percent_within_r90():
    assert 1.0 - np.exp(-0.5 * R90_PER_SIGMA**2) == pytest.approx(0.9)


def test_observations_count_by_their_exposure():
    exposures = np.array([[3.0, 0.0, 0.0]]), np.array([[1.0, 2.0, 0.0]])
    angles = np.array([[0.0, 0.0, 0.0]]), np.array([[10.0, 10.0, 10.0]])
    merged = merged_r90_arcsec(zip(exposures, angles, strict=True))
    assert merged == pytest.approx(np.array([[(3 * 1.0 + 11.0) / 4, 11.0, 1.0]]))
