"""CRC-32 of the rows of tables."""

import zlib
from collections.abc import Iterator

import numpy as np

from pyxt_hpc.arrays.views import read_only

_FEW = 256
"""Rows for which zlib takes less time than it takes to load a compiled function."""


def checksums(rows: np.ndarray, status: np.ndarray, indices: np.ndarray, seed: int) -> np.ndarray:
    """CRC-32 of rows of a structured dtype; arguments and result as in `row_checksums`."""
    data = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), rows.dtype.itemsize)
    indices = np.asarray(indices, np.int64)
    if len(rows) > _FEW:
        return _of_many(data, status, indices, seed)
    heads = np.empty((len(rows), 9), np.uint8)
    heads[:, :8] = indices.astype("<i8").view(np.uint8).reshape(-1, 8)
    heads[:, 8] = status
    both = zip(data, heads, strict=True)
    sums = [zlib.crc32(row.tobytes(), zlib.crc32(head.tobytes(), seed)) for row, head in both]
    return np.maximum(np.array(sums, np.uint32), np.uint32(1))


def prepare(n: int) -> None:
    """Compile or load now what `checksums` of n rows needs."""
    if n > _FEW:
        _of_many(np.zeros((0, 1), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.int64), 0)


def _of_many(data: np.ndarray, status: np.ndarray, indices: np.ndarray, seed: int) -> np.ndarray:
    from pyxt_hpc.store.row_checksums import row_checksums

    sums: np.ndarray = row_checksums(read_only(data), status, indices, seed)
    return sums


def with_crc(row: np.ndarray, seed: int) -> np.ndarray:
    """Row (1,) with the checksum of its other columns in `crc`, which is the last."""
    row["crc"] = _crc(row, seed)
    return row


def matching_rows(rows: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Rows of a small table that are written and match the checksum in their column `crc`."""
    for row in rows[rows["crc"] != 0]:
        if _crc(row, seed) == row["crc"]:
            yield row


def _crc(row: np.ndarray, seed: int) -> int:
    return max(zlib.crc32(row.tobytes()[:-4], seed), 1)
