"""Two levels: the ranks of a job in groups, each with a master of its own.

One master hands out and stores some ten thousand chunks a second at most; groups multiply that. They do not
speak to each other but for a bell that tells all masters to stop, and at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from pyxt_hpc.parallel.world import World

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")

RANKS_PER_GROUP = 32
"""The best for fits of 0.1 ms and nearly that for 5 ms (benchmarks/scaling_model.py)."""

MANY_RANKS = 1024
"""Where groups begin to gain more than joining their parts costs, if nobody says how many there are."""

SMALLEST_GROUP = 2
"""Ranks: a master and a worker."""

MOST_GROUPS = 512
"""In the end every master opens all parts; systems allow a process about 1000 files."""


def default_groups(n_ranks: int) -> int:
    """How many groups so many ranks should form."""
    return min(n_ranks // RANKS_PER_GROUP, MOST_GROUPS) if n_ranks >= MANY_RANKS else 1


def group_of(rank: int, n_ranks: int, n_groups: int) -> int:
    """Number of a rank's group, from 1: neighbours are together, and sizes differ by one at most."""
    return 1 + rank * n_groups // n_ranks


class Bell:
    """What one master says to all others: stop, and why.

    Parameters
    ----------
    comm
        The masters.
    """

    def __init__(self, comm: "MPI.Intracomm") -> None:
        from mpi4py import MPI

        self._comm, self._status = comm, MPI.Status()
        self._sent: list[MPI.Request] = []
        self._heard: dict[int, str] = {}

    def ring(self, reason: str) -> None:
        """Tell all others; only the first time counts."""
        if not self._sent:
            others = (rank for rank in range(self._comm.size) if rank != self._comm.rank)
            self._sent = [self._comm.isend(reason, rank) for rank in others]

    def heard(self) -> str:
        """Why another master wants all to stop, or nothing."""
        while self._comm.iprobe(status=self._status):
            self._heard[self._status.source] = self._comm.recv(source=self._status.source)
        return next(iter(self._heard.values()), "")

    @property
    def masters(self) -> World:
        """All masters, of whom the first is that of the job."""
        return World(self._comm.rank, self._comm.size, self._comm)

    def gather(self, mine: T, meanwhile: Callable[[], object]) -> list[T]:
        """What all masters have to say at their end, in the order of groups; until then call `meanwhile`."""
        from pyxt_hpc.parallel.ranks import Pauses

        everybody = self._comm.Ibarrier()
        pauses = Pauses()
        while not everybody.Test():
            meanwhile()
            pauses.sleep()
        # From here on nobody rings; what is on its way must arrive before MPI ends.
        said = self._comm.allgather((mine, bool(self._sent)))
        for rank, (_, rang) in enumerate(said):
            if rang and rank != self._comm.rank and rank not in self._heard:
                self._heard[rank] = self._comm.recv(source=rank)
        for request in self._sent:
            request.wait()
        return [words for words, _ in said]


@dataclass(frozen=True)
class Group:
    """This rank's group.

    Parameters
    ----------
    number
        From 1.
    world
        The group's ranks.
    bell
        On masters; None elsewhere.
    """

    number: int
    world: World
    bell: Bell | None


def split(world: World, n_groups: int) -> Group:
    """Form groups of neighbouring ranks; the first rank of each is its master. Collective."""
    from mpi4py import MPI

    assert world.comm is not None
    number = group_of(world.rank, world.size, n_groups)
    comm = MPI.Intracomm(world.comm.Split(number, key=world.rank))
    masters = MPI.Intracomm(world.comm.Split(0 if comm.rank == 0 else MPI.UNDEFINED, key=world.rank))
    return Group(
        number,
        replace(world, rank=comm.rank, size=comm.size, comm=comm),
        Bell(masters) if comm.rank == 0 else None,
    )
