"""The command that measures the reliability of the fits."""

import argparse

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import (
    as_argument,
    as_key,
    config_option,
    cpus_option,
    json_option,
    number_option,
    option,
    whole_number,
)
from pyxt_hpc.cli.screen import answer, tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.config.parsers import Number
from pyxt_hpc.parallel.world import detect_world


@command(
    "calibrate",
    "measure bias and coverage of kT: simulate every fitted region and fit it again",
    "Draw spectra of every fitted region from its best fit, with the cluster's responses, exposures and\n"
    "background, and fit them again with the same settings. Bias and coverage of kT are given in classes\n"
    "and for each position: a map, tables and a picture in main_output/.\n"
    "Also under mpirun: mpirun -n 4 pyxt-hpc calibrate -c CONFIG\n"
    "With --true-nH, --true-abundance or --true-background, the simulation uses another value than the\n"
    "fits, to measure the error that a wrong value causes.",
    config_option,
    cpus_option,
    number_option("--draws", 1, 10_000, 10, "number of spectra per region"),
    option(
        "--regions",
        type=whole_number(1, 2**31),
        metavar="N",
        help="simulate only N regions, spread over the map (default: all)",
    ),
    number_option("--seed", 0, 2**31, 1, "seed of the random numbers"),
    option("--true-nH", type=as_key("nH"), metavar="NH", help="simulate with this column [1e22 cm^-2]"),
    option(
        "--true-abundance", type=as_key("abundance"), metavar="Z", help="simulate with this abundance [solar]"
    ),
    option(
        "--true-background",
        type=as_argument(Number(0.0, 100.0)),
        default=1.0,
        metavar="F",
        help="simulate F times the background of the fits, e.g. 1.05",
    ),
    json_option,
    example="pyxt-hpc calibrate -c A1795_cluster_config.ini --regions 2000",
    serial=False,
)
def calibrate_command(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.calibrate.driver import Request, calibrate
    from pyxt_hpc.calibrate.products import class_table, map_trust, region_table
    from pyxt_hpc.files.writing import write_ecsv
    from pyxt_hpc.maps.product import write_maps
    from pyxt_hpc.pipeline.run import count_workers
    from pyxt_hpc.pipeline.summaries import calibration_lines, map_lines
    from pyxt_hpc.plots.calibration import draw_calibration
    from pyxt_hpc.plots.write_products import write_products

    world = detect_world()
    config = world.from_master(lambda: read_config(arguments.config))
    request = Request(
        draws=arguments.draws,
        seed=arguments.seed,
        regions=arguments.regions,
        nH=arguments.true_nH,
        abundance=arguments.true_abundance,
        background=arguments.true_background,
    )
    found = calibrate(config, world, count_workers(arguments.num_cpus, config, world), request)
    if found is None:
        return
    regions, calibration = found
    layout, suffix = regions.layout, calibration.setup.suffix
    for line in map_lines(write_products(regions, write_maps(regions, map_trust(regions, calibration)))):
        tell(line)
    write_ecsv(layout.calibration_table(suffix), class_table(regions, calibration))
    write_ecsv(layout.calibration_regions(suffix), region_table(regions, calibration))
    draw_calibration(layout.calibration_picture(suffix), config.name, calibration)
    for path in (layout.calibration_table, layout.calibration_regions, layout.calibration_picture):
        tell(str(path(suffix)))
    tell("")
    numbers = {
        "sentences": calibration.sentences(),
        "classes": [
            {"variable": one.variable, "low": one.low, "high": one.high, **found}
            for one, found in calibration.summaries
        ],
    }
    answer(numbers, calibration_lines(calibration))


COMMANDS = (calibrate_command,)
