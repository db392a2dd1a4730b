"""The commands of stage 7: maps, and what is found in them."""

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pyxt_hpc.cli.command import Command, command
from pyxt_hpc.cli.options import config_option, json_option, map_options, option, resolution_option
from pyxt_hpc.cli.screen import answer, tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.pipeline.run import make_maps
from pyxt_hpc.pipeline.summaries import map_lines

if TYPE_CHECKING:
    from pyxt_hpc.maps.fitted import FittedRegions
    from pyxt_hpc.maps.product import MapProduct


_DEPTH = "Densities need the depth of the gas along the line of sight: depth_model and depth_kpc in [maps]."


def _fitted(name: str, summary: str, description: str) -> Command:
    """Command that paints fitted regions by the function of its name in `maps.commands`."""

    @command(
        name,
        summary,
        description,
        map_options,
        example=f"pyxt-hpc {name} -c A1795_cluster_config.ini --paint interpolate",
        is_listed=False,
    )
    def run(arguments: argparse.Namespace) -> None:
        from pyxt_hpc.maps import commands

        _paint(arguments, getattr(commands, f"{name.replace('-', '_')}s"))

    return run


def _of_brightness(name: str, summary: str, description: str) -> Command:
    """Command that derives maps from the bundle by the function of its name in `maps.commands`."""

    @command(
        name,
        summary,
        description + " Needs no fits, only the bundle of crop-data.",
        config_option,
        example=f"pyxt-hpc {name} -c A1795_cluster_config.ini",
        is_listed=False,
    )
    def run(arguments: argparse.Namespace) -> None:
        from pyxt_hpc.maps import commands
        from pyxt_hpc.maps.image import read_cluster_image
        from pyxt_hpc.plots.write_products import write_products

        image = read_cluster_image(read_config(arguments.config))
        make = getattr(commands, f"{name.replace('-', '_')}s")
        for line in map_lines(write_products(image, make(image))):
            tell(line)

    return run


def _paint(
    arguments: argparse.Namespace, make: "Callable[[FittedRegions, str], Iterator[MapProduct]]"
) -> None:
    mode = "average" if arguments.average else arguments.paint
    make_maps(read_config(arguments.config), arguments.resolution, make, mode, tell)


@command(
    "make-maps",
    "stage 7: maps of everything that was fitted, with errors",
    "Every fitted parameter with lower and upper errors, and what describes the fits: statistic,\n"
    "goodness, counts, S/N, radius, number of datasets, exposure, live fraction, flags.",
    map_options,
    option(
        "--all",
        action="store_true",
        help="also surface brightness with its gradients and residuals, density, pressure, entropy and "
        "cooling time",
    ),
    example="pyxt-hpc make-maps -c A1795_cluster_config.ini --all",
)
def everything(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.maps.commands import make_all_maps, make_fit_maps

    _paint(arguments, make_all_maps if arguments.all else make_fit_maps)


@command(
    "find-shocks",
    "stage 7: shock fronts from jumps of temperature and density",
    "Compare the circles on both sides of every pixel, in all directions. Where brightness and\n"
    "temperature jump the same way: maps of Mach number and direction, a table of candidate fronts,\n"
    "DS9 regions and a histogram.",
    config_option,
    resolution_option(None, "default: the one that was fitted"),
    json_option,
    example="pyxt-hpc find-shocks -c A1795_cluster_config.ini",
)
def shocks(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.maps.fitted import read_fitted_regions
    from pyxt_hpc.maps.shocks.search import make_shock_maps, search_shocks, write_shock_table
    from pyxt_hpc.plots.shocks import draw_histogram, write_fronts
    from pyxt_hpc.plots.write_products import write_products

    regions = read_fitted_regions(read_config(arguments.config), arguments.resolution)
    layout, search = regions.layout, search_shocks(regions)
    for line in map_lines(write_products(regions, make_shock_maps(regions, search))):
        tell(line)
    write_shock_table(regions, search.fronts, layout.shock_table)
    write_fronts(regions, search.fronts, layout.shock_regions)
    draw_histogram(search, layout.shock_histogram)
    tell(f"{layout.shock_table}, {layout.shock_regions.name}, {layout.shock_histogram.name}")
    lines = [f"candidate fronts: {len(search.fronts)}"]
    for front in search.fronts:
        mach = f"M {front.mach:.2f} ({front.mach_lo:.2f} to {front.mach_hi:.2f})"
        length = front.length * regions.bundle.pixel_scale_arcsec
        lines.append(
            f"  {mach}, {front.density_mach:.2f} from the density, {length:.0f} arcsec long, "
            f"{front.significance:.1f} sigma"
        )
    answer(search.fronts, lines)


COMMANDS = (
    _fitted(
        "make-temperature-map",
        "stage 7: maps of the temperature as FITS files and pictures",
        "Paint the fitted regions: temperature and norm with their errors, counts and radii, in\n"
        "main_output/. Where there is no fit the maps are blank (NaN), never 0.",
    ),
    _fitted(
        "make-pressure-map",
        "stage 7: maps of density and pressure",
        "Pseudo-pressure kT (norm/area)^(1/2), electron density and pressure n_e kT with their errors.\n"
        + _DEPTH,
    ),
    _fitted(
        "make-entropy-map",
        "stage 7: maps of entropy and cooling time",
        "Pseudo-entropy kT (norm/area)^(-1/3), entropy kT n_e^(-2/3) and cooling time with their errors.\n"
        + _DEPTH,
    ),
    everything,
    _of_brightness(
        "make-gradient-map",
        "edges in the surface brightness: its gradient on several scales",
        "Gaussian gradient magnitude of the exposure-corrected, background-subtracted surface brightness,\n"
        "also over the brightness, and its significance.",
    ),
    _of_brightness(
        "make-residual-map",
        "surface brightness less a smooth cluster",
        "Residual of the surface brightness from the best elliptical beta-model and from the average over\n"
        "its ellipses: ratio, error, and in sigma.",
    ),
    shocks,
)
