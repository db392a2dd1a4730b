"""PBS Professional and OpenPBS."""

from collections.abc import Sequence

from pyxt_hpc.config.hpc import BatchSettings
from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.systems.system import BatchSystem, as_hours


class Pbs(BatchSystem):
    """PBS, by ``qsub``; the next attempt is a new job, unless ``requeue`` is ``qrerun``."""

    name = "pbs"
    prefix = "#PBS"
    submit_command = ("qsub",)
    cancel_command = ("qdel",)
    busy = r"cannot connect to server|connection refused|too many requests|server is (busy|shutting down)"
    gone = r"unknown job id|job has finished"
    resubmits_script = True

    def options(self, job: Job) -> Sequence[str | int]:
        s = job.settings
        select = [
            f"select={1 if job.n_tasks else s.nodes}",
            f"ncpus={s.ranks_per_node}",
            f"mpiprocs={1 if job.n_tasks else s.ranks_per_node}",
            s.memory and f"mem={s.memory.lower()}b",
            s.pbs_select,
        ]
        return [
            f"-N {job.title}",
            "-S /bin/bash",
            "-j oe",
            "-r y",
            f"-l {':'.join(filter(None, select))}",
            f"-l walltime={as_hours(s.time)}",
            s.partition and f"-q {s.partition}",
            s.account and f"{s.account_directive or '-A '}{s.account}",
            s.mail and f"-M {s.mail}",
            s.mail and "-m ae",
            job.n_tasks and f"-J 1-{job.n_tasks}",
            *s.directives,
        ]

    def problems(self, settings: BatchSettings) -> list[str]:
        found = []
        if settings.stop_margin >= settings.time:
            found.append(
                f"time = {as_hours(settings.time)} leaves no time before the warning, which comes "
                f"{settings.stop_margin} s before the end: change time or stop_margin"
            )
        if settings.memory == "0":
            found.append("memory = 0 (all of the node) is only for SLURM; give PBS an amount, e.g. 64G")
        return found
