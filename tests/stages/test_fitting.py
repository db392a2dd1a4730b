"""What a rank that fits has to load."""

import subprocess
import sys


def test_ranks_that_fit_load_nothing_that_only_the_master_needs() -> None:
    """Each would read hundreds of files more from a file system that all ranks share."""
    code = "import sys; import pyxt_hpc.stages.fitting; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    masters = {"scipy.stats", "scipy.optimize", "scipy.interpolate", "scipy.ndimage", "astropy.wcs"}
    assert not masters & set(done.stdout.split())
