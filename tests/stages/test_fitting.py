"""What a rank that fits has to load."""

import subprocess
import sys


def test_ranks_that_fit_load_nothing_that_only_the_master_needs() -> None:
    """Each would read hundreds of files more from a file system that all ranks share."""
    code = "import sys, pyxt_hpc.stages.fitting, pyxt_hpc.stages.bins.scale_map; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # all else of scipy that the master needs loads one of these
    masters = {"astropy", "scipy.sparse", "scipy.special", "scipy.spatial"}
    assert not masters & set(done.stdout.split())
