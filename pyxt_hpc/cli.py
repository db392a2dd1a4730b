"""The command line: parse, call one library function, print, exit with a documented code."""

import argparse
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyxt_hpc import __version__
from pyxt_hpc.config import (
    RESOLUTION_STEP,
    ClusterConfig,
    config_template,
    read_config,
    record_last_step,
)
from pyxt_hpc.errors import (
    EXIT_DONE,
    EXIT_TRY_AGAIN,
    ConfigError,
    DamagedFile,
    ForeignProduct,
    LaunchError,
    PyxtError,
)
from pyxt_hpc.files import replacing
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.groups import MANY_RANKS, MOST_GROUPS, RANKS_PER_GROUP, SMALLEST_GROUP, default_groups
from pyxt_hpc.parallel.world import World, detect_world

if TYPE_CHECKING:
    import numpy as np

    from pyxt_hpc.jobs.render import Job
    from pyxt_hpc.maps.fitted import FittedRegions
    from pyxt_hpc.maps.image import ClusterImage
    from pyxt_hpc.maps.product import MapProduct
    from pyxt_hpc.stages.status import StoreStatus
    from pyxt_hpc.steps import Step
    from pyxt_hpc.store import Status

WATCH_SECONDS = 2.0
MOST_REASONS = 20

# stage: module in preprocess, its function, number of the step
PREPROCESSING = {
    "process-data": ("process", "process_data", 1),
    "propose-regions": ("proposals", "propose_region_files", None),
    "remove-sources": ("remove", "remove_sources", 2),
    "generate-responses": ("responses", "generate_responses", 3),
    "crop-data": ("crop", "crop_data", 4),
}
STAGES = (*PREPROCESSING, "create-bins", "fit-spectra", "make-maps")
MAP_SETTINGS = ("hubble_constant", "matter_density", "abundance_error", "depth_model", "depth_kpc")
# what is said of each observation
OBSERVATION_COLUMNS: dict[str, dict[str, Callable[[dict], str]]] = {
    "process-data": {
        "date": lambda f: f["date"] or "-",
        "array": lambda f: f"ACIS-{f['array']}",
        "CCDs": lambda f: "".join(map(str, f["chips"])),
        "left out": lambda f: "".join(map(str, f["chips_left_out"])) or "-",
        "mode": lambda f: f["datamode"],
        "exposure [ks]": lambda f: f"{f['exposure_s'] / 1e3:.1f}",
        "events": lambda f: str(f["events"]),
        "of": lambda f: str(f["events_read"]),
        "background events": lambda f: str(f["background_events"]) if f["background_events"] else "a region",
        "aspect from": lambda f: f["aspect"],
    },
    "propose-regions": {},
    "remove-sources": {
        "exposure [ks]": lambda f: f"{f['exposure_s'] / 1e3:.1f}",
        "lost to flares": lambda f: f"{f['flare_fraction']:.1%}",
        "9-12 keV [count/s]": lambda f: f"{f['quiet_rate']:.4f} +- {f['quiet_sigma']:.4f}",
        "all energies [count/s]": lambda f: f"{f['full_rate']:.3f}",
        "events in sources": lambda f: str(f["in_sources"]),
        "left": lambda f: str(f["events"]),
    },
    "generate-responses": {
        "area at 1.5 keV [cm^2]": lambda f: f"{f['area_cm2']:.1f}",
        "channels": lambda f: str(f["channels"]),
        "energies": lambda f: str(f["energies"]),
    },
    "crop-data": {
        "exposure [ks]": lambda f: f"{f['exposure_s'] / 1e3:.1f}",
        "counts": lambda f: str(f["counts"]),
        "background scale": lambda f: f"{f['background_scale']:.4f} +- {f['background_scale_error']:.4f}",
        "live pixels": lambda f: str(f["live_pixels"]),
    },
}

# Everything heavy is imported by the command that needs it: `--help` and `init-cluster` stay quick.

EXIT_CODES = """\
exit codes:
  0   done
  1   a defect of pyxt-hpc; the traceback is worth a bug report
  2   the input, the configuration or the way of launching must be changed, or a full disk be
      cleared; one line says how
  75  interrupted, out of time, or another process writes the same results; everything finished
      is stored: run again with --continue
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    try:
        arguments.run(arguments)
    except PyxtError as error:
        print(f"pyxt-hpc: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("pyxt-hpc: interrupted: what is finished is stored", file=sys.stderr)
        return EXIT_TRY_AGAIN
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyxt-hpc",
        description="Temperature maps of galaxy clusters from Chandra ACIS observations.",
        epilog="A cluster is done by init-cluster and run, or stage by stage: process-data,\n"
        "propose-regions, remove-sources, generate-responses, crop-data, create-bins, fit-spectra,\n"
        "make-maps; `status` tells how far the fits are. `demo` does it on a simulated cluster.\n\n"
        + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pyxt_hpc {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, help_text: str, description: str, group: "argparse._SubParsersAction | None" = None
    ) -> argparse.ArgumentParser:
        made = (group or commands).add_parser(
            name.rpartition(" ")[2],
            help=help_text,
            description=description,
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(command=name, run=globals().get(f"_{name.replace('-', '_').replace(' ', '_')}"))
        return made

    def config_option(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "-c", "--config-file", dest="config", metavar="CONFIG", type=Path, required=True,
            help="the cluster's INI file, from init-cluster",
        )  # fmt: skip

    def cpus_option(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--num-cpus", type=int, metavar="N",
            help="processes on this machine (default: num_cpus of the configuration, 0 = all cores); "
            "leave it out under mpirun",
        )  # fmt: skip

    def resolution_option(made: argparse.ArgumentParser, default: int | None, what: str) -> None:
        made.add_argument(
            "--resolution", type=int, choices=sorted(RESOLUTION_STEP), default=default,
            help=f"1: every 5th pixel, 2: every 3rd, 3: every pixel; {what}",
        )  # fmt: skip

    def yes_option(made: argparse.ArgumentParser, what: str) -> None:
        made.add_argument("-y", "--yes", action="store_true", help=f"{what} without asking")

    made = command(
        "init-cluster",
        "write the configuration file of a new cluster",
        "Write NAME_cluster_config.ini in the working directory and make the cluster's folders.\n"
        "Fill in the keys that are empty: each says where its value is found.",
    )
    made.add_argument("name", metavar="NAME", help="the cluster's name, e.g. A1795")
    yes_option(made, "replace an existing file")

    def stage(name: str, help_text: str, description: str) -> argparse.ArgumentParser:
        made = command(
            name, help_text, description + "\nWhat is up to date is not done again. Serial: on a login node."
        )
        config_option(made)
        made.add_argument("--force", action="store_true", help="do also what is up to date")
        return made

    stage(
        "process-data",
        "stage 1: filter the observations, put them in one sky frame, merge images",
        "Needed in <data directory>/<name>/: <obsid>/primary/*evt2.fits* (level-2 events, from the archive)\n"
        "and <obsid>/<obsid>_background.fits (blank-sky events, from CIAO's blanksky or CALDB) or\n"
        "background.reg, a region without cluster. *fov1.fits* and *asol1.fits* are used where they are.\n"
        "Grades, status and good times are applied; chip outlines and dither are measured.",
    )
    stage(
        "propose-regions",
        "write the region files that a person would draw",
        "Point sources (sources.reg), the cluster's peak (exclude.reg), the box around the emission\n"
        "(combined/master_crop-ciaowcs.reg) and a circle with a piece of every CCD for each observation.\n"
        "A file that a person has drawn is never replaced. A picture shows all of them.",
    )
    made = stage(
        "remove-sources",
        "stage 2: point sources and flares out",
        "Exclude sources.reg and cut flares out: by the 9-12 keV light curve, then by that of all energies\n"
        "outside exclude.reg. Good times of your own, <obsid>/<obsid>_gti.fits, are applied first.",
    )
    made.add_argument(
        "--fill", action="store_true", help="also an image with the holes filled, for the eye only"
    )
    stage(
        "generate-responses",
        "stage 3: check ARF and RMF of every observation",
        "ARF and RMF are supplied: arf_files and rmf_files of the configuration say where they are (default\n"
        "<obsid>/<obsid>.arf and .rmf). Their channels and energies are checked against the events.",
    )
    stage(
        "crop-data",
        "stage 4: crop, band and masks: the analysis bundle",
        "Put all observations on the grid of combined/master_crop-ciaowcs.reg, scale the background by its\n"
        "9.5-12 keV counts, and write the bundle that all later stages work on.",
    )

    made = command(
        "run",
        "all stages in order, skipping what is up to date",
        "From event files to maps, hands free: process-data, propose-regions, remove-sources,\n"
        "generate-responses, crop-data, create-bins, fit-spectra, make-maps.\n"
        "Region files that you have drawn are used; the others are proposed.",
    )
    config_option(made)
    made.add_argument("--from", dest="first", choices=STAGES, default=STAGES[0], metavar="STAGE",
                      help=f"begin with this one of {', '.join(STAGES)}")  # fmt: skip
    made.add_argument("--through", dest="last", choices=STAGES, default=STAGES[-1], metavar="STAGE",
                      help="end after this one")  # fmt: skip
    cpus_option(made)
    resolution_option(made, 2, "default 2")
    yes_option(made, "replace fits of other data or settings")

    made = command(
        "create-bins",
        "stage 5: the smallest circle of the wanted S/N around every pixel",
        "Make the scale map. Also under mpirun: mpirun -n 4 pyxt-hpc create-bins -c CONFIG",
    )
    config_option(made)
    cpus_option(made)
    resolution_option(made, None, "tell how many regions it will fit (default: tell it for all three)")

    made = command(
        "fit-spectra",
        "stage 6: fit an absorbed APEC model in every region",
        "Fit temperature and norm with 68% intervals. Finished regions are stored as they come:\n"
        "after a crash, a kill or the end of a job, --continue does the rest.\n"
        "Also under mpirun: mpirun -n 4 pyxt-hpc fit-spectra -c CONFIG\n"
        "Thousands of ranks form groups, each with a master and a part store that is merged at the end.\n"
        "Also as a job array without MPI: task I of N runs it with --slice I/N, then merge-results.",
    )
    config_option(made)
    cpus_option(made)
    resolution_option(made, 2, "default 2")
    made.add_argument(
        "--continue", dest="resume", action="store_true", help="fit only what the results store lacks"
    )
    made.add_argument(
        "--time-limit", metavar="TIME",
        help="stop in time to end within TIME, in seconds or HH:MM:SS, with exit code 75 if regions are left",
    )  # fmt: skip
    made.add_argument(
        "--max-regions",
        type=int,
        metavar="N",
        help="fit at most N regions, with exit code 75 if some are left",
    )
    made.add_argument(
        "--slice", metavar="I/N", help="fit part I of N (from 1) into a store of its own, for merge-results"
    )
    made.add_argument(
        "--groups", type=int, metavar="G",
        help="under mpirun: groups of ranks, of which each has a master (default: 1 below "
        f"{MANY_RANKS} ranks, else one per {RANKS_PER_GROUP})",
    )  # fmt: skip
    made.add_argument(
        "--regions", metavar="LIST",
        help="only these, e.g. 1,2,5-9: numbers of the region index map; a spot check that is printed and "
        "leaves the store as it is",
    )  # fmt: skip
    made.add_argument(
        "--engine", choices=("fast", "sherpa"), default="fast",
        help="sherpa: Sherpa itself, for spot checks with --regions",
    )  # fmt: skip
    yes_option(made, "replace finished fits")

    made = command(
        "merge-results",
        "join what the tasks of a job array fitted",
        "Add the finished regions of every part that fit-spectra --slice I/N wrote to the results store.\n"
        "Parts that are missing are listed; `fit-spectra --continue` fits what they lack.",
    )
    config_option(made)

    made = command(
        "status",
        "how far the fits are, also while they run",
        "Regions by status, rate, time left, the last checkpoint and why regions have no fit.",
    )
    config_option(made)
    made.add_argument("--watch", action="store_true", help="again every 2 seconds, while a run writes")

    made = command("results", "export or verify the fits", "Export or verify what is in the results store.")
    group = made.add_subparsers(metavar="COMMAND", required=True)
    made = command(
        "results export",
        "as CSV files like ClusterPyXT's, or an ECSV table",
        "csv: <name>_best_, _worst_ and _all_spectral_fits.csv. Best has the done regions with a closed\n"
        "interval of kT, worst the other finished ones, all both; errors are offsets, the lower negative.\n"
        "ecsv: one table of every column with units and meanings.",
        group,
    )
    config_option(made)
    made.add_argument("--format", choices=("csv", "ecsv"), default="csv", help="default csv")
    made.add_argument("--output", type=Path, metavar="DIR", help="default: the cluster's folder acb/")
    made = command(
        "results verify",
        "recompute the checksum of every row",
        "Check every row of the results store and of the part stores; exit code 2 if any is damaged.",
        group,
    )
    config_option(made)

    def map_options(made: argparse.ArgumentParser) -> None:
        config_option(made)
        resolution_option(made, None, "default: the one that was fitted")
        how = made.add_mutually_exclusive_group()
        how.add_argument(
            "--paint", choices=("block", "interpolate"), default="block",
            help="block: every pixel the value of its block's region; interpolate: between regions, "
            "weighted by the area that circles share (default block)",
        )  # fmt: skip
        how.add_argument(
            "--average", action="store_true",
            help="every pixel the error-weighted mean of all circles that hold it",
        )  # fmt: skip

    made = command(
        "fit-region",
        "fit one region and draw its spectrum",
        "Fit one region as fit-spectra does and draw spectrum, model, background and residuals in\n"
        "main_output/. Region numbers are the values of acb/<name>_scale_map_region_index.fits.",
    )
    config_option(made)
    made.add_argument("region", metavar="REGION", help="its number")

    made = command(
        "fit-spectrum",
        "fit OGIP spectra (.pi files) with the same engine",
        "Fit one absorbed APEC model to a spectrum, or to several jointly, and draw it beside the first.\n"
        "BACKFILE, RESPFILE, ANCRFILE, GROUPING and QUALITY of the files are honoured.",
    )
    made.add_argument("spectra", metavar="SRC.pi", nargs="+", type=Path, help="spectra with source")
    made.add_argument("--redshift", type=float, metavar="Z", required=True, help="of the source")
    made.add_argument(
        "--nH", type=float, metavar="NH", required=True, help="absorbing column in 1e22 cm^-2, e.g. 0.0348"
    )
    made.add_argument(
        "--abundance", type=float, default=0.3, metavar="A", help="in solar units (default 0.3)"
    )
    made.add_argument("--kT", nargs=2, type=float, metavar=("MIN", "MAX"), help="search kT from ... to [keV]")
    made.add_argument("--free-abundance", action="store_true", help="fit the abundance, between 0 and 5")
    made.add_argument("--free-nH", action="store_true", help="fit nH, between 0 and 1")
    made.add_argument("--energy", nargs=2, type=float, metavar=("MIN", "MAX"), default=(0.7, 8.0),
                      help="band in keV (default 0.7 8)")  # fmt: skip
    made.add_argument("--statistic", choices=("wstat", "cstat", "chi2gehrels"),
                      help="default wstat, cstat for spectra without background")  # fmt: skip
    made.add_argument("--absorption", choices=("phabs", "tbabs"), default="phabs")
    made.add_argument("--abundance-table", default="angr", help="XSPEC's name (default angr)")
    made.add_argument("--grouping", choices=("file", "resolution", "none"),
                      help="bins of the file, by the resolution and the background's counts, or channels "
                      "(default: the file's, where it has them)")  # fmt: skip
    for name, what in (("background", "BACKFILE"), ("arf", "ANCRFILE"), ("rmf", "RESPFILE")):
        made.add_argument(f"--{name}", metavar="FILE", help=f"instead of {what}; 'none': do without")
    made.add_argument("--engine", choices=("fast", "sherpa"), default="fast")
    made.add_argument("--output", type=Path, metavar="PNG", help="the picture (default: beside the spectrum)")

    made = command(
        "compare-engines",
        "fit a sample of regions with Sherpa too, and draw the differences",
        "Fit a random sample of regions with the fast engine and with Sherpa and draw the differences in\n"
        "units of sigma. Takes about a second a region.",
    )
    config_option(made)
    resolution_option(made, 2, "default 2")
    made.add_argument("--sample", type=int, default=40, metavar="N", help="regions (default 40)")

    made = command(
        "make-job",
        "write a job script for SLURM or PBS",
        "Write a script that runs stages 5 and 6, stops in time, runs again until all is done, and keeps a\n"
        "log per attempt. What is not given here comes from [hpc] of the configuration, then from the\n"
        "profile of the site, by name or file.",
    )
    config_option(made)
    _job_options(made)

    made = command(
        "submit",
        "write a job script and submit it",
        "As make-job; then sbatch or qsub. The job's id is printed and kept in <name>/logs/jobs.tsv.",
    )
    config_option(made)
    _job_options(made)

    made = command(
        "estimate",
        "time and memory that the fits need on a supercomputer",
        "Fit a sample of the regions on this machine and reckon from it, step by step.",
    )
    config_option(made)
    resolution_option(made, 2, "default 2")
    made.add_argument("--site", metavar="NAME", help="profile of a centre: its nodes and ranks")
    made.add_argument("--nodes", metavar="N", help="nodes (default: of [hpc] or the site)")
    made.add_argument("--ranks-per-node", metavar="R", help="MPI ranks on each")
    made.add_argument("--sample", type=int, default=300, metavar="N", help="regions to fit (300)")

    made = command(
        "pack",
        "one file to copy to another machine",
        "Write configuration, bundle and scale map into one file: all that create-bins and fit-spectra need.",
    )
    config_option(made)
    made.add_argument("--output", type=Path, metavar="F", help="default: ./<name>_packed.tar")

    made = command(
        "unpack",
        "put what pack wrote below a folder",
        "Unpack, check, and write the job script if [hpc] of the configuration or --site says for what.",
    )
    made.add_argument("archive", metavar="FILE", type=Path, help="from pack")
    made.add_argument("--directory", type=Path, default=Path("."), help="default: the working directory")
    _job_options(made)

    made = command(
        "pull-results",
        "merge results from another machine",
        "Take scale map and results from a copy of the folder acb/ of another machine; results that are\n"
        "here already get what they lack.",
    )
    config_option(made)
    made.add_argument("folder", metavar="FOLDER", type=Path, help="copy of the other machine's acb/")

    made = command(
        "make-temperature-map",
        "stage 7: maps of the temperature as FITS files and pictures",
        "Paint the fitted regions: temperature and norm with their errors, counts and radii, in\n"
        "main_output/. Where there is no fit the maps are blank (NaN), never 0.",
    )
    map_options(made)

    made = command(
        "make-pressure-map",
        "stage 7: maps of density and pressure",
        "Pseudo-pressure kT (norm/area)^(1/2), electron density and pressure n_e kT with their errors.\n"
        "Densities need the depth of the gas along the line of sight: depth_model and depth_kpc in [maps].",
    )
    map_options(made)

    made = command(
        "make-entropy-map",
        "stage 7: maps of entropy and cooling time",
        "Pseudo-entropy kT (norm/area)^(-1/3), entropy kT n_e^(-2/3) and cooling time with their errors.\n"
        "Densities need the depth of the gas along the line of sight: depth_model and depth_kpc in [maps].",
    )
    map_options(made)

    made = command(
        "make-maps",
        "stage 7: maps of everything that was fitted, with errors",
        "Every fitted parameter with lower and upper errors, and what describes the fits: statistic,\n"
        "goodness, counts, S/N, radius, number of observations, exposure, flags.",
    )
    map_options(made)
    made.add_argument(
        "--all", action="store_true",
        help="also surface brightness with its gradients and residuals, density, pressure, entropy and "
        "cooling time",
    )  # fmt: skip

    made = command(
        "make-gradient-map",
        "edges in the surface brightness: its gradient on several scales",
        "Gaussian gradient magnitude of the exposure-corrected, background-subtracted surface brightness,\n"
        "also over the brightness, and its significance. Needs no fits, only process-data.",
    )
    config_option(made)

    made = command(
        "make-residual-map",
        "surface brightness less a smooth cluster",
        "Residual of the surface brightness from the best elliptical beta-model and from the average over\n"
        "its ellipses: ratio, error, and in sigma. Needs no fits, only process-data.",
    )
    config_option(made)

    made = command(
        "find-shocks",
        "stage 7: shock fronts from jumps of temperature and density",
        "Compare the circles on both sides of every pixel, in all directions. Where brightness and\n"
        "temperature jump the same way: maps of Mach number and direction, a table of candidate fronts,\n"
        "DS9 regions and a histogram.",
    )
    config_option(made)
    resolution_option(made, None, "default: the one that was fitted")

    made = command(
        "demo",
        "the whole job on a simulated cluster, in minutes",
        "Simulate a cluster observed twice with ACIS-I, run every command on it, and compare the\n"
        "temperature map with the truth.",
    )
    made.add_argument(
        "--directory", type=Path, default=Path("pyxt-demo"), help="where to work (default: ./pyxt-demo)"
    )
    made.add_argument(
        "--ranks", type=int, metavar="N",
        help="MPI ranks for stages 5 and 6, one of them the master; 0: processes instead "
        "(default: cores + 1 where MPI is installed)",
    )  # fmt: skip
    return parser


def _job_options(made: argparse.ArgumentParser) -> None:
    """Options of the batch system, named as the keys of ``[hpc]``, and what the job is to do."""
    made.add_argument("--site", metavar="NAME", help="profile of a centre: a shipped one or your own file")
    made.add_argument("--scheduler", choices=("slurm", "pbs"), help="batch system, if no site says it")
    made.add_argument("--nodes", metavar="N", help="nodes (1)")
    made.add_argument("--ranks-per-node", metavar="R", help="MPI ranks on each; one of all is the master")
    made.add_argument("--time", metavar="HH:MM:SS", help="limit of one attempt")
    made.add_argument("--partition", "--queue", metavar="NAME", help="SLURM's partition, PBS's queue")
    made.add_argument("--account", metavar="NAME", help="who pays")
    made.add_argument("--memory", metavar="M", help="per node, e.g. 64G")
    made.add_argument("--module", dest="modules", action="append", metavar="NAME", help="load it; repeatable")
    made.add_argument("--venv", metavar="PATH", help="virtual environment (default: the one in use)")
    made.add_argument("--launcher", metavar="COMMAND", help="e.g. 'srun --mpi=pmi2' or mpirun")
    made.add_argument("--mail", metavar="ADDRESS", help="tell it the end")
    made.add_argument("--warning", metavar="SECONDS", help="stop so long before the limit (120)")
    made.add_argument("--max-requeues", metavar="N", help="run again at most so often (20)")
    made.add_argument(
        "--directive", dest="directives", action="append", metavar="OPTION",
        help="one more option of the batch system, as --directive=--qos=debug; repeatable",
    )  # fmt: skip
    made.add_argument("--stages", choices=("5", "6", "5,6"), help="default 5,6; of a job array 6")
    made.add_argument(
        "--resolution", type=int, choices=sorted(RESOLUTION_STEP), default=2, help="of the fits; default 2"
    )
    made.add_argument(
        "--array", type=int, default=0, metavar="N",
        help="job array of N tasks without MPI; merge-results after it",
    )  # fmt: skip
    made.add_argument("--output", type=Path, metavar="F", help="script (default: <name>/<name>_job.sh)")


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough; the work goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        _say("  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True)))


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} There is nobody to ask: add --yes to agree")
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise ConfigError("not agreed: nothing was changed")


def _serial(command: str) -> None:
    if detect_world().size > 1:
        raise LaunchError(f"{command} is serial: run it without mpirun, e.g. on the login node")


def _workers(requested: int | None, config: ClusterConfig, world: World) -> int:
    if world.size > 1:
        if requested is not None:
            raise LaunchError(f"--num-cpus {requested} under {world.size} MPI ranks: use one or the other")
        return world.size - 1
    if requested is None:
        requested = config.num_cpus if config.parallel_processing else 1
    if requested < 0:
        raise LaunchError(f"--num-cpus is {requested}, expected 0 (all cores) or more")
    return requested or len(os.sched_getaffinity(0))


def _init_cluster(arguments: argparse.Namespace) -> None:
    _serial("init-cluster")
    path = Path(f"{arguments.name}_cluster_config.ini")
    text = config_template(arguments.name)
    if path.exists():
        _confirm(f"{path} exists. Replace it?", arguments.yes)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    layout = Layout(Path(arguments.name), arguments.name)
    for folder in (layout.combined, layout.acb, layout.main_output):
        folder.mkdir(parents=True, exist_ok=True)
    _say(f"{path}: fill in what is empty, put the observations in {layout.cluster_dir}/<obsid>/,")
    _say(f"then: pyxt-hpc run -c {path}")


def _process_data(arguments: argparse.Namespace) -> None:
    _serial("process-data")
    _preprocess(read_config(arguments.config), "process-data", arguments.force)


def _propose_regions(arguments: argparse.Namespace) -> None:
    _serial("propose-regions")
    _preprocess(read_config(arguments.config), "propose-regions", arguments.force)


def _remove_sources(arguments: argparse.Namespace) -> None:
    _serial("remove-sources")
    _preprocess(read_config(arguments.config), "remove-sources", arguments.force, fill=arguments.fill)


def _generate_responses(arguments: argparse.Namespace) -> None:
    _serial("generate-responses")
    _preprocess(read_config(arguments.config), "generate-responses", arguments.force)


def _crop_data(arguments: argparse.Namespace) -> None:
    _serial("crop-data")
    _preprocess(read_config(arguments.config), "crop-data", arguments.force)


def _preprocess(config: ClusterConfig, stage: str, again: bool, *, fill: bool = False) -> None:
    """Do one of the serial stages, say what it found, and note it in the configuration."""
    module, function, number = PREPROCESSING[stage]
    do = getattr(importlib.import_module(f"pyxt_hpc.preprocess.{module}"), function)
    outcome = do(config, Layout.of(config), again=again, **({"fill": fill} if fill else {}))
    columns = OBSERVATION_COLUMNS[stage]
    if columns:
        _table(
            ("ObsID", *columns),
            [
                (obsid, *(show(facts) for show in columns.values()))
                for obsid, facts in outcome.observations.items()
            ],
        )
    for line in outcome.facts.get("files", ()):
        _say(line)
    if not outcome.made:
        _say(f"{stage}: up to date (--force does it again)")
    if number:
        record_last_step(config, number if outcome.made else max(number, config.last_step_completed))


def _run(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.steps import Step

    _serial("run")
    first, last = STAGES.index(arguments.first), STAGES.index(arguments.last)
    if first > last:
        raise ConfigError(f"--from {arguments.first} comes after --through {arguments.last}")
    for stage in STAGES[first : last + 1]:
        _say(f"== {stage}")
        # read anew: last_step_completed may have changed
        config = read_config(arguments.config)
        layout = Layout.of(config)
        if stage in PREPROCESSING:
            _preprocess(config, stage, again=False)
        elif stage == "create-bins":
            maps = (layout.scale_map, layout.signal_to_noise_map, layout.region_index_map)
            settings = {"signal_to_noise": config.signal_to_noise}
            step = Step(stage, layout.step_record(stage), (layout.bundle,), settings, maps)
            _if_outdated(config, step, 5, lambda: _create_bins(arguments))
        elif stage == "fit-spectra":
            _fit_what_is_missing(arguments, config)
        else:
            settings = {key: getattr(config, key) for key in MAP_SETTINGS} | {
                "fits": _fits_fingerprint(layout)
            }
            inputs = (layout.bundle, layout.scale_map)
            step = Step(stage, layout.step_record(stage), inputs, settings, (layout.map("temperature"),))
            arguments.all, arguments.average, arguments.paint, arguments.command = True, False, "block", "run"
            _if_outdated(config, step, 7, lambda: _make_maps(arguments))


def _if_outdated(config: ClusterConfig, step: "Step", number: int, make: Callable[[], None]) -> None:
    from pyxt_hpc.steps import carry_out

    def do() -> dict:
        make()
        return {}

    if carry_out(step, do).reason is None:
        _say(f"{step.name}: up to date")
        record_last_step(config, max(number, config.last_step_completed))


def _fits_fingerprint(layout: Layout) -> str:
    """Of what is in the results store: the file itself changes whenever it is opened to go on."""
    from pyxt_hpc.provenance import fingerprint
    from pyxt_hpc.store import read_results

    results = read_results(layout.results)
    return fingerprint({"rows": results.rows, "status": results.status})


def _fit_what_is_missing(arguments: argparse.Namespace, config: ClusterConfig) -> None:
    """Fit what the store lacks; a store of other data or settings is replaced only if that is agreed."""
    arguments.regions = arguments.slice = arguments.time_limit = arguments.max_regions = None
    arguments.groups, arguments.engine, arguments.resume = None, "fast", True
    try:
        _fit_spectra(arguments)
    except ForeignProduct as error:
        if not arguments.yes:
            raise ForeignProduct(f"{error}; `run --yes` fits anew") from None
        arguments.resume = False
        _fit_spectra(arguments)


def _create_bins(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.binning import create_bins

    world = detect_world()
    config = world.from_master(lambda: read_config(arguments.config))
    summary = create_bins(config, world, _workers(arguments.num_cpus, config, world))
    if summary is None:
        return
    record_last_step(config, 5)
    _say(
        f"{summary.circles} of {summary.live_pixels} live pixels reach S/N {config.signal_to_noise:g}; "
        f"median radius {summary.median_radius:.1f} pixels; {summary.seconds:.1f} s"
    )
    for resolution, regions in summary.regions.items():
        if arguments.resolution in (None, resolution):
            _say(f"resolution {resolution}: {regions} regions to fit")


def _fit_spectra(arguments: argparse.Namespace) -> None:
    if arguments.regions is not None:
        _check_regions(arguments)
        return
    if arguments.engine != "fast":
        raise ConfigError(
            "--engine sherpa takes about a second a region and keeps no store: say which with --regions, "
            "or use compare-engines"
        )
    from pyxt_hpc.stages.fitting import fit_spectra

    world = detect_world()
    part, time_limit, max_regions = world.from_master(lambda: _part_and_limits(arguments))
    n_groups = world.from_master(lambda: _groups(arguments, world))
    config = world.from_master(lambda: read_config(arguments.config))
    n_workers = _workers(arguments.num_cpus, config, world)
    layout = Layout.of(config)
    replaced = [layout.part_results(*part)] if part else [layout.results, *layout.all_part_results()]
    if not arguments.resume:
        world.on_master(lambda: _agree_to_replace(replaced, arguments.yes))
    if n_groups > 1:
        from pyxt_hpc.stages.group_fitting import fit_in_groups

        summary = fit_in_groups(
            config,
            world,
            n_groups,
            resolution=arguments.resolution,
            resume=arguments.resume,
            time_limit=time_limit,
            max_regions=max_regions,
        )
    else:
        summary = fit_spectra(
            config,
            world,
            n_workers,
            resolution=arguments.resolution,
            resume=arguments.resume,
            part=part,
            time_limit=time_limit,
            max_regions=max_regions,
        )
    if summary is None:
        return
    if part is None:
        record_last_step(config, 6)  # tasks of a job array would write the file all at once
    if summary.resumed:
        _say(f"{summary.resumed} regions were there already")
    _say(
        f"{summary.done} of {summary.regions} regions fitted, {summary.bad} bad, "
        f"{summary.quarantined} in quarantine; "
        f"{summary.median_counts:.0f} counts a region (median); {summary.seconds:.1f} s"
    )


def _check_regions(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.spot_check import check_regions, region_numbers

    _serial("fit-spectra --regions")
    numbers = region_numbers(arguments.regions)
    config = read_config(arguments.config)
    if arguments.engine == "sherpa":
        from pyxt_hpc.spectra.sherpa_engine import which_model

        _say(f"Sherpa's model: {which_model()}")
    _say_fits([str(number) for number in numbers], check_regions(config, numbers, arguments.engine))


def _say_fits(names: Sequence[str], rows: "np.ndarray") -> None:
    """A line a fit: values with the sides of their 68% intervals."""
    import numpy as np

    from pyxt_hpc.spectra.fit import FitFlag

    free = [
        name for name in ("kT", "norm", "abundance", "nH")
        if name in ("kT", "norm") or np.isfinite([rows[f"{name}_lo"], rows[f"{name}_hi"]]).any()
    ]  # fmt: skip
    units = {"kT": " [keV]", "nH": " [1e22]"}

    def value(row: "np.void", name: str) -> str:
        sides = (row[f"{name}_lo"] - row[name], row[f"{name}_hi"] - row[name])
        return f"{row[name]:.4g} " + " ".join(f"{s:+.2g}" if np.isfinite(s) else "open" for s in sides)

    score = "goodness" in (rows.dtype.names or ())
    _table(
        ("region", *(f"{name}{units.get(name, '')}" for name in free), "statistic", "dof",
         *(["goodness"] if score else []), "flags"),
        [
            (
                name,
                *(value(row, parameter) for parameter in free),
                f"{row['statistic']:.2f}",
                str(row["dof"]),
                *([f"{row['goodness']:+.2f}" if np.isfinite(row["goodness"]) else "-"] if score else []),
                ", ".join(flag.name or "" for flag in FitFlag(int(row["flags"]))) or "-",
            )
            for name, row in zip(names, rows, strict=True)
        ],
    )  # fmt: skip


def _fit_region(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.report.spectra import draw_spectrum
    from pyxt_hpc.stages.spot_check import look_at_region, region_numbers

    _serial("fit-region")
    numbers = region_numbers(arguments.region)
    if len(numbers) != 1:
        raise ConfigError(f"fit-region draws one region, found {arguments.region}: see fit-spectra --regions")
    number = int(numbers[0])
    config = read_config(arguments.config)
    look = look_at_region(config, number)
    _say_fits([str(number)], look.row[None])
    path = Layout.of(config).region_picture(number)
    draw_spectrum(path, look.fit, f"Region {number} of {config.name}")
    _say(f"{path}")


def _fit_spectrum(arguments: argparse.Namespace) -> None:
    import numpy as np

    from pyxt_hpc.chandra.pha import read_pha
    from pyxt_hpc.report.spectra import draw_spectrum
    from pyxt_hpc.spectra.fit import FitOptions
    from pyxt_hpc.spectra.ogip import load_spectrum
    from pyxt_hpc.spectra.single import default_statistic, fit_spectra, merge_bins

    _serial("fit-spectrum")
    low, high = arguments.energy
    spectra = [
        load_spectrum(
            path, energy_min=low, energy_max=high, background=arguments.background, arf=arguments.arf,
            rmf=arguments.rmf, grouping=arguments.grouping,
        )
        for path in arguments.spectra
    ]  # fmt: skip
    options = FitOptions(
        statistic=arguments.statistic or default_statistic(spectra),
        abundance=arguments.abundance,
        abundance_bounds=(0.0, 5.0) if arguments.free_abundance else None,
        nH_bounds=(0.0, 1.0) if arguments.free_nH else None,
        kT_bounds=tuple(arguments.kT) if arguments.kT else None,
    )
    model = {
        "redshift": arguments.redshift,
        "nH": arguments.nH,
        "absorption": arguments.absorption,
        "abundance_table": arguments.abundance_table,
    }
    by_resolution = arguments.grouping == "resolution" or (
        arguments.grouping is None and all(read_pha(path).grouping is None for path in arguments.spectra)
    )
    if by_resolution and options.statistic == "wstat":
        spectra = merge_bins(spectra, **model, options=options)
    names = " + ".join(path.name for path in arguments.spectra)
    if arguments.engine == "sherpa":
        from pyxt_hpc.spectra.sherpa_engine import fit_with_sherpa, which_model

        _say(f"Sherpa's model: {which_model()}")
        _say_fits([names], np.atleast_1d(fit_with_sherpa(spectra, **model, options=options)))
        return
    fit = fit_spectra(spectra, **model, options=options)
    _say(f"{options.statistic}, {sum(s.n_bin for s in spectra)} bins in {low:g}-{high:g} keV, "
         f"goodness {fit.goodness:+.2f}")  # fmt: skip
    _say_fits([names], np.atleast_1d(fit.row))
    path = arguments.output or arguments.spectra[0].with_suffix(".png")
    draw_spectrum(path, fit, names)
    _say(f"{path}")


def _compare_engines(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.report.comparison import draw_comparison
    from pyxt_hpc.stages.comparison import compare_engines, write_comparison

    _serial("compare-engines")
    config = read_config(arguments.config)
    if arguments.sample < 1:
        raise ConfigError(f"--sample is {arguments.sample}, expected 1 or more")
    comparison = compare_engines(config, resolution=arguments.resolution, sample=arguments.sample)
    picture = Layout.of(config).engine_comparison
    draw_comparison(picture, comparison)
    write_comparison(picture.with_suffix(".ecsv"), comparison)
    _say(f"Sherpa's model: {comparison.model}")
    _say(
        f"{comparison.usable.sum()} of {len(comparison.regions)} regions fitted by both, "
        f"{comparison.same_minimum.sum()} in the same minimum, {comparison.noticeable.sum()} worth a look"
    )
    _table(
        ("", "median", "worst"),
        [(what, f"{median:.2g}", f"{worst:.2g}") for what, median, worst in comparison.summary()],
    )
    _say(
        f"seconds a region: fast {comparison.fast_seconds:.2g}, Sherpa {comparison.sherpa_seconds:.2g}: "
        f"{comparison.sherpa_seconds / comparison.fast_seconds:.0f} times as long"
    )
    _say(f"{picture}  and .ecsv")


def _part_and_limits(
    arguments: argparse.Namespace,
) -> tuple[tuple[int, int] | None, float | None, int | None]:
    from pyxt_hpc.parallel.limits import parse_time_limit

    part = None if arguments.slice is None else _slice(arguments.slice)
    time_limit = None if arguments.time_limit is None else parse_time_limit(arguments.time_limit)
    if arguments.max_regions is not None and arguments.max_regions < 1:
        raise ConfigError(f"--max-regions is {arguments.max_regions}, expected 1 or more")
    return part, time_limit, arguments.max_regions


def _slice(text: str) -> tuple[int, int]:
    part, _, n_parts = text.partition("/")
    if part.isdecimal() and n_parts.isdecimal() and 1 <= int(part) <= int(n_parts) <= 9999:
        return int(part), int(n_parts)
    raise ConfigError(f"--slice {text}: expected I/N with 1 <= I <= N <= 9999, e.g. 3/16")


def _groups(arguments: argparse.Namespace, world: World) -> int:
    if arguments.groups is None:
        return default_groups(world.size) if arguments.slice is None else 1
    most = min(max(world.size // SMALLEST_GROUP, 1), MOST_GROUPS)
    if not 1 <= arguments.groups <= most:
        raise ConfigError(
            f"--groups {arguments.groups}: {world.size} MPI ranks form 1 to {most} groups, as each needs "
            "a master and a worker"
        )
    if arguments.groups > 1 and arguments.slice is not None:
        raise ConfigError("--groups and --slice exclude each other: both divide the regions")
    return int(arguments.groups)


def _agree_to_replace(stores: Sequence[Path], yes: bool) -> None:
    """Ask before finished fits are thrown away."""
    from pyxt_hpc.store import is_final, open_to_read

    if yes:
        return
    finished = 0
    for path in stores:
        if path.exists():
            with open_to_read(path) as file:
                finished += int(is_final(file.read("status")).sum())
    if finished:
        results = stores[0] if len(stores) == 1 else f"{stores[0]} with its parts"
        _confirm(f"{results} holds {finished} fitted regions. Fit them anew (--continue keeps them)?", yes)


def _merge_results(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.merge import merge_results

    _serial("merge-results")
    config = read_config(arguments.config)
    summary = merge_results(config)
    for part in summary.parts:
        writer = f", {part.writer} is writing it" if part.writer else ""
        _say(f"{part.path.name}: {part.finished} of {part.regions} regions finished{writer}")
    for path in summary.missing:
        _say(f"{path.name}: missing")
    _say(f"{summary.results}: {summary.finished} of {summary.regions} regions finished, {summary.added} new")
    if summary.finished == summary.regions:
        record_last_step(config, 6)
    else:
        _say(
            f"{summary.regions - summary.finished} left: run the parts with --continue and merge again, or: "
            f"pyxt-hpc fit-spectra -c {config.path} --resolution {summary.resolution} --continue"
        )


def _status(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.status import read_statuses

    layout = Layout.of(read_config(arguments.config))
    while True:
        statuses = read_statuses(layout)
        if arguments.watch and sys.stdout.isatty():
            _say("\x1b[H\x1b[J" + time.strftime("%H:%M:%S"))
        for status in statuses:
            _say_status(status)
        if not arguments.watch or not any(status.writer for status in statuses):
            return
        time.sleep(WATCH_SECONDS)


def _say_status(status: "StoreStatus") -> None:
    share = status.finished / status.total
    _say(f"{status.path}: {status.finished} of {status.total} regions finished ({share:.1%})")
    _say(f"  {_counts(status.counts)}")
    _say(f"  being written by {status.writer}" if status.writer else "  no process is writing it")
    if status.rate is not None:
        left = "" if status.seconds_left is None else f", {_duration(status.seconds_left)} left"
        _say(f"  {status.rate:.{0 if status.rate >= 10 else 2}f} regions/s{left}")
    if status.checkpoint is not None:
        ago = _duration(max(time.time() - status.checkpoint, 0.0))
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.checkpoint))
        _say(f"  last checkpoint {when}, {ago} ago")
    for reason in status.reasons[:MOST_REASONS]:
        regions = ", ".join(map(str, reason.regions)) + (" ..." * (reason.n_regions > len(reason.regions)))
        _say(f"  {reason.n_regions} {reason.status.name.lower()} ({reason.text}): regions {regions}")
    if len(status.reasons) > MOST_REASONS:
        _say(
            f"  {len(status.reasons) - MOST_REASONS} more reasons: all are in `results export --format ecsv`"
        )


def _counts(counts: "Mapping[Status, int]") -> str:
    return ", ".join(f"{n} {status.name.lower().replace('_', ' ')}" for status, n in counts.items() if n)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}" if minutes else f"{rest} s"
    )


def _results_export(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.export import export_fits

    _serial("results export")
    for path in export_fits(read_config(arguments.config), arguments.format, arguments.output):
        _say(str(path))


def _results_verify(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.status import verify

    problems = []
    for check in verify(Layout.of(read_config(arguments.config))):
        verdict = check.problem or "every finished row matches its checksum"
        _say(f"{check.path}: {verdict} ({_counts(check.counts)})")
        if check.problem:
            problems.append(f"{check.path}: {check.problem}")
    if problems:
        raise DamagedFile(
            f"{'; '.join(problems)}: `pyxt-hpc fit-spectra --continue` fits these regions again"
        )


def _job(arguments: argparse.Namespace) -> "Job":
    from dataclasses import fields

    from pyxt_hpc.batch import BatchSettings
    from pyxt_hpc.jobs.render import Job
    from pyxt_hpc.jobs.sites import settings_for

    config = read_config(arguments.config)
    layout = Layout.of(config)
    given = {f.name: getattr(arguments, f.name, None) for f in fields(BatchSettings)}
    given["modules"] = ",".join(arguments.modules) if arguments.modules else None
    given["venv"] = arguments.venv and os.path.abspath(os.path.expanduser(arguments.venv))
    given["directives"] = "\n".join(arguments.directives) if arguments.directives else None
    stages = arguments.stages or ("6" if arguments.array else "5,6")
    return Job(
        name=config.name,
        config=config.path.resolve(),
        script=(arguments.output or layout.job_script).resolve(),
        log_dir=layout.logs.resolve(),
        settings=settings_for(str(config.path), dict(config.hpc), given, arguments.site),
        stages=tuple(map(int, stages.split(","))),
        resolution=arguments.resolution,
        n_tasks=arguments.array,
    )


def _make_job(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.jobs.submit import COMMANDS, write_script

    _serial("make-job")
    job = _job(arguments)
    write_script(job)
    _say(f"{job.script}: submit it with {COMMANDS[job.settings.scheduler][0]}; logs go to {job.log_dir}")


def _submit(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.jobs.submit import submit

    _serial("submit")
    job = _job(arguments)
    _say(f"job {submit(job, Layout.of(read_config(arguments.config)).jobs_record)}: logs go to {job.log_dir}")
    if job.n_tasks:
        _say(f"when all tasks have ended: pyxt-hpc merge-results -c {arguments.config}")


def _estimate(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.jobs.sites import settings_for
    from pyxt_hpc.stages.estimate import MEMORY_MARGIN, START_SECONDS, TIME_MARGIN, estimate_fits

    _serial("estimate")
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
    megabytes = [f"{n / 2**20:.0f}" for n in (found.shared_bytes, found.master_bytes, found.rank_bytes)]
    seconds, workers = found.seconds_per_region, found.workers
    _say(f"{found.regions} regions at resolution {found.resolution}")
    _say(f"{1e3 * seconds:.3g} ms a region on one core of this machine, measured on {found.sampled} of them")
    _say(f"{found.nodes} nodes x {found.ranks_per_node} ranks: {workers} fit")
    _say(f"time: {found.regions} x {seconds:.3g} s / {workers} = {found.fit_seconds:.0f} s;")
    _say(f"  x {TIME_MARGIN:g} for slower cores, + {START_SECONDS:.0f} s to start, in whole 5 minutes")
    _say(
        f"memory of a node: {megabytes[0]} MB shared + {megabytes[1]} MB bundle (master) "
        f"+ {found.ranks_per_node} ranks x {megabytes[2]} MB, x {MEMORY_MARGIN:g}"
    )
    hours, minutes = divmod(found.time_seconds // 60, 60)
    _say(f"so ask for: --time {hours:02d}:{minutes:02d}:00 --memory {found.memory_gigabytes}G")


def _pack(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.travel import pack

    _serial("pack")
    config = read_config(arguments.config)
    output = arguments.output or Path(f"{config.name}_packed.tar")
    for name in pack(config, output):
        _say(f"  {name}")
    _say(
        f"{output}: {output.stat().st_size / 1e6:.1f} MB; on the other machine: pyxt-hpc unpack {output.name}"
    )


def _unpack(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.travel import unpack

    _serial("unpack")
    config = unpack(arguments.archive, arguments.directory)
    _say(f"{config.path}: unpacked, the bundle is whole")
    if arguments.site or arguments.scheduler or {"site", "scheduler"} & dict(config.hpc).keys():
        arguments.config = config.path
        _make_job(arguments)
    else:
        _say(f"job script: pyxt-hpc make-job -c {config.path} --site NAME")


def _pull_results(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.stages.travel import pull_results

    _serial("pull-results")
    pulled = pull_results(read_config(arguments.config), arguments.folder)
    for path in pulled.copied:
        _say(f"{path}: copied")
    _say(f"{pulled.added} regions added to results that were here")


def _make_temperature_map(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.maps.commands import make_temperature_maps

    _make(arguments, make_temperature_maps)


def _make_pressure_map(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.maps.commands import make_pressure_maps

    _make(arguments, make_pressure_maps)


def _make_entropy_map(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.maps.commands import make_entropy_maps

    _make(arguments, make_entropy_maps)


def _make_maps(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.maps.commands import make_all_maps, make_fit_maps

    _make(arguments, make_all_maps if arguments.all else make_fit_maps)


def _make_gradient_map(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.maps.commands import make_gradient_maps

    _make_from_image(arguments, make_gradient_maps)


def _make_residual_map(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.maps.commands import make_residual_maps

    _make_from_image(arguments, make_residual_maps)


def _make_from_image(
    arguments: argparse.Namespace, make: "Callable[[ClusterImage], Iterator[MapProduct]]"
) -> None:
    from pyxt_hpc.maps.image import read_cluster_image
    from pyxt_hpc.report.all_forms import draw_products

    _serial(arguments.command)
    image = read_cluster_image(read_config(arguments.config))
    _say_made(draw_products(image, make(image)))


def _make(
    arguments: argparse.Namespace, make: "Callable[[FittedRegions, str], Iterator[MapProduct]]"
) -> None:
    from pyxt_hpc.maps.fitted import read_fitted_regions
    from pyxt_hpc.report.all_forms import draw_products

    _serial(arguments.command)
    config = read_config(arguments.config)
    regions = read_fitted_regions(config, arguments.resolution)
    _say(f"{len(regions.rows)} regions painted, {regions.bad} bad, {regions.pending} not yet fitted")
    mode = "average" if arguments.average else arguments.paint
    _say_made(draw_products(regions, make(regions, mode)))
    record_last_step(config, 7)


def _say_made(products: "Iterator[tuple[MapProduct, list[Path]]]") -> None:
    for product, others in products:
        forms = ", ".join(path.suffix for path in others)
        title = product.title.lower() if product.title[1:2].islower() else product.title
        _say(f"{product.path}  and {forms}: {title}{product.unit and f' [{product.unit}]'}")


def _find_shocks(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.maps.fitted import read_fitted_regions
    from pyxt_hpc.maps.shock_search import make_shock_maps, search_shocks, write_shock_table
    from pyxt_hpc.report.all_forms import draw_products
    from pyxt_hpc.report.shocks import draw_histogram, write_fronts

    _serial("find-shocks")
    regions = read_fitted_regions(read_config(arguments.config), arguments.resolution)
    layout, search = regions.layout, search_shocks(regions)
    for product, _ in draw_products(regions, make_shock_maps(regions, search)):
        _say(f"{product.path}  and .png: {product.title}")
    write_shock_table(regions, search.fronts, layout.shock_table)
    write_fronts(regions, search.fronts, layout.shock_regions)
    draw_histogram(search, layout.shock_histogram)
    _say(f"{layout.shock_table}, {layout.shock_regions.name}, {layout.shock_histogram.name}")
    _say(f"{len(search.fronts)} candidate fronts")
    for front in search.fronts:
        mach = f"M {front.mach:.2f} ({front.mach_lo:.2f} to {front.mach_hi:.2f})"
        length = front.length * regions.bundle.pixel_scale_arcsec
        _say(
            f"  {mach}, {front.density_mach:.2f} from the density, {length:.0f} arcsec long, "
            f"{front.significance:.1f} sigma"
        )


def _demo(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.demo import run_demo

    _serial("demo")
    summary = run_demo(arguments.directory, arguments.ranks, _say)
    total = sum(summary.seconds.values())
    comparison = summary.comparison
    lines = {
        "regions fitted (bad)": f"{summary.regions} ({summary.bad})",
        **{f"seconds, {stage}": f"{seconds:.1f}" for stage, seconds in summary.seconds.items()},
        "seconds, all": f"{total:.1f}",
        "counts per region (median)": f"{summary.median_counts:.0f}",
        "(kT - truth)/sigma: median": f"{comparison.median:+.3f}",
        "(kT - truth)/sigma: scatter": f"{comparison.scatter:.3f}",
        "truth inside the 68% interval": f"{comparison.coverage:.1%}",
        "pictures": str(summary.pictures),
    }
    _say("")
    width = max(map(len, lines))
    for name, value in lines.items():
        _say(f"{name:<{width}}  {value}")
