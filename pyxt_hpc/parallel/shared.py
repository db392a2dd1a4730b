"""Read-only arrays that all ranks of a node share."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxt_hpc.arrays.views import read_only
from pyxt_hpc.errors import EXIT_INPUT, LaunchError
from pyxt_hpc.files.process_identity import age_of_ancestor, is_mapped
from pyxt_hpc.parallel.launch import number_in

if TYPE_CHECKING:
    from mpi4py import MPI

BLOCK = 1 << 30
"""Bytes per broadcast: MPI counts in 32 bits."""

ALIGNMENT = 64
"""Arrays begin on cache lines."""

SHARED_MEMORY = Path("/dev/shm")
"""Folder where MPI libraries keep the memory that ranks share; a process that writes to it when it is full
gets SIGBUS."""

MPICH_BYTES_PER_RANK = 5.4e6
"""Shared memory that MPICH 4 with UCX needs per rank at its start, as measured; for a moment it needs twice
that."""

_windows: list[Any] = []
"""Keeps the memory of the views alive."""


def shared_memory_problem(n_bytes: float) -> str:
    """Message if `SHARED_MEMORY` lacks room for `n_bytes`; empty if it has room, or does not exist."""
    if not SHARED_MEMORY.is_dir():
        return ""
    where = f"{SHARED_MEMORY} of {socket.gethostname()}"
    if not os.access(SHARED_MEMORY, os.W_OK):
        return f"{where} cannot be written, but MPI shares memory there: mount it for writing"
    status = os.statvfs(SHARED_MEMORY)
    free = status.f_bavail * status.f_frsize
    if free >= n_bytes:
        return ""
    return (
        f"{where} has {free / 1e6:.1f} MB left, but MPI needs {n_bytes / 1e6:.1f} MB there: remove what "
        "killed jobs left, use fewer ranks a node, or give the container more (--shm-size)"
    )


def remove_dead_segments(folder: Path, min_age: float) -> None:
    """Remove MPICH's shared memory that killed processes of this user left more than `min_age` [s] ago.

    MPICH names these files by job and step. A job that SLURM runs again after a kill would find its own old
    file, and wait for ever in the start of MPI.
    """
    for path in folder.glob("mpich_shm_*"):
        with contextlib.suppress(OSError):  # another rank has removed it
            status = path.stat()
            is_old = time.time() - status.st_mtime > min_age
            if status.st_uid == os.getuid() and is_old and not is_mapped(path):
                path.unlink()


def prepare_shared_memory(library: str, environment: Mapping[str, str]) -> None:
    """Remove dead segments and check the free shared memory before MPICH starts.

    MPICH would hang or die without a message; other MPI libraries check this themselves.

    Raises LaunchError if there is not enough shared memory for the ranks of this node.
    """
    if library.startswith("MPICH"):
        if step_age := age_of_ancestor("slurmstepd"):
            remove_dead_segments(SHARED_MEMORY, step_age)
        n_ranks = number_in(environment, "MPI_LOCALNRANKS") or 1
        if problem := shared_memory_problem((n_ranks + 2) * MPICH_BYTES_PER_RANK):
            raise LaunchError(problem)


def share_arrays(comm: "MPI.Intracomm", arrays: dict[str, np.ndarray] | None) -> dict[str, np.ndarray]:
    """Copy the master's arrays once to every node, in a window of shared memory.

    Collective. The memory lives until the process ends.

    Parameters
    ----------
    comm
        All ranks.
    arrays
        The arrays on rank 0; None on other ranks.

    Returns
    -------
    dict
        Read-only views of this node's copy.

    Raises
    ------
    LaunchError
        On rank 0, if a node has not enough shared memory.
    SystemExit
        On the other ranks, without a message.
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
    problem = "" if node.rank else shared_memory_problem(total)
    if problems := [words for words in comm.allgather(problem) if words]:
        if comm.rank:
            sys.exit(EXIT_INPUT)
        raise LaunchError(problems[0])
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
    # The barrier alone does not order memory accesses; the two syncs around it do.
    window.Lock_all(MPI.MODE_NOCHECK)
    window.Sync()
    node.Barrier()
    window.Sync()
    window.Unlock_all()
    node.Free()

    views = {}
    for name, shape, dtype, start in layout:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        views[name] = read_only(flat[start : start + size].view(dtype).reshape(shape))
    _windows.append(window)
    return views
