"""What launchers and job scripts tell a process: how many there are, and which one it is."""

import importlib.util
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.errors import LaunchError
from pyxt_hpc.files.quoting import quoted

RANKS_VARIABLE = "PYXT_HPC_RANKS"
"""Set by job scripts: how many ranks were asked for. Not every launcher says how many it started."""

BAR_VARIABLE = "PYXT_HPC_BAR"
"""Set it to `NO_BAR` to have lines in place of a progress bar everywhere, to anything else to have the bar
also where standard error is no terminal, as under mpirun."""
NO_BAR = "0"

# What launchers tell the processes they start: how many there are, and which one this is. The first that
# speaks decides: under SLURM, mpiexec and flux are themselves started by srun. SLURM_NTASKS is set in a batch
# script too, where one process runs, so only a step's counts.
LAUNCHERS = (
    ("mpiexec of Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpiexec of MPICH", "PMI_SIZE", "PMI_RANK"),
    ("mpiexec of MVAPICH", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
    ("jsrun", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_RANK"),
    ("flux", "FLUX_JOB_SIZE", "FLUX_TASK_RANK"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)
LAUNCHERS_WITHOUT_SIZE = (
    ("mpiexec of PALS", "PALS_RANKID"),
    ("aprun", "ALPS_APP_PE"),
    ("mpiexec_mpt", "MPT_MPI_RANK"),
    ("a launcher with PMIx", "PMIX_RANK"),
)
_RANK_VARIABLE = re.compile("[A-Z][A-Z0-9_]*_RANK(ID)?")
_NOT_OF_ALL = re.compile("LOCAL|NODE|GROUP|ROLE")
"""Ranks of another kind than of all processes."""


@dataclass(frozen=True)
class Launch:
    """What the launcher told this process.

    Parameters
    ----------
    launcher
        Its name; nothing if there is none.
    size
        How many processes it started; None if it does not say.
    rank
        Which of them this is.
    """

    launcher: str
    size: int | None
    rank: int

    @property
    def is_parallel(self) -> bool:
        """Whether this is surely one of several processes."""
        return self.rank > 0 or (self.size or 1) > 1

    @property
    def may_be_parallel(self) -> bool:
        """Whether this may be one of several processes."""
        return self.size is None or self.is_parallel


def read_launch(environment: Mapping[str, str]) -> Launch:
    """What the environment of a process says about its launch."""
    for launcher, size, rank in LAUNCHERS:
        if (n := number_in(environment, size)) is not None:
            return Launch(launcher, n, number_in(environment, rank) or 0)
    for launcher, rank in LAUNCHERS_WITHOUT_SIZE:
        if (n := number_in(environment, rank)) is not None:
            return Launch(launcher, None, n)
    for variable in sorted(environment):
        n = number_in(environment, variable)
        if n is not None and _RANK_VARIABLE.fullmatch(variable) and not _NOT_OF_ALL.search(variable):
            return Launch(f"an unknown launcher ({variable} is {n})", None, n)
    return Launch("", 1, 0)


def number_in(environment: Mapping[str, str], variable: str) -> int | None:
    """What a variable says; None if it is not a number."""
    value = environment.get(variable, "")
    return int(value) if re.fullmatch("[0-9]{1,9}", value) else None


def requested_ranks(environment: Mapping[str, str]) -> int | None:
    """Number of ranks that a job script asked for; None if there is no such script.

    Raises LaunchError if it is not a number.
    """
    if not environment.get(RANKS_VARIABLE):
        return None
    n = number_in(environment, RANKS_VARIABLE)
    if not n:
        raise LaunchError(
            f"{RANKS_VARIABLE} is {quoted(environment[RANKS_VARIABLE])}, expected the number of ranks: "
            "correct it, or unset it"
        )
    return n


def find_mpiexec() -> str | None:
    """The MPI launcher that belongs to this Python's mpi4py: beside it, or the first on PATH."""
    if importlib.util.find_spec("mpi4py") is None:
        return None
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")
