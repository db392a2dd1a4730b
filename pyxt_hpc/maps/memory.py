"""Check, before anything is read, that this machine has enough memory for the maps of a cluster."""

from collections.abc import Iterator
from pathlib import Path

import h5py

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError, DamagedFile
from pyxt_hpc.files.hdf5 import open_hdf5
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import open_store
from pyxt_hpc.store.rows import ROW_DTYPE

# Measured with benchmarks/speed/bench_maps.py
_BYTES_PER_PIXEL = 200
_BYTES_PER_REGION = 2 * ROW_DTYPE.itemsize + 400
_BYTES_OF_PROGRAMS = 800 << 20

_CGROUPS = Path("/sys/fs/cgroup")


def check_memory(config: ClusterConfig) -> None:
    """Check that the maps of a cluster fit into the free memory.

    Missing or damaged files are ignored here; the functions that read them raise an error.

    Raises
    ------
    ConfigError
        If the maps need more memory than is free.
    """
    layout = Layout.of(config)
    needed, shape = needed_memory(layout)
    free = available_memory()
    if free is not None and needed > free:
        raise ConfigError(
            f"{layout.bundle}: maps of {shape[0]} x {shape[1]} pixels need about {needed / 2**30:.1f} GiB of "
            f"memory, but {free / 2**30:.1f} GiB are free: end other programs, use a machine or job with "
            f"more memory, or draw a smaller box in {layout.crop_reg} and run `pyxt-hpc run -c "
            f"{config.path}`"
        )


def available_memory() -> int | None:
    """Free memory within all limits [bytes]; None if unknown."""
    try:
        return min(free for _, free in memory_limits())
    except OSError:
        return None


def memory_limits() -> Iterator[tuple[int, int]]:
    """Total and free memory [bytes] of the machine, then under each limit of a job or container.

    Raises OSError if the system does not provide these numbers.
    """
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (1024 * int(fields[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    yield total, free
    own = _CGROUPS / Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
    levels = [(folder, "max", "current") for folder in (own, *own.parents) if folder.is_relative_to(_CGROUPS)]
    for folder, most, taken in (*levels, (_CGROUPS / "memory", "limit_in_bytes", "usage_in_bytes")):
        try:
            limit, used = (int((folder / f"memory.{name}").read_text()) for name in (most, taken))
            # The system drops cached files if memory is needed.
            cached = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield limit, limit - used + int(cached["inactive_file"])
        except (OSError, ValueError, KeyError):
            continue  # no limit at this level


def needed_memory(layout: Layout) -> tuple[int, tuple[int, ...]]:
    """Memory for the maps [bytes], and the shape of the image; 0 and () if the bundle cannot be read."""
    sizes: list[int] = []

    def add(_: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(item.nbytes)

    try:
        with open_hdf5(layout.bundle) as file:
            file.visititems(add)
            shape = file["mask"].shape
    except (OSError, KeyError, RuntimeError, DamagedFile):
        return 0, ()
    regions = 0
    if check_regular(layout.results):
        with open_store(layout.results) as results:
            regions = results.length("rows")
    pixels = shape[0] * shape[1]
    return sum(sizes) + pixels * _BYTES_PER_PIXEL + regions * _BYTES_PER_REGION + _BYTES_OF_PROGRAMS, shape
