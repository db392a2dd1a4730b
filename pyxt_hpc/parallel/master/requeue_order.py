"""Order of the items: first new ones, then those of failed chunks one by one, then suspects of crashes."""

from collections import deque

import numpy as np

from pyxt_hpc.parallel.master.chunk_size import ChunkSize
from pyxt_hpc.parallel.pools.pool import Chunk

SUSPECTS_PER_CHUNK = 64
"""Size of a chunk of suspects; if its sandbox dies, only its own items are tried one by one."""


class RequeueOrder:
    """Items that are still to be handed out.

    Parameters
    ----------
    items
        (n,) new items; a chunk is a slice of them.
    suspects
        (m,) items that were in flight when an earlier run crashed.
    n_workers
        Number of chunks that are computed at the same time.
    """

    def __init__(self, items: np.ndarray, suspects: np.ndarray, n_workers: int) -> None:
        self._items, self._at = items, 0
        self._alone: deque[Chunk] = deque()
        self._suspects: deque[Chunk] = deque()
        self._n_retries = 0
        self.sizes = ChunkSize(n_workers, max(len(items), 1))
        self._retry_in_sandbox(suspects, attempt=2)

    def __len__(self) -> int:
        return len(self._items) - self._at + self._n_retries

    def next(self, max_items: int, master_seconds: float, max_seconds: float) -> Chunk:
        """Next chunk, of at most `max_items`; items must be left. `ChunkSize.next` explains the times."""
        n_new = len(self._items) - self._at
        if n_new:
            size = min(self.sizes.next(n_new, master_seconds, max_seconds), max_items)
            items = self._items[self._at : self._at + size]
            self._at += len(items)
            return Chunk(items, is_probe=not self.sizes.known and len(items) > 1)
        retries = self._alone or self._suspects
        chunk = retries.popleft()
        if len(chunk.items) > max_items:
            retries.appendleft(Chunk(chunk.items[max_items:], chunk.attempt, chunk.sandboxed))
            chunk = Chunk(chunk.items[:max_items], chunk.attempt, chunk.sandboxed)
        self._n_retries -= len(chunk.items)
        return chunk

    def retry_alone(self, chunk: Chunk) -> None:
        """Queue every item of a failed chunk as a chunk of its own."""
        self._alone += (Chunk(item, chunk.attempt + 1, chunk.sandboxed) for item in chunk.items[:, None])
        self._n_retries += len(chunk.items)

    def retry_in_sandbox(self, chunk: Chunk) -> None:
        """Queue the items of a chunk for sandboxes, since they may have killed the worker that held them."""
        self._retry_in_sandbox(chunk.items, chunk.attempt + 1)

    def _retry_in_sandbox(self, items: np.ndarray, attempt: int) -> None:
        for at in range(0, len(items), SUSPECTS_PER_CHUNK):
            self._suspects.append(Chunk(items[at : at + SUSPECTS_PER_CHUNK], attempt, sandboxed=True))
        self._n_retries += len(items)
