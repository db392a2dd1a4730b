"""Chains of attempts under PBS end when the work is done or the job is ended from outside, not before."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.jobs.cancel import cancel
from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.listing import job_lines
from pyxt_hpc.jobs.record import read_jobs
from pyxt_hpc.jobs.script import write_script
from pyxt_hpc.jobs.sites import settings_for

sys.path.insert(0, str(Path(__file__).parent))
from fake_pbs import KILL_DELAY, FakePbs

# Counts its runs; the first one works until it is warned, and then for as long again as $DRAIN says. TERM
# alone, which PBS sends to every process, stops it as the warning does.
WORKS = """\
#!/bin/bash
echo "$*" >>"$OUT/runs"
env >"$OUT/environment"
[ "$(wc -l <"$OUT/runs")" -eq 1 ] || exit 0
trap 'stop=1' USR1 TERM
stop=0
echo ready >"$OUT/ready"
until [ "$stop" -eq 1 ]; do sleep 0.05; done
end=$(($(date +%s%N) + ${DRAIN:-0} * 1000000))
until [ "$(date +%s%N)" -ge "$end" ]; do sleep 0.05; done
exit "${CODE:-75}"
"""


def exits(*codes: int) -> str:
    """A program that ends at once, in each run with the next exit code."""
    return (
        '#!/bin/bash\necho "$*" >>"$OUT/runs"\nenv >"$OUT/environment"\n'
        f'codes=({" ".join(map(str, codes))})\nexit "${{codes[$(wc -l <"$OUT/runs") - 1]}}"\n'
    )


class Case:
    """A job on the small PBS with a program in place of pyxt-hpc."""

    def __init__(
        self, folder: Path, program: str, n_tasks: int = 0, is_short: bool = False, **texts: str
    ) -> None:
        self.pbs = FakePbs(folder / "server")
        self.folder = folder
        tools = folder / "my venv" / "bin"
        tools.mkdir(parents=True)
        (tools / "pyxt-hpc").write_text(program)
        (tools / "pyxt-hpc").chmod(0o755)
        environment = f"OUT={folder}\n{texts.pop('environment', '')}"
        given = {"venv": str(tools.parent), "ranks_per_node": "1", "max_requeues": "3", "time": "00:00:40",
                 "stop_margin": "10", "environment": environment, **texts}  # fmt: skip
        settings = settings_for("A.ini", given, {}, "pbs")
        self.job = Job("A1", folder / "A.ini", folder / "my job.sh", folder / "logs" / "jobs.tsv", settings,
                       stages=(6,), n_tasks=n_tasks)  # fmt: skip
        write_script(self.job)
        # If a test sets the end of the time, the script's own clock must agree.
        for path in (self.job.script, *self.job.log_dir.glob("*.sh")) if is_short else ():
            path.write_text(re.sub("^limit=40$", "limit=0", path.read_text(), flags=re.MULTILINE))
        self.id = self.pbs.submit(self.job.script)

    @property
    def log(self) -> str:
        """Text of the logs of all attempts."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("logs/*.log")))

    @property
    def runs(self) -> int:
        """Number of starts of the program."""
        path = self.folder / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    @property
    def status(self) -> str:
        """Lines of `pyxt-hpc status` about the jobs."""
        return "\n".join(job_lines(read_jobs(self.job.record)))

    def environment(self, name: str) -> str | None:
        """Environment of the program."""
        found = re.search(rf"^{name}=(.*)$", (self.folder / "environment").read_text(), re.MULTILINE)
        return found and found[1]

    def do(self, *steps: tuple[Callable[[], bool], Callable[[], object]]) -> Callable[[], None]:
        """For `FakePbs.run`: do each step in turn, as soon as its condition is true."""
        left = list(steps)

        def look() -> None:
            if left and left[0][0]():
                left.pop(0)[1]()

        return look

    def says(self, words: str) -> Callable[[], bool]:
        """Whether the log contains this text."""
        return lambda: words in self.log

    def ready(self) -> bool:
        """Whether the program runs."""
        return (self.folder / "ready").exists()


NEXT = "is in the queue as job 13.host"


def test_deleted_after_the_warning_it_does_not_run_again(tmp_path: Path) -> None:
    case = Case(tmp_path, WORKS, environment="DRAIN=1000")
    steps = case.do((case.ready, case.pbs.warn), (case.says(NEXT), lambda: case.pbs.delete(case.id)))
    assert case.pbs.run(case.id, meanwhile=steps) == 143
    assert "job 13.host, the next attempt, is withdrawn" in case.log
    assert not case.pbs.waiting()
    assert case.runs == 1
    assert "attempt 2" not in case.status


def test_deleted_before_the_warning_it_does_not_run_again(tmp_path: Path) -> None:
    case = Case(tmp_path, WORKS)
    assert case.pbs.run(case.id, meanwhile=case.do((case.ready, lambda: case.pbs.delete(case.id)))) == 143
    assert not case.pbs.waiting()
    assert "exit code 143: ended from outside; finished results are stored" in case.status


@pytest.mark.parametrize("drain", [1000, 20_000])
def test_a_drain_beyond_the_limit_is_followed_by_the_next_attempt(tmp_path: Path, drain: int) -> None:
    case = Case(tmp_path, WORKS, is_short=True, environment=f"DRAIN={drain}")
    steps = case.do((case.ready, case.pbs.warn), (case.says(NEXT), lambda: case.pbs.end_of_time(case.id)))
    # PBS kills processes that have not ended by themselves.
    assert case.pbs.run(case.id, meanwhile=steps) == (75 if drain < 1000 * KILL_DELAY else 256 + 9)
    assert "the time limit is reached" in case.log
    assert case.pbs.waiting() == ["13.host"]
    assert case.pbs.run("13.host") == 0
    assert case.runs == 2
    assert not case.pbs.waiting()
    assert re.search(r"attempt 2 \(job 13.host\): .* exit code 0: done", case.status)
    first = "exit code 75: not finished" if drain < 1000 * KILL_DELAY else "; killed"
    assert re.search(rf"attempt 1: .*{first}$", case.status, re.MULTILINE)


def test_a_task_of_an_array_runs_again_alone(tmp_path: Path) -> None:
    case = Case(tmp_path, WORKS, n_tasks=5, is_short=True, environment="DRAIN=1000")
    assert case.id == "12[].host"
    steps = case.do(
        (case.ready, case.pbs.warn), (case.says("warned"), lambda: case.pbs.end_of_time("12[4].host"))
    )
    assert case.pbs.run(case.id, task=4, meanwhile=steps) == 75
    # At the end, where PBS has removed TMPDIR.
    assert case.pbs.waiting() == ["12[].host", "13.host"]
    assert case.pbs.run("13.host") == 0
    assert (tmp_path / "runs").read_text().count("--slice 4/5") == 2
    assert (tmp_path / "logs/pyxt-A1-12_4-attempt-2.log").exists()
    assert "tasks: 1 done; 2 attempts" in case.status


def test_finished_after_the_warning_it_takes_the_next_attempt_back(tmp_path: Path) -> None:
    case = Case(tmp_path, WORKS, environment="DRAIN=500\nCODE=0")
    assert case.pbs.run(case.id, meanwhile=case.do((case.ready, case.pbs.warn))) == 0
    assert "job 13.host, the next attempt, is withdrawn" in case.log
    assert not case.pbs.waiting()


def test_the_first_attempts_do_not_end_as_the_last(tmp_path: Path) -> None:
    """A job that waits for the success of this one (depend=afterok) must not start early."""
    case = Case(tmp_path, exits(75, 75, 0))
    assert [case.pbs.run(job) for job in ("12.host", "13.host", "14.host")] == [75, 75, 0]
    assert not case.pbs.waiting()
    (job,) = read_jobs(case.job.record)
    assert [(attempt.id, attempt.code) for attempt in job.tasks["-"]] == [
        ("12.host", 75), ("13.host", 75), ("14.host", 0),
    ]  # fmt: skip
    assert job.job == "12.host"
    assert job.has_ended


@pytest.mark.parametrize("code", [6, 7, 9, 11, 15, 134, 135, 137, 139, 143])
def test_a_killed_rank_costs_an_attempt_only(tmp_path: Path, code: int) -> None:
    case = Case(tmp_path, exits(code, 0))
    assert case.pbs.run(case.id) == 75
    assert f"a process was killed (exit code {code})" in case.log
    assert case.pbs.run("13.host") == 0


@pytest.mark.parametrize("code", [1, 2, 3, 126, 127])
def test_an_error_ends_the_job(tmp_path: Path, code: int) -> None:
    case = Case(tmp_path, exits(code))
    assert case.pbs.run(case.id) == code
    assert not case.pbs.waiting()
    assert f"exit code {code}: the job does not run again" in case.status


def test_kills_are_bounded(tmp_path: Path) -> None:
    case = Case(tmp_path, exits(137, 137, 137), max_requeues="1")
    assert case.pbs.run(case.id) == 75
    assert case.pbs.run("13.host") == 75
    assert not case.pbs.waiting()
    assert "the limit max_requeues = 1 is reached" in case.status


def test_qsub_is_looked_for_at_the_start(tmp_path: Path) -> None:
    case = Case(tmp_path / "exec", exits(75))
    where = {"PBS_O_PATH": "/nowhere", "PBS_EXEC": str(case.pbs.programs.parent)}
    assert case.pbs.run(case.id, environment=where) == 75
    assert case.pbs.waiting() == ["13.host"]
    case = Case(tmp_path / "nowhere", exits(75))
    assert case.pbs.run(case.id, environment={"PBS_O_PATH": "/nowhere"}) == 75
    assert case.log.index("there is no qsub on this node") < case.log.index("fit-spectra")
    assert "cannot run again" in case.status


def test_one_thread_a_rank_unless_the_profile_says_otherwise(tmp_path: Path) -> None:
    case = Case(tmp_path / "plain", exits(0))
    case.pbs.run(case.id)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYXT_HPC_RANKS")
    assert [case.environment(name) for name in names] == ["1"] * 4
    case = Case(tmp_path / "own", exits(0), environment="OMP_NUM_THREADS=4")
    case.pbs.run(case.id)
    assert case.environment("OMP_NUM_THREADS") == "4"


def test_qrerun_keeps_the_id_where_it_is_allowed(tmp_path: Path) -> None:
    case = Case(tmp_path / "allowed", exits(75, 0), requeue="qrerun")
    (case.pbs.folder / "operator").touch()
    case.pbs.run(case.id)
    assert case.pbs.waiting() == [case.id]
    assert case.pbs.run(case.id) == 0
    assert "attempt 2:" in case.status
    assert (tmp_path / "allowed/logs/pyxt-A1-12-attempt-2.log").exists()
    case = Case(tmp_path / "refused", exits(75, 0), requeue="qrerun")
    assert case.pbs.run(case.id) == 75
    assert "Unauthorized Request" in case.log
    assert case.pbs.run("13.host") == 0


def test_a_rerun_by_pbs_itself_is_an_attempt(tmp_path: Path) -> None:
    case = Case(tmp_path, WORKS)
    case.pbs.run(case.id, meanwhile=case.do((case.ready, lambda: case.pbs.rerun(case.id))))
    assert case.pbs.run(case.id) == 0
    assert (tmp_path / "logs/pyxt-A1-12-attempt-2.log").exists()


def test_a_late_start_counts(tmp_path: Path) -> None:
    """The warning comes a fixed time before the job's limit, whenever the script began."""
    case = Case(tmp_path, WORKS)
    start = time.monotonic()
    assert case.pbs.run(case.id, late=25) == 75
    assert time.monotonic() - start < 20
    assert case.pbs.waiting() == ["13.host"]


def test_a_new_script_changes_nothing_for_a_job_on_its_way(tmp_path: Path) -> None:
    case = Case(tmp_path, exits(75, 0))
    case.job.script.write_text("#!/bin/bash\nexit 99\n")
    assert case.pbs.run(case.id) == 75
    assert case.pbs.run("13.host") == 0


def test_cancel_ends_a_chain_under_whatever_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path / "waits", exits(75, 0))
    monkeypatch.setenv("PATH", f"{case.pbs.programs}:/usr/bin:/bin")
    case.pbs.run(case.id)
    (done,) = cancel(case.job.record, [case.id])
    assert (done.ended, done.gone) == (("13.host",), ())
    assert not case.pbs.waiting()
    assert "attempt 2 (job 13.host): taken out of the queue" in case.status
    assert cancel(case.job.record) == []
    (done,) = cancel(case.job.record, ["13.host"])
    assert (done.ended, done.gone) == ((), ("13.host",))

    # It runs, was warned, and the next attempt is in the queue already.
    case = Case(tmp_path / "runs", WORKS, environment="DRAIN=1000")
    monkeypatch.setenv("PATH", f"{case.pbs.programs}:/usr/bin:/bin")
    steps = case.do((case.ready, case.pbs.warn), (case.says(NEXT), lambda: cancel(case.job.record)))
    assert case.pbs.run(case.id, meanwhile=steps) == 143
    assert not case.pbs.waiting()
    assert case.runs == 1

    # An attempt that starts nevertheless has nothing to do.
    case = Case(tmp_path / "late", exits(0))
    case.pbs.run(case.id)
    monkeypatch.setenv("PATH", f"{case.pbs.programs}:/usr/bin:/bin")
    cancel(case.job.record, [case.id])
    case.pbs._write(case.id, "state", "Q")
    assert case.pbs.run(case.id) == 143
    assert case.runs == 1


def test_a_short_limit_is_refused_by_slurm_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "A.ini"
    config.write_text(
        "[cluster_info]\nname = A\nobservation_ids = 1\nredshift = 0.1\nhydrogen_column_density = 0.01\n"
        "abundance = 0.3\n"
    )
    line = ["make-job", "-c", str(config), "--time", "00:00:45", "--stop-margin", "30", "--scheduler"]
    assert main([*line, "pbs"]) == 0
    assert "#PBS -l walltime=00:00:45\n" in (tmp_path / "A/A_job.sh").read_text()
    assert main([*line, "slurm"]) == 2
    assert "with SLURM up to 30 s earlier" in capsys.readouterr().err
    assert main([*line, "pbs", "--stop-margin", "45"]) == 2
    assert "leaves no time before the warning" in capsys.readouterr().err
