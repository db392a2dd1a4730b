"""A fingerprint changes with every part from which it is made, and with nothing else."""

import numpy as np

from pyxt_hpc.provenance import fingerprint


def test_order_of_parts_does_not_matter() -> None:
    assert fingerprint({"a": 1, "b": np.arange(3)}) == fingerprint({"b": np.arange(3), "a": 1})


def test_every_difference_shows() -> None:
    array = np.arange(6, dtype=np.int32)
    parts = [
        {"a": array},
        {"b": array},
        {"a": array.astype(np.int64)},
        {"a": array.reshape(2, 3)},
        {"a": array + np.int32(1)},
        {"a": array[:0]},
        {"a": "text"},
        {"a": 0.1},
        {"a": float(np.nextafter(0.1, 1.0))},
        {"a": np.zeros(2, [("x", "i4"), ("y", "f8")])},
    ]
    digests = [fingerprint(p) for p in parts]
    assert len(set(digests)) == len(parts)


def test_strided_array_counts_by_its_values() -> None:
    array = np.arange(10)
    assert fingerprint({"a": array[::2]}) == fingerprint({"a": array[::2].copy()})
