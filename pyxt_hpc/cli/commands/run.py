"""The command that runs all stages."""

import argparse

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.next_step import tell_next
from pyxt_hpc.cli.options import (
    config_or_sample_option,
    cpus_option,
    option,
    parse_slice,
    resolution_option,
    yes_option,
)
from pyxt_hpc.cli.screen import tell
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.pipeline.run import STAGES, run_stages


@command(
    "run",
    "run all stages in order, and skip those that are up to date",
    "Run from event files to maps automatically: process-data, propose-regions, remove-sources,\n"
    "generate-responses, crop-data, create-bins, fit-spectra, make-maps.\n"
    "Region files that you have drawn are used; the others are proposed.\n"
    "With --sample, process the clusters of a table one after the other, and write a page about all.",
    config_or_sample_option,
    option(
        "--from",
        dest="first",
        choices=STAGES,
        default=STAGES[0],
        metavar="STAGE",
        help=f"first stage, one of {', '.join(STAGES)}",
    ),
    option(
        "--through",
        dest="last",
        choices=STAGES,
        default=STAGES[-1],
        metavar="STAGE",
        help="last stage",
    ),
    cpus_option,
    resolution_option(2, "default 2"),
    yes_option("replace fits of other data or settings"),
    option(
        "--slice",
        metavar="I/N",
        help="only every Nth cluster of a sample from the Ith on, for tasks of a job array",
    ),
    example="pyxt-hpc run -c A1795_cluster_config.ini --through fit-spectra",
)
def run(arguments: argparse.Namespace) -> None:
    if arguments.sample is not None:
        _run_sample(arguments)
        return
    if arguments.slice is not None:
        raise ConfigError(
            "--slice is for a sample: give --sample CSV; for parts of one cluster: fit-spectra --slice"
        )
    run_stages(
        arguments.config,
        tell,
        first=arguments.first,
        last=arguments.last,
        num_cpus=arguments.num_cpus,
        resolution=arguments.resolution,
        replace=arguments.yes,
    )
    tell_next(arguments.last, arguments.config)


COMMANDS = (run,)


def _run_sample(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.sample.run import SampleRequest, run_sample

    options = ["--resolution", str(arguments.resolution)]
    if arguments.num_cpus is not None:
        options += ["--num-cpus", str(arguments.num_cpus)]
    if arguments.yes:
        options += ["--yes"]
    part = (1, 1) if arguments.slice is None else parse_slice(arguments.slice)
    run_sample(arguments.sample, tell, SampleRequest(arguments.first, arguments.last, tuple(options)), part)
