"""The same job by one process, by processes and by real MPI launchers: right, or a clear end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

JOB = Path(__file__).with_name("toy_job.py")
MPICH = Path(sys.executable).with_name("mpiexec")
OPEN_MPI = shutil.which("mpiexec.openmpi")
# As root, with more ranks than cores, and with mpi4py's wheel on the system's Open MPI.
OPEN_MPI_ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "MPI4PY_MPIABI": "openmpi",
}


def run(
    launcher: list[str], what: str, n_workers: int = 1, **environment: str
) -> subprocess.CompletedProcess:
    """Run the toy job to its end."""
    line = [*launcher, sys.executable, str(JOB), what, str(n_workers)]
    return subprocess.run(
        line, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


def mpi(ranks: int) -> list[str]:
    """Launcher of the MPI that comes from PyPI."""
    if not MPICH.exists():
        pytest.skip(f"no {MPICH}: pip install 'pyxt_hpc[mpi]' brings it")
    return [str(MPICH), "-n", str(ranks)]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_processes_compute_everything_once(n_workers: int) -> None:
    done = run([], "squares", n_workers)
    assert done.returncode == 0, done.stderr
    assert f"right with {n_workers} workers, writeable {{False}}" in done.stdout


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_compute_everything_once(ranks: int) -> None:
    done = run(mpi(ranks), "squares")
    assert done.returncode == 0, done.stderr
    assert f"right with {max(ranks - 1, 1)} workers, writeable {{False}}" in done.stdout


def test_ranks_of_open_mpi() -> None:
    if OPEN_MPI is None:
        pytest.skip("no mpiexec.openmpi: Debian's openmpi-bin has it")
    done = run([OPEN_MPI, "-n", "3", "--oversubscribe"], "squares", **OPEN_MPI_ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "right with 2 workers" in done.stdout


@pytest.mark.parametrize("launched", ["processes", "ranks"])
def test_worker_that_raises_is_quoted_and_the_rest_passed_on(launched: str) -> None:
    done = run(mpi(3), "raise") if launched == "ranks" else run([], "raise", 2)
    assert done.returncode == 2
    assert "ValueError: a worker's own words" in done.stderr
    assert "Traceback" not in done.stderr


def test_process_that_dies_is_named() -> None:
    done = run([], "die", 2)
    assert done.returncode == 2
    assert "a worker died while items" in done.stderr
    assert "--continue" in done.stderr


def test_rank_that_dies_ends_the_job() -> None:
    assert run(mpi(3), "die").returncode != 0


@pytest.mark.parametrize("launched", ["processes", "ranks"])
def test_early_error_is_said_once_and_nobody_hangs(launched: str) -> None:
    done = run(mpi(3), "early") if launched == "ranks" else run([], "early", 2)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == ["error: nothing to do"]


def test_rank_that_cannot_start_ends_all_with_its_words() -> None:
    done = run(mpi(3), "unprepared")
    assert done.returncode == 2
    assert "1 of 3 ranks could not start" in done.stderr
    assert "MemoryError: no room for the context" in done.stderr
    assert "Traceback" not in done.stderr


def test_defect_of_the_master_leaves_no_rank_waiting() -> None:
    done = run(mpi(3), "defect")
    assert done.returncode == 1
    assert "AttributeError: a defect of the master alone" in done.stderr


@pytest.mark.parametrize("variable", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_world_of_one_among_many_is_refused(variable: str) -> None:
    done = run([], "squares", **{variable: "4"})
    assert done.returncode == 2
    assert "started 4 processes" in done.stderr
    assert "right" not in done.stdout


def test_launcher_of_another_mpi_is_refused() -> None:
    if OPEN_MPI is None or not MPICH.exists():
        pytest.skip("needs both Debian's openmpi-bin and pyxt_hpc[mpi]")
    # Left to itself, mpi4py takes the MPI from PyPI.
    environment = {k: v for k, v in OPEN_MPI_ENVIRONMENT.items() if k != "MPI4PY_MPIABI"}
    done = run([OPEN_MPI, "-n", "2", "--oversubscribe"], "squares", **environment)
    assert done.returncode == 2
    assert "each is alone in the MPI" in done.stderr
    assert "right" not in done.stdout


@pytest.mark.parametrize("launched", ["serial", "processes", "ranks"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signal_drains_and_asks_to_be_run_again(launched: str, number: int) -> None:
    line = [sys.executable, str(JOB), "slow", "2" if launched == "processes" else "1"]
    if launched == "ranks":
        line = [*mpi(3), *line]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("chunk")
    # A launcher passes signals on to its ranks, or is asked to; here the master gets it.
    target = process.pid if launched != "ranks" else _child(process.pid)
    os.kill(target, number)
    start = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 75, said
    assert signal.Signals(number).name in said
    assert time.monotonic() - start < 10


def _child(launcher: int) -> int:
    """The master: of the launcher's descendants that run the job, the first that was started."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue

    def below(pid: int) -> bool:
        return pid == launcher or (pid in parents and below(parents[pid]))

    ranks = []
    for pid in parents:
        if below(pid) and pid != launcher:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if b"PMI_RANK=0" in environment:
                ranks.append(pid)
    return min(ranks)
