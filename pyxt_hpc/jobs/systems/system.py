"""Base class of batch systems: options of scripts, submission and cancellation of jobs."""

import os
import re
import shlex
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import ClassVar

from pyxt_hpc.config.hpc import BatchSettings
from pyxt_hpc.errors import BatchSystemBusy, LaunchError
from pyxt_hpc.files.quoting import shown
from pyxt_hpc.jobs.job import Job

TIMEOUT_SECONDS = 120.0
"""Longest time [s] that a program of a batch system may take."""

MAX_OUTPUT = 300
"""Largest number of characters of a program's output in a message."""

# Variables of the job or mpirun in which this process runs, which must not reach the new job.
_FOREIGN = re.compile(
    r"SLURM_(?!CONF$)|PBS_(JOB|O_|ENV|ARRAY)|PMIX?_|OMPI_COMM_|HYDI?_|PYXT_(ATTEMPT|TASK|JOB|HPC_RANKS)$"
)


class BatchSystem(ABC):
    """One kind of batch system.

    Except for lists, ``<name>.sh`` beside the profiles of sites has the shell functions of the batch system.
    """

    name: ClassVar[str]
    """Value of ``scheduler`` in ``[hpc]``."""
    prefix: ClassVar[str]
    """Beginning of the script's lines with options of the batch system."""
    submit_command: ClassVar[tuple[str, ...]]
    cancel_command: ClassVar[tuple[str, ...]]
    busy: ClassVar[str]
    """Regular expression for output that means: the request had no effect, and can be repeated later."""
    gone: ClassVar[str]
    """Regular expression for output that means: the job ended before it was cancelled."""
    resubmits_script: ClassVar[bool] = False
    """Whether the next attempt is a new job from a copy of the script, which must not change."""

    is_list: ClassVar[bool] = False
    """Whether the file is not a script, but a list of commands that are run independently."""

    @abstractmethod
    def options(self, job: Job) -> Sequence[str | int]:
        """Options of the script, without `prefix`; empty options are ignored."""

    @abstractmethod
    def problems(self, settings: BatchSettings) -> list[str]:
        """Reasons for which this batch system cannot use the settings; empty if it can."""

    def submit(self, script: Path, folder: Path) -> str:
        """Submit a script from `folder`, which receives the batch system's output, and return the job's id.

        Raises LaunchError if the batch system is missing, refuses, or does not answer; BatchSystemBusy if it
        takes no jobs now.
        """
        command = [*self.submit_command, str(script)]
        done = run_program(command, folder, f"{script} is written, submit it on a login node")
        lines = done.stdout.split("\n")
        job_id = next((line.strip() for line in reversed(lines) if line.strip()), "").partition(";")[0]
        if done.returncode == 0 and re.fullmatch(r"[0-9][A-Za-z0-9_.\[\]-]*", job_id):
            return job_id
        raise self._refusal(command, done.returncode, _output(done))

    def cancel(self, job_id: str) -> bool:
        """End a job; returns False if it had already ended.

        Raises LaunchError if the batch system is missing, refuses, or does not answer; BatchSystemBusy if it
        cannot be reached now.
        """
        command = [*self.cancel_command, job_id]
        done = run_program(command, None, f"run `{shlex.join(command)}` on a login node")
        output = _output(done)
        if re.search(self.gone, output, re.IGNORECASE):
            return False
        if done.returncode:
            raise self._refusal(command, done.returncode, output)
        return True

    def _refusal(self, command: Sequence[str], code: int, output: str) -> LaunchError:
        if code and re.search(self.busy, output, re.IGNORECASE):
            return BatchSystemBusy(f"`{shlex.join(command)}` was not accepted, try again later: {output}")
        # The request may have had effect if there is no error, or a timeout.
        unsure = not code or re.search("timed? ?out", output, re.IGNORECASE)
        look = "; look in the queue for the job" if unsure else ""
        return LaunchError(
            f"`{shlex.join(command)}` ended with exit code {code} and said: {output or 'nothing'}{look}"
        )


def as_hours(seconds: int) -> str:
    """A time as text, such as ``04:00:00``."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}"


def run_program(command: Sequence[str], folder: Path | None, otherwise: str) -> CompletedProcess[str]:
    """Run a program of a batch system in a folder, without the environment variables of a surrounding job.

    `otherwise` is the remedy in the message if the program is missing.

    Raises LaunchError if it cannot be run or does not answer; the caller checks the exit code.
    """
    environment = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise LaunchError(f"there is no {command[0]} on this machine: {otherwise}") from None
    except OSError as error:
        raise LaunchError(f"{command[0]} cannot be run ({error.strerror}): {otherwise}") from None
    except subprocess.TimeoutExpired:
        raise LaunchError(
            f"`{shlex.join(command)}` has not answered for {TIMEOUT_SECONDS:.0f} s: "
            "look in the queue for the job"
        ) from None


def _output(done: CompletedProcess[str]) -> str:
    return shown(" ".join(f"{done.stdout} {done.stderr}".split()), MAX_OUTPUT)
