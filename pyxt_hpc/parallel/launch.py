"""Number of processes and own rank, read from the environment that launchers and job scripts set."""

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
"""Number of ranks that a job script asked for; the script sets it, since not every launcher says how many it
started."""

BAR_VARIABLE = "PYXT_HPC_BAR"
"""`NO_BAR`: log lines always replace the progress bar. Any other value: there is a bar even if standard error
is no terminal, as under mpirun."""
NO_BAR = "0"

# (launcher, variable with the number of processes, variable with the rank). The first whose variables are set
# decides: under SLURM, srun starts mpiexec and flux. SLURM_NTASKS does not count, because SLURM also sets it
# in a batch script, where one process runs.
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
"""In names of variables whose rank counts only some of the processes."""


@dataclass(frozen=True)
class Launch:
    """How this process was launched.

    Parameters
    ----------
    launcher
        Name of the launcher; empty if there is none.
    size
        Number of processes that it started; None if it does not say.
    rank
        Rank of this process.
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
    """Read from the environment of a process how it was launched."""
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
    """Whole number in a variable; None if the variable holds no number."""
    value = environment.get(variable, "")
    return int(value) if re.fullmatch("[0-9]{1,9}", value) else None


def requested_ranks(environment: Mapping[str, str]) -> int | None:
    """Number of ranks that a job script asked for; None without a job script.

    Raises LaunchError if the variable is not a positive number.
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
    """Path of ``mpiexec`` beside this Python, else the first on PATH; None without it or without mpi4py."""
    if importlib.util.find_spec("mpi4py") is None:
        return None
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")
