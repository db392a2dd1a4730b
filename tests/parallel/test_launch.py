"""Variables by which launchers and job scripts inform the processes that they start."""

from collections.abc import Mapping

import pytest

from pyxt_hpc.errors import LaunchError
from pyxt_hpc.parallel.launch import read_launch, requested_ranks


@pytest.mark.parametrize(
    ("environment", "size", "rank"),
    [
        ({}, 1, 0),
        ({"PMI_SIZE": "1", "OMPI_COMM_WORLD_SIZE": "1"}, 1, 0),
        ({"PMI_SIZE": "8", "PMI_RANK": "3"}, 8, 3),
        ({"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "7"}, 8, 7),
        ({"MV2_COMM_WORLD_SIZE": "8", "MV2_COMM_WORLD_RANK": "2"}, 8, 2),
        ({"JSM_NAMESPACE_SIZE": "8", "JSM_NAMESPACE_RANK": "2"}, 8, 2),
        ({"SLURM_NTASKS": "8", "SLURM_JOB_ID": "1", "SLURM_PROCID": "0"}, 1, 0),  # the batch script itself
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5"}, 8, 5),
        ({"PMI_SIZE": "none"}, 1, 0),
        ({"PMI_SIZE": "9" * 5000}, 1, 0),
        ({"PMI_SIZE": "1", "SLURM_STEP_NUM_TASKS": "2"}, 1, 0),  # mpiexec within a job of two nodes
        ({"FLUX_JOB_SIZE": "16", "FLUX_TASK_RANK": "4", "SLURM_STEP_NUM_TASKS": "2"}, 16, 4),  # flux in SLURM
        ({"PALS_RANKID": "3"}, None, 3),
        ({"ALPS_APP_PE": "3"}, None, 3),
        ({"MPT_MPI_RANK": "3"}, None, 3),
        ({"PMIX_RANK": "3"}, None, 3),
        ({"NEW_MPI_WORLD_RANK": "3"}, None, 3),  # with a name that is not known
        ({"NEWRUN_RANKID": "0", "NEWRUN_LOCAL_RANKID": "2"}, None, 0),
        ({"NEW_MPI_LOCAL_RANK": "3", "NODE_RANK": "1", "DRANK": "3", "A_RANK": "first"}, 1, 0),
        ({"PMIX_RANK": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}, 4, 3),
    ],
)
def test_what_a_launcher_says(environment: Mapping[str, str], size: int | None, rank: int) -> None:
    launch = read_launch(environment)
    assert (launch.size, launch.rank) == (size, rank)
    assert launch.is_parallel == (rank > 0 or (size or 1) > 1)


def test_what_a_job_script_asked_for() -> None:
    assert requested_ranks({}) is None
    assert requested_ranks({"PYXT_HPC_RANKS": ""}) is None
    assert requested_ranks({"PYXT_HPC_RANKS": "48"}) == 48
    for text in ("0", "-3", "many", "9" * 5000):
        with pytest.raises(LaunchError, match="PYXT_HPC_RANKS") as refused:
            requested_ranks({"PYXT_HPC_RANKS": text})
        assert len(str(refused.value)) < 300
