"""Which regions are fitted."""

import numpy as np
import pytest

from pyxt_hpc.config import RESOLUTION_STEP
from pyxt_hpc.stages.fitting import select_regions


@pytest.mark.parametrize("resolution", RESOLUTION_STEP)
def test_regions_are_numbered_as_in_the_index_map(resolution: int) -> None:
    rng = np.random.default_rng(3)
    radius = np.where(rng.random((40, 50)) < 0.7, rng.uniform(1, 9, (40, 50)), 0.0).astype(np.float32)
    regions = select_regions(radius, resolution)
    numbers = np.cumsum(radius.ravel() > 0).reshape(radius.shape)
    np.testing.assert_array_equal(regions["region"], numbers[regions["row"], regions["col"]])
    np.testing.assert_array_equal(regions["radius"], radius[regions["row"], regions["col"]])
    assert (regions["radius"] > 0).all()
    assert (np.diff(regions["region"]) > 0).all()
    step = RESOLUTION_STEP[resolution]
    blocks = set(zip((regions["row"] + step // 2) // step, (regions["col"] + step // 2) // step, strict=True))
    assert len(blocks) == len(regions)
    filled = np.argwhere(radius > 0)
    assert blocks == {tuple(b) for b in (filled + step // 2) // step}
