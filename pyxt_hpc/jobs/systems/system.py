"""A batch system: what it wants in a script, and how jobs are handed to it and taken back."""

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
"""Longest wait [s] for an answer of a batch system."""

MAX_OUTPUT = 300
"""Most characters of a program's output that a message quotes."""

# From within a job or under mpirun: the new job must not believe that it is part of that.
_FOREIGN = re.compile(
    r"SLURM_(?!CONF$)|PBS_(JOB|O_|ENV|ARRAY)|PMIX?_|OMPI_COMM_|HYDI?_|PYXT_(ATTEMPT|TASK|JOB|HPC_RANKS)$"
)


class BatchSystem(ABC):
    """One kind of batch system.

    The template ``<name>.sh`` beside the profiles of sites is its half of the script.
    """

    name: ClassVar[str]
    """As ``scheduler`` of ``[hpc]`` has it."""
    prefix: ClassVar[str]
    """Of the lines of a script that are for the batch system."""
    submit_command: ClassVar[tuple[str, ...]]
    cancel_command: ClassVar[tuple[str, ...]]
    busy: ClassVar[str]
    """Regular expression of its output when it takes no jobs now, and certainly has not taken this one."""
    gone: ClassVar[str]
    """Regular expression of its output about a job that has ended before it could be cancelled."""
    resubmits_script: ClassVar[bool] = False
    """Whether the next attempt is another job of the script's file, which must then stay as it is."""

    is_list: ClassVar[bool] = False
    """Whether its file is no script, but a list of commands of which each line is a job of its own."""

    @abstractmethod
    def options(self, job: Job) -> Sequence[str | int]:
        """Options of the script, without `prefix`; empty ones are passed over."""

    @abstractmethod
    def problems(self, settings: BatchSettings) -> list[str]:
        """Why it could not do what is asked for."""

    def submit(self, script: Path, folder: Path) -> str:
        """Hand in a script, whose own output goes to a folder, and return the job's id.

        Raises LaunchError if the batch system is not there, refuses, or does not answer; BatchSystemBusy if
        it takes no jobs now.
        """
        command = [*self.submit_command, str(script)]
        done = run_program(command, folder, f"{script} is written, submit it on a login node")
        lines = done.stdout.split("\n")
        job_id = next((line.strip() for line in reversed(lines) if line.strip()), "").partition(";")[0]
        if done.returncode == 0 and re.fullmatch(r"[0-9][A-Za-z0-9_.\[\]-]*", job_id):
            return job_id
        raise self._refusal(command, done.returncode, _output(done))

    def cancel(self, job_id: str) -> bool:
        """End a job that waits or runs; whether there was one.

        Raises LaunchError if the batch system is not there, refuses, or does not answer; BatchSystemBusy if
        it cannot be reached now.
        """
        command = [*self.cancel_command, job_id]
        done = run_program(command, None, f"do it on a login node, and run `{shlex.join(command)}` there")
        output = _output(done)
        if re.search(self.gone, output, re.IGNORECASE):
            return False
        if done.returncode:
            raise self._refusal(command, done.returncode, output)
        return True

    def _refusal(self, command: Sequence[str], code: int, output: str) -> LaunchError:
        if code and re.search(self.busy, output, re.IGNORECASE):
            return BatchSystemBusy(f"`{shlex.join(command)}` has no effect now, try again later: {output}")
        # Without an error, or with one about time, the batch system may have obeyed.
        unsure = not code or re.search("timed? ?out", output, re.IGNORECASE)
        look = "; look in the queue for the job" if unsure else ""
        return LaunchError(
            f"`{shlex.join(command)}` ended with exit code {code} and said: {output or 'nothing'}{look}"
        )


def as_hours(seconds: int) -> str:
    """Such as ``04:00:00``."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}"


def run_program(command: Sequence[str], folder: Path | None, otherwise: str) -> CompletedProcess[str]:
    """Run a program of a batch system in a folder, as from a login node.

    `otherwise` tells the user what to do if the program is not here.

    Raises LaunchError if it cannot be run or does not answer; an exit code is left to the caller.
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
