"""Cancellation of jobs: attempts that wait or run are ended, and no later attempts follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.errors import ConfigError, LaunchError, MissingInput, PyxtError
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.jobs.record import CANCEL_DONE, EVERY_TASK, JobHistory, append_event, check_writable, read_jobs
from pyxt_hpc.jobs.systems import SYSTEMS

MAX_ROUNDS = 5
"""Largest number of searches for attempts: a running attempt may just be submitting the next one."""


@dataclass(frozen=True)
class Cancelled:
    """Result for one job: ids that were waiting or running, and ids that had already ended."""

    job: str
    ended: tuple[str, ...]
    gone: tuple[str, ...]


def cancel(path: Path, wanted: Sequence[str] = ()) -> list[Cancelled]:
    """Cancel the jobs with these ids (of any attempt), or without ids all jobs that may wait or run.

    Raises MissingInput if the table has no jobs; DamagedFile if it cannot be read; ConfigError if a wanted id
    is unknown; LaunchError if the table cannot be written (then nothing is cancelled), or if the batch system
    is unknown, missing or refuses; BatchSystemBusy if it cannot be reached now.
    """
    jobs = read_jobs(path)
    if not jobs:
        raise MissingInput(
            f"{path}: no job is recorded; `pyxt-hpc make-job --submit` records the jobs that it submits there"
        )
    chosen = [_job_with(jobs, id_, path) for id_ in wanted] or [job for job in jobs if not job.has_ended]
    return [_cancel(path, job) for job in chosen]


def _job_with(jobs: Sequence[JobHistory], id_: str, path: Path) -> JobHistory:
    for job in reversed(jobs):
        if id_ == job.job or any(id_ == one.id for attempts in job.tasks.values() for one in attempts):
            return job
    known = ", ".join(job.job for job in jobs[-5:])
    raise ConfigError(f"job {id_} is not in {path}; the last jobs there are {known}")


def _cancel(path: Path, job: JobHistory) -> Cancelled:
    system = SYSTEMS.get(job.system)
    if system is None:
        raise LaunchError(
            f"{path}: the batch system of job {job.job} is {quoted(job.system)}, expected one of "
            f"{', '.join(SYSTEMS)}"
        )
    check_writable(path)
    # Record this first, so that from now on no attempt starts or submits another.
    append_event(path, job.system, job.job, "cancelled", "asked for", EVERY_TASK)
    found: dict[str, bool] = {}
    for _ in range(MAX_ROUNDS):
        new = [id_ for id_ in job.live if id_ not in found]
        if not new:
            break
        for id_ in new:
            try:
                found[id_] = system.cancel(id_)
            except PyxtError as error:
                raise type(error)(f"{error} (no further attempt follows this one)") from None
        job = next(one for one in read_jobs(path) if (one.system, one.job) == (job.system, job.job))
    append_event(path, job.system, job.job, "cancelled", CANCEL_DONE, EVERY_TASK)
    ended = tuple(id_ for id_, was_there in found.items() if was_there)
    return Cancelled(job.job, ended, tuple(id_ for id_ in found if id_ not in ended))
