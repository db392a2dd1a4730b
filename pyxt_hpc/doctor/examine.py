"""Run the checks of all parts; an error in a check becomes its finding."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from pyxt_hpc.doctor import libraries, machine, programs
from pyxt_hpc.doctor.finding import Finding, Verdict
from pyxt_hpc.files.quoting import one_line, shown

Look = Callable[[], Finding]


def looks(folder: Path, ciao_prefix: str) -> dict[str, Look]:
    """All checks, by the name of the part that they examine."""
    return {
        "Python": libraries.python,
        "libraries": libraries.required,
        "HDF5": libraries.hdf5,
        "MPI": programs.mpi,
        "Sherpa": libraries.sherpa,
        "CIAO": partial(programs.ciao, ciao_prefix),
        "DS9": programs.ds9,
        "SLURM or PBS": programs.batch_system,
        "cores": machine.cores,
        "memory": machine.memory,
        "shared memory": machine.shared_memory,
        "compiled kernels": machine.numba_cache,
        "disk": partial(machine.disk, folder),
    }


def examine(folder: Path, ciao_prefix: str = "") -> Iterator[Finding]:
    """Examine all parts that the package can use.

    Parameters
    ----------
    folder
        Folder of a cluster's data; it may not exist yet.
    ciao_prefix
        ``[ciao] prefix`` of the configuration.
    """
    for part, look in looks(folder, ciao_prefix).items():
        try:
            yield replace(look(), part=part)
        except Exception as error:  # a broken part can raise any error
            found = shown(one_line(f"{type(error).__name__}: {error}"), 300)
            yield Finding(Verdict.WARNING, f"cannot be examined ({found})", part=part)
