"""The MPI ranks of this run, checked against what the launcher and the job script say."""

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
"""Time for the launcher to forward the output of ranks before the job is ended."""


@dataclass(frozen=True)
class World:
    """Rank, number of ranks and communicator; ``comm`` is None if there is only one process."""

    rank: int
    size: int
    comm: "MPI.Intracomm | None"

    @property
    def is_master(self) -> bool:
        """Whether this rank reads, writes, prints and hands out work."""
        return self.rank == 0

    @contextlib.contextmanager
    def others_wait(self) -> Iterator[None]:
        """Let the other ranks wait at the end of the block until the master has left it.

        If the block raises on the master, the other ranks end by SystemExit with the same exit code, without
        a message.
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
        """Call `function` on the master; return its picklable value on every rank. See `others_wait`."""
        if self.comm is None:
            return function()
        with self.others_wait():
            value = function() if self.is_master else None
        shared: T = self.comm.bcast(value, root=0)
        return shared

    def abort(self, exit_code: int) -> None:
        """End all ranks of the job, after the launcher has had time to forward their output."""
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
    """End the other ranks, which would otherwise wait for ever, unless they know of the error."""
    if _started is not None and not getattr(error, "_pyxt_known_to_all", False):
        _started.abort(exit_code)


_started: World | None = None
"""Result of `detect_world`, since MPI can start only once in a process."""


def detect_world() -> World:
    """Find the ranks of this run; MPI starts only if there may be several.

    Raises LaunchError if mpi4py is missing, or if the number of ranks is not what the launcher started or the
    job script asked for: every process would then do the whole work.
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
    """Start MPI, and compare the number of ranks with those of the launcher and the job script."""
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
        log.warning("%s without their number, and MPI finds one rank: this process does all the work", where)
        return ALONE
    raise LaunchError(
        f"{where}, but MPI finds {comm.size}: launch with the launcher of the MPI that mpi4py loads "
        f"({_library()}), or leave the launcher out, unset {RANKS_VARIABLE} and use --num-cpus"
    )


def _start_mpi(where: str, launch: Launch) -> "MPI.Intracomm":
    """Start MPI and return the communicator of all ranks.

    Raises LaunchError if mpi4py cannot be loaded or belongs to another MPI than the launcher, or if there is
    too little shared memory.
    """
    from pyxt_hpc.parallel import shared  # imports numpy, which most commands do not need

    try:
        import mpi4py

        # Check the library before it starts: MPICH aborts under the mpiexec of Open MPI.
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
    """Call ``MPI_Init_thread`` without Python's global lock, which mpi4py would hold.

    Ranks wait for each other in this call, and the thread that watches the launcher must run meanwhile.
    """
    from mpi4py import MPI

    # An error within the call ends the process. Loading mpi4py's module gives access to its MPI library.
    ctypes.CDLL(MPI.__file__).MPI_Init_thread(None, None, MPI.THREAD_FUNNELED, ctypes.byref(ctypes.c_int()))
    take_back_stop_signals()
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        comm.Set_errhandler(MPI.ERRORS_RETURN)


def _library() -> str:
    from mpi4py import MPI

    return MPI.Get_library_version().split("\n")[0].strip("\x00 ")


def _end_with_launcher() -> None:
    """End this process when its launcher has ended, since ranks could wait for each other for ever."""
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(WATCH_SECONDS)
        os._exit(EXIT_TRY_AGAIN)

    # A thread, because Python's signal handlers do not run while MPI waits. The kernel's signal at a parent's
    # death is no alternative: it also comes when only the parent's thread ends.
    threading.Thread(target=watch, name="launcher watch", daemon=True).start()


def _end_all_ranks_on_defect(world: World) -> None:
    """End the job after the traceback of an uncaught exception: the other ranks would wait for ever."""
    show = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        show(kind, error, trace)
        world.abort(EXIT_DEFECT)

    sys.excepthook = hook
