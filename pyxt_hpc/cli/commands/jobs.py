"""The commands for supercomputers: jobs, estimates and transfer of clusters."""

import argparse
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import (
    config_option,
    config_or_sample_option,
    job_options,
    json_option,
    number_option,
    option,
    output_option,
    resolution_option,
)
from pyxt_hpc.cli.plain import plain
from pyxt_hpc.cli.screen import answer, confirm, echo, tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import several
from pyxt_hpc.files.text import resolved
from pyxt_hpc.files.times import duration
from pyxt_hpc.layout import Layout, SampleLayout

if TYPE_CHECKING:
    from pyxt_hpc.jobs.job import Job
    from pyxt_hpc.stages.estimate import Estimate

NO_NEED_SECONDS = 1800.0
"""Time of the fits on this machine [s] below which no supercomputer is needed."""


@command(
    "make-job",
    "write a job script for SLURM or PBS, and submit it",
    "Write a script that runs stages 5 and 6, stops before the time limit, runs again until all regions\n"
    "are done, and writes a log of each attempt. Values that are not given as options come from [hpc] of\n"
    "the configuration, then from the profile of the site. --submit submits the script by sbatch or qsub,\n"
    "prints the job's id and records it in <name>/logs/jobs.tsv, together with the job's attempts;\n"
    "`status` shows the jobs, `cancel` ends them. With --sample, the script is a job array of all stages\n"
    "with a task for each cluster: see `pyxt-hpc help sample`.",
    config_or_sample_option,
    option("--submit", action="store_true", help="also submit the script"),
    job_options,
    example="pyxt-hpc make-job -c A1795_cluster_config.ini --site perlmutter --account m1234 --submit",
)
def make_job_command(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.jobs.script import replaces_another, write_script
    from pyxt_hpc.jobs.submit import submit
    from pyxt_hpc.jobs.systems import SYSTEMS

    job = _job(arguments)
    system = SYSTEMS[job.settings.scheduler]
    if replaces_another(job):
        kind = "list" if system.is_list else "script"
        confirm(f"{job.script} is another {kind}. Replace it?", arguments.yes)
    if not arguments.submit:
        write_script(job)
        if system.is_list:
            how = shlex.join(["parallel", "-a", str(job.script)])
            tell(f"{job.script}: {job.n_tasks} commands, one per line: run them, e.g. {how}")
            if job.settings.modules:
                tell(f"first run: module load {' '.join(job.settings.modules)}")
            tell("a command that ends with exit code 75 is not finished: run it again")
            if not job.is_sample:
                tell(f"next, when all are done: pyxt-hpc results merge -c {arguments.config}")
            return
        command = system.submit_command[0]
        tell(f"{job.script}: submit it with {command}; logs go to {job.log_dir}")
        return
    echo(f"job {submit(job)}: logs go to {job.log_dir}")
    if job.n_tasks and not job.is_sample:
        tell(f"next, when all tasks have ended: pyxt-hpc results merge -c {arguments.config}")


@command(
    "cancel",
    "end submitted jobs, and prevent their further attempts",
    "Run scancel or qdel on waiting and running jobs, also if requeueing has changed their ids. No attempt\n"
    "follows; finished results are kept.",
    config_or_sample_option,
    option(
        "jobs",
        metavar="JOB",
        nargs="*",
        help="ids (default: all jobs of this cluster or sample that have not ended)",
    ),
    example="pyxt-hpc cancel -c A1795_cluster_config.ini",
)
def cancel_command(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.jobs.cancel import cancel

    is_sample = arguments.sample is not None
    if is_sample:
        record = SampleLayout(resolved(arguments.sample)).jobs_record
    else:
        record = Layout.of(read_config(arguments.config)).jobs_record
    done = cancel(record, arguments.jobs)
    for job in done:
        ended = f"{', '.join(job.ended)} ended" if job.ended else "had ended already"
        echo(f"job {job.job}: {ended}; no attempt follows")
    if not done:
        echo(f"every job of this {'sample' if is_sample else 'cluster'} has ended already")


@command(
    "estimate",
    "estimate time and memory of the fits on a supercomputer",
    "Fit a sample of the regions on this machine, and calculate the requirements in printed steps.",
    config_option,
    resolution_option(2, "default 2"),
    option("--site", metavar="NAME", help="profile of a computing centre, with its nodes and ranks"),
    option("--nodes", metavar="N", help="number of nodes (default: from [hpc] or the site)"),
    option("--ranks-per-node", metavar="R", help="number of MPI ranks on each node"),
    number_option("--sample", 1, 10**6, 300, "number of regions to fit"),
    json_option,
    example="pyxt-hpc estimate -c A1795_cluster_config.ini --site perlmutter --nodes 2",
)
def estimate_command(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.jobs.sites import settings_for
    from pyxt_hpc.stages.estimate import estimate_fits

    config = read_config(arguments.config)
    configured = dict(config.hpc)
    site = arguments.site or (None if {"site", "scheduler"} & configured.keys() else "slurm")
    given = {"nodes": arguments.nodes, "ranks_per_node": arguments.ranks_per_node}
    asked = settings_for(str(config.path), configured, given, site)
    found = estimate_fits(
        config,
        resolution=arguments.resolution,
        nodes=asked.nodes,
        ranks_per_node=asked.ranks_per_node,
        sample=arguments.sample,
    )
    here = len(os.sched_getaffinity(0))
    answer(plain(found) | _derived(found, here), _estimate_lines(found, here, config.path))


@command(
    "pack",
    "pack a cluster into one file for another machine",
    "Write configuration, bundle and scale map, which create-bins and fit-spectra need, into one file.",
    config_option,
    output_option("F", "file (default: ./<name>_packed.tar)"),
    example="pyxt-hpc pack -c A1795_cluster_config.ini",
)
def pack_command(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.transfer import pack_cluster

    config = read_config(arguments.config)
    output = arguments.output or Path(f"{config.name}_packed.tar")
    for name in pack_cluster(config, output):
        tell(f"  {name}")
    megabytes = output.stat().st_size / 1e6
    tell(f"{output}: {megabytes:.1f} MB; on the other machine: pyxt-hpc unpack {output.name}")


@command(
    "unpack",
    "unpack a file of pack",
    "Unpack and check the files, and write the job script if [hpc] of the configuration or an option names\n"
    "a site or batch system.",
    option("archive", metavar="FILE", type=Path, help="file of pack"),
    option("--directory", type=Path, default=Path("."), help="target folder (default: working folder)"),
    job_options,
    example="pyxt-hpc unpack A1795_packed.tar --site perlmutter --account m1234",
)
def unpack_command(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.transfer import unpack_cluster

    config = unpack_cluster(arguments.archive, arguments.directory)
    tell(f"{config.path}: unpacked, and the bundle is valid")
    if arguments.site or arguments.scheduler or {"site", "scheduler"} & dict(config.hpc).keys():
        arguments.config, arguments.submit = config.path, False
        make_job_command(arguments)
    else:
        tell(f"next: pyxt-hpc make-job -c {config.path} --site NAME")


COMMANDS = (
    make_job_command,
    cancel_command,
    estimate_command,
    pack_command,
    unpack_command,
)


def _job(arguments: argparse.Namespace) -> "Job":
    from pyxt_hpc.config.hpc import KEYS
    from pyxt_hpc.jobs.job import MAX_TASKS, Job
    from pyxt_hpc.jobs.sites import settings_for
    from pyxt_hpc.sample.table import read_sample

    given = {name: getattr(arguments, name, None) for name in KEYS}
    given["modules"] = ",".join(arguments.modules) if arguments.modules else None
    given["venv"] = arguments.venv and os.path.abspath(os.path.expanduser(arguments.venv))
    given["directives"] = "\n".join(arguments.directives) if arguments.directives else None
    is_sample = getattr(arguments, "sample", None) is not None
    stages = arguments.stages or ("6" if arguments.array and not is_sample else "5,6")
    n_tasks, configured = arguments.array, {}
    layout: Layout | SampleLayout
    if is_sample:
        if arguments.stages is not None:
            raise ConfigError(
                "--stages: the tasks of a sample do all stages, and skip finished ones: omit it"
            )
        path = resolved(arguments.sample)
        name, layout = path.stem, SampleLayout(path)
        n_clusters = len(read_sample(path))
        if n_clusters < 2:
            raise ConfigError(
                f"{path}: has one cluster, but the tasks of a job array are two or more: do it with "
                f"`pyxt-hpc run --sample {path}`, or add a cluster"
            )
        n_tasks = n_tasks or min(n_clusters, MAX_TASKS)
    else:
        config = read_config(arguments.config)
        name, path, layout, configured = config.name, config.path, Layout.of(config), dict(config.hpc)
    settings = settings_for(str(path), configured, given, arguments.site, charged=True)
    default = layout.command_list if settings.scheduler == "list" else layout.job_script
    return Job(
        name=name,
        config=resolved(path),
        script=resolved(arguments.output or default),
        record=resolved(layout.jobs_record),
        settings=settings,
        stages=tuple(map(int, stages.split(","))),
        resolution=arguments.resolution,
        n_tasks=n_tasks,
        is_sample=is_sample,
    )


def _derived(found: "Estimate", cores: int) -> dict[str, float | int]:
    return {
        "fit_seconds": found.fit_seconds,
        "time_seconds": found.time_seconds,
        "memory_gigabytes": found.memory_gigabytes,
        "cores_here": cores,
        "seconds_here": found.seconds_on(cores),
    }


def _estimate_lines(found: "Estimate", cores: int, config: Path) -> Iterator[str]:
    from pyxt_hpc.stages.estimate import MEMORY_MARGIN, START_SECONDS, TIME_MARGIN

    megabytes = [f"{n / 2**20:.0f}" for n in (found.shared_bytes, found.master_bytes, found.rank_bytes)]
    seconds, workers = found.seconds_per_region, found.workers
    yield f"{several(found.regions, 'region')} at resolution {found.resolution}"
    yield (
        f"{1e3 * seconds:.3g} ms per region on one core of this machine, measured for {found.sampled} regions"
    )
    nodes = f"{found.nodes} node{'s' * (found.nodes > 1)}"
    yield f"{nodes} x {found.ranks_per_node} ranks: {workers} workers and the master"
    yield f"time: {found.regions} x {seconds:.3g} s / {workers} = {found.fit_seconds:.1f} s;"
    yield f"  x {TIME_MARGIN:g} for slower cores, + {START_SECONDS:.0f} s to start, rounded up to 5 minutes"
    yield (
        f"memory of a node: {megabytes[0]} MB shared + {megabytes[1]} MB bundle (master) "
        f"+ {found.ranks_per_node} ranks x {megabytes[2]} MB, x {MEMORY_MARGIN:g}"
    )
    hours, minutes = divmod(found.time_seconds // 60, 60)
    yield f"request: --time {hours:02d}:{minutes:02d}:00 --memory {found.memory_gigabytes}G"
    here = f"{cores} core{'s' * (cores > 1)} of this machine fit them in {duration(found.seconds_on(cores))}"
    if found.seconds_on(cores) <= NO_NEED_SECONDS:
        command = shlex.join(["pyxt-hpc", "fit-spectra", "-c", str(config), "--resolution"])
        yield f"no supercomputer is needed: {here}: {command} {found.resolution}"
    else:
        yield here
