"""The checksums are those of zlib."""

import zlib

import numpy as np
import pytest

from pyxt_hpc.store.checksum import checksums
from pyxt_hpc.store.row_checksums import row_checksums


@pytest.mark.parametrize("size", [1, 7, 8, 9, 112, 233])
@pytest.mark.parametrize("n", [0, 50, 500])  # few and many rows are summed in two ways
def test_every_row_has_the_crc32_of_zlib(n: int, size: int) -> None:
    rng = np.random.default_rng(size)
    data = rng.integers(0, 256, (n, size), dtype=np.uint8)
    status = rng.integers(0, 256, n, dtype=np.uint8)
    index = rng.integers(0, 2**62, n)
    seed = zlib.crc32(b"what all have in common")
    heads = [int(i).to_bytes(8, "little") + bytes([s]) for i, s in zip(index, status, strict=True)]
    expected = [zlib.crc32(row, zlib.crc32(head, seed)) for row, head in zip(data, heads, strict=True)]
    np.testing.assert_array_equal(row_checksums(data, status, index, seed), expected)
    rows = np.zeros(n, [("bytes", np.uint8, (size,))])
    rows["bytes"] = data
    np.testing.assert_array_equal(checksums(rows, status, index, seed), expected)


def test_no_checksum_is_zero() -> None:
    head = bytes(9)
    wanted = _row_with_crc_zero(head)
    assert zlib.crc32(wanted, zlib.crc32(head)) == 0
    data = np.frombuffer(wanted, np.uint8).reshape(1, 4)
    rest = np.zeros(1, np.uint8), np.zeros(1, np.int64), 0
    assert row_checksums(data, *rest)[0] == 1
    assert checksums(data.view([("bytes", np.uint8, (4,))])[:, 0], *rest)[0] == 1


def _row_with_crc_zero(head: bytes) -> bytes:
    start = zlib.crc32(head)
    base = zlib.crc32(bytes(4), start)
    # Gaussian elimination over GF(2): what each of the 32 bits changes.
    pivots: dict[int, tuple[int, int]] = {}
    for bit in range(32):
        change, bits = zlib.crc32((1 << bit).to_bytes(4, "little"), start) ^ base, 1 << bit
        while change and (top := change.bit_length()) in pivots:
            change ^= pivots[top][0]
            bits ^= pivots[top][1]
        if change:
            pivots[change.bit_length()] = (change, bits)
    rest, found = base, 0
    while rest:
        change, bits = pivots[rest.bit_length()]
        rest ^= change
        found ^= bits
    return found.to_bytes(4, "little")
