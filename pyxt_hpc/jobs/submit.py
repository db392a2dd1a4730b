"""Job scripts written, handed to the batch system, and remembered."""

import logging
from pathlib import Path

from pyxt_hpc.files.system_errors import system_errors
from pyxt_hpc.files.writing import check_regular, refuse_to_replace, replacing
from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.record import NO_TASK, append_event, check_writable
from pyxt_hpc.jobs.render import machinery, render, resubmitted
from pyxt_hpc.jobs.systems import SYSTEMS

log = logging.getLogger(__name__)


def write_script(job: Job) -> None:
    """Write the script, which may then be submitted by hand from any folder, and what it sources.

    Raises ConfigError if a file that is no script has its name; DamagedFile if it cannot be written.
    """
    _refuse_to_replace(job)
    text = render(job)
    if not SYSTEMS[job.settings.scheduler].is_list:
        _write(*machinery(job))
    if SYSTEMS[job.settings.scheduler].resubmits_script:
        _write(resubmitted(job), text)
    _write(job.script, text)


def replaces_another(job: Job) -> bool:
    """Whether there is a script already that is not just what `write_script` would write.

    Raises ConfigError if a file that is no script has its name; DamagedFile if it cannot be read.
    """
    _refuse_to_replace(job)
    if not check_regular(job.script):
        return False
    with system_errors(job.script):
        return job.script.read_bytes() != render(job).encode()


def submit(job: Job) -> str:
    """Write the script, submit it, append a line to the table of jobs, and return the job's id.

    Raises LaunchError if the table cannot be written, or the batch system is not there or refuses;
    BatchSystemBusy if the batch system takes no jobs now; DamagedFile if the script cannot be written.
    """
    # Before there is a job that nobody would know of.
    check_writable(job.record)
    write_script(job)
    system = SYSTEMS[job.settings.scheduler]
    job_id = system.submit(job.script, job.log_dir)
    try:
        task = f"1-{job.n_tasks}" if job.n_tasks else NO_TASK
        append_event(job.record, system.name, job_id, "submitted", str(job.script), task)
    except OSError as error:  # the job notes itself when it starts
        log.warning(
            "%s: job %s is submitted, but cannot be noted here (%s)", job.record, job_id, error.strerror
        )
    return job_id


def _refuse_to_replace(job: Job) -> None:
    if SYSTEMS[job.settings.scheduler].is_list:
        refuse_to_replace(job.script, (b"env ",), "a list of commands")
    else:
        refuse_to_replace(job.script, (b"#!",), "a script")


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o755)
