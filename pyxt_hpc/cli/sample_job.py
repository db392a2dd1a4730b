"""A sample of clusters as a job array, a task a cluster."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.text import resolved

if TYPE_CHECKING:
    from pyxt_hpc.jobs.job import Job


def sample_job(arguments: argparse.Namespace, given: Mapping[str, str | None]) -> "Job":
    """The job of options of ``make-job``, some of which are `given` texts of the keys of ``[hpc]``."""
    from pyxt_hpc.jobs.job import MAX_TASKS, Job
    from pyxt_hpc.jobs.sites import settings_for
    from pyxt_hpc.layout import SampleLayout
    from pyxt_hpc.sample.table import read_sample

    if arguments.stages is not None:
        raise ConfigError("--stages: the tasks of a sample do all stages; those that are done take no time")
    table = resolved(arguments.sample)
    n_tasks = arguments.array or min(len(read_sample(table)), MAX_TASKS)
    layout = SampleLayout(table)
    settings = settings_for(str(table), {}, given, arguments.site, charged=True)
    default = layout.command_list if settings.scheduler == "list" else layout.job_script
    return Job(
        name=table.stem,
        config=table,
        script=resolved(arguments.output or default),
        record=layout.jobs_record,
        settings=settings,
        resolution=arguments.resolution,
        n_tasks=n_tasks,
        is_sample=True,
    )
