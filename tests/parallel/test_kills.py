"""A few kills at random instants; benchmarks/survival/kill_harness.py does a thousand."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from kill_harness import Known, assert_kept, campaign

from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import REGION_DTYPE, Status, blank_rows
from pyxt_hpc.store.writer import ResultsStore


def require(launch: str) -> None:
    """Skip the test if the launcher is not installed."""
    if launch == "mpich" and not Path(sys.executable).with_name("mpiexec").exists():
        pytest.skip("no mpiexec: pip install 'pyxt_hpc[mpi]' brings it")
    if launch == "openmpi" and not shutil.which("mpiexec.openmpi"):
        pytest.skip("no mpiexec.openmpi: Debian's openmpi-bin has it")


@pytest.mark.parametrize(("launch", "kills"), [("processes", 4), ("mpich", 3), ("openmpi", 3)])
def test_nothing_is_lost_or_fitted_twice(launch: str, kills: int, tmp_path: Path) -> None:
    require(launch)
    tally = campaign(launch, kills, tmp_path)
    assert sum(tally.kills.values()) >= kills
    assert tally.stores


def known(path: Path, kT: float, some: list[int]) -> Known:
    """Contents of a store in which these regions are finished."""
    regions = np.zeros(5, REGION_DTYPE)
    regions["region"] = 1 + np.arange(5)
    with ResultsStore.create(path, regions=regions, fingerprint="f", settings={}) as store:
        rows = blank_rows(regions[some])
        rows["kT"] = kT
        store.write(np.array(some), rows, np.full(len(some), Status.DONE, np.uint8), {})
    made = Known()
    made.add(path, read_store(path))
    return made


def test_harness_sees_what_is_lost_or_fitted_again(tmp_path: Path) -> None:
    before = known(tmp_path / "a.h5", 2.0, [0, 1, 2])
    assert_kept(before, known(tmp_path / "b.h5", 2.0, [0, 1, 2, 3]))
    with pytest.raises(AssertionError, match="1 finished regions were lost"):
        assert_kept(before, known(tmp_path / "c.h5", 2.0, [0, 1]))
    with pytest.raises(AssertionError, match="3 finished regions were fitted again"):
        assert_kept(before, known(tmp_path / "d.h5", 3.0, [0, 1, 2]))
    with pytest.raises(AssertionError, match="region 1 was fitted twice"):
        before.add(tmp_path / "d.h5", read_store(tmp_path / "d.h5"))
    assert not before.complete
    assert known(tmp_path / "e.h5", 2.0, [0, 1, 2, 3, 4]).complete
