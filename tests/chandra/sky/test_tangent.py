import numpy as np
import pytest

from pyxt_hpc.chandra.sky.tangent import pixel_to_pixel, tangent_plane, world_to_pixel


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


@pytest.mark.parametrize(
    ("first", "second"),
    [((150.0, 20.0), (150.4, 20.3)), ((359.9, -70.0), (0.3, -70.2)), ((10.0, 89.9), (200.0, 89.8))],
)
def test_pixels_of_another_plane_are_those_that_astropy_finds(first, second) -> None:
    source, target = tangent_plane(*first), tangent_plane(*second, 1.968)
    source.wcs.crpix = [4096.5, 4096.5]
    target.wcs.pc = [[0.8, 0.6], [-0.6, 0.8]]  # as images turned by their roll have it
    target.wcs.crpix = [301.0, 277.0]
    x, y = np.random.default_rng(1).uniform(1, 8192, (2, 1000))
    expected = target.wcs_world2pix(*source.wcs_pix2world(x, y, 1), 1)
    found = pixel_to_pixel(source, target, x, y)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(pixel_to_pixel(target, source, *found), [x, y], rtol=0, atol=1e-6)


def test_pixels_on_the_other_half_of_the_sky_are_nowhere() -> None:
    source = tangent_plane(10.0, 20.0)
    opposite = pixel_to_pixel(source, tangent_plane(190.0, -20.0), [1.0, 500.0], [1.0, -300.0])
    assert np.isnan(opposite).all()
    # 60 degrees from both tangent points, on this side of one and on the far side of the other
    x, y = world_to_pixel(source, [70.0, 310.0], [0.0, 0.0])
    found, _ = pixel_to_pixel(source, tangent_plane(130.0, 0.0), x, y)
    np.testing.assert_array_equal(np.isnan(found), [False, True])


def test_other_projections_are_refused() -> None:
    other = tangent_plane(10.0, 20.0)
    other.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    with pytest.raises(ValueError, match="plain tangent"):
        pixel_to_pixel(tangent_plane(10.0, 20.0), other, 1.0, 1.0)
