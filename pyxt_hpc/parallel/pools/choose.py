"""Which pool a run has."""

from pyxt_hpc.parallel.pools.pool import Pool
from pyxt_hpc.parallel.pools.processes import ProcessPool
from pyxt_hpc.parallel.pools.ranks import RankPool
from pyxt_hpc.parallel.pools.serial import SerialPool
from pyxt_hpc.parallel.world import ALONE, World


def choose_pool(n_workers: int = 1, world: World = ALONE) -> Pool:
    """MPI ranks where there are several; otherwise so many processes, or for one worker this process."""
    if world.comm is not None:
        return RankPool(world)
    return ProcessPool(n_workers) if n_workers > 1 else SerialPool()
