"""The commands of stages 1 to 4: from event files to the analysis bundle."""

import argparse

from pyxt_hpc.cli.command import Command, command
from pyxt_hpc.cli.next_step import tell_next
from pyxt_hpc.cli.options import config_option, option
from pyxt_hpc.cli.screen import echo, tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.pipeline.run import BY_CIAO, preprocess, rehearse


def _stage(name: str, summary: str, description: str, **switches: str) -> Command:
    """Command of a stage; `switches` are additional keywords of its function, with their help."""
    by_ciao = name in BY_CIAO
    dry_run = option(
        "--dry-run", action="store_true", help="only print the calls of CIAO's tools, as a shell script"
    )

    @command(
        name,
        summary,
        description + "\nProducts that are up to date are kept. Serial: run it on a login node.",
        config_option,
        option("--force", action="store_true", help="also make products that are up to date"),
        *([dry_run] if by_ciao else []),
        *(option(f"--{switch}", action="store_true", help=text) for switch, text in switches.items()),
        example=f"pyxt-hpc {name} -c A1795_cluster_config.ini",
    )
    def run(arguments: argparse.Namespace) -> None:
        if by_ciao and arguments.dry_run:
            rehearse(read_config(arguments.config), name, echo, force=arguments.force)
            return
        chosen = {switch: getattr(arguments, switch) for switch in switches}
        preprocess(read_config(arguments.config), name, tell, force=arguments.force, **chosen)
        tell_next(name, arguments.config)

    return run


COMMANDS = (
    _stage(
        "process-data",
        "stage 1: filter the observations, put them in one sky frame, merge images",
        "CIAO downloads and reprocesses every observation and makes its background. Without CIAO, the\n"
        "folder <data directory>/<name>/ must have <obsid>/primary/*evt2.fits* (level-2 events) and\n"
        "<obsid>/<obsid>_background.fits (blank-sky events of CIAO's blanksky or CALDB), or background.reg,\n"
        "a region without cluster emission. *fov1.fits* and *asol1.fits* are used if present.\n"
        "Grades, status and good times are applied; chip outlines and dither are measured.",
    ),
    _stage(
        "propose-regions",
        "propose the region files that are otherwise drawn by hand",
        "Write point sources (sources.reg), the cluster's peak (exclude.reg), a box around the emission\n"
        "(combined/master_crop-ciaowcs.reg), and for each observation a circle that overlaps every CCD.\n"
        "Files drawn by hand are never replaced. A picture shows all regions.",
    ),
    _stage(
        "remove-sources",
        "stage 2: remove point sources and flares",
        "Exclude sources.reg, and remove flares by the 9-12 keV light curve, then by that of all energies\n"
        "outside exclude.reg. Your own good times, <obsid>/<obsid>_gti.fits, are applied first.",
        fill="also make an image with filled holes, only for display",
    ),
    _stage(
        "generate-responses",
        "stage 3: ARF and RMF of every observation",
        "CIAO makes ARF and RMF, and the effective area of every pixel. Without CIAO, arf_files and\n"
        "rmf_files of the configuration give their paths (default <obsid>/<obsid>.arf and .rmf; with chips\n"
        "of both kinds <obsid>-FI.arf, <obsid>-BI.arf and so on), and every pixel has the vignetting of a\n"
        "table. Channels and energies are compared with the events.",
    ),
    _stage(
        "crop-data",
        "stage 4: the analysis bundle, with crop, energy band and masks",
        "Project all observations on the grid of combined/master_crop-ciaowcs.reg, scale the background by\n"
        "its 9.5-12 keV counts, and write the bundle, which all later stages use.",
    ),
)
