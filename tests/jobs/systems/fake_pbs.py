"""A small PBS in one folder, as strict as OpenPBS 23.06 in everything that job scripts depend on.

Its programs are not on a job's PATH. A job gets a TMPDIR, which is removed when its time is over, and
OMP_NUM_THREADS = ncpus. At the limit, and when it is deleted, all its processes get TERM, and KILL after a
while; what depends on its end may run then. Every job that is submitted has an id of its own; nothing can
depend on a task of an array; ``qrerun`` is for operators.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

KILL_DELAY = 2.0

QSUB = """\
#!/bin/bash
set -eu
[ -w "${TMPDIR:-/tmp}" ] || { echo "qsub: could not create/open tmp file ${TMPDIR:-}/pbsscrpt" >&2; exit 1; }
variables='' depend='' file=/dev/stdin
while [ $# -gt 0 ]; do
    case $1 in
    -v) variables=$2; shift 2 ;;
    -W) depend=${2#depend=afterany:}; shift 2 ;;
    -*) echo "qsub: invalid option $1" >&2; exit 2 ;;
    *) file=$1; shift ;;
    esac
done
case $depend in *[[]*) echo "qsub: Illegal dependency" >&2; exit 1 ;; esac
text=$(cat "$file")
[ -n "$text" ] || { echo "qsub: no script" >&2; exit 1; }
number=$(($(cat @/number) + 1))
echo "$number" >@/number
tasks=''
if grep -q '^#PBS -J' <<<"$text"; then tasks='[]'; fi
job="@/jobs/$number$tasks.host"
mkdir "$job"
echo "$text" >"$job/script"
tr , '\\n' <<<"$variables" >"$job/variables"
echo "$depend" >"$job/depend"
echo Q >"$job/state"
pwd >"$job/folder"
echo "$number$tasks.host"
"""
QDEL = """\
#!/bin/bash
job="@/jobs/$1"
[ -d "$job" ] || { echo "qdel: Unknown Job Id $1" >&2; exit 153; }
case $(cat "$job/state") in
F) echo "qdel: Job has finished $1" >&2; exit 35 ;;
Q) echo F >"$job/state" ;;
R) touch "$job/deleted" ;;
esac
"""
QSTAT = """\
#!/bin/bash
[ "$1" = -f ] && [ -d "@/jobs/$2" ] || exit 153
printf 'Job Id: %s\\n    job_state = R\\n    stime = %s\\n' "$2" "$(cat "@/jobs/$2/stime")"
"""
QRERUN = """\
#!/bin/bash
[ -e @/operator ] || { echo "qrerun: Unauthorized Request  $1" >&2; exit 159; }
touch "@/jobs/$1/rerun"
"""
PROGRAMS = {"qsub": QSUB, "qdel": QDEL, "qstat": QSTAT, "qrerun": QRERUN}


class FakePbs:
    """The server and its only node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "pbs" / "bin"
        self.programs.mkdir(parents=True)
        (folder / "jobs").mkdir()
        (folder / "number").write_text("11")
        for name, text in PROGRAMS.items():
            (self.programs / name).write_text(text.replace("@", str(folder)))
            (self.programs / name).chmod(0o755)

    def submit(self, script: Path) -> str:
        """Submit a script like a user on the login node; returns the job's id."""
        qsub = subprocess.run(
            [str(self.programs / "qsub"), str(script)], capture_output=True, text=True, check=True
        )
        return qsub.stdout.strip()

    def delete(self, job: str) -> None:
        """Delete a job like a user."""
        subprocess.run([str(self.programs / "qdel"), job], check=True)

    def rerun(self, job: str) -> None:
        """Run a job again, as an operator does, or PBS itself when a node fails."""
        self._write(job, "rerun", "")

    def warn(self) -> None:
        """Send the script's own warning now, since tests on a busy machine cannot rely on its time."""
        self._process.send_signal(signal.SIGUSR1)

    def end_of_time(self, job: str) -> None:
        """End a running job as at its time limit."""
        self._write(job, "over", "")

    def state(self, job: str) -> str:
        """State of a job: Q, R or F."""
        return self._read(job, "state")

    def waiting(self) -> list[str]:
        """Ids of the jobs in the queue, in order."""
        jobs = [path.name for path in (self.folder / "jobs").iterdir() if self.state(path.name) == "Q"]
        return sorted(jobs, key=lambda job: int(job.split(".")[0].split("[")[0]))

    def run(
        self, job: str, *, task: int | None = None, late: float = 0.0,
        meanwhile: Callable[[], None] | None = None, environment: dict[str, str] | None = None,
    ) -> int:  # fmt: skip
        """Run a job of the queue to its end, and give its exit code as `qstat -x` would.

        Parameters
        ----------
        job
            Its id, of an array with ``[]``.
        task
            Of an array, the task to run.
        late
            Between the start of the job and that of its script, as with a long prologue [s].
        meanwhile
            Called again and again while it runs; may call `warn`, `end_of_time`, `delete` and `rerun`.
        environment
            Of the job, beyond what PBS sets.
        """
        depend = self._read(job, "depend")
        assert self.state(job) == "Q"
        assert not depend or self.state(depend) == "F", f"{job} waits for {depend}"
        own = job if task is None else job.replace("[]", f"[{task}]")
        (self.folder / "jobs" / own).mkdir(exist_ok=True)
        tmpdir = self.folder / f"pbs.{own}"
        tmpdir.mkdir()
        given = dict(line.split("=", 1) for line in self._read(job, "variables").splitlines() if line)
        self._write(own, "state", "R")
        self._write(own, "stime", time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(time.time() - late)))
        process = subprocess.Popen(
            ["bash", str(self.folder / "jobs" / job / "script")],
            cwd=self._read(job, "folder"),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env={
                "PATH": "/usr/bin:/bin", "PBS_JOBID": own, "PBS_ENVIRONMENT": "PBS_BATCH",
                "PBS_O_PATH": f"/nowhere/bin:{self.programs}", "TMPDIR": str(tmpdir), "OMP_NUM_THREADS": "28",
                **({} if task is None else {"PBS_ARRAY_INDEX": str(task)}),
                **given, **(environment or {}),
            },
        )  # fmt: skip
        try:
            self._process = process
            code = self._watch(own, process, tmpdir, meanwhile)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        rerun = self.folder / "jobs" / own / "rerun"
        self._write(own, "state", "Q" if rerun.exists() else "F")
        rerun.unlink(missing_ok=True)
        return code

    def _watch(
        self, job: str, process: "subprocess.Popen[bytes]", tmpdir: Path,
        meanwhile: Callable[[], None] | None,
    ) -> int:  # fmt: skip
        folder = self.folder / "jobs" / job
        told = 0.0
        while process.poll() is None:
            if meanwhile:
                meanwhile()
            over = (folder / "over").exists()
            if not told and (over or (folder / "deleted").exists()):
                told = time.monotonic()
                os.killpg(process.pid, signal.SIGTERM)
            if over and tmpdir.exists():
                shutil.rmtree(tmpdir)
            if (folder / "rerun").exists() or (told and time.monotonic() > told + KILL_DELAY):
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.02)
        shutil.rmtree(tmpdir, ignore_errors=True)
        return process.returncode if process.returncode >= 0 else 256 - process.returncode

    def _read(self, job: str, name: str) -> str:
        return (self.folder / "jobs" / job / name).read_text().strip()

    def _write(self, job: str, name: str, text: str) -> None:
        (self.folder / "jobs" / job / name).write_text(text)
