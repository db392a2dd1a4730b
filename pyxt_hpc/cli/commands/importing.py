"""The command that imports a cluster of ClusterPyXT."""

import argparse
from pathlib import Path

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import as_key_text, given_texts, option
from pyxt_hpc.cli.screen import echo, tell
from pyxt_hpc.clusterpyxt.choices import NAMES


@command(
    "import-cluster",
    "import a cluster of ClusterPyXT",
    "Write NAME_cluster_config.ini and the folder NAME from a cluster's folder of ClusterPyXT: its\n"
    "configuration, region files, events, background and responses. If combined/ and acb/ are complete,\n"
    "a bundle, its scale map and its fits are also imported, so that make-maps shows them. The list of\n"
    "imported, changed and missing files is also in NAME/logs/import.txt. DIR is not changed.",
    option("folder", metavar="DIR", type=Path, help="<data directory>/<name> of ClusterPyXT"),
    option(
        "--directory",
        type=Path,
        default=Path("."),
        metavar="D",
        help="target folder (default: working folder)",
    ),
    option(
        "--as",
        dest="choices",
        choices=NAMES,
        help="use ClusterPyXT's choices in the configuration: since March 2022, or before",
    ),
    option("--redshift", type=as_key_text("redshift"), metavar="Z", help="redshift instead of ClusterPyXT's"),
    option("--nH", type=as_key_text("nH"), metavar="N", help="hydrogen column [1e22 cm^-2], likewise"),
    option("--abundance", type=as_key_text("abundance"), metavar="A", help="abundance [solar], likewise"),
    option("--copy", action="store_true", help="copy events and responses instead of linking to them"),
    example="pyxt-hpc import-cluster ~/data/A115 --as clusterpyxt",
)
def import_command(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.clusterpyxt.importing import import_cluster

    done = import_cluster(
        arguments.folder,
        arguments.directory,
        given=given_texts(arguments),
        choices=arguments.choices,
        copy=arguments.copy,
    )
    echo(*done.lines())
    tell(f"{done.config}: written; possible next commands:")
    if done.has_fits:
        tell(f"  ClusterPyXT's own fits as maps:     pyxt-hpc make-maps -c {done.config}")
    if done.has_bundle:
        tell(f"  fit its circles again:              pyxt-hpc fit-spectra -c {done.config}")
    if done.has_inputs:
        tell(f"  all stages from the events:         pyxt-hpc run -c {done.config} --yes")
    if not done.has_bundle and not done.has_inputs:
        tell("  none, until the missing files are provided")


COMMANDS = (import_command,)
