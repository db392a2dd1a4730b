"""The command that writes the report."""

import argparse

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import config_option, output_option
from pyxt_hpc.cli.screen import tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.files.quoting import several


@command(
    "report",
    "one HTML page about the cluster, with possible problems first",
    "Write one file that needs no network: possible problems, kT and its error side by side, all other\n"
    "maps, values and spectra of the region under the pointer, histograms, radial plots, observations,\n"
    "settings, and references. Needs the fits of fit-spectra; see `pyxt-hpc help report`.",
    config_option,
    output_option("F", "file (default: <name>_report.html in main_output)"),
    example="pyxt-hpc report -c A1795_cluster_config.ini",
)
def report(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.report.page import write_report

    made = write_report(read_config(arguments.config), arguments.output)
    of = f" of {made.of_regions}" if made.regions != made.of_regions else ""
    tell(
        f"{made.path}: {made.size / 1e6:.1f} MB, {made.regions}{of} regions, {made.spectra} spectra, "
        f"{several(made.doubts, 'remark')} on what is doubtful; open it in a browser"
    )


COMMANDS = (report,)
