"""Read-only arrays that all ranks of a node share."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI

BLOCK = 1 << 30
"""Bytes per broadcast: MPI counts in 32 bits."""

ALIGNMENT = 64
"""Arrays begin on cache lines."""

_windows: list[Any] = []
"""Keeps the memory of the views alive."""


def share_arrays(comm: "MPI.Intracomm", arrays: dict[str, np.ndarray] | None) -> dict[str, np.ndarray]:
    """Copy the master's arrays once to every node, in a window of shared memory.

    Collective. The memory lives until the process ends.

    Parameters
    ----------
    comm
        All ranks.
    arrays
        On rank 0; None elsewhere.

    Returns
    -------
    dict
        Views of this node's copy, not writeable.
    """
    from mpi4py import MPI

    layout: list[tuple[str, tuple[int, ...], Any, int]] = []
    total = 0
    if arrays is not None:
        for name, array in arrays.items():
            descr = array.dtype if array.dtype.names else array.dtype.str
            layout.append((name, array.shape, descr, total))
            total += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    layout, total = comm.bcast((layout, total), root=0)

    node = comm.Split_type(MPI.COMM_TYPE_SHARED, key=comm.rank)
    leaders = comm.Split(0 if node.rank == 0 else MPI.UNDEFINED, key=comm.rank)
    window = MPI.Win.Allocate_shared(total if node.rank == 0 else 0, 1, comm=node)  # type: ignore[arg-type]
    memory, _ = window.Shared_query(0)
    flat = np.frombuffer(memory, np.uint8)  # type: ignore[call-overload]
    if arrays is not None:
        for name, _, _, start in layout:
            own = np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8)
            flat[start : start + own.size] = own
    if node.rank == 0:
        for start in range(0, total, BLOCK):
            leaders.Bcast(flat[start : start + BLOCK], root=0)
        leaders.Free()
    # The barrier alone does not order memory for everyone; the pair of syncs around it does.
    window.Lock_all(MPI.MODE_NOCHECK)
    window.Sync()
    node.Barrier()
    window.Sync()
    window.Unlock_all()
    node.Free()

    views = {}
    for name, shape, dtype, start in layout:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        view = flat[start : start + size].view(dtype).reshape(shape)
        view.flags.writeable = False
        views[name] = view
    _windows.append(window)
    return views
