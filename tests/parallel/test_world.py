"""What launchers tell the processes they start."""

from collections.abc import Mapping

import pytest

from pyxt_hpc.parallel.world import launched_size


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 1),
        ({"PMI_SIZE": "1", "OMPI_COMM_WORLD_SIZE": "1"}, 1),
        ({"PMI_SIZE": "8"}, 8),
        ({"OMPI_COMM_WORLD_SIZE": "8"}, 8),
        ({"SLURM_NTASKS": "8", "SLURM_JOB_ID": "1"}, 1),  # the batch script itself
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8"}, 8),
        ({"PMI_SIZE": "none"}, 1),
        ({"PMI_SIZE": "1", "SLURM_STEP_NUM_TASKS": "2"}, 1),  # mpiexec within a job of two nodes
    ],
)
def test_number_of_processes_that_a_launcher_started(environment: Mapping[str, str], expected: int) -> None:
    assert launched_size(environment)[0] == expected
