"""A few kills at random instants; by hand kill_harness.py does a thousand."""

import shutil
import sys
from pathlib import Path

import pytest
from kill_harness import campaign


@pytest.mark.parametrize(("launch", "kills"), [("processes", 4), ("mpich", 3), ("openmpi", 3)])
def test_nothing_is_lost_or_fitted_twice(launch: str, kills: int, tmp_path: Path) -> None:
    if launch == "mpich" and not Path(sys.executable).with_name("mpiexec").exists():
        pytest.skip("no mpiexec: pip install 'pyxt_hpc[mpi]' brings it")
    if launch == "openmpi" and not shutil.which("mpiexec.openmpi"):
        pytest.skip("no mpiexec.openmpi: Debian's openmpi-bin has it")
    tally = campaign(launch, kills, tmp_path)
    assert sum(tally.kills.values()) >= kills
    assert tally.stores
