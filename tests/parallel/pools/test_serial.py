"""One process that hands out chunks and computes them."""

import time
from typing import Any

import numpy as np
import pytest

from pyxt_hpc.parallel.master import chunk_size
from pyxt_hpc.parallel.master.driver import run_chunks
from pyxt_hpc.parallel.master.ledger import Collector
from pyxt_hpc.parallel.pools.pool import Payload
from pyxt_hpc.parallel.pools.serial import SerialPool

SECONDS = 2e-4


def prepare(meta: Any, arrays: dict[str, np.ndarray]) -> None:
    """Nothing."""


def slow(context: None, items: np.ndarray) -> np.ndarray:
    """The items, after a while."""
    time.sleep(SECONDS * len(items))
    return items


def test_chunks_stay_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a map's regions would be lost with a kill, and Ctrl-C would be answered after minutes."""
    monkeypatch.setattr(chunk_size, "CHUNK_SECONDS", 100 * SECONDS)
    sizes: list[int] = []

    def collect(items: np.ndarray, result: np.ndarray) -> None:
        np.testing.assert_array_equal(items, result)
        sizes.append(len(items))

    with SerialPool().open(prepare, Payload(None, {})) as pool:
        run_chunks(pool, slow, np.arange(3000), Collector(collect, "item"), label="toy", unit="item")
    assert sum(sizes) == 3000
    assert 4 < max(sizes) <= 100
