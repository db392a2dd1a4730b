"""Checks of cores, memory and disks."""

import os
import shutil
import tempfile
from pathlib import Path

import pyxt_hpc
from pyxt_hpc.doctor.finding import Finding, Verdict
from pyxt_hpc.maps.memory import memory_limits
from pyxt_hpc.parallel.shared import SHARED_MEMORY

LITTLE_MEMORY = 2 * 2**30
"""Free memory [byte] that a typical cluster needs."""
LITTLE_SHARED = 512 * 2**20
"""Free shared memory [byte] that a bundle of many observations needs."""
LITTLE_DISK = 10 * 2**30
"""Free disk space [byte] that a few observations with their products need."""


def cores() -> Finding:
    """Number of cores that this process may use."""
    usable, there = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    found = f"{usable}" + (f" of {there}" if usable != there else "")
    if (threads := os.environ.get("OMP_NUM_THREADS", "1")) != "1":
        return Finding(
            Verdict.OK,
            f"{found}; OMP_NUM_THREADS = {threads}",
            "many processes with threads of their own are slow",
        )
    return Finding(Verdict.OK, found)


def memory() -> Finding:
    """Free memory within the limits of a container or job."""
    total, free = map(min, zip(*memory_limits(), strict=True))
    advice = "fits of many observations may not fit in: see pyxt-hpc estimate"
    return _room(free, LITTLE_MEMORY, f"of {_size(total)}", advice)


def shared_memory() -> Finding:
    """Free space in the file system where ranks and processes of a node share arrays."""
    free = shutil.disk_usage(SHARED_MEMORY).free
    with tempfile.TemporaryFile(dir=SHARED_MEMORY) as file:
        file.write(b"it can be written")
    advice = (
        "MPI ranks keep the bundle there: remove what killed jobs left, or give a container more (--shm-size)"
    )
    return _room(free, LITTLE_SHARED, f"in {SHARED_MEMORY}", advice)


def numba_cache() -> Finding:
    """Folder in which compiled kernels are stored, and their number."""
    from pyxt_hpc.arrays.compiled import compiled

    path = getattr(getattr(compiled(_same), "stats", None), "cache_path", None)
    if path is None:
        return Finding(
            Verdict.WARNING,
            "are not kept on disk",
            "every process compiles them again, half a minute each: set NUMBA_CACHE_DIR to a folder that you "
            "may write to",
        )
    beside = Path(path)
    folder = Path(pyxt_hpc.__file__).parent if beside.name == "__pycache__" else beside.parent
    kept = sum(1 for _ in folder.rglob("*.nbi")) if folder.is_dir() else 0
    return Finding(Verdict.OK, f"{kept} kept in {folder}")


def _same(x: float) -> float:
    """Return x; numba gives the cache folder for this function, but never compiles it."""
    return x


def disk(folder: Path) -> Finding:
    """Free disk space for data and products."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not os.access(there, os.W_OK):
        return Finding(Verdict.WARNING, f"{there} cannot be written", "work in another folder")
    free = shutil.disk_usage(there).free
    advice = "an observation with its products takes up to 1 GB, with CIAO 3 GB"
    return _room(free, LITTLE_DISK, f"in {there}", advice)


def _room(free: int, least: int, where: str, advice: str) -> Finding:
    """Finding with the free space; a warning with advice if it is less than `least`."""
    found = f"{_size(free)} free {where}"
    return Finding(Verdict.OK, found) if free >= least else Finding(Verdict.WARNING, found, advice)


def _size(n: int) -> str:
    return f"{n / 2**30:.1f} GiB" if n >= 2**30 else f"{n / 2**20:.0f} MiB"
