"""Which regions are fitted."""

import subprocess
import sys

import numpy as np
import pytest

from pyxt_hpc.config.cluster import RESOLUTION_STEP
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


def test_ranks_that_fit_load_nothing_that_only_the_master_needs() -> None:
    """Each would read hundreds of files more from a file system that all ranks share."""
    code = "import sys; import pyxt_hpc.stages.fitting; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    masters = {"scipy.stats", "scipy.optimize", "scipy.interpolate", "scipy.ndimage", "astropy.wcs"}
    assert not masters & set(done.stdout.split())
