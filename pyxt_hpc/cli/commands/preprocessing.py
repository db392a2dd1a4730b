"""The commands of stages 1 to 4: from event files to the analysis bundle."""

import argparse

from pyxt_hpc.cli.command import Command, command
from pyxt_hpc.cli.next_step import tell_next
from pyxt_hpc.cli.options import config_option, option
from pyxt_hpc.cli.screen import echo, tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.pipeline.run import BY_CIAO, preprocess, rehearse


def _stage(name: str, summary: str, description: str, **switches: str) -> Command:
    """Command of a stage; `switches` of its own are keywords of its function, each with its help."""
    by_ciao = name in BY_CIAO
    dry_run = option(
        "--dry-run", action="store_true", help="only print what CIAO is asked, as a shell script"
    )

    @command(
        name,
        summary,
        description + "\nWhat is up to date is not done again. Serial: on a login node.",
        config_option,
        option("--force", action="store_true", help="do also what is up to date"),
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
        "CIAO downloads and reprocesses every observation and makes its background. Without CIAO this is\n"
        "needed in <data directory>/<name>/: <obsid>/primary/*evt2.fits* (level-2 events, from the archive)\n"
        "and <obsid>/<obsid>_background.fits (blank-sky events, from CIAO's blanksky or CALDB) or\n"
        "background.reg, a region without cluster. *fov1.fits* and *asol1.fits* are used where they are.\n"
        "Grades, status and good times are applied; chip outlines and dither are measured.",
    ),
    _stage(
        "propose-regions",
        "write the region files that a person would draw",
        "Point sources (sources.reg), the cluster's peak (exclude.reg), the box around the emission\n"
        "(combined/master_crop-ciaowcs.reg) and a circle with a piece of every CCD for each observation.\n"
        "A file that a person has drawn is never replaced. A picture shows all of them.",
    ),
    _stage(
        "remove-sources",
        "stage 2: point sources and flares out",
        "Exclude sources.reg and cut flares out: by the 9-12 keV light curve, then by that of all energies\n"
        "outside exclude.reg. Good times of your own, <obsid>/<obsid>_gti.fits, are applied first.",
        fill="also an image with the holes filled, for the eye only",
    ),
    _stage(
        "generate-responses",
        "stage 3: ARF and RMF of every observation",
        "CIAO makes ARF and RMF, and the area of every pixel. Or they are supplied: arf_files and rmf_files\n"
        "of the configuration say where they are (default <obsid>/<obsid>.arf and .rmf, with chips of both\n"
        "kinds <obsid>-FI.arf, <obsid>-BI.arf and so on); every pixel then has the vignetting of a table.\n"
        "Their channels and energies are checked against the events.",
    ),
    _stage(
        "crop-data",
        "stage 4: crop, band and masks: the analysis bundle",
        "Put all observations on the grid of combined/master_crop-ciaowcs.reg, scale the background by its\n"
        "9.5-12 keV counts, and write the bundle that all later stages work on.",
    ),
)
