"""The table of jobs, ``jobs.tsv``, with one line for each event of an attempt.

Columns: time, batch system, job, task, attempt, id, event, detail. ``job`` is the first id of the job.
``task`` is the task's number in an array, ``-`` without an array, ``1-16`` for the submission of an array of
16 tasks, and ``*`` for all tasks. ``id`` is the id of the attempt. `pyxt-hpc make-job --submit`,
`pyxt-hpc cancel` and the job scripts append lines; no line is changed.
"""

import logging
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pyxt_hpc.errors import LaunchError
from pyxt_hpc.files.quoting import several
from pyxt_hpc.files.system_errors import as_pyxt_error
from pyxt_hpc.files.writing import check_regular

log = logging.getLogger(__name__)

EVENTS = ("submitted", "started", "ended", "withdrawn", "cancelled")
CANCEL_DONE = "done"
EVERY_TASK = "*"
NO_TASK = "-"


class State(Enum):
    """State of an attempt."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass
class Attempt:
    """One run of a job or of a task of a job array.

    Times of events that have not happened are empty; `code` and `message` are the exit code and the reason
    for the end.
    """

    number: int
    id: str
    submitted: str = ""
    started: str = ""
    ended: str = ""
    host: str = ""
    code: int | None = None
    message: str = ""

    @property
    def state(self) -> State:
        """State by the recorded events; a killed attempt looks like a running one."""
        return State.ENDED if self.ended else State.RUNNING if self.started else State.WAITING


@dataclass
class JobHistory:
    """A job, identified by its first id, with every attempt of every task.

    Parameters
    ----------
    submitted, script
        Time and script of the submission; empty if it was submitted by hand.
    cancelled, cancel_done
        Time of `pyxt-hpc cancel`, or empty; whether the batch system has ended all attempts.
    n_tasks
        Number of tasks of an array; 0 without an array, or if the number is unknown.
    tasks
        Attempts in order, by the task's number; without an array, the only task is ``-``.
    """

    job: str
    system: str
    submitted: str = ""
    script: str = ""
    cancelled: str = ""
    cancel_done: bool = False
    n_tasks: int = 0
    tasks: dict[str, list[Attempt]] = field(default_factory=dict)

    @property
    def live(self) -> list[str]:
        """Ids of attempts that may wait or run; an array's own id covers tasks without an event yet."""
        attempts = [attempt for task in self.tasks.values() for attempt in task]
        ids = [self.job] if self.is_array else []
        ids += [attempt.id for attempt in attempts if attempt.state != State.ENDED]
        return list(dict.fromkeys(ids))

    @property
    def is_array(self) -> bool:
        """Whether the job is known to be an array."""
        return self.n_tasks > 0 or "[" in self.job or any(task != NO_TASK for task in self.tasks)

    @property
    def has_ended(self) -> bool:
        """Whether no attempt waits or runs; False for an array submitted by hand, whose size is unknown."""
        if self.cancel_done:
            return True
        expected = self.n_tasks if self.is_array else 1
        ended = [bool(attempts) and attempts[-1].state == State.ENDED for attempts in self.tasks.values()]
        return len(ended) >= expected > 0 and all(ended)


def check_writable(path: Path) -> None:
    """Check that the table can be written, before a job is submitted or cancelled.

    Raises LaunchError if it cannot be written; DamagedFile if it is not a regular file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_regular(path)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise LaunchError(
            f"{path}: cannot be written ({error.strerror}): {path.parent}, where logs go, must be a folder "
            "you may write to"
        ) from None


def append_event(path: Path, system: str, job: str, event: str, detail: str, task: str) -> None:
    """Append an event of the first attempt; raises OSError if it cannot be written."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S")
    line = "\t".join((when, system, job, task, "1", job, event, detail))
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")


def read_jobs(path: Path) -> list[JobHistory]:
    """Read the jobs of a cluster, in the order of their first event; empty without a table.

    Invalid lines are ignored with a warning. Raises DamagedFile if the table is not a regular file or cannot
    be read.
    """
    if not check_regular(path):
        return []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise as_pyxt_error(path, error, "read") from None
    lines = text.splitlines()
    events = list(_events(lines))
    if bad := len([line for line in lines if line.strip()]) - len(events):
        log.warning("%s: ignored %s that cannot be understood", path, several(bad, "line"))
    return _histories(events)


@dataclass(frozen=True)
class _Event:
    when: str
    system: str
    job: str
    task: str
    attempt: int
    id: str
    kind: str
    detail: str


def _events(lines: Iterable[str]) -> Iterator[_Event]:
    for line in lines:
        cells = line.split("\t")
        if len(cells) == 4:  # of versions before 0.2: time, batch system, id, script
            cells = [*cells[:3], NO_TASK, "1", cells[2], "submitted", cells[3]]
        if len(cells) != 8 or cells[6] not in EVENTS or not re.fullmatch(r"[0-9]{1,6}", cells[4]):
            continue
        when, system, job, task, attempt, id_, kind, detail = cells
        yield _Event(when, system, job, task, int(attempt), id_, kind, detail)


def _histories(events: Iterable[_Event]) -> list[JobHistory]:
    jobs: dict[tuple[str, str], JobHistory] = {}
    for event in events:
        job = jobs.setdefault((event.system, event.job), JobHistory(event.job, event.system))
        if event.kind == "cancelled":
            if event.task == EVERY_TASK:
                job.cancelled = job.cancelled or event.when
                job.cancel_done |= event.detail == CANCEL_DONE
            continue
        if event.kind == "submitted" and event.attempt == 1:
            job.submitted, job.script = event.when, event.detail
            if many := re.fullmatch(r"1-([0-9]{1,4})", event.task):
                job.n_tasks = int(many[1])
                continue
        _add(job, event)
    for job in jobs.values():
        if job.is_array:  # the array itself is not a task
            job.tasks.pop(NO_TASK, None)
        elif not job.tasks.get(NO_TASK):
            job.tasks[NO_TASK] = [Attempt(1, job.job)]
        for attempts in job.tasks.values():
            attempts.sort(key=lambda attempt: attempt.number)
    return list(jobs.values())


def _add(job: JobHistory, event: _Event) -> None:
    attempts = job.tasks.setdefault(event.task, [])
    attempt = next((one for one in attempts if one.number == event.attempt), None)
    if event.kind == "withdrawn":
        if attempt is not None:
            attempts.remove(attempt)
        return
    if attempt is None:
        attempt = Attempt(event.attempt, event.id)
        attempts.append(attempt)
    if event.kind == "submitted":
        attempt.submitted, attempt.id = event.when, event.id
    elif event.kind == "started":
        attempt.started, attempt.id, attempt.host = event.when, event.id, event.detail
        attempt.ended, attempt.code, attempt.message = "", None, ""
    else:
        code, _, message = event.detail.partition(" ")
        attempt.ended, attempt.message = event.when, message
        attempt.code = int(code) if re.fullmatch("[0-9]{1,9}", code) else None
