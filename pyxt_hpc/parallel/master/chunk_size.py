"""Number of items in the next chunk, from measured times."""

import numpy as np

CHUNK_SECONDS = 1.0
"""Target time of a chunk: long compared with the cost of handing it out, short compared with what a kill
loses."""

MIN_SHARE = 0.05
"""Towards the end, chunks shrink to this fraction of `CHUNK_SECONDS`."""

MIN_EVEN_SHARE = 0.05
"""In short jobs, they shrink to this fraction of an even share, since all workers wait for the last chunk."""

MAX_MASTER_SHARE = 0.25
"""Largest fraction of the master's time that may go into handing out chunks."""

MAX_LAST_MASTER_SHARE = 1.2
"""The same towards the end: more than the master can do, but in one round only."""

DIVISOR = 2
"""A chunk has at most an even share of the items left, divided by this."""

GROWTH = 4
"""Largest ratio of a chunk's size to that of the largest completed chunk, since first timings mislead."""

FIRST_ITEMS = 2
"""Size of a worker's first chunk in large jobs: the first item loads kernels, the second shows the speed."""

MANY_ITEMS = 32
"""Number of items per worker that makes a job large; in smaller jobs, first chunks have one item."""

FIRST_SECONDS = 0.1
"""Longest chunk while only first chunks are completed, whose speed may be far from the true one."""


class ChunkSize:
    """Sizes of chunks from measured times.

    The target is `CHUNK_SECONDS` at the measured speed. Towards the end, chunks shrink so that all workers
    finish together, but only as far as the master keeps up.
    """

    def __init__(self, n_workers: int, n_items: int) -> None:
        self._n_workers = n_workers
        self._even_share = n_items / n_workers
        self.first = FIRST_ITEMS if self._even_share >= MANY_ITEMS else 1
        """Size of chunks while the speed is unknown."""
        self._largest = 1
        self.latest = 1
        """Size of the latest chunk."""
        self.seconds_per_item = 0.0
        """Estimate; 0 before the first chunk is completed."""
        self.known = False
        """Whether a chunk has been completed."""

    def measured(self, n_items: int, seconds: float) -> None:
        """Update the speed after a completed chunk."""
        latest = seconds / n_items
        # At first, while kernels are compiled, the shortest time is nearest to the truth.
        mean = 0.5 * (latest + self.seconds_per_item)
        self.seconds_per_item = min(latest, mean) if self.known else latest
        self.known = True
        self._largest = max(self._largest, n_items)

    def next(self, n_left: int, master_seconds: float = 0.0, max_seconds: float = np.inf) -> int:
        """Size of the next chunk.

        Parameters
        ----------
        n_left
            Number of items not yet handed out.
        master_seconds
            Time that the master itself needs per chunk.
        max_seconds
            Longest time that a worker may spend on the chunk.
        """
        self.latest = self._size(n_left, master_seconds, max_seconds) if self.known else self.first
        return self.latest

    def _size(self, n_left: int, master_seconds: float, max_seconds: float) -> int:
        per_item = max(self.seconds_per_item, 1e-9)
        round_seconds = self._n_workers * master_seconds
        wanted = min(max(CHUNK_SECONDS, round_seconds / MAX_MASTER_SHARE), max_seconds) / per_item
        smallest = min(MIN_SHARE * CHUNK_SECONDS / per_item, MIN_EVEN_SHARE * self._even_share)
        smallest = min(max(smallest, round_seconds / MAX_LAST_MASTER_SHARE / per_item), self._even_share)
        share = max(-(-n_left // (DIVISOR * self._n_workers)), smallest)
        tried = max(GROWTH * self._largest, FIRST_SECONDS / per_item)
        return int(max(1, min(wanted, tried, share)))
