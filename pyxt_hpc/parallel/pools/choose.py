"""The choice of a pool."""

from pyxt_hpc.parallel.pools.pool import Pool
from pyxt_hpc.parallel.pools.processes import ProcessPool
from pyxt_hpc.parallel.pools.ranks import RankPool
from pyxt_hpc.parallel.pools.serial import SerialPool
from pyxt_hpc.parallel.world import ALONE, World


def choose_pool(n_workers: int = 1, world: World = ALONE) -> Pool:
    """MPI ranks if there are several; otherwise `n_workers` processes, or this process for one worker."""
    if world.comm is not None:
        return RankPool(world)
    return ProcessPool(n_workers) if n_workers > 1 else SerialPool()
