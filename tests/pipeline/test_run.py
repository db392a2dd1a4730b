"""What `pipeline` decides before a stage begins; tests/whole/test_run.py has whole runs."""

from pathlib import Path

import pytest

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError, LaunchError
from pyxt_hpc.parallel.world import World
from pyxt_hpc.pipeline.run import count_workers, run_stages

ALONE, RANKS = World(0, 1, None), World(0, 5, None)


def config(parallel: bool = True, num_cpus: int = 3) -> ClusterConfig:
    return ClusterConfig(
        path=Path("A.ini"),
        name="A",
        observation_ids=("1",),
        redshift=0.1,
        nH=0.05,
        abundance=0.3,
        data_directory=Path(),
        parallel_processing=parallel,
        num_cpus=num_cpus,
    )


def test_workers_are_the_processes_asked_for_or_the_ranks_but_the_master() -> None:
    assert count_workers(2, config(), ALONE) == 2
    assert count_workers(None, config(), ALONE) == 3
    assert count_workers(None, config(parallel=False), ALONE) == 1
    assert count_workers(0, config(), ALONE) >= 1
    assert count_workers(None, config(), RANKS) == 4


@pytest.mark.parametrize(("num_cpus", "world"), [(-1, ALONE), (2, RANKS), (0, RANKS)])
def test_processes_under_ranks_or_below_none_are_refused(num_cpus: int, world: World) -> None:
    with pytest.raises(LaunchError, match="--num-cpus"):
        count_workers(num_cpus, config(), world)


def test_last_stage_before_the_first_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match="comes after"):
        run_stages(Path("absent.ini"), print, first="crop-data", last="process-data")
