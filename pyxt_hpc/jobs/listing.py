"""Lines of text about jobs and their attempts."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pyxt_hpc.files.quoting import several
from pyxt_hpc.jobs.record import NO_TASK, Attempt, JobHistory, State

MAX_JOBS = 5
MAX_TASKS = 10


def job_lines(jobs: Sequence[JobHistory]) -> Iterator[str]:
    """Lines about the last jobs, with their attempts; for arrays, with the number of tasks in each state."""
    if len(jobs) > MAX_JOBS:
        yield several(len(jobs) - MAX_JOBS, "earlier job")
    for job in jobs[-MAX_JOBS:]:
        when = f", submitted {_time(job.submitted)}" if job.submitted else ""
        cancelled = f", cancelled {_time(job.cancelled)}" if job.cancelled else ""
        yield f"job {job.job} ({job.system}){when}{cancelled}"
        if job.is_array:
            yield from _array_lines(job)
        else:
            attempts = job.tasks[NO_TASK]
            begun = max((one.number for one in attempts if one.started), default=0)
            for attempt in attempts:
                yield f"  {_attempt(attempt, job, was_followed=attempt.number < begun)}"


def _array_lines(job: JobHistory) -> Iterator[str]:
    last = {task: attempts[-1] for task, attempts in job.tasks.items() if attempts}
    counts = Counter(
        attempt.state.value if attempt.state != State.ENDED else "done" if attempt.code == 0 else "stopped"
        for attempt in last.values()
    )
    n_attempts = sum(map(len, job.tasks.values()))
    if job.n_tasks > len(last):
        counts["not yet started"] = job.n_tasks - len(last)
    states = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "none has started"
    yield f"  tasks: {states}; {several(n_attempts, 'attempt')}"
    failed = [task for task, attempt in last.items() if attempt.code]
    for task in failed[:MAX_TASKS]:
        yield f"  task {task}, {_attempt(last[task], job)}"
    if len(failed) > MAX_TASKS:
        yield f"  and {several(len(failed) - MAX_TASKS, 'more task')}"


def _attempt(attempt: Attempt, job: JobHistory, *, was_followed: bool = False) -> str:
    what = f"attempt {attempt.number}" + (f" (job {attempt.id})" if attempt.id != job.job else "")
    if attempt.state == State.WAITING:
        return f"{what}: taken out of the queue" if job.cancelled else f"{what}: waiting"
    if attempt.state == State.RUNNING:
        how = "killed" if was_followed else "running, or killed"
        return f"{what}: since {_time(attempt.started)} on {attempt.host}; {how}"
    code = "" if attempt.code is None else f", exit code {attempt.code}"
    message = f": {attempt.message}" if attempt.message else ""
    return f"{what}: {_time(attempt.started)} to {_time(attempt.ended)}{code}{message}"


def _time(text: str) -> str:
    return text.replace("T", " ") or "?"
