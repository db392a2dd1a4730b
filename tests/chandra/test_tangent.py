import numpy as np
import pytest

from pyxt_hpc.chandra.tangent import tangent_plane, world_to_pixel


@pytest.mark.parametrize("dec", [0.0, 60.0, -80.0])
def test_pixels_are_equal_angles_about_the_tangent_point(dec: float) -> None:
    plane = tangent_plane(359.99, dec, 2.0)
    x, y = world_to_pixel(plane, 359.99, dec)
    np.testing.assert_allclose([x, y], [1, 1], atol=1e-9)
    _, north = plane.all_pix2world(1.0, 101.0, 1)
    assert (north - dec) * 3600 == pytest.approx(200, rel=1e-6)
    ra, _ = plane.all_pix2world(101.0, 1.0, 1)
    west = (359.99 - ra) % 360
    assert west * np.cos(np.radians(dec)) * 3600 == pytest.approx(200, rel=1e-4)


def test_the_other_half_of_the_sky_is_nowhere() -> None:
    x, y = world_to_pixel(tangent_plane(10.0, 20.0), [10.0, 190.0, 100.5], [20.0, -20.0, 0.0])
    np.testing.assert_array_equal(np.isnan(x), [False, True, True])
    np.testing.assert_array_equal(np.isnan(y), [False, True, True])
