"""Messages between ranks arrive unchanged."""

import numpy as np
import pytest

from pyxt_hpc.parallel.pools.messages import pack, unpack


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": (1, 2.5, "words")},
        ValueError("a worker's own words"),
        (7, False, (0.1, np.arange(10, dtype=np.uint8))),
        [np.zeros(0), np.ones((3, 4), np.float32, order="F"), np.arange(10)[::2]],
    ],
)
def test_round_trip(value: object) -> None:
    found = unpack(pack(value))
    assert repr(found) == repr(value)


def test_large_arrays_are_not_copied() -> None:
    packed = pack((1, np.arange(1000)))
    _, array = unpack(packed)
    assert np.shares_memory(array, np.frombuffer(packed, np.uint8))
