"""Jobs on a real SLURM run, requeue and finish by themselves, with the results of an uninterrupted run."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.jobs.record import read_jobs
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import Status

MPIEXEC = Path(sys.executable).with_name("mpiexec")
FINISHED = (Status.DONE, Status.BAD)
NOT_COMPARED = ("seconds", "attempts")


def values(path: Path) -> np.ndarray:
    """Rows of a complete store as numbers, without the columns that may differ between two runs."""
    results = read_store(path)
    assert np.isin(results.status, FINISHED).all()
    names = [name for name in results.rows.dtype.names or () if name not in NOT_COMPARED]
    columns = [np.asarray(results.rows[name], np.float64) for name in names]
    return np.vstack([column.reshape(len(column), -1).T for column in columns])


def n_finished(path: Path) -> int:
    """Regions of a store that need no more work."""
    return int(np.isin(read_store(path).status, FINISHED).sum()) if path.exists() else 0


def job_state(job: str) -> dict[str, str]:
    """SLURM's information about a job or task."""
    said = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"(\w+)=(\S*)", said))


def wait(what: str, true: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


def ended(job: str) -> bool:
    return job_state(job)["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


# These come first: they wait while other processes compile what the real program needs.

# Killed at the first attempt, warned at the second, done at the third; endless where there is such a file.
PROGRAM = """\
#!/bin/bash
trap 'exit 75' USR1
echo run >>"$OUT/runs"
if [ -e "$OUT/endless" ]; then sleep 120 & wait; fi
case $(wc -l <"$OUT/runs") in
1) kill -KILL $$ ;;
2) kill -USR1 $$; sleep 1 ;;
esac
"""


@pytest.fixture
def stand_in(tmp_path: Path, slurm: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose jobs run a small program in place of pyxt-hpc."""
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    tools = tmp_path / "venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "pyxt-hpc").write_text(PROGRAM)
    (tools / "pyxt-hpc").chmod(0o755)
    config = tmp_path / "A1.ini"
    config.write_text(
        "[cluster_info]\nname = A1\nobservation_ids = 1\nredshift = 0.1\nhydrogen_column_density = 0.01\n"
        "abundance = 0.3\n[hpc]\nscheduler = slurm\nranks_per_node = 1\nstop_margin = 30\n"
        f"venv = {tools.parent}\n"
        f"environment =\n    OUT={tmp_path}\n"
    )
    return config


def test_every_attempt_is_known_and_a_killed_rank_is_no_end(
    stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["make-job", "--submit", "-c", str(stand_in), "--stages", "6", "--yes"]) == 0
    job = capsys.readouterr().out.split()[1].rstrip(":")
    # A job that waits for its success starts after the last attempt.
    after = ["sbatch", "--parsable", f"--dependency=afterok:{job}", "--output=/dev/null"]
    count = f"wc -l <{stand_in.parent / 'runs'} >{stand_in.parent / 'at_success'}"
    done = subprocess.run([*after, f"--wrap={count}"], capture_output=True, text=True, check=True)
    wait("the end of the job", lambda: ended(job), 180)
    wait("the end of the job after it", lambda: ended(done.stdout.strip()), 60)
    assert (stand_in.parent / "at_success").read_text() == "3\n"
    state = job_state(job)
    assert (state["JobState"], state["Restarts"]) == ("COMPLETED", "2")
    (known,) = read_jobs(Layout.of(read_config(stand_in)).jobs_record)
    assert [(one.number, one.id, one.code) for one in known.tasks["-"]] == [
        (1, job, 137),
        (2, job, 75),
        (3, job, 0),
    ]
    assert known.has_ended
    assert main(["status", "-c", str(stand_in)]) == 0
    assert "attempt 1: " in (said := capsys.readouterr().out)
    assert "exit code 137: a process was killed" in said
    assert main(["cancel", "-c", str(stand_in)]) == 0
    assert "every job of this cluster has ended" in capsys.readouterr().out


def test_cancelled_it_does_not_come_back(stand_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stand_in.parent / "endless").touch()
    assert main(["make-job", "--submit", "-c", str(stand_in), "--stages", "6", "--yes"]) == 0
    job = capsys.readouterr().out.split()[1].rstrip(":")
    wait("the start of the program", (stand_in.parent / "runs").exists, 60)
    assert main(["cancel", "-c", str(stand_in)]) == 0
    assert f"job {job}: {job} ended; no attempt follows" in capsys.readouterr().out
    wait("the end of the job", lambda: ended(job), 60)
    assert job_state(job)["JobState"] == "CANCELLED"
    assert main(["status", "-c", str(stand_in)]) == 0
    assert ", cancelled 2" in capsys.readouterr().out

    def is_known_to_have_ended() -> bool:
        assert main(["cancel", "-c", str(stand_in), job]) == 0
        return "had ended already" in capsys.readouterr().out

    wait("the end of its last process", is_known_to_have_ended, 60)
    assert (stand_in.parent / "runs").read_text() == "run\n"


def test_slurm_warns_before_the_time_limit(stand_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stand_in.parent / "endless").touch()
    line = ["make-job", "--submit", "-c", str(stand_in), "--stages", "6", "--yes", "--time", "00:01:00"]
    assert main(line) == 0
    job = capsys.readouterr().out.split()[1].rstrip(":")
    log = Layout.of(read_config(stand_in)).logs / f"pyxt-A1-{job}-attempt-1.log"
    # It comes in the first half of the minute; SLURM looks at its jobs' limits twice in it.
    wait("the warning", lambda: log.exists() and "the time limit comes soon" in log.read_text(), 180)
    (stand_in.parent / "endless").unlink()
    wait("the end of the job", lambda: ended(job), 120)
    state = job_state(job)
    assert (state["JobState"], state["Restarts"]) == ("COMPLETED", "2")
    said = log.read_text()
    assert "not finished: the job runs again" in said
    assert "the time limit is reached" not in said


KILLED_AT_FIRST = """\
import os, signal, time
from pyxt_hpc.parallel.world import detect_world

world = detect_world()
if os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
    time.sleep(1)  # so that all have met
    open("killed", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
open(f"met by {world.rank}", "w").close()
"""


def test_ranks_meet_again_where_others_of_the_job_were_killed(slurm: dict[str, str], tmp_path: Path) -> None:
    """MPICH names shared memory by the numbers of job and step, which are the same in the next attempt."""
    if not MPIEXEC.exists():
        pytest.skip(f"no {MPIEXEC}: pip install 'pyxt_hpc[mpi]' brings it")
    (tmp_path / "program.py").write_text(KILLED_AT_FIRST)
    wrapped = f"--wrap=srun --mpi=pmi2 {sys.executable} -P program.py"
    done = subprocess.run(
        ["sbatch", "--parsable", "--requeue", "--ntasks=3", "--output=said", "--open-mode=append", wrapped],
        env=os.environ | slurm, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    job = done.stdout.strip()
    try:
        wait("the kill", (tmp_path / "killed").exists, 60)
        wait("the requeue", lambda: not subprocess.run(
            ["scontrol", "requeue", job], env=os.environ | slurm, capture_output=True, check=False
        ).returncode, 30)  # fmt: skip
        wait("ranks that have met", lambda: len(list(tmp_path.glob("met by *"))) == 3, 90)
    finally:
        subprocess.run(["scancel", job], env=os.environ | slurm, check=False)


@pytest.fixture(scope="module")
def cluster(
    slurm: dict[str, str], small_cluster_cropped: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A cluster up to the scale map whose fits take long, in a folder with blanks and a quote."""
    if not MPIEXEC.exists():
        pytest.skip(f"no {MPIEXEC}: pip install 'pyxt_hpc[mpi]' brings it")
    folder = tmp_path_factory.mktemp("slurm") / "it's my work"
    shutil.copytree(small_cluster_cropped, folder)
    config = folder / "demo.ini"
    text = config.read_text().replace("free_abundance = false", "free_abundance = true")
    config.write_text(
        f"{text}\n[hpc]\nscheduler = slurm\ntime = 00:10:00\nstop_margin = 30\nlauncher = mpirun\n"
    )
    Layout.of(read_config(config)).crop_reg.write_text('fk5\nbox(150,20,180",180",0)\n')
    for line in (["crop-data"], ["create-bins", "--num-cpus", "2"]):
        assert main([*line, "-c", str(config)]) == 0
    return config


@pytest.fixture(scope="module")
def uninterrupted(cluster: Path) -> np.ndarray:
    """Fits of every pixel's region in one run."""
    assert main(["fit-spectra", "-c", str(cluster), "--resolution", "3", "--num-cpus", "2", "--yes"]) == 0
    results = Layout.of(read_config(cluster)).results
    found = values(results)
    results.unlink()
    return found


@pytest.fixture
def submit(
    cluster: Path, slurm: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """The command that submits, as a function of its options; it returns the job's id."""
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)

    def run(*options: str) -> str:
        capsys.readouterr()
        assert main(["make-job", "--submit", "-c", str(cluster), "--yes", *options]) == 0
        return capsys.readouterr().out.split()[1].rstrip(":")

    return run


def test_a_warned_job_finishes_by_itself(
    cluster: Path, uninterrupted: np.ndarray, submit: Callable[..., str]
) -> None:
    layout = Layout.of(read_config(cluster))
    options = ["--stages", "6", "--resolution", "3", "--ranks-per-node", "4"]

    cancelled = submit(*options, "--launcher", "srun --mpi=pmi2")
    wait("the first results", lambda: n_finished(layout.results) > 0, 300)
    subprocess.run(["scancel", cancelled], check=True)
    wait("the end of a cancelled job", lambda: ended(cancelled), 30)
    before = n_finished(layout.results)
    assert 0 < before < uninterrupted.shape[1]

    # What SLURM sends before the time limit (test_slurm_warns_before_the_time_limit), without the minute.
    job = submit(*options, "--max-requeues", "100")
    wait("more results", lambda: n_finished(layout.results) > before, 300)
    subprocess.run(["scancel", "--signal=USR1", "--batch", job], check=True)
    wait("the end of the job", lambda: ended(job), 300)
    state = job_state(job)
    logs = sorted(layout.logs.glob(f"pyxt-demo-{job}-attempt-*.log"))
    said = "\n".join(log.read_text() for log in logs)
    assert state["JobState"] == "COMPLETED", said
    assert int(state["Restarts"]) == 1, said
    assert len(logs) == 2
    assert len(re.findall(r"(?:not finished|a process was killed).*: the job runs again", said)) == 1
    np.testing.assert_array_equal(values(layout.results), uninterrupted)
    assert job_state(cancelled)["JobState"] == "CANCELLED"
    assert int(job_state(cancelled)["Restarts"]) == 0


def test_one_task_of_an_array_fails_and_is_done_again(
    cluster: Path, uninterrupted: np.ndarray, submit: Callable[..., str]
) -> None:
    layout = Layout.of(read_config(cluster))
    layout.results.unlink(missing_ok=True)
    layout.part_results(2, 3).mkdir()  # nothing can be stored there
    array = ["--array", "3", "--resolution", "1", "--ranks-per-node", "1", "--time", "00:10:00"]
    job = submit(*array)
    wait("the end of the array", lambda: all(ended(f"{job}_{task}") for task in (1, 2, 3)), 120)
    states = [job_state(f"{job}_{task}")["JobState"] for task in (1, 2, 3)]
    assert states == ["COMPLETED", "FAILED", "COMPLETED"]
    assert "the job does not run again" in (layout.logs / f"pyxt-demo-{job}_2-attempt-1.log").read_text()
    layout.part_results(2, 3).rmdir()
    again = submit(*array)
    wait("the end of the array", lambda: all(ended(f"{again}_{task}") for task in (1, 2, 3)), 120)
    assert main(["results", "merge", "-c", str(cluster)]) == 0
    found = values(layout.results)
    assert found.shape[1] > 300
    every = {region: number for number, region in enumerate(uninterrupted[0].tolist())}
    np.testing.assert_array_equal(found, uninterrupted[:, [every[region] for region in found[0].tolist()]])
