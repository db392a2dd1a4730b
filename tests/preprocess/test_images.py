from types import SimpleNamespace

import numpy as np

from pyxt_hpc.preprocess.images import counts_of, exposure_map, surface_brightness


def observation(exposure_s: float, mask: list[list[int]], area: float) -> SimpleNamespace:
    shape = np.array(mask).shape
    vignetting = np.stack([np.ones(shape), np.full(shape, area), np.full(shape, 0.1)])
    return SimpleNamespace(exposure_s=exposure_s, mask=np.array(mask, np.uint8), vignetting=vignetting)


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


def test_counts_of_compressed_rows() -> None:
    indptr = np.array([0, 2, 2, 5, 6, 6, 6])
    np.testing.assert_array_equal(counts_of(indptr, (2, 3)), [[2, 0, 3], [1, 0, 0]])
