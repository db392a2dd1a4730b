"""Failures between the commands for jobs, their folder and a batch system, as a table.

A row has the situation, its cause, the command, its exit code, words of its output, and the files afterwards: whether
there is a script, and the events in the table of jobs. No row shows a traceback or writes other files.
"""
# ruff: noqa: E501 (rows of a table)

import shlex
from pathlib import Path

import pytest
from situations import Prepare, both, directory, fifo, file, link, nothing

from pyxt_hpc.cli import main
from pyxt_hpc.jobs.systems import system

CONFIGURATION = """\
[cluster_info]
name = A
observation_ids = 1
redshift = 0.1
hydrogen_column_density = 0.01
abundance = 0.3
"""
RECORD = "A/logs/jobs.tsv"
MAX_LETTERS = 1000
"""Of a message."""


def tool(name: str, text: str, mode: int = 0o755) -> Prepare:
    """A program of the batch system, which leaves a file when it is called."""

    def prepare(folder: Path) -> None:
        path = folder / "bin" / name
        path.write_text(f'#!/bin/bash\n: >"{folder}/called"\n{text}\n')
        path.chmod(mode)

    return prepare


def answer(name: str, out: str = "", error: str = "", code: int = 0) -> Prepare:
    """A program that prints this text; escapes are those of printf."""
    return tool(name, f"printf {shlex.quote(out)}\nprintf {shlex.quote(error)} >&2\nexit {code}")


def append(name: str, text: str) -> Prepare:
    """Append text to a file."""

    def prepare(folder: Path) -> None:
        with (folder / name).open("a") as file:
            file.write(text)

    return prepare


def events(*rows: str, system: str = "slurm") -> Prepare:
    """A table of jobs: each row has job, task, attempt, id, event and detail."""
    lines = ["\t".join(["2026-01-02T03:04:05", system, *row.split(" ", 5)]) for row in rows]
    return file(RECORD, "".join(f"{line}\n" for line in lines).encode())


NO, YES = False, True
WAITING = "7 - 1 7 submitted /a/script"
DONE = "7 - 1 7 ended 0 done"
GOOD = answer("sbatch", "7\\n")
SUBMIT, MAKE = "make-job --submit -c A.ini --scheduler slurm", "make-job -c A.ini"
STATUS, CANCEL = "status -c A.ini", "cancel -c A.ini"

# situation, cause, command, exit code, words, is there a script, events of the table of jobs
ROWS = [
    ("all is well", GOOD, SUBMIT, 0, "job 7: logs go to", YES, ["submitted"]),
    ("id with the cluster", answer("sbatch", "7;north\\n"), SUBMIT, 0, "job 7:", YES, ["submitted"]),
    ("words before the id", answer("sbatch", "mind the quota\\n7\\n"), SUBMIT, 0, "job 7:", YES, ["submitted"]),
    ("no sbatch", nothing, SUBMIT, 2, "no sbatch on this machine; submit it on a login node", YES, []),
    ("sbatch may not be run", tool("sbatch", "exit 0", 0o644), SUBMIT, 2, "sbatch cannot be run; denied", YES, []),
    ("sbatch is a folder", directory("bin/sbatch"), SUBMIT, 2, "sbatch cannot be run", YES, []),
    ("sbatch is no program", both(file("bin/sbatch", b"\0\1\2"), lambda folder: (folder / "bin/sbatch").chmod(0o755)), SUBMIT, 2, "sbatch cannot be run; format", YES, []),
    ("it says nothing", answer("sbatch"), SUBMIT, 2, "said: nothing; look in the queue", YES, []),
    ("not UTF-8", answer("sbatch", "\\xff\\xfe7"), SUBMIT, 2, "look in the queue", YES, []),
    ("not an id", answer("sbatch", "Submitted batch job 7"), SUBMIT, 2, "said: Submitted batch job 7; look in the queue", YES, []),
    ("no account", answer("sbatch", "", "sbatch: error: Invalid account", 1), SUBMIT, 2, "exit code 1; Invalid account", YES, []),
    ("letters of control", answer("sbatch", "", "\\033[31mno\\a", 1), SUBMIT, 2, "\\x1b[31mno\\x07", YES, []),
    ("100,000 letters", tool("sbatch", "printf %100000s x; exit 1"), SUBMIT, 2, "exit code 1", YES, []),
    ("100,000 words", tool("sbatch", "for i in {1..20000}; do echo word; done; exit 1"), SUBMIT, 2, "word ...", YES, []),
    ("killed", tool("sbatch", "kill -9 $$"), SUBMIT, 2, "exit code -9", YES, []),
    ("controller is down", answer("sbatch", "", "sbatch: error: Unable to contact slurm controller (connect failure)", 1), SUBMIT, 75, "try again later", YES, []),
    ("controller is busy", answer("sbatch", "", "Slurm temporarily unable to accept job, sleeping and retrying.", 1), SUBMIT, 75, "try again later", YES, []),
    ("nobody knows", answer("sbatch", "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", 1), SUBMIT, 2, "timed out; look in the queue", YES, []),
    ("no answer", tool("sbatch", "read -r -t 20 <> <(:)"), SUBMIT, 2, "has not answered; look in the queue", YES, []),
    ("PBS is down", answer("qsub", "", "qsub: cannot connect to server north (errno=111)", 1), "make-job --submit -c A.ini --scheduler pbs", 75, "try again later", YES, []),
    ("PBS and its id", answer("qsub", "12[].north\\n"), "make-job --submit -c A.ini --scheduler pbs --array 3", 0, "job 12[].north:; results merge", YES, ["submitted"]),
    ("logs is a file", both(GOOD, file("A/logs", b"")), SUBMIT, 2, "logs", NO, None),
    ("logs is a link to nothing", both(GOOD, link("A/logs", "gone")), SUBMIT, 0, "gone", YES, ["submitted"]),
    ("logs cannot be written", both(GOOD, link("A/logs", "/proc")), SUBMIT, 2, "must be a folder you may write to", NO, None),
    ("table is a folder", both(GOOD, directory(RECORD)), SUBMIT, 2, "jobs.tsv; is a folder", NO, None),
    ("table is a pipe", both(GOOD, fifo(RECORD)), SUBMIT, 2, "jobs.tsv; is a pipe", NO, None),
    ("table is a full device", both(GOOD, link(RECORD, "/dev/full")), SUBMIT, 2, "is a device", NO, None),
    ("script is a folder", both(GOOD, directory("A/A_job.sh")), SUBMIT, 2, "A_job.sh; is a folder", NO, None),
    ("cluster is a file", both(GOOD, file("A", b"")), SUBMIT, 2, "A_job.sh; not a folder", NO, None),
    ("script below a file", file("file", b""), f"{MAKE} --site slurm --output file/a.sh", 2, "a.sh; not a folder", NO, None),
    ("script for a device", nothing, f"{MAKE} --site slurm --output /dev/null/a.sh", 2, "not a folder", NO, None),
    ("site is a folder", directory("mine"), f"{MAKE} --site mine", 2, "mine; folder", NO, None),
    ("no batch system", nothing, MAKE, 2, "give --scheduler slurm, pbs or list", NO, None),
    ("all memory of PBS", nothing, f"{MAKE} --scheduler pbs --memory 0", 2, "memory = 0; give PBS an amount", NO, None),
    ("qrerun of SLURM", nothing, f"{MAKE} --scheduler slurm --requeue qrerun", 2, "requeue = qrerun is only for PBS", NO, None),
    ("no time for SLURM", nothing, f"{MAKE} --scheduler slurm --time 00:00:45 --stop-margin 30", 2, "up to 30 s earlier", NO, None),
    ("no time for PBS", nothing, f"{MAKE} --scheduler pbs --time 00:00:30 --stop-margin 30", 2, "no time before the warning", NO, None),
    ("array of one", nothing, f"{MAKE} --scheduler pbs --array 1", 2, "expected 2 to 9999 tasks", NO, None),
    ("array with bins", nothing, f"{MAKE} --scheduler pbs --array 4 --stages 5,6", 2, "only stage 6", NO, None),
    ("nothing to tell", nothing, STATUS, 2, "is missing; fit-spectra", NO, None),
    ("a job that waits", events(WAITING), STATUS, 0, "job 7 (slurm), submitted 2026-01-02 03:04:05; attempt 1: waiting; no fits yet", NO, ["submitted"]),
    ("a job of version 0.1", file(RECORD, b"2026-01-02T03:04:05\tslurm\t7\t/a/script\n"), STATUS, 0, "attempt 1: waiting", NO, [""]),
    ("an array that is done", events("7 1-2 1 7 submitted a", "7 1 1 7_1 ended 0 done", "7 2 1 7_2 ended 0 done"), CANCEL, 0, "every job of this cluster has ended", NO, ["submitted", "ended", "ended"]),
    ("an array half done", both(events("7 1-3 1 7 submitted a", "7 1 1 7_1 ended 0 done", "7 2 1 7_2 ended 2 no"), answer("scancel")), STATUS, 0, "tasks: 1 done, 1 not yet started, 1 stopped; task 2, attempt 1 (job 7_2)", NO, ["submitted", "ended", "ended"]),
    ("the rest of an array", both(events("7 1-3 1 7 submitted a", "7 1 1 7_1 ended 0 done"), answer("scancel")), CANCEL, 0, "job 7: 7 ended", NO, ["submitted", "ended", "cancelled", "cancelled"]),
    ("an attempt taken back", events("7 - 2 9 withdrawn "), STATUS, 0, "attempt 1: waiting", NO, ["withdrawn"]),
    ("by hand", events("7 - 1 7 started north"), STATUS, 0, "job 7 (slurm); on north; running, or killed", NO, ["started"]),
    ("no job, only rubbish", file(RECORD, b"\xff\0\n\t\t\t\t\t\t\t\n\n7 7 7\n"), STATUS, 2, "is missing", NO, ["", "", ""]),
    ("rubbish after a job", both(events(WAITING), append(RECORD, "2026\tsl")), STATUS, 0, "attempt 1: waiting", NO, ["submitted", ""]),
    ("exit code of 5000 digits", events(WAITING, f"7 - 1 7 ended {'9' * 5000} done"), STATUS, 0, "attempt 1: ; done", NO, ["submitted", "ended"]),
    ("a table to wait for", fifo(RECORD), STATUS, 2, "jobs.tsv; is a pipe", NO, None),
    ("nothing to cancel", nothing, CANCEL, 2, "no job is recorded", NO, None),
    ("all have ended", events(WAITING, DONE), CANCEL, 0, "every job of this cluster has ended", NO, ["submitted", "ended"]),
    ("another's job", events(WAITING), f"{CANCEL} 8", 2, "job 8 is not in; the last jobs there are 7", NO, ["submitted"]),
    ("cancelled", both(events(WAITING), answer("scancel")), CANCEL, 0, "job 7: 7 ended; no attempt follows", NO, ["submitted", "cancelled", "cancelled"]),
    ("it was gone", both(events(WAITING), answer("scancel", "", "scancel: error: Kill job error on job id 7: Invalid job id specified", 1)), CANCEL, 0, "had ended already", NO, ["submitted", "cancelled", "cancelled"]),
    ("a later id", both(events(WAITING, "7 - 2 9 submitted "), answer("scancel")), f"{CANCEL} 9", 0, "job 7: 7, 9 ended", NO, ["submitted", "submitted", "cancelled", "cancelled"]),
    ("no scancel", events(WAITING), CANCEL, 2, "no scancel on this machine; no further attempt", NO, ["submitted", "cancelled"]),
    ("not yours", both(events(WAITING), answer("scancel", "", "scancel: error: Kill job error on job id 7: Access/permission denied", 1)), CANCEL, 2, "permission denied; no further attempt", NO, ["submitted", "cancelled"]),
    ("no cancelling now", both(events(WAITING), answer("scancel", "", "scancel: error: slurm_kill_job2: Unable to contact slurm controller", 1)), CANCEL, 75, "try again later", NO, ["submitted", "cancelled"]),
    ("PBS: it was gone", both(events("7.n - 1 7.n submitted a", system="pbs"), answer("qdel", "", "qdel: Job has finished 7.n", 35)), CANCEL, 0, "had ended already", NO, ["submitted", "cancelled", "cancelled"]),
    ("another batch system", events(WAITING, system="lsf"), CANCEL, 2, "'lsf', expected one of slurm, pbs", NO, ["submitted"]),
    ("a table not to be written", link("A/logs", "/proc/self"), CANCEL, 2, "no job is recorded", NO, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("prepare", "command", "code", "words", "has_script", "left"),
    [pytest.param(*row[1:], id=row[0]) for row in ROWS],
)
def test_row(
    prepare: Prepare, command: str, code: int, words: str, has_script: bool, left: list[str] | None,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "A.ini").write_text(CONFIGURATION)
    (tmp_path / "bin").mkdir()
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(system, "TIMEOUT_SECONDS", 2.0)
    assert main(shlex.split(command)) == code
    said = capsys.readouterr()
    text = said.out + said.err
    for part in words.split("; "):
        assert part in text
    assert len(text) < MAX_LETTERS
    if code:
        assert said.err.count("\n") == 1 + said.err.count("WARNING: ")
    assert (tmp_path / "A/A_job.sh").is_file() == has_script
    record = tmp_path / RECORD
    if left is None:
        assert not record.is_file()
        # The batch system got no request that could not be recorded.
        assert not (tmp_path / "called").exists()
    else:
        rows = [line.split("\t") for line in record.read_text(errors="replace").splitlines() if line]
        assert [row[6] if len(row) == 8 else "" for row in rows] == left
    assert not list(tmp_path.rglob(".tmp-*"))
