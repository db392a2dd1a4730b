"""A warned script stops and runs again; a script that is ended from outside, or has an error, does not."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.script import write_script
from pyxt_hpc.jobs.sites import settings_for

# Says its process number when it is ready; stops with 75 at the signal that `fit-spectra` stops at.
WORKS = """\
#!/bin/bash
trap 'echo stopped; exit 75' USR1
echo $$ >"$OUT"
for _ in $(seq 300); do sleep 0.1; done
exit 1
"""
# Like a launcher that is still starting its ranks, it loses the first signal.
STARTS = WORKS.replace("exit 75", '[ -n "$up" ] && exit 75; up=yes')
# Not yet ready for the signal.
DIES = WORKS.replace("trap 'echo stopped; exit 75' USR1\n", "")
TOOLS = {
    "scontrol": '#!/bin/bash\nif [ "$1" = show ]; then echo "JobState=${FAKE_STATE:-RUNNING}"; '
    'else echo "$@" >"$FAKE/again"; fi\n',
}


class Case:
    """A script with a program in place of pyxt-hpc, and batch systems that only record their commands."""

    def __init__(self, folder: Path, scheduler: str, program: str, **texts: str) -> None:
        self.folder = folder
        self.tools = folder / "my venv" / "bin"
        self.tools.mkdir(parents=True)
        for name, text in {**TOOLS, "pyxt-hpc": program}.items():
            (self.tools / name).write_text(text)
            (self.tools / name).chmod(0o755)
        given = {"venv": str(self.tools.parent), "ranks_per_node": "1", "max_requeues": "3",
                 "environment": f"OUT={folder / 'pid'}", **texts}  # fmt: skip
        settings = settings_for("A.ini", given, {}, scheduler)
        self.job = Job("A1", folder / "A.ini", folder / "job.sh", folder / "logs" / "jobs.tsv", settings,
                       stages=(6,))  # fmt: skip
        write_script(self.job)

    def start(self, **environment: str) -> "subprocess.Popen[bytes]":
        """Run the script as the batch system would."""
        environment = {
            "PATH": f"{self.tools}:/usr/bin:/bin", "FAKE": str(self.folder), "SLURM_JOB_ID": "12",
            **environment,
        }  # fmt: skip
        return subprocess.Popen(
            ["bash", str(self.job.script)], env=environment, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def wait_for_program(self) -> None:
        deadline = time.monotonic() + 20
        while not (self.folder / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)

    @property
    def again(self) -> str:
        """The request for the next attempt, if there was one."""
        path = self.folder / "again"
        return path.read_text().strip() if path.exists() else ""

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("logs/*.log"))


def run(case: Case, number: int | None = None, **environment: str) -> int:
    """Exit code of a script that receives a signal while its program runs."""
    process = case.start(**environment)
    try:
        if number is not None:
            case.wait_for_program()
            process.send_signal(number)
        return process.wait(timeout=200)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def exits(code: int) -> str:
    return f"#!/bin/bash\nexit {code}\n"


def test_slurm_runs_again_only_what_is_not_finished(tmp_path: Path) -> None:
    for code, asked in (
        (0, ""),
        (1, ""),
        (2, ""),
        (9, "requeue 12"),
        (137, "requeue 12"),
        (75, "requeue 12"),
    ):
        case = Case(tmp_path / str(code), "slurm", exits(code))
        assert run(case) == (75 if asked else code)
        assert case.again == asked
        assert ("done" in case.log) == (code == 0)
    case = Case(tmp_path / "array", "slurm", exits(75))
    assert run(case, SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="3") == 75
    assert case.again == "requeue 12_3"  # 12 alone would be every task
    assert (tmp_path / "array/logs/pyxt-A1-12_3-attempt-1.log").exists()


def test_no_more_often_than_allowed(tmp_path: Path) -> None:
    for restarts, asked in (("2", "requeue 12"), ("3", "")):
        case = Case(tmp_path / restarts, "slurm", exits(75))
        assert run(case, SLURM_RESTART_COUNT=restarts) == 75
        assert case.again == asked
        assert (case.folder / f"logs/pyxt-A1-12-attempt-{int(restarts) + 1}.log").exists()
    assert "submit it again" in case.log


@pytest.mark.parametrize("program", [WORKS, STARTS, DIES], ids=["ready", "loses the first", "not yet ready"])
def test_warned_it_stops_and_runs_again(tmp_path: Path, program: str) -> None:
    case = Case(tmp_path / "case", "slurm", program)
    assert run(case, signal.SIGUSR1) == 75
    assert case.again == "requeue 12"
    assert ("stopped" in case.log) == (program != DIES)


def test_ended_from_outside_it_stops_for_good(tmp_path: Path) -> None:
    case = Case(tmp_path / "term", "slurm", WORKS)
    assert run(case, signal.SIGTERM) == 143
    assert not case.again
    assert "stopped" in case.log
    # Only the steps get the signal: the exit code is the same as after a warning.
    case = Case(tmp_path / "steps", "slurm", exits(75))
    assert run(case, FAKE_STATE="COMPLETING Reason=None") == 75
    assert not case.again
    # It takes longer than the time after the warning.
    assert run(case, FAKE_STATE="COMPLETING Reason=TimeLimit") == 75
    assert case.again == "requeue 12"
    case = Case(tmp_path / "limit", "slurm", WORKS)
    assert run(case, signal.SIGTERM, FAKE_STATE="COMPLETING Reason=TimeLimit") == 75
    assert case.again == "requeue 12"


def test_the_clock_of_pbs_does_not_outlive_its_script(tmp_path: Path) -> None:
    case = Case(tmp_path / "case", "pbs", exits(2))
    start = time.monotonic()
    assert run(case, PBS_JOBID="12.host") == 2
    assert time.monotonic() - start < 10
    assert not case.again


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with [hpc], in a folder with a blank."""
    folder = tmp_path_factory.mktemp("my clusters")
    path = folder / "A1.ini"
    path.write_text(
        "[cluster_info]\nname = A1\nobservation_ids = 1\nredshift = 0.1\nhydrogen_column_density = 0.01\n"
        "abundance = 0.3\n[hpc]\nsite = slurm\naccount = p1\nranks_per_node = 4\n"
    )
    return path


def test_submit_remembers_the_job(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = tmp_path / "sbatch"
    fake.write_text(
        f'#!/bin/bash\n[ -z "${{SLURM_JOB_ID:-}}" ] || exit 9\necho "$SLURM_CONF" >{tmp_path}/conf\n'
        f'echo "$*" >{tmp_path}/said\npwd >>{tmp_path}/said\necho "4711;cluster"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "1")  # from within another job
    monkeypatch.setenv("SLURM_CONF", "kept")
    assert main(["make-job", "--submit", "-c", str(config), "--time", "00:30:00"]) == 0
    assert "job 4711: logs go to" in capsys.readouterr().out
    folder = config.parent / "A1"
    script = folder / "A1_job.sh"
    assert (tmp_path / "said").read_text() == f"--parsable {script}\n{folder / 'logs'}\n"
    assert (tmp_path / "conf").read_text() == "kept\n"
    assert (folder / "logs/jobs.tsv").read_text().split("\t")[1:] == [
        "slurm", "4711", "-", "1", "4711", "submitted", f"{script}\n",
    ]  # fmt: skip
    assert "#SBATCH --time=00:30:00\n" in script.read_text()
    fake.write_text("#!/bin/bash\necho 'sbatch: error: Invalid account' >&2; exit 1\n")
    assert main(["make-job", "--submit", "-c", str(config), "--yes"]) == 2
    assert "Invalid account" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert main(["make-job", "--submit", "-c", str(config)]) == 2
    assert "there is no sbatch" in capsys.readouterr().err


def test_make_job_from_the_command_line(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a b.sh"
    line = ["make-job", "-c", str(config), "--output", str(output)]
    assert main([*line, "--scheduler", "pbs", "--site", "pleiades", "--module", "a/1", "--module", "b",
                 "--queue", "long", "--array", "3"]) == 0  # fmt: skip
    text = output.read_text()
    for part in ("module load a/1 ", "module load b ", "#PBS -q long\n", "#PBS -J 1-3\n", '"$task"/3'):
        assert part in text
    assert os.access(output, os.X_OK)
    for options, said in (
        (["--time", "soon"], "time is 'soon'"),
        (["--account", "a\nb"], "account is"),
        (["--scheduler", "pbs", "--site", "lumi"], "site lumi has slurm"),
        (["--array", "3", "--stages", "5,6"], "only stage 6"),
        (["--site", "nowhere"], "known sites: lumi"),
    ):
        assert main([*line, *options]) == 2
        assert said in capsys.readouterr().err


def test_configuration_refuses_unknown_keys_of_hpc(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "B.ini"
    for line, said in (("accunt = x", "did you mean account?"), ("time = 5", "expected HH:MM:SS")):
        path.write_text(config.read_text() + line + "\n")
        assert main(["make-job", "-c", str(path)]) == 2
        assert said in capsys.readouterr().err


def test_another_script_is_replaced_only_if_that_is_agreed(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "job.sh"
    line = ["make-job", "-c", str(config), "--output", str(output)]
    assert main(line) == 0
    made = output.read_text()
    assert main(line) == 0  # the same script
    output.write_text(made + "# my own line\n")
    capsys.readouterr()
    assert main(line) == 2
    assert "There is no terminal for an answer: add --yes" in capsys.readouterr().err
    assert output.read_text().endswith("# my own line\n")
    assert main([*line, "--yes"]) == 0
    assert output.read_text() == made


def test_an_account_that_the_centre_wants(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "B.ini"
    path.write_text(config.read_text().replace("account = p1\n", ""))
    line = ["make-job", "-c", str(path), "--site", "perlmutter"]
    assert main(line) == 2
    said = capsys.readouterr().err
    assert "site perlmutter charges every job to an account: give --account NAME" in said
    assert not list(tmp_path.rglob("*.sh"))
    assert main([*line, "--account", "m1234"]) == 0
    assert main([*line[:-1], "slurm", "--yes"]) == 0  # not every centre wants one
    (tmp_path / "own.ini").write_text("[hpc]\nscheduler = slurm\nneeds_account = perhaps\n")
    assert main([*line[:-1], str(tmp_path / "own.ini")]) == 2
    assert "needs_account" in capsys.readouterr().err


def test_settings_and_commands_are_in_the_script_and_machinery_is_not(tmp_path: Path) -> None:
    case = Case(tmp_path / "case", "slurm", exits(0))
    text = case.job.script.read_text()
    assert len(text.splitlines()) < 55
    assert "trap" not in text
    (sourced,) = case.job.log_dir.glob("machinery-slurm-*.sh")
    assert sourced.is_absolute()
    assert str(sourced) in text
    assert run(case) == 0  # from another folder
    case.job.log_dir.joinpath(sourced.name).unlink()
    process = case.start()
    assert process.wait(timeout=20) == 2
