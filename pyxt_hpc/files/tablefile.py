"""Tables of fixed size in a file that other programs read as HDF5; this module accesses bytes directly.

HDF5 makes the structure of the file once, in memory. The structure lies before the tables and after HDF5's
user block, which contains a description of the file (JSON) and a checksum of all bytes before the tables.
Rows are written and read by position. Therefore libhdf5 never reads a damaged file (on which it may crash)
and never delays writes, and the tables are complete if the process is killed at any time. All bytes are on
disk from the start, so that a disk that fills up later does not stop a run.
"""

import io
import json
import logging
import os
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pyxt_hpc.errors import DamagedFile, ForeignProduct
from pyxt_hpc.files.system_errors import FULL, as_pyxt_error, system_errors

log = logging.getLogger(__name__)

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_HEAD = 1 << 22
_ZEROS = 1 << 20

Tables = Mapping[str, tuple[np.dtype, int]]


class _Head(io.BytesIO):
    """Stores what HDF5 writes, except the contents of tables; ``size`` is the size of the whole file."""

    size = 0

    def write(self, data: Any) -> int:
        return super().write(data) if self.tell() < _MAX_HEAD else len(data)

    def truncate(self, size: int | None = None) -> int:
        self.size = self.tell() if size is None else size
        return self.size


def _structure(tables: Tables, notes: Mapping[str, Any], block: int) -> tuple[bytes, int, dict[str, int]]:
    """HDF5's structure before the tables, size of the file, and position of the first byte of each table."""
    head = _Head()
    with h5py.File(head, "w", libver="earliest", userblock_size=block) as file:
        for name, value in notes.items():
            # Fixed-length text: HDF5 can crash on damaged pointers to text of variable length.
            file.attrs[name] = np.bytes_(value or " ") if isinstance(value, str) else value
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        creation.set_obj_track_times(False)
        made = {
            name: h5py.h5d.create(
                file.id,
                name.encode(),
                h5py.h5t.py_create(dtype, logical=True),
                h5py.h5s.create_simple((n,)),
                dcpl=creation,
            )
            for name, (dtype, n) in tables.items()
        }
        # Writing one element allocates a table, after everything that was made before.
        for name, dataset in made.items():
            h5py.Dataset(dataset)[:1] = np.zeros(1, tables[name][0])
        starts = {name: dataset.get_offset() for name, dataset in made.items()}
    first = min(starts.values())
    structure = head.getvalue()[block:first]
    if len(structure) != first - block:
        raise AssertionError("HDF5 did not put its structure before the tables")
    return structure, head.size, starts


def _crc_text(content: bytes) -> bytes:
    return b"%08x" % zlib.crc32(content)


def create_tables(
    path: Path,
    tables: Tables,
    *,
    schema: str,
    version: int,
    description: Mapping[str, Any],
    notes: Mapping[str, Any],
) -> None:
    """Write a file with tables of zeros, and all its bytes to disk.

    Parameters
    ----------
    path
        New file.
    tables
        dtype and number of rows of each table; only a few tables, and none empty.
    schema, version
        Name and version of the format.
    description
        Any values that JSON supports; `TableFile.description` returns them.
    notes
        HDF5 attributes for users and other programs.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    block = 2048
    seal = b""
    while not 0 < len(seal) <= block - 8:
        block *= 2
        structure, size, starts = _structure(tables, notes, block)
        layout = {
            name: [starts[name], n, dtype.descr if dtype.names else dtype.str]
            for name, (dtype, n) in tables.items()
        }
        content = {
            "schema": schema,
            "version": version,
            "first": min(starts.values()),
            "size": size,
            "tables": layout,
            "description": dict(description),
        }
        seal = f" {json.dumps(content)}".encode()
    sealed = seal.ljust(block - 8) + structure
    with path.open("wb") as file:
        file.write(_crc_text(sealed))
        file.write(sealed)
        left = size - file.tell()
        while left:
            left -= file.write(bytes(min(left, _ZEROS)))
        file.flush()
        os.fsync(file.fileno())


class TableFile(AbstractContextManager["TableFile", None]):
    """An open file of tables.

    Parameters
    ----------
    path
        File made by `create_tables`.
    schema, version
        Expected name and version of the format.
    tables
        Expected names and dtypes of tables; the file gives their numbers of rows.
    remedy
        Remedy for a damaged or foreign file, for the message.
    writable
        True: open it for writing, too.

    Raises
    ------
    DamagedFile
        If its structure or length differs from the one written, or the system refuses to read it.
    ForeignProduct
        If it is HDF5 of another kind, of another version, or has other tables or columns.
    DiskFull
        If a sparse copy is opened for writing, and the disk has no space for the whole file.
    """

    def __init__(
        self,
        path: Path,
        *,
        schema: str,
        version: int,
        tables: Mapping[str, np.dtype],
        remedy: str,
        writable: bool = False,
    ) -> None:
        self.path = path
        self._remedy = remedy
        with system_errors(path):
            self._file = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            seal = self._checked_seal(schema, version)
            if writable:
                self._fill_holes()
            self._tables: dict[str, tuple[int, int, np.dtype]] = {}
            for name, dtype in tables.items():
                start, n, found = seal["tables"].get(name, (0, 0, "V1"))
                stored = np.dtype(found if isinstance(found, str) else _columns(found))
                if stored != dtype:
                    raise ForeignProduct(
                        f"{path}: its columns differ from those of this version of pyxt_hpc: {remedy}"
                    )
                self._tables[name] = (start, n, dtype)
            self.description: dict[str, Any] = seal["description"]
        except BaseException:
            self.close()
            raise

    def _checked_seal(self, schema: str, version: int) -> dict[str, Any]:
        damaged = DamagedFile(
            f"{self.path}: is damaged: its structure is not what was written: {self._remedy}"
        )
        with system_errors(self.path):
            head = os.pread(self._file, _MAX_HEAD, 0)
            size = os.fstat(self._file).st_size
        if head.startswith(_HDF5_SIGNATURE):
            raise ForeignProduct(
                f"{self.path}: is HDF5 of another kind or version, expected {schema!r} version {version}: "
                f"{self._remedy}"
            )
        try:
            seal: dict[str, Any]
            seal, _ = json.JSONDecoder().raw_decode(head[9 : head.index(_HDF5_SIGNATURE)].decode())
            first = seal["first"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise damaged from None
        if not isinstance(first, int) or head[:8] != _crc_text(head[8:first]):
            raise damaged
        if seal["schema"] != schema or seal["version"] != version:
            raise ForeignProduct(
                f"{self.path}: is {seal['schema']!r} version {seal['version']}, expected {schema!r} version "
                f"{version}: {self._remedy}"
            )
        if size != seal["size"]:
            raise DamagedFile(
                f"{self.path}: is damaged: it has {size} bytes instead of {seal['size']}: copy it again, "
                f"or {self._remedy}"
            )
        return seal

    def _fill_holes(self) -> None:
        """Allocate the disk space that a sparse copy of the file lacks, so that later writes cannot fail."""
        status = os.fstat(self._file)
        if status.st_blocks * 512 >= status.st_size:
            return
        with system_errors(self.path):
            try:
                os.posix_fallocate(self._file, 0, status.st_size)
            except OSError as error:
                if error.errno in FULL:
                    raise
                log.debug("%s: this file system does not reserve space: %s", self.path, error)

    def length(self, table: str) -> int:
        """Number of rows of a table."""
        return self._tables[table][1]

    def read(self, table: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read rows from `start` to before `stop`; None: to the end.

        Raises DamagedFile if the file was truncated meanwhile, or the system refuses to read it.
        """
        first, n, dtype = self._tables[table]
        at = first + start * dtype.itemsize
        rows = np.empty((n if stop is None else stop) - start, dtype)
        data = rows.view(np.uint8).data
        with system_errors(self.path):
            while data:
                got = os.preadv(self._file, [data], at)
                if not got:
                    raise DamagedFile(f"{self.path}: was truncated while it was read: {self._remedy}")
                data, at = data[got:], at + got
        return rows

    def write(self, table: str, start: int, rows: np.ndarray) -> None:
        """Overwrite rows from `start` on.

        Raises DiskFull or DamagedFile if the system refuses a write; rows before it are written.
        """
        at, _, dtype = self._tables[table]
        at += start * dtype.itemsize
        data = np.ascontiguousarray(rows, dtype).view(np.uint8).data
        try:
            while data:
                written = os.pwrite(self._file, data, at)
                data, at = data[written:], at + written
        except OSError as error:
            raise as_pyxt_error(self.path, error, "written") from None

    def sync(self) -> None:
        """Flush all writes to disk."""
        with system_errors(self.path):
            os.fdatasync(self._file)

    def is_at_its_path(self) -> bool:
        """Whether the path still belongs to the open file."""
        with system_errors(self.path):
            try:
                return os.path.samestat(os.stat(self.path), os.fstat(self._file))
            except (FileNotFoundError, NotADirectoryError):
                return False

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file < 0

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __exit__(self, *_: object) -> None:
        self.close()


def _columns(described: list[list[Any]]) -> list[tuple[Any, ...]]:
    """Description of a dtype for numpy, from JSON, in which tuples have become lists."""
    return [(name, kind, *map(tuple, shape)) for name, kind, *shape in described]
