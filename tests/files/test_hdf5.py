"""HDF5 files are read where no locks are available, and refusals of the system are not reported as damage."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from pyxt_hpc.errors import DamagedFile, FileUnreachable
from pyxt_hpc.files.hdf5 import open_hdf5

NO_LOCKS = r"""
#include <errno.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/file.h>
int flock(int fd, int operation) { (void)fd; (void)operation; errno = atoi(getenv("NO_LOCKS")); return -1; }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small HDF5 file."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as made:
        made["x"] = [1, 2, 3]
    return path


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes flock fail; the variable NO_LOCKS has its error number."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("no_locks")
    (folder / "no_locks.c").write_text(NO_LOCKS)
    library = folder / "no_locks.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(folder / "no_locks.c")], check=True)
    return library


@pytest.mark.parametrize("number", [37, 524, 30, 38])  # ENOLCK, ENOTSUPP, EROFS, ENOSYS
def test_without_locks(file: Path, no_locks: Path, number: int) -> None:
    def run(how: str) -> int:
        code = f"import h5py, pathlib; from pyxt_hpc.files.hdf5 import open_hdf5\nwith {how} as f: f['x'][()]"
        environment = os.environ | {"LD_PRELOAD": str(no_locks), "NO_LOCKS": str(number)}
        return subprocess.run(
            [sys.executable, "-c", code, str(file)],
            env=environment,
            capture_output=True,
            timeout=300,
            check=False,
        ).returncode

    if number != 38:  # which HDF5 itself ignores
        assert run(f"h5py.File({str(file)!r}, 'r', locking=True)") != 0, "the lock was to be had"
    assert run(f"open_hdf5(pathlib.Path({str(file)!r}))") == 0


def test_refusal_of_the_system_is_told_from_damage(file: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="is a folder"), open_hdf5(tmp_path):
        pass
    with pytest.raises(DamagedFile, match="No such file"), open_hdf5(tmp_path / "absent"):
        pass
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(OSError, match="truncated"), open_hdf5(file):
        pass


def test_errors_of_the_one_who_reads_are_passed_on(file: Path) -> None:
    with pytest.raises(KeyError), open_hdf5(file) as opened:
        opened["y"]


def test_object_that_the_system_does_not_let_read_is_no_damage(file: Path) -> None:
    said = "Unable to synchronously open object (file read failed: errno = 116, error message = 'Stale')"
    with pytest.raises(FileUnreachable, match="Stale file handle"), open_hdf5(file):
        raise KeyError(said)  # as h5py does
