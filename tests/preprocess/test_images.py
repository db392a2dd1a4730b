from types import SimpleNamespace

import numpy as np
import pytest

from pyxt_hpc.chandra.response import Arf
from pyxt_hpc.preprocess.images import counts_of, exposure_map, surface_brightness


def observation(exposure_s: float, mask: list[list[int]], area: float) -> SimpleNamespace:
    shape = np.array(mask).shape
    vignetting = np.stack([np.ones(shape), np.full(shape, area), np.full(shape, 0.1)])
    return SimpleNamespace(
        exposure_s=exposure_s,
        mask=np.array(mask, np.uint8),
        vignetting_keV=np.array([0.7, 1.49, 8.0]),
        vignetting=vignetting,
        arf=Arf(np.array([0.3, 0.7, 2.0]), np.array([0.7, 2.0, 8.0]), np.array([1e3, 400.0, 200.0])),
    )


def test_exposure_and_surface_brightness() -> None:
    observations = (observation(100.0, [[1, 1], [0, 0]], 0.5), observation(10.0, [[1, 0], [1, 0]], 1.0))
    np.testing.assert_allclose(exposure_map(observations), [[60, 50], [10, 0]])
    bundle = SimpleNamespace(
        observations=observations,
        pixel_scale_arcsec=30.0,  # a quarter of a square arcminute
        mask=np.array([[1, 1], [1, 0]], np.uint8),
        counts=np.array([[70, 50], [3, 0]], np.int32),
        background=np.array([[10.0, 0.0], [4.0, 0.0]], np.float32),
    )
    np.testing.assert_allclose(surface_brightness(bundle), [[4.0, 4.0], [-0.4, np.nan]], rtol=1e-6)


def test_seconds_of_different_responses_count_by_their_area() -> None:
    front, back = observation(10.0, [[1, 0]], 1.0), observation(10.0, [[0, 1]], 1.0)
    back.arf = Arf(back.arf.energy_lo, back.arf.energy_hi, np.array([5e3, 500.0, 250.0]))
    np.testing.assert_allclose(exposure_map((front, back)), [[8.0, 10.0]])
    np.testing.assert_allclose(exposure_map((front,)), [[10.0, 0.0]])


def test_the_exposure_map_is_at_one_energy_whatever_the_band() -> None:
    """1.49 keV, or the nearest end of the band, not the energy that has a certain number."""
    like = observation(1.0, [[1]], 0.5)
    for nodes, expected in (
        ((2.0, 5.0, 7.0), 0.9),  # a band that begins above it
        ((0.5, 0.8, 1.2), 0.7),  # one that ends below it
        ((0.49, 2.49, 8.0), 0.85),  # half way between two
    ):
        like.vignetting_keV = np.array(nodes)
        like.vignetting = np.array([0.9, 0.8, 0.7]).reshape(3, 1, 1)
        assert exposure_map((like,))[0, 0] == pytest.approx(expected)


def test_counts_of_compressed_rows() -> None:
    indptr = np.array([0, 2, 2, 5, 6, 6, 6])
    np.testing.assert_array_equal(counts_of(indptr, (2, 3)), [[2, 0, 3], [1, 0, 0]])
