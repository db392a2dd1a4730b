"""The command that does all stages."""

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
    "all stages in order, skipping what is up to date",
    "From event files to maps, hands free: process-data, propose-regions, remove-sources,\n"
    "generate-responses, crop-data, create-bins, fit-spectra, make-maps.\n"
    "Region files that you have drawn are used; the others are proposed.\n"
    "With --sample a table of clusters is done, one after the other, with a page about all.",
    config_or_sample_option,
    option(
        "--from",
        dest="first",
        choices=STAGES,
        default=STAGES[0],
        metavar="STAGE",
        help=f"begin with this one of {', '.join(STAGES)}",
    ),
    option(
        "--through",
        dest="last",
        choices=STAGES,
        default=STAGES[-1],
        metavar="STAGE",
        help="end after this one",
    ),
    cpus_option,
    resolution_option(2, "default 2"),
    yes_option("replace fits of other data or settings"),
    option(
        "--slice",
        metavar="I/N",
        help="of a sample every Nth cluster from the Ith on, as a task of a job array does",
    ),
    example="pyxt-hpc run -c A1795_cluster_config.ini --through fit-spectra",
)
def run(arguments: argparse.Namespace) -> None:
    if arguments.sample is not None:
        _run_sample(arguments)
        return
    if arguments.slice is not None:
        raise ConfigError(
            "--slice is of a sample: give --sample CSV; parts of one cluster: fit-spectra --slice"
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
