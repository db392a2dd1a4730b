"""Ranks are divided evenly, and masters hear each other."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.parallel.groups import SMALLEST_GROUP, default_groups, group_of

MPIEXEC = Path(sys.executable).with_name("mpiexec")


@pytest.mark.parametrize(("n_ranks", "n_groups"), [(4, 2), (5, 2), (7, 3), (4096, 33), (9, 4), (1, 1)])
def test_groups_are_neighbours_of_nearly_equal_size(n_ranks: int, n_groups: int) -> None:
    groups = np.array([group_of(rank, n_ranks, n_groups) for rank in range(n_ranks)])
    assert (np.diff(groups) >= 0).all()
    numbers, sizes = np.unique(groups, return_counts=True)
    assert numbers.tolist() == list(range(1, n_groups + 1))
    assert sizes.max() - sizes.min() <= 1
    assert n_ranks == 1 or sizes.min() >= SMALLEST_GROUP


def test_few_ranks_have_one_master() -> None:
    assert [default_groups(n) for n in (1, 2, 512)] == [1, 1, 1]
    assert default_groups(4096) == 128


BELL = """
import sys
from pathlib import Path
from pyxt_hpc.parallel.groups import split
from pyxt_hpc.parallel.world import detect_world
folder = Path(sys.argv[1])
world = detect_world()
group = split(world, 2)
if group.bell:
    calls = []
    if group.number == 2:
        group.bell.ring("first")
        group.bell.ring("second")
    endings = group.bell.gather(group.number * 10, lambda: calls.append(1))
    said = (group.number, group.world.size, group.bell.heard(), *endings, group.bell.masters.size)
    (folder / str(group.number)).write_text(repr(said))
"""


def test_bell_is_heard_and_endings_are_gathered(tmp_path: Path) -> None:
    if not MPIEXEC.exists():
        pytest.skip(f"no {MPIEXEC}: pip install 'pyxt_hpc[mpi]' brings it")
    line = [str(MPIEXEC), "-n", "5", sys.executable, "-P", "-c", BELL, str(tmp_path)]
    subprocess.run(line, timeout=60, check=True)
    assert (tmp_path / "1").read_text() == "(1, 3, 'first', 10, 20, 2)"
    assert (tmp_path / "2").read_text() == "(2, 2, '', 10, 20, 2)"
