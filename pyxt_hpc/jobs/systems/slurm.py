"""SLURM."""

from collections.abc import Sequence

from pyxt_hpc.config.hpc import BatchSettings
from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.systems.system import BatchSystem, as_hours

EARLY_SECONDS = 30
"""Largest time [s] by which SLURM's warning can be early, because SLURM checks times at intervals."""


class Slurm(BatchSystem):
    """SLURM, by ``sbatch``; a job keeps its id in later attempts."""

    name = "slurm"
    prefix = "#SBATCH"
    submit_command = ("sbatch", "--parsable")
    cancel_command = ("scancel",)
    busy = r"unable to contact|connect failure|connection refused|temporarily unable"
    gone = r"invalid job id|already completing or completed"

    def options(self, job: Job) -> Sequence[str | int]:
        s = job.settings
        tasks, cpus = (1, s.ranks_per_node) if job.n_tasks else (s.ranks_per_node, 1)
        return [
            f"--job-name={job.title}",
            # Relative, since the path of the log folder may have blanks; the script writes the main log.
            f"--output={job.title}-%{'A_%a' if job.n_tasks else 'j'}.out",
            "--open-mode=append",
            "--requeue",
            f"--signal=B:USR1@{s.stop_margin}",
            f"--nodes={1 if job.n_tasks else s.nodes}",
            f"--ntasks-per-node={tasks}",
            f"--cpus-per-task={cpus}",
            f"--time={as_hours(s.time)}",
            s.memory and f"--mem={s.memory}",
            s.partition and f"--partition={s.partition}",
            s.account and f"{s.account_directive or '--account='}{s.account}",
            s.mail and f"--mail-user={s.mail}",
            s.mail and "--mail-type=END,FAIL",
            job.n_tasks and f"--array=1-{job.n_tasks}",
            *s.directives,
        ]

    def problems(self, settings: BatchSettings) -> list[str]:
        found = []
        if settings.stop_margin + EARLY_SECONDS > settings.time:
            found.append(
                f"time = {as_hours(settings.time)} leaves no time before the warning, which comes "
                f"{settings.stop_margin} s before the end, with SLURM up to {EARLY_SECONDS} s earlier: "
                "change time or stop_margin"
            )
        if settings.requeue != "auto":
            found.append(
                f"requeue = {settings.requeue} is only for PBS: leave it out, since a SLURM job keeps its id"
            )
        return found
