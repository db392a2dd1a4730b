"""One process, several processes and real MPI launchers do the same job, or end with a clear error."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kill_harness import OPEN_MPI_ENVIRONMENT, family

from pyxt_hpc.store.reader import Results, read_store
from pyxt_hpc.store.rows import Status

JOB = Path(__file__).with_name("toy_job.py")
MPICH = Path(sys.executable).with_name("mpiexec")
OPEN_MPI = shutil.which("mpiexec.openmpi")
GUILTY = 137
LAUNCHES = ("serial", "processes", "mpich", "openmpi")


def command(launch: str, ranks: int = 3) -> tuple[list[str], int, dict[str, str]]:
    """Words before Python, number of processes, and environment of a launch."""
    if launch in ("serial", "processes"):
        return [], 2 if launch == "processes" else 1, {}
    if launch == "mpich":
        if not MPICH.exists():
            pytest.skip(f"no {MPICH}: pip install 'pyxt_hpc[mpi]' brings it")
        return [str(MPICH), "-n", str(ranks)], 1, {}
    if OPEN_MPI is None:
        pytest.skip("no mpiexec.openmpi: Debian's openmpi-bin has it")
    return [OPEN_MPI, "-n", str(ranks), "--oversubscribe"], 1, OPEN_MPI_ENVIRONMENT


def run(
    launch: str, what: str, store: Path, *options: str, ranks: int = 3, **environment: str | None
) -> "subprocess.CompletedProcess[str]":
    """Run the toy job to its end; variables that are None are unset."""
    before, n_workers, own = command(launch, ranks)
    variables = {
        key: value for key, value in {**os.environ, **own, **environment}.items() if value is not None
    }
    return subprocess.run(
        [*before, sys.executable, str(JOB), what, str(n_workers), str(store), *options],
        env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def run_program(launch: str, program: str, timeout: float = 50) -> "subprocess.CompletedProcess[str]":
    """Run the text of a program with two ranks to its end."""
    before, _, own = command(launch, 2)
    return subprocess.run(
        [*before, sys.executable, "-P", "-c", program], env=os.environ | own, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Path of the results."""
    return tmp_path / "toy.h5"


def assert_right(results: Results, *, without: int | None = None) -> None:
    """Check that every region except one has the row that follows from its number."""
    done = np.arange(len(results.rows)) != (-1 if without is None else without)
    assert (results.status[done] == Status.DONE).all()
    rows = results.rows[done]
    np.testing.assert_array_equal(rows["kT"], 1.0 + np.sqrt(rows["region"]))
    np.testing.assert_array_equal(rows["counts"], 10 * (rows["region"] - 1))


@pytest.mark.parametrize("launch", LAUNCHES)
def test_everything_is_computed_once(launch: str, store: Path) -> None:
    done = run(launch, "fine", store)
    assert done.returncode == 0, done.stderr
    assert f"{1 if launch == 'serial' else 2} workers" in done.stdout
    assert_right(read_store(store))
    sizes = [int(size) for size in re.findall(r"chunk \d+ (\d+) attempt 1\b", done.stdout)]
    assert sum(sizes) == 600


@pytest.mark.parametrize("ranks", [1, 2])
def test_few_ranks(ranks: int, store: Path) -> None:
    assert run("mpich", "fine", store, ranks=ranks).returncode == 0
    assert_right(read_store(store))


@pytest.mark.parametrize("launch", ["processes", "mpich"])
def test_region_that_raises_is_bad_with_the_message_and_the_run_goes_on(launch: str, store: Path) -> None:
    done = run(launch, "raise", store)
    assert done.returncode == 0, done.stderr
    results = read_store(store)
    assert_right(results, without=GUILTY)
    assert results.status[GUILTY] == Status.BAD
    assert list(results.messages) == [GUILTY]
    assert "ValueError: a worker's own words" in results.messages[GUILTY]
    assert np.isnan(results.rows["kT"][GUILTY])
    assert results.rows["region"][GUILTY] == GUILTY + 1


def test_run_of_processes_survives_a_dead_one_and_quarantines_the_region(store: Path) -> None:
    done = run("processes", "die", store)
    assert done.returncode == 0, done.stderr
    assert_quarantined(store)


@pytest.mark.parametrize("launch", ["mpich", "openmpi"])
def test_dead_rank_ends_the_job_and_the_next_run_quarantines_the_region(launch: str, store: Path) -> None:
    assert run(launch, "die", store).returncode not in (0, 2, 75)
    results = read_store(store)
    assert results.status[GUILTY] == Status.IN_FLIGHT
    finished = results.status == Status.DONE
    done = run(launch, "die", store, TOY_RUN="2")
    assert done.returncode == 0, done.stderr
    assert_quarantined(store)
    assert (read_store(store).rows["seconds"][finished] == 1).all(), "finished regions were fitted again"


def assert_quarantined(store: Path) -> None:
    """Check that one region and no other is bad, after two crashes."""
    results = read_store(store)
    assert_right(results, without=GUILTY)
    assert results.status[GUILTY] == Status.QUARANTINED
    assert "SIGABRT" in results.messages[GUILTY]
    assert results.rows["attempts"][GUILTY] == 3  # in a chunk, in a chunk in a sandbox, alone


@pytest.mark.parametrize("launch", ["processes", "mpich", "openmpi"])
def test_full_disk_ends_all_cleanly_and_blames_no_region(launch: str, store: Path) -> None:
    done = run(launch, "full", store, "--seconds", "0.002")
    assert done.returncode == 2
    assert "error: no space left" in done.stderr
    results = read_store(store)
    assert not (results.status == Status.IN_FLIGHT).any()
    assert (results.status == Status.DONE).any()
    assert run(launch, "fine", store).returncode == 0
    assert_right(read_store(store))


@pytest.mark.parametrize("launch", ["processes", "mpich"])
def test_early_error_is_said_once_and_nobody_hangs(launch: str, store: Path) -> None:
    done = run(launch, "early", store)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == ["error: nothing to do"]


def test_rank_that_cannot_start_ends_all_with_its_words(store: Path) -> None:
    done = run("mpich", "unprepared", store)
    assert done.returncode == 2
    assert "1 of 3 ranks could not start" in done.stderr
    assert "MemoryError: no room for the context" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("launch", ["mpich", "openmpi"])
def test_defect_of_the_master_leaves_no_rank_waiting(launch: str, store: Path) -> None:
    done = run(launch, "defect", store)
    assert done.returncode == 1
    assert "AttributeError: a defect of the master alone" in done.stderr


@pytest.mark.parametrize("variable", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_world_of_one_among_many_is_refused(variable: str, store: Path) -> None:
    done = run("serial", "fine", store, **{variable: "4"})
    assert done.returncode == 2
    assert "started 4 processes" in done.stderr
    assert not store.exists()


def test_launcher_of_another_mpi_is_refused(store: Path) -> None:
    if not MPICH.exists():
        pytest.skip("needs both Debian's openmpi-bin and pyxt_hpc[mpi]")
    # By default, mpi4py loads the MPI from PyPI.
    done = run("openmpi", "fine", store, ranks=2, MPI4PY_MPIABI=None)
    assert done.returncode == 2
    assert "each is alone in the MPI" in done.stderr
    assert not store.exists()


@pytest.mark.parametrize(
    ("launch", "number"),
    [
        ("serial", signal.SIGTERM),
        ("processes", signal.SIGINT),
        ("mpich", signal.SIGUSR1),
        ("openmpi", signal.SIGUSR2),
        ("mpich", signal.SIGINT),
    ],
)
def test_signal_drains_and_asks_to_be_run_again(launch: str, number: int, store: Path) -> None:
    process, master = begin(launch, store)
    os.kill(master, number)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 75, said
    assert signal.Signals(number).name in said
    results = read_store(store)
    assert not (results.status == Status.IN_FLIGHT).any(), "not drained"
    n_done = int((results.status == Status.DONE).sum())
    assert f"{600 - n_done} of 600 regions left" in said


@pytest.mark.parametrize("launch", LAUNCHES)
def test_second_interrupt_stops_at_once_without_loss(launch: str, store: Path) -> None:
    process, master = begin(launch, store, "stuck")
    finished = read_store(store).status == Status.DONE
    os.kill(master, signal.SIGINT)
    time.sleep(0.2)
    start = time.monotonic()
    os.kill(master, signal.SIGINT)
    process.communicate(timeout=200)
    assert process.returncode == 75
    assert time.monotonic() - start < 20
    results = read_store(store)
    assert (results.status[finished] == Status.DONE).all()
    assert not (results.status == Status.IN_FLIGHT).any(), "innocent regions are suspected"


@pytest.mark.parametrize("launch", ["mpich", "openmpi"])
def test_interrupt_while_ranks_start_ends_all_of_them(launch: str, tmp_path: Path) -> None:
    """MPI waits for all ranks at its start, and Python does not see a signal meanwhile."""
    before, _, environment = command(launch)
    # Coverage begins with Python itself: it would double the time before any of our code sees a signal.
    unmeasured = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
    for seconds in np.linspace(0.15, 0.75, 9):
        process = subprocess.Popen(
            [*before, sys.executable, "-P", "-m", "pyxt_hpc", "fit-spectra", "-c", "none.ini"],
            env=unmeasured | environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=200)
        except subprocess.TimeoutExpired:
            left = family(process.pid)
            process.kill()  # its ranks end with it
            said, _ = process.communicate()
            pytest.fail(f"{seconds:.2f} s after the start: {left} are left, said {said!r}")


LATE_RANK = """
import os, threading, time
from pyxt_hpc.parallel.world import detect_world

if {os.environ.get("PMI_RANK"), os.environ.get("OMPI_COMM_WORLD_RANK")} & {"1"}:
    time.sleep(3.0)
looks = []

def watch():
    while True:
        looks.append(time.monotonic())
        time.sleep(0.05)

threading.Thread(target=watch, daemon=True).start()
looks.append(time.monotonic())
world = detect_world()
looks.append(time.monotonic())
pause = max(after - look for look, after in zip(sorted(looks), sorted(looks)[1:]))
if world.is_master:
    print(pause / (looks[-1] - looks[0]))
"""


@pytest.mark.parametrize("launch", ["mpich", "openmpi"])
def test_rank_can_look_after_its_launcher_while_mpi_starts(launch: str) -> None:
    """A rank in MPI_Init that holds Python's lock would not notice that its launcher is dead."""
    done = run_program(launch, LATE_RANK, timeout=120)
    assert done.returncode == 0, done.stderr
    # Most of the time, the master waited for the other rank.
    assert float(done.stdout) < 0.5


WARNED_TOO_EARLY = """
import os, signal, time
from pyxt_hpc.parallel.world import detect_world

if detect_world().is_master:
    os.kill(os.getpid(), signal.SIGUSR1)
time.sleep(60)
"""


@pytest.mark.parametrize("launch", ["mpich", "openmpi"])
def test_warning_before_the_work_is_not_lost(launch: str) -> None:
    """The exit code shows the signal, which MPICH would ignore; a job script then runs another attempt."""
    done = run_program(launch, WARNED_TOO_EARLY)
    assert done.returncode in (signal.SIGUSR1, 128 + signal.SIGUSR1)


WARNED_AGAIN = """
import os, signal, time
from pyxt_hpc.parallel.signals import stop_signals
from pyxt_hpc.parallel.world import detect_world

world = detect_world()
if world.is_master:
    with stop_signals() as received:
        os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    print(received == [signal.SIGUSR1])
world.comm.Barrier()
"""


@pytest.mark.parametrize("launch", ["mpich", "openmpi"])
def test_warning_that_is_repeated_does_not_end_the_master(launch: str) -> None:
    """The other ranks would wait for it until the time limit, and the job could not run again."""
    done = run_program(launch, WARNED_AGAIN)
    assert (done.returncode, done.stdout.split()) == (0, ["True"]), done.stderr


def begin(launch: str, store: Path, what: str = "fine") -> tuple["subprocess.Popen[str]", int]:
    """Start a slow job, wait until it works, and find its master."""
    before, n_workers, own = command(launch)
    process = subprocess.Popen(
        [*before, sys.executable, str(JOB), what, str(n_workers), str(store), "--seconds", "0.02"],
        env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    while line := process.stdout.readline():
        if line.startswith("chunk" if what == "fine" else "stuck"):
            break
    return process, next(pid for pid, role in family(process.pid).items() if role == "master")


@pytest.mark.parametrize("launch", ["processes", "mpich"])
def test_time_limit_is_kept(launch: str, store: Path) -> None:
    done = run(launch, "fine", store, "--seconds", "0.05", "--time-limit", "7")
    assert done.returncode == 75
    assert "stopped by the time limit" in done.stderr
    results = read_store(store)
    n_done = int((results.status == Status.DONE).sum())
    assert 4 < n_done < 280
    assert not (results.status == Status.IN_FLIGHT).any()
    line = next(line for line in done.stdout.splitlines() if line.startswith("used "))
    assert float(line.split()[1]) < 7.0


def test_so_many_regions_and_no_more(store: Path) -> None:
    for n_done in (100, 200):
        done = run("processes", "fine", store, "--max-regions", "100")
        assert done.returncode == 75
        assert int((read_store(store).status == Status.DONE).sum()) == n_done
    assert run("processes", "fine", store, "--max-regions", "400").returncode == 0
    assert_right(read_store(store))
