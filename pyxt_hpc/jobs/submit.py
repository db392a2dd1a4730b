"""Submission of job scripts, which is recorded in the table of jobs."""

import logging

from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.record import NO_TASK, append_event, check_writable
from pyxt_hpc.jobs.script import write_script
from pyxt_hpc.jobs.systems import SYSTEMS

log = logging.getLogger(__name__)


def submit(job: Job) -> str:
    """Write the script, submit it, append a line to the table of jobs, and return the job's id.

    Raises LaunchError if the table cannot be written, or the batch system is missing or refuses;
    BatchSystemBusy if the batch system takes no jobs now; ConfigError, DamagedFile or DiskFull as
    `write_script`.
    """
    # Check first, so that there is no job without a record.
    check_writable(job.record)
    write_script(job)
    system = SYSTEMS[job.settings.scheduler]
    job_id = system.submit(job.script, job.log_dir)
    try:
        task = f"1-{job.n_tasks}" if job.n_tasks else NO_TASK
        append_event(job.record, system.name, job_id, "submitted", str(job.script), task)
    except OSError as error:  # the script records the job when it starts
        log.warning(
            "%s: job %s is submitted, but cannot be recorded here before it starts (%s)",
            job.record,
            job_id,
            error.strerror,
        )
    return job_id
