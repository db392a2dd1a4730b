"""Job scripts written, handed to the batch system, and remembered."""

import os
import re
import shlex
import subprocess
import time
from pathlib import Path

from pyxt_hpc.errors import LaunchError
from pyxt_hpc.files import refuse_to_replace, replacing
from pyxt_hpc.jobs.render import Job, render

COMMANDS = {"slurm": ["sbatch", "--parsable"], "pbs": ["qsub"]}
SECONDS = 120.0

# From within a job or under mpirun: the new job must not believe that it is part of that.
_FOREIGN = re.compile(r"SLURM_(?!CONF$)|PBS_(JOB|O_|ENV|ARRAY)|PMIX?_|OMPI_COMM_|HYDI?_|PYXT_(ATTEMPT|TASK)$")


def write_script(job: Job) -> None:
    """Write the script, which may then be submitted by hand from any folder.

    Raises
    ------
    ConfigError
        If a file that is no script has its name.
    DamagedFile
        If it cannot be written.
    """
    refuse_to_replace(job.script, (b"#!",), "a script")
    with replacing(job.script) as temporary:
        temporary.write_text(render(job), encoding="utf-8")
        temporary.chmod(0o755)


def submit(job: Job, record: Path) -> str:
    """Write the script, submit it and append a line to the record.

    Parameters
    ----------
    job
        The batch system's own output goes to its folder of logs.
    record
        File with a line per job: time, batch system, job id, script.

    Returns
    -------
    str
        Id of the job.

    Raises
    ------
    LaunchError
        If the batch system is not there or refuses.
    """
    write_script(job)
    job.log_dir.mkdir(parents=True, exist_ok=True)
    command = [*COMMANDS[job.settings.scheduler], str(job.script)]
    environment = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    try:
        done = subprocess.run(
            command,
            cwd=job.log_dir,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise LaunchError(
            f"there is no {command[0]} on this machine: {job.script} is written, submit it on a login node"
        ) from None
    except subprocess.TimeoutExpired:
        raise LaunchError(
            f"`{shlex.join(command)}` has not answered for {SECONDS:.0f} s: look in the queue for the job"
        ) from None
    said = " ".join(f"{done.stdout} {done.stderr}".split())
    job_id = done.stdout.strip().partition(";")[0]
    if done.returncode or not re.fullmatch(r"[0-9]\S*", job_id):
        raise LaunchError(f"`{shlex.join(command)}` ended with exit code {done.returncode} and said: {said}")
    record.parent.mkdir(parents=True, exist_ok=True)
    with record.open("a", encoding="utf-8") as stream:
        when = time.strftime("%Y-%m-%dT%H:%M:%S")
        stream.write(f"{when}\t{job.settings.scheduler}\t{job_id}\t{job.script}\n")
    return job_id
