"""The ranks this process runs with, or the news that the launch was not what it seems."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from pyxt_hpc.errors import EXIT_DEFECT, EXIT_DONE, EXIT_TRY_AGAIN, LaunchError, PyxtError

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")

WATCH_SECONDS = 2.0

FORWARDING_SECONDS = 0.5
"""The launcher passes on what a rank has said, unless the job has ended by then."""

# What each launcher tells the processes it starts: how many they are. SLURM_NTASKS is set in a batch
# script too, where one process runs, so it counts only within a step.
LAUNCHERS = {
    "mpiexec of Open MPI": "OMPI_COMM_WORLD_SIZE",
    "mpiexec of MPICH": "PMI_SIZE",
    "srun": "SLURM_STEP_NUM_TASKS",
}


@dataclass(frozen=True)
class World:
    """Rank and number of ranks; ``comm`` is None where there is only one process."""

    rank: int
    size: int
    comm: "MPI.Intracomm | None"

    @property
    def is_master(self) -> bool:
        """Whether this rank reads, writes, prints and hands out work."""
        return self.rank == 0

    def on_master(self, function: Callable[[], T]) -> T | None:
        """Call `function` on the master; the other ranks wait until it has succeeded and get None.

        Raises
        ------
        Exception
            On the master, what the call raised.
        SystemExit
            On the other ranks, silently and with the same exit code, when it raised.
        """
        if self.comm is None:
            return function()
        if not self.is_master:
            if code := self.comm.bcast(None, root=0):
                sys.exit(code)
            return None
        try:
            value = function()
        except BaseException as error:
            self.comm.bcast(error.exit_code if isinstance(error, PyxtError) else EXIT_DEFECT, root=0)
            raise
        self.comm.bcast(EXIT_DONE, root=0)
        return value

    def from_master(self, function: Callable[[], T]) -> T:
        """As `on_master`, but every rank gets the value, which must be picklable."""
        if self.comm is None:
            return function()
        return self.comm.bcast(self.on_master(function), root=0)

    def abort(self, exit_code: int) -> None:
        """End all ranks of the job at once."""
        if self.comm is not None:
            from mpi4py import MPI

            MPI.COMM_WORLD.Abort(exit_code)


def launched_size(environment: Mapping[str, str]) -> tuple[int, str]:
    """Number of processes that the launcher says it started, and the launcher's name.

    Parameters
    ----------
    environment
        Of this process.

    Returns
    -------
    size, launcher
        (1, "") when no launcher speaks of more than one process.
    """
    for launcher, variable in LAUNCHERS.items():
        value = environment.get(variable, "")
        # The first that speaks decides: under SLURM, mpiexec is itself started by srun.
        if value.isdigit():
            return int(value), launcher
    return 1, ""


def detect_world() -> World:
    """Find the ranks of this run; MPI is started only where a launcher started several processes.

    Raises
    ------
    LaunchError
        If the launcher started several processes and mpi4py is missing or finds each of them alone:
        every one would do the whole job.
    """
    expected, launcher = launched_size(os.environ)
    if expected == 1:
        return World(0, 1, None)
    _end_with_launcher()
    where = f"{launcher} started {expected} processes on {socket.gethostname()}"
    try:
        import mpi4py

        # The library's name comes before its start: MPICH aborts under the mpiexec of Open MPI.
        mpi4py.rc.initialize = False
        mpi4py.rc.finalize = True
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise LaunchError(
            f"{where}, but MPI cannot be loaded ({' '.join(str(error).split())}): "
            "pip install 'pyxt_hpc[mpi]', or leave the launcher out and use --num-cpus"
        ) from None
    library = MPI.Get_library_version().split("\n")[0].strip("\x00 ")
    foreign = LaunchError(
        f"{where}, but each is alone in the MPI that mpi4py loads ({library}): launch with the mpiexec of "
        "that MPI, or with srun and its plugin (--mpi=pmi2 for MPICH, --mpi=pmix for Open MPI)"
    )
    if "Open MPI" in launcher and "Open MPI" not in library:
        raise foreign
    MPI.Init_thread(MPI.THREAD_FUNNELED)
    comm = MPI.COMM_WORLD
    if comm.size == 1:
        raise foreign
    _end_all_ranks_on_defect(comm)
    return World(comm.rank, comm.size, comm)


def _end_with_launcher() -> None:
    """End this process when it is an orphan: ranks can wait for each other for ever."""
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(WATCH_SECONDS)
        os._exit(EXIT_TRY_AGAIN)

    # A thread, as MPI waits without giving signal handlers a chance; the kernel's own signal at the death
    # of a parent also comes at the end of the parent's thread.
    threading.Thread(target=watch, name="launcher watch", daemon=True).start()


def _end_all_ranks_on_defect(comm: "MPI.Intracomm") -> None:
    """After the traceback of an uncaught exception end the job: the other ranks would wait for ever."""
    show = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        show(kind, error, trace)
        sys.stderr.flush()
        time.sleep(FORWARDING_SECONDS)
        comm.Abort(EXIT_DEFECT)

    sys.excepthook = hook
