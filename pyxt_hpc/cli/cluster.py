"""The command that begins a cluster."""

import argparse
from pathlib import Path

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import option, yes_option
from pyxt_hpc.cli.screen import confirm, tell
from pyxt_hpc.config.cluster import config_template
from pyxt_hpc.files.writing import check_regular, replacing
from pyxt_hpc.layout import Layout


@command(
    "init-cluster",
    "write the configuration file of a new cluster",
    "Write NAME_cluster_config.ini in the working directory and make the cluster's folders.\n"
    "Fill in the keys that are empty: each says where its value is found.",
    option("name", metavar="NAME", help="the cluster's name, e.g. A1795"),
    yes_option("replace an existing file"),
    example="pyxt-hpc init-cluster A1795",
)
def init_cluster(arguments: argparse.Namespace) -> None:
    path = Path(f"{arguments.name}_cluster_config.ini")
    text = config_template(arguments.name)
    if check_regular(path):
        confirm(f"{path} exists. Replace it?", arguments.yes)
    layout = Layout(Path(arguments.name), arguments.name)
    for folder in (layout.combined, layout.acb, layout.main_output):
        folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    tell(f"{path}: fill in what is empty, put the observations in {layout.cluster_dir}/<obsid>/,")
    tell(f"then: pyxt-hpc run -c {path}")


COMMANDS = (init_cluster,)
