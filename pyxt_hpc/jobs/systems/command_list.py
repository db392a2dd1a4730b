"""A list of commands in place of a batch system, like ClusterPyXT's ``commands_<name>.lis``."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from pyxt_hpc.config.hpc import BatchSettings
from pyxt_hpc.errors import LaunchError
from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.systems.system import BatchSystem


class CommandList(BatchSystem):
    """One independent command line for each slice, which GNU parallel or another scheduler runs."""

    name = "list"
    prefix = ""
    submit_command = ("parallel",)
    cancel_command = ()
    busy = gone = r"(?!)"
    is_list = True

    def options(self, job: Job) -> Sequence[str | int]:
        return []

    def problems(self, settings: BatchSettings) -> list[str]:
        return []

    def submit(self, script: Path, folder: Path) -> str:
        """Always raises LaunchError, since there is no batch system."""
        raise LaunchError(
            f"{script} is written, but there is no batch system to submit it to: run it with "
            f"`{shlex.join(['parallel', '-a', str(script)])}` or with a scheduler of your choice"
        )

    def cancel(self, job_id: str) -> bool:
        """Always raises LaunchError, since there is no batch system."""
        raise LaunchError(f"job {job_id} is a line of a list: end it where it was started")
