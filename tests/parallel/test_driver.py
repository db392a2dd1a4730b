"""Chunks grow to the wanted time and shrink towards the end."""

from collections.abc import Mapping

import pytest

from pyxt_hpc.parallel.driver import CHUNK_SECONDS, SMALLEST_SHARE, ChunkSize
from pyxt_hpc.parallel.world import launched_size


def handed_out(n_items: int, n_workers: int, seconds_per_item: float, first: float = 0.0) -> list[int]:
    """Sizes of all chunks when every chunk takes what it should, the first longer by a compilation."""
    sizes, out = ChunkSize(n_workers), []
    left = n_items
    while left:
        out.append(min(left, sizes.next(left)))
        left -= out[-1]
        sizes.measured(out[-1], out[-1] * seconds_per_item + (first if len(out) == 1 else 0.0))
    return out


def test_chunks_last_about_as_long_as_wanted() -> None:
    sizes = handed_out(100_000, 4, 1e-3)
    assert max(sizes) == pytest.approx(CHUNK_SECONDS / 1e-3, rel=0.01)
    assert sizes[0] == 1


def test_compilation_in_the_first_chunk_does_not_mislead() -> None:
    assert handed_out(100_000, 4, 1e-3, first=20.0)[1:8] == handed_out(100_000, 4, 1e-3)[:7]


def test_no_worker_gets_a_long_chunk_at_the_end() -> None:
    sizes = handed_out(100_000, 16, 1e-3)
    assert sizes[-1] <= 1.01 * SMALLEST_SHARE * CHUNK_SECONDS / 1e-3
    assert sum(sizes) == 100_000


def test_slow_items_go_one_by_one() -> None:
    assert set(handed_out(50, 4, 30.0)) == {1}


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
