"""Reading a results store, also while another process writes it: a row that fails its checksum is pending."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pyxt_hpc.errors import MissingInput
from pyxt_hpc.files.tablefile import TableFile
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.store.checksum import checksums, matching_rows
from pyxt_hpc.store.rows import (
    ROW_DTYPE,
    RUN_DTYPE,
    SCHEMA,
    SCHEMA_VERSION,
    TABLES,
    Status,
    is_final,
)

REMEDY = "move it away and start again: `pyxt-hpc fit-spectra` without --continue"

BLOCK = 1 << 14
"""Rows that are read and checked at a time."""


@dataclass(frozen=True)
class Run:
    """The latest run of a store, which gives the rate and remaining time.

    Parameters
    ----------
    started, flushed
        Times of its start and its last flush to disk [s since 1970].
    first
        Time of the first results [s since 1970]; 0 without results. Kernels may have been compiled before.
    finished_at_first, finished
        Number of regions with a final status at `first` and at `flushed`.
    host, pid
        Host and process.
    """

    started: float
    first: float
    flushed: float
    finished_at_first: int
    finished: int
    host: str
    pid: int


@dataclass(frozen=True)
class Results:
    """Contents of a store when it was read.

    Parameters
    ----------
    rows
        (n,) rows of ROW_DTYPE; only final ones (`is_final`) have a meaning.
    status
        (n,) `Status` of each region.
    settings
        Settings that decided the results.
    fingerprint
        Fingerprint of settings and regions.
    messages
        Texts by position in the store, for bad and quarantined regions whose flags are not sufficient.
    torn
        Positions of rows that have a final status in the file, but do not match their checksum; their
        `status` is pending.
    """

    rows: np.ndarray
    status: np.ndarray
    settings: dict[str, Any]
    fingerprint: str
    messages: dict[int, str] = field(default_factory=dict)
    torn: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def read_store(path: Path) -> Results:
    """Read a store, also while another process writes it; a row that fails its checksum is pending.

    Raises MissingInput if there is none; DamagedFile if it is truncated or not HDF5; ForeignProduct if it is
    HDF5 of another kind.
    """
    with open_store(path) as file:
        rows, status, torn = (
            np.zeros(file.length("rows"), dtype) for dtype in (ROW_DTYPE, np.uint8, np.bool_)
        )
        whole_rows = rows.view(f"V{ROW_DTYPE.itemsize}")  # otherwise numpy copies each field of each row
        for start, part, *values in verified_blocks(file):
            stop = start + len(part)
            whole_rows[start:stop] = part.view(whole_rows.dtype)
            status[start:stop], torn[start:stop] = values
        return Results(
            rows=rows,
            status=status,
            settings=file.description["settings"],
            fingerprint=file.description["fingerprint"],
            messages=read_messages(file),
            torn=np.flatnonzero(torn),
        )


def open_store(path: Path, *, writable: bool = False) -> TableFile:
    """Open the tables of a store; raises as `read_store`."""
    if not check_regular(path):
        raise MissingInput(f"{path} is missing: `pyxt-hpc fit-spectra -c CONFIG` makes it")
    tables = {name: dtype for name, (dtype, _) in TABLES.items()}
    return TableFile(
        path, schema=SCHEMA, version=SCHEMA_VERSION, tables=tables, remedy=REMEDY, writable=writable
    )


def read_column(file: TableFile, name: str) -> np.ndarray:
    """One column (n,) of the rows."""
    n = file.length("rows")
    values = np.empty(n, ROW_DTYPE[name])
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        values[start:stop] = file.read("rows", start, stop)[name]
    return values


def read_messages(file: TableFile) -> dict[int, str]:
    """Messages by position of the region; later ones replace earlier ones, and damaged ones are omitted."""
    return {
        index: text.decode(errors="replace")
        for index, text, _ in (
            message.item() for message in matching_rows(file.read("messages"), seed_of(file))
        )
    }


def read_run(file: TableFile) -> Run | None:
    """The latest run, or None if its row is damaged or being written."""
    for run in matching_rows(file.read("run"), seed_of(file)):
        values: dict[str, Any] = dict(zip(RUN_DTYPE.names or (), run.item(), strict=True))
        del values["crc"]
        return Run(**values | {"host": values["host"].decode(errors="replace")})
    return None


def verified_blocks(
    file: TableFile, block: int = BLOCK
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """All rows in blocks: position of the first, rows, status, and whether each is torn (and pending)."""
    # Status first: a row that is completed later is then only not yet counted.
    status = file.read("status")
    for start in range(0, len(status), block):
        stop = min(start + block, len(status))
        rows, crc, found = file.read("rows", start, stop), file.read("crc", start, stop), status[start:stop]
        expected = checksums(rows, found, np.arange(start, stop), seed_of(file))
        torn = is_final(found) & (expected != crc)
        torn |= found > max(Status)
        found[torn] = Status.PENDING
        yield start, rows, found, torn


def verified_status(file: TableFile) -> tuple[np.ndarray, np.ndarray]:
    """Status of every region, and the positions of torn rows, which are pending."""
    status = np.zeros(file.length("rows"), np.uint8)
    torn_at = []
    for start, rows, part, torn in verified_blocks(file):
        status[start : start + len(rows)] = part
        torn_at.append(start + np.flatnonzero(torn))
    return status, np.concatenate(torn_at)


def seed_of(file: TableFile) -> int:
    """CRC-32 with which the checksums of a store begin, so that rows of other stores do not match."""
    return zlib.crc32(file.description["fingerprint"].encode())
