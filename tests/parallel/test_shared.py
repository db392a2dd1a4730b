"""The size of shared memory is checked before it is used."""

import mmap
import os
import time
from pathlib import Path

import pytest

from pyxt_hpc.errors import LaunchError
from pyxt_hpc.parallel import shared


def test_more_than_there_is() -> None:
    if not shared.SHARED_MEMORY.is_dir():
        pytest.skip(f"no {shared.SHARED_MEMORY} on this system")
    assert shared.shared_memory_problem(1000) == ""
    assert "--shm-size" in shared.shared_memory_problem(1e18)


def test_asked_before_mpich_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shared, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shared, "MPICH_BYTES_PER_RANK", 1e16)
    shared.prepare_shared_memory("Open MPI v4", {})
    with pytest.raises(LaunchError, match=r"MPI needs 1020000000000\.0 MB"):
        shared.prepare_shared_memory("MPICH Version: 5", {"MPI_LOCALNRANKS": "100"})
    with pytest.raises(LaunchError, match=r"MPI needs 30000000000\.0 MB"):
        shared.prepare_shared_memory("MPICH Version: 5", {"MPI_LOCALNRANKS": "9" * 5000})
    monkeypatch.setattr(shared, "SHARED_MEMORY", tmp_path / "none")
    shared.prepare_shared_memory("MPICH Version: 5", {})


def test_only_what_dead_processes_left_before_goes(tmp_path: Path) -> None:
    left, in_use, young, foreign = (
        tmp_path / name for name in ("mpich_shm_1_0", "mpich_shm_2_0", "mpich_shm_3_0", "other_1_0")
    )
    for path in (left, in_use, young, foreign):
        path.write_bytes(bytes(4096))
        if path != young:
            os.utime(path, (time.time() - 60.0,) * 2)
    with in_use.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        shared.remove_dead_segments(tmp_path, 30.0)
    assert sorted(tmp_path.iterdir()) == [in_use, young, foreign]
