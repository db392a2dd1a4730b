"""The commands for the results store: status, export, verification and merging."""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxt_hpc.cli.command import Group, command
from pyxt_hpc.cli.options import config_option, config_or_sample_option, json_option, option, output_option
from pyxt_hpc.cli.plain import plain
from pyxt_hpc.cli.screen import answer, echo, tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.quoting import several
from pyxt_hpc.files.text import resolved
from pyxt_hpc.files.times import duration
from pyxt_hpc.layout import Layout, SampleLayout
from pyxt_hpc.pipeline.summaries import flag_lines

if TYPE_CHECKING:
    from pyxt_hpc.stages.merge import MergeSummary
    from pyxt_hpc.stages.status import StoreStatus
    from pyxt_hpc.store.rows import Status

WATCH_SECONDS = 2.0
MAX_REASONS = 20


@command(
    "status",
    "show the progress of jobs and fits, also while they run",
    "Print submitted jobs with all their attempts, regions by status, the rate, the time left, the last\n"
    "checkpoint, flags of the fits, and the reasons why regions have no fit. With --sample, print the jobs\n"
    "of a table of clusters and the state of each cluster.",
    config_or_sample_option,
    option("--watch", action="store_true", help="repeat every 2 seconds while a run writes"),
    json_option,
    example="pyxt-hpc status -c A1795_cluster_config.ini --watch",
    serial=False,
)
def status(arguments: argparse.Namespace) -> None:
    if arguments.sample is not None:
        look = partial(_look_at_sample, resolved(arguments.sample))
    else:
        look = partial(_look_at_cluster, Layout.of(read_config(arguments.config)))
    while True:
        numbers, lines, is_being_written = look()
        if arguments.watch and not arguments.json and sys.stdout.isatty():
            echo("\x1b[H\x1b[J" + time.strftime("%H:%M:%S"))
        answer(numbers, lines)
        if not arguments.watch or not is_being_written:
            return
        time.sleep(WATCH_SECONDS)


@command(
    "results export",
    "write the fits as CSV files like ClusterPyXT's, or as an ECSV table",
    "csv writes <name>_best_, _worst_ and _all_spectral_fits.csv. Best has the regions that are done and\n"
    "have no doubtful flag, worst the other finished regions, and all has both. Errors are offsets, and\n"
    "the lower one is negative. ecsv writes one table of all columns with units and descriptions.",
    config_option,
    option("--format", choices=("csv", "ecsv"), default="csv", help="format (default csv)"),
    output_option("DIR", "folder (default: the cluster's folder acb/)", is_folder=True),
    example="pyxt-hpc results export -c A1795_cluster_config.ini --format ecsv",
)
def export(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.export import export_fits

    for path in export_fits(read_config(arguments.config), arguments.format, arguments.output):
        tell(str(path))


@command(
    "results verify",
    "check the checksum of every row",
    "Check every row of the results store and of the part stores; the exit code is 2 if a row is damaged.",
    config_option,
    json_option,
    example="pyxt-hpc results verify -c A1795_cluster_config.ini",
    serial=False,
)
def verify(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages import status

    checks = list(status.verify(Layout.of(read_config(arguments.config))))
    whole = "every finished row matches its checksum"
    answer(checks, (f"{one.path}: {one.problem or whole} ({_counts(one.counts)})" for one in checks))
    if problems := [f"{one.path}: {one.problem}" for one in checks if one.problem]:
        raise DamagedFile.of_several("`pyxt-hpc fit-spectra --continue` fits damaged rows again", problems)


@command(
    "results merge",
    "merge the parts of a job array",
    "Add the finished regions of every part of fit-spectra --slice I/N to the results store. Missing parts\n"
    "are listed; `fit-spectra --continue` fits their regions.",
    config_option,
    json_option,
    example="pyxt-hpc results merge -c A1795_cluster_config.ini",
)
def merge(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.merge import merge_results

    config = read_config(arguments.config)
    summary = merge_results(config)
    answer(summary, _merge_lines(summary, config.path))


@command(
    "results pull",
    "merge results from another machine",
    "Copy the scale map and results from a copy of another machine's folder acb/. If there are results\n"
    "already, add the regions that they lack.",
    config_option,
    option("folder", metavar="FOLDER", type=Path, help="copy of the other machine's acb/"),
    json_option,
    example="pyxt-hpc results pull -c A1795_cluster_config.ini acb-from-there/",
)
def pull(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.transfer import pull_results

    pulled = pull_results(read_config(arguments.config), arguments.folder)
    added = f"{several(pulled.added, 'region')} added to existing results"
    answer(pulled, [*(f"{path}: copied" for path in pulled.copied), added])


results = Group(
    "results",
    "export, verify, merge or pull the fits",
    "Export or verify the results store, or add fits of a job array or of another machine.",
    (export, verify, merge, pull),
)

COMMANDS = (status, results)


Look = tuple[dict[str, Any], Iterable[str], bool]
"""Numbers, lines for the user, and whether a process is writing."""


def _look_at_cluster(layout: Layout) -> Look:
    from pyxt_hpc.jobs.listing import job_lines
    from pyxt_hpc.jobs.record import read_jobs
    from pyxt_hpc.stages.status import has_stores, read_statuses

    jobs = read_jobs(layout.jobs_record)
    # A waiting job has no results yet, which is not an error.
    statuses = read_statuses(layout) if has_stores(layout) or not jobs else []
    numbers = [{"regions": one.total, "finished": one.finished} | plain(one) for one in statuses]
    nothing = () if statuses else (f"{layout.results}: no fits yet",)
    lines = chain(job_lines(jobs), *map(_status_lines, statuses), nothing)
    return {"jobs": jobs, "stores": numbers}, lines, any(store.writer for store in statuses)


def _look_at_sample(table: Path) -> Look:
    from pyxt_hpc.jobs.listing import job_lines
    from pyxt_hpc.jobs.record import read_jobs
    from pyxt_hpc.sample.outcome import ClusterState, read_outcomes
    from pyxt_hpc.sample.table import read_sample

    layout = SampleLayout(table)
    jobs = read_jobs(layout.jobs_record)
    found = read_outcomes(layout, read_sample(table))
    clusters = (f"{one.name}: {one.state}{one.reason and ': '}{one.reason}" for one in found)
    numbers = [
        {"name": one.name, "state": one.state, "reason": one.reason, "exit_code": one.exit_code}
        for one in found
    ]
    is_running = any(one.state == ClusterState.RUNNING for one in found)
    return {"jobs": jobs, "clusters": numbers}, chain(job_lines(jobs), clusters), is_running


def _status_lines(status: "StoreStatus") -> Iterator[str]:
    share = status.finished / status.total
    yield f"{status.path}: {status.finished} of {status.total} regions finished ({share:.1%})"
    yield f"  {_counts(status.counts)}"
    yield f"  being written by {status.writer}" if status.writer else "  no process is writing it"
    if status.rate is not None:
        left = "" if status.seconds_left is None else f", {duration(status.seconds_left)} left"
        yield f"  {status.rate:.{0 if status.rate >= 10 else 2}f} regions/s{left}"
    if status.checkpoint is not None:
        ago = duration(max(time.time() - status.checkpoint, 0.0))
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.checkpoint))
        yield f"  last checkpoint {when}, {ago} ago"
    for line in flag_lines(status.flags):
        yield f"  {line}"
    for reason in status.reasons[:MAX_REASONS]:
        regions = ", ".join(map(str, reason.regions)) + (" ..." * (reason.n_regions > len(reason.regions)))
        yield f"  {reason.n_regions} {reason.status.name.lower()} ({reason.text}): regions {regions}"
    if len(status.reasons) > MAX_REASONS:
        yield (f"  {len(status.reasons) - MAX_REASONS} more reasons: see `results export --format ecsv`")


def _counts(counts: "Mapping[Status, int]") -> str:
    return ", ".join(f"{n} {status.name.lower().replace('_', ' ')}" for status, n in counts.items() if n)


def _merge_lines(summary: "MergeSummary", config: Path) -> Iterator[str]:
    for part in summary.parts:
        writer = f", {part.writer} is writing it" if part.writer else ""
        yield f"{part.path.name}: {part.finished} of {part.regions} regions finished{writer}"
    for path in summary.missing:
        yield f"{path.name}: missing"
    yield (
        f"{summary.results}: {summary.finished} of {summary.regions} regions finished, {summary.added} new"
    )
    if summary.finished < summary.regions:
        yield (
            f"{summary.regions - summary.finished} left: run the parts with --continue and merge again, or: "
            f"pyxt-hpc fit-spectra -c {config} --resolution {summary.resolution} --continue"
        )
