"""The size of the point spread."""

import numpy as np
import pytest

from pyxt_hpc.chandra.sky.psf import R90_PER_SIGMA, psf_r90_arcsec


def test_it_grows_with_the_square_of_the_angle():
    assert psf_r90_arcsec([0.0, 5.0, 10.0]) == pytest.approx([1.0, 3.5, 11.0])


def test_a_gaussian_holds_90_percent_within_r90():
    assert 1.0 - np.exp(-0.5 * R90_PER_SIGMA**2) == pytest.approx(0.9)
