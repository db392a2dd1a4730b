"""Lines of `status` about jobs: the state of every attempt, and words that fit the numbers."""

from pathlib import Path

from pyxt_hpc.jobs.listing import MAX_JOBS, MAX_TASKS, job_lines
from pyxt_hpc.jobs.record import read_jobs

WHEN = "2026-01-02T03:04:05"


def listed(folder: Path, *events: str) -> list[str]:
    """Lines about the jobs of a table with these events."""
    path = folder / "jobs.tsv"
    path.write_text("".join("\t".join([WHEN, "slurm", *event.split(" ", 5)]) + "\n" for event in events))
    return [line.strip() for line in job_lines(read_jobs(path))]


def test_one_of_everything_has_no_plural(tmp_path: Path) -> None:
    jobs = [f"{n} - 1 {n} submitted a" for n in range(MAX_JOBS + 1)]
    assert listed(tmp_path, *jobs)[0] == "1 earlier job"
    n = MAX_TASKS + 1
    failures = [f"7 {task} 1 7_{task} ended 2 no" for task in range(1, n + 1)]
    lines = listed(tmp_path, f"7 1-{n} 1 7 submitted a", *failures)
    assert lines[1] == f"tasks: {n} stopped; {n} attempts"
    assert lines[-1] == "and 1 more task"
    lines = listed(tmp_path, "7 1-2 1 7 submitted a", "7 1 1 7_1 ended 0 done")
    assert lines[1] == "tasks: 1 done, 1 not yet started; 1 attempt"


def test_a_task_that_ended_before_it_was_done_is_not_called_done(tmp_path: Path) -> None:
    ends = ("7 1 1 7_1 ended 0 done", "7 2 1 7_2 ended 75 not finished", "7 3 1 7_3 started node1")
    lines = listed(tmp_path, "7 1-3 1 7 submitted a", *ends)
    assert lines[1] == "tasks: 1 done, 1 running, 1 stopped; 3 attempts"
    assert lines[2] == "task 2, attempt 1 (job 7_2): ? to 2026-01-02 03:04:05, exit code 75: not finished"
