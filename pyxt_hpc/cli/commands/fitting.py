"""The commands of stages 5 and 6: regions and their fits."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pyxt_hpc.cli.command import command, refuse_ranks
from pyxt_hpc.cli.next_step import tell_next
from pyxt_hpc.cli.options import (
    config_option,
    cpus_option,
    engine_option,
    json_option,
    option,
    parse_slice,
    resolution_option,
    whole_number,
    yes_option,
)
from pyxt_hpc.cli.plain import plain_fits
from pyxt_hpc.cli.screen import answer, confirm, tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.world import detect_world
from pyxt_hpc.pipeline.run import count_workers, make_bins
from pyxt_hpc.pipeline.summaries import fit_lines, fitting_lines


@command(
    "create-bins",
    "stage 5: the smallest circle with the required S/N at every pixel, or bins",
    "Make the scale map, by [binning] method of the configuration (default: circles).\n"
    "Also under mpirun: mpirun -n 4 pyxt-hpc create-bins -c CONFIG",
    config_option,
    cpus_option,
    resolution_option(None, "print the number of regions for this one (default: for all three)"),
    option(
        "--continue", dest="resume", action="store_true", help="only if the scale map is outdated or missing"
    ),
    example="pyxt-hpc create-bins -c A1795_cluster_config.ini --num-cpus 4",
    serial=False,
)
def create_bins_command(arguments: argparse.Namespace) -> None:
    world = detect_world()
    config = world.from_master(lambda: read_config(arguments.config))
    make_bins(config, world, arguments.num_cpus, arguments.resolution, tell, force=not arguments.resume)
    if world.is_master:
        tell_next("create-bins", arguments.config)


@command(
    "fit-spectra",
    "stage 6: fit an absorbed APEC model in every region",
    "Fit temperature and norm with 68% intervals. Finished regions are stored at once: after a crash,\n"
    "a kill or the end of a job, --continue fits the others.\n"
    "Also under mpirun: mpirun -n 4 pyxt-hpc fit-spectra -c CONFIG\n"
    "Also as a job array without MPI: task I of N uses --slice I/N; `results merge` merges the parts.",
    config_option,
    cpus_option,
    resolution_option(2, "default 2"),
    option("--continue", dest="resume", action="store_true", help="fit only the unfinished regions"),
    option(
        "--time-limit",
        metavar="TIME",
        help="end within TIME, in seconds or HH:MM:SS, with exit code 75 if regions are left",
    ),
    option(
        "--max-regions",
        type=whole_number(1, 2**31),
        metavar="N",
        help="fit at most N regions, with exit code 75 if regions are left",
    ),
    option(
        "--slice", metavar="I/N", help="fit part I of N (from 1) into a separate store, for `results merge`"
    ),
    option(
        "--regions",
        metavar="LIST",
        help="fit and print only these regions, e.g. 1,2,5-9 (numbers of the region index map), without "
        "changes to the store",
    ),
    engine_option("sherpa: fit with Sherpa, only with --regions"),
    yes_option("replace finished fits"),
    json_option,
    example="pyxt-hpc fit-spectra -c A1795_cluster_config.ini --resolution 3 --continue",
    serial=False,
)
def fit_spectra_command(arguments: argparse.Namespace) -> None:
    if arguments.regions is not None:
        _check_regions(arguments)
        return
    if arguments.engine != "fast":
        raise ConfigError(
            "--engine sherpa takes about a second a region and has no store: give --regions, "
            "or use compare-engines"
        )
    world = detect_world()
    part, time_limit = world.from_master(lambda: _part_and_limit(arguments))
    config = world.from_master(lambda: read_config(arguments.config))
    n_workers = count_workers(arguments.num_cpus, config, world)
    layout = Layout.of(config)
    replaced = [layout.part_results(*part)] if part else [layout.results, *layout.all_part_results()]
    if not arguments.resume:
        with world.others_wait():
            if world.is_master:
                _agree_to_replace(replaced, arguments.yes)
    from pyxt_hpc.stages.fitting import fit_into_store

    summary = fit_into_store(
        config,
        world,
        n_workers,
        resolution=arguments.resolution,
        resume=arguments.resume,
        part=part,
        time_limit=time_limit,
        max_regions=arguments.max_regions,
    )
    if summary is not None:
        tell(*fitting_lines(summary))
        if part is None:
            tell_next("fit-spectra", arguments.config)
        else:
            tell(f"next, when all {part[1]} parts are fitted: pyxt-hpc results merge -c {config.path}")


COMMANDS = (create_bins_command, fit_spectra_command)


def _check_regions(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.reference.spot_check import check_regions, region_numbers

    refuse_ranks("fit-spectra --regions")
    numbers = region_numbers(arguments.regions)
    config = read_config(arguments.config)
    if arguments.engine == "sherpa":
        from pyxt_hpc.reference.sherpa_models import which_model

        tell(f"Sherpa's model: {which_model()}")
    rows = check_regions(config, numbers, arguments.engine)
    names = [str(number) for number in numbers]
    answer(plain_fits(names, rows), fit_lines(names, rows))


def _part_and_limit(arguments: argparse.Namespace) -> tuple[tuple[int, int] | None, float | None]:
    from pyxt_hpc.parallel.master.limits import parse_time_limit

    part = None if arguments.slice is None else parse_slice(arguments.slice)
    time_limit = None if arguments.time_limit is None else parse_time_limit(arguments.time_limit)
    return part, time_limit


def _agree_to_replace(stores: Sequence[Path], yes: bool) -> None:
    """Ask before finished fits are replaced."""
    from pyxt_hpc.store.reader import open_store
    from pyxt_hpc.store.rows import is_final

    if yes:
        return
    finished = 0
    for path in stores:
        if check_regular(path):
            with open_store(path) as file:
                finished += int(is_final(file.read("status")).sum())
    if finished:
        results = stores[0] if len(stores) == 1 else f"{stores[0]} with its parts"
        confirm(f"{results} has {finished} fitted regions. Fit them again (--continue keeps them)?", yes)
