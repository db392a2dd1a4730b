"""How many items the next chunk should have."""

import numpy as np

CHUNK_SECONDS = 1.0
"""Long against the cost of handing a chunk out, short against what a kill may cost."""

MIN_SHARE = 0.05
"""Towards the end chunks shrink to this part of `CHUNK_SECONDS`..."""

MIN_EVEN_SHARE = 0.05
"""...or, in short jobs, to this part of an even share: whatever a worker does last, others wait for it."""

MAX_MASTER_SHARE = 0.25
"""Chunks are so long that handing them out takes at most this part of the master's time..."""

MAX_LAST_MASTER_SHARE = 1.2
"""...and towards the end this many times of it: more than it can do, but for one round only."""

DIVISOR = 2
"""A chunk is at most this part of an even share of what is left."""

GROWTH = 4
"""A chunk has at most this many times the items of the largest that came back: first timings mislead."""

FIRST_ITEMS = 2
"""Of a worker's first chunk, where there are many: one loads kernels, the other shows the speed."""

MANY_ITEMS = 32
"""Per worker: fewer go one by one at first."""

FIRST_SECONDS = 0.1
"""Chunks are no longer than this as long as only first chunks came back: their speed may be far off."""


class ChunkSize:
    """Sizes from measured times.

    The target is `CHUNK_SECONDS` by the measured speed; towards the end chunks shrink so that all
    workers finish together, but not so far that the master is left behind.
    """

    def __init__(self, n_workers: int, n_items: int) -> None:
        self._n_workers = n_workers
        self._even_share = n_items / n_workers
        self.first = FIRST_ITEMS if self._even_share >= MANY_ITEMS else 1
        """Size of chunks as long as the speed is unknown."""
        self._largest = 1
        self.latest = 1
        """Size of the latest chunk."""
        self.seconds_per_item = 0.0
        """As far as it is known; 0 before the first chunk is completed."""
        self.known = False
        """Whether any chunk is completed."""

    def measured(self, n_items: int, seconds: float) -> None:
        """Learn from a completed chunk."""
        latest = seconds / n_items
        # The fastest is nearest to the truth at first, when kernels are still being compiled.
        mean = 0.5 * (latest + self.seconds_per_item)
        self.seconds_per_item = min(latest, mean) if self.known else latest
        self.known = True
        self._largest = max(self._largest, n_items)

    def next(self, n_left: int, master_seconds: float = 0.0, max_seconds: float = np.inf) -> int:
        """Size of the next chunk, of items that are not yet handed out.

        Of `master_seconds`, what the master itself needs per chunk, and `max_seconds`, what it may take.
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
