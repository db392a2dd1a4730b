"""The command that does all stages."""

import argparse

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.next_step import tell_next
from pyxt_hpc.cli.options import config_option, cpus_option, option, resolution_option, yes_option
from pyxt_hpc.cli.screen import tell
from pyxt_hpc.pipeline.run import STAGES, run_stages


@command(
    "run",
    "all stages in order, skipping what is up to date",
    "From event files to maps, hands free: process-data, propose-regions, remove-sources,\n"
    "generate-responses, crop-data, create-bins, fit-spectra, make-maps.\n"
    "Region files that you have drawn are used; the others are proposed.",
    config_option,
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
    example="pyxt-hpc run -c A1795_cluster_config.ini --through fit-spectra",
)
def run(arguments: argparse.Namespace) -> None:
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
