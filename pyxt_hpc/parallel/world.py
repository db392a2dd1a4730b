"""The ranks this process runs with, or the news that the launch was not what it seems."""

import contextlib
import ctypes
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from pyxt_hpc.errors import EXIT_DEFECT, EXIT_DONE, EXIT_TRY_AGAIN, LaunchError
from pyxt_hpc.exit_codes import ending_of
from pyxt_hpc.files.quoting import one_line
from pyxt_hpc.parallel.launch import RANKS_VARIABLE, Launch, read_launch, requested_ranks
from pyxt_hpc.parallel.signals import (
    end_when_interrupted,
    raise_when_interrupted,
    take_back_stop_signals,
)

if TYPE_CHECKING:
    from mpi4py import MPI

log = logging.getLogger(__name__)

T = TypeVar("T")

WATCH_SECONDS = 2.0

FORWARDING_SECONDS = 0.5
"""The launcher passes on what a rank has said, unless the job has ended by then."""


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

    @contextlib.contextmanager
    def others_wait(self) -> Iterator[None]:
        """Around what the master does alone: the other ranks go on when it has succeeded.

        What is raised within on the master ends the other ranks by SystemExit, silently and with the same
        exit code.
        """
        if self.comm is None:
            yield
        elif self.is_master:
            try:
                yield
            except BaseException as error:
                self.comm.bcast(ending_of(error).exit_code, root=0)
                mark_known_to_all(error)
                raise
            self.comm.bcast(EXIT_DONE, root=0)
        else:
            yield
            if code := self.comm.bcast(None, root=0):
                sys.exit(code)

    def from_master(self, function: Callable[[], T]) -> T:
        """What `function` gives on the master, on every rank; it must be picklable. See `others_wait`."""
        if self.comm is None:
            return function()
        with self.others_wait():
            value = function() if self.is_master else None
        shared: T = self.comm.bcast(value, root=0)
        return shared

    def abort(self, exit_code: int) -> None:
        """End all ranks of the job at once, when what was printed has been passed on."""
        if self.comm is not None:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, full or gone
                    stream.flush()
            time.sleep(FORWARDING_SECONDS)
            self.comm.Abort(exit_code)


ALONE = World(0, 1, None)


def mark_known_to_all(error: BaseException) -> None:
    """Note that the other ranks end by themselves because of this error."""
    error._pyxt_known_to_all = True  # type: ignore[attr-defined]


def end_ranks(error: BaseException, exit_code: int) -> None:
    """End the other ranks, which would wait for ever, unless they know of the error."""
    if _started is not None and not getattr(error, "_pyxt_known_to_all", False):
        _started.abort(exit_code)


_started: World | None = None
"""MPI is started once in a process."""


def detect_world() -> World:
    """Find the ranks of this run; MPI is started only where there are several, or may be.

    Raises LaunchError if there are not as many ranks as the launcher started or a job script asked for, or
    mpi4py is missing: every process would do the whole job.
    """
    global _started
    if _started is not None:
        return _started
    launch, asked = read_launch(os.environ), requested_ranks(os.environ)
    if launch.size == 1 and asked in (None, 1):
        return ALONE
    end_when_interrupted()
    try:
        _started = _meet(launch, asked)
    finally:
        raise_when_interrupted()
    return _started


def _meet(launch: Launch, asked: int | None) -> World:
    """Start MPI, and compare how many ranks there are with what was said of them."""
    found = []
    if asked is not None:
        found.append(f"{RANKS_VARIABLE} asks for {asked} ranks")
    if launch.launcher:
        n = "this process" if launch.size is None else f"{launch.size} processes"
        found.append(f"{launch.launcher} started {n} on {socket.gethostname()}")
    where = ", ".join(found)
    if launch.launcher and launch.size is not None and asked not in (None, launch.size):
        raise LaunchError(f"{where}: launch as many as were asked for, or unset {RANKS_VARIABLE}")
    _end_with_launcher()
    comm = _start_mpi(where, launch)
    expected = asked or launch.size
    if expected in (None, comm.size):
        if comm.size > 1:
            world = World(comm.rank, comm.size, comm)
            _end_all_ranks_on_defect(world)
            return world
        log.warning("%s, does not say how many others, and MPI finds none: it does all the work", where)
        return ALONE
    raise LaunchError(
        f"{where}, but MPI finds {comm.size}: launch with the launcher of the MPI that mpi4py loads "
        f"({_library()}), or leave the launcher out, unset {RANKS_VARIABLE} and use --num-cpus"
    )


def _start_mpi(where: str, launch: Launch) -> "MPI.Intracomm":
    """All ranks.

    Raises LaunchError if mpi4py cannot be loaded, is of another MPI than the launcher, or lacks shared
    memory.
    """
    from pyxt_hpc.parallel import shared  # with numpy, which most commands do without

    try:
        import mpi4py

        # The library's name comes before its start: MPICH aborts under the mpiexec of Open MPI.
        mpi4py.rc.initialize = False
        mpi4py.rc.finalize = True
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise LaunchError(
            f"{where}, but MPI cannot be loaded ({one_line(str(error))}): "
            "pip install 'pyxt_hpc[mpi]', or leave the launcher out and use --num-cpus"
        ) from None
    foreign = LaunchError(
        f"{where}, but each is alone in the MPI that mpi4py loads ({_library()}): launch with the mpiexec of "
        "that MPI, or with srun and its plugin (--mpi=pmi2 for MPICH, --mpi=pmix for Open MPI)"
    )
    if "Open MPI" in launch.launcher and "Open MPI" not in _library():
        raise foreign
    if not MPI.Is_initialized():
        shared.prepare_shared_memory(_library(), os.environ)
        _initialise()
    if MPI.COMM_WORLD.size == 1 and launch.is_parallel:
        raise foreign
    return MPI.COMM_WORLD


def _initialise() -> None:
    """``MPI_Init_thread`` without Python's global lock, which mpi4py keeps.

    Ranks wait for each other in it; the launcher's watch must be able to run then.
    """
    from mpi4py import MPI

    # Errors are fatal within. Its library is found among those that mpi4py was linked with.
    ctypes.CDLL(MPI.__file__).MPI_Init_thread(None, None, MPI.THREAD_FUNNELED, ctypes.byref(ctypes.c_int()))
    take_back_stop_signals()
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        comm.Set_errhandler(MPI.ERRORS_RETURN)


def _library() -> str:
    from mpi4py import MPI

    return MPI.Get_library_version().split("\n")[0].strip("\x00 ")


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


def _end_all_ranks_on_defect(world: World) -> None:
    """After the traceback of an uncaught exception end the job: the other ranks would wait for ever."""
    show = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        show(kind, error, trace)
        world.abort(EXIT_DEFECT)

    sys.excepthook = hook
