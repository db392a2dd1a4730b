"""Tables are where the file says, and every refusal of the system is an error of one line."""

import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from pyxt_hpc.errors import DamagedFile, DiskFull, ForeignProduct
from pyxt_hpc.files.tablefile import TableFile, create_tables

ROW = np.dtype([("a", "<i4"), ("b", "<f8")])
KIND = {"schema": "test", "version": 1, "remedy": "throw it away"}


def make(path: Path, n: int = 1000, **description: object) -> None:
    """Write a file of two tables."""
    create_tables(
        path,
        {"rows": (ROW, n), "flags": (np.dtype("u1"), 7)},
        schema="test",
        version=1,
        description=description,
        notes={"remark": "for people", "nothing": "", "number": 3},
    )


def opened(path: Path, **options: bool) -> TableFile:
    """Open this file."""
    return TableFile(path, **KIND, tables={"rows": ROW, "flags": np.dtype("u1")}, **options)


def some_rows(n: int) -> np.ndarray:
    """Rows of numbers."""
    rows = np.zeros(n, ROW)
    rows["a"], rows["b"] = np.arange(n), np.sqrt(np.arange(n))
    return rows


@pytest.mark.parametrize("n", [1, 1000, 300_000])
@pytest.mark.parametrize("words", [0, 5000])
def test_we_and_hdf5_read_what_was_written(tmp_path: Path, n: int, words: int) -> None:
    path = tmp_path / "t.h5"
    make(path, n, text="x" * words)
    with opened(path, writable=True) as file:
        assert (file.length("rows"), file.length("flags")) == (n, 7)
        assert file.description == {"text": "x" * words}
        assert not file.read("rows")["a"].any()
        file.write("rows", 0, some_rows(n))
        file.write("flags", 3, np.array([5, 6], np.uint8))
        np.testing.assert_array_equal(file.read("rows", n // 2, n), some_rows(n)[n // 2 :])
        assert len(file.read("rows", n, n)) == 0
        file.sync()
    with h5py.File(path, "r") as hdf5:
        np.testing.assert_array_equal(hdf5["rows"][()], some_rows(n))
        np.testing.assert_array_equal(hdf5["flags"][()], [0, 0, 0, 5, 6, 0, 0])
        assert (hdf5.attrs["remark"], hdf5.attrs["number"]) == (b"for people", 3)


def test_another_version_or_other_columns_are_foreign(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    make(path)
    tables = {"rows": ROW, "flags": np.dtype("u1")}
    with pytest.raises(ForeignProduct, match="is 'test' version 1, expected 'test' version 2: throw it away"):
        TableFile(path, **KIND | {"version": 2}, tables=tables)
    for other in ({"rows": np.dtype("i4")}, {"rows": ROW, "more": ROW}):
        with pytest.raises(ForeignProduct, match="columns differ from those"):
            TableFile(path, **KIND, tables=other)


def test_file_of_another_length_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    make(path)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(DamagedFile, match="bytes instead of"):
        opened(path)


def test_file_cut_short_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    make(path)
    with opened(path) as file:
        os.truncate(path, path.stat().st_size - 1000)
        with pytest.raises(DamagedFile, match="truncated while it was read"):
            file.read("rows")


def test_full_disk_is_told_at_once_or_not_at_all(tmp_path: Path) -> None:
    """On a disk that is full: a file that exists can be written to; a new file is refused."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True, check=False
    ).returncode:  # fmt: skip
        pytest.skip("only root may mount a small disk")
    try:
        make(disk / "t.h5", 20_000)
        with pytest.raises(OSError, match="No space left on device"):
            make(disk / "too-big.h5", 100_000)
        (disk / "too-big.h5").unlink()
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(1 << 20))
        with opened(disk / "t.h5", writable=True) as file:
            file.write("rows", 0, some_rows(20_000))
            file.sync()
            np.testing.assert_array_equal(file.read("rows"), some_rows(20_000))
        # A sparse copy lacks disk space, which is noticed when it is opened.
        filler.unlink()
        content = (disk / "t.h5").read_bytes()
        with (disk / "copy.h5").open("wb") as copy:
            copy.write(content[:16384])
            copy.truncate(len(content))
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(1 << 20))
        with pytest.raises(DiskFull):
            opened(disk / "copy.h5", writable=True)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
