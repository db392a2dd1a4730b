"""The commands of stage 7: maps and shocks."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyxt_hpc.cli.command import Command, command
from pyxt_hpc.cli.options import (
    config_option,
    json_option,
    map_options,
    option,
    picture_options,
    place_on_sky,
    resolution_option,
)
from pyxt_hpc.cli.screen import answer, tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.pipeline.run import make_map_files
from pyxt_hpc.pipeline.summaries import map_lines

if TYPE_CHECKING:
    from pyxt_hpc.plots.maps.style import PictureStyle

_DEPTH = "Densities need the depth of the gas along the line of sight: depth_model and depth_kpc in [maps]."


def _clusterpyxt_command(name: str, summary: str, description: str) -> Command:
    """A command with ClusterPyXT's name, which makes the maps of `maps.make.CLUSTERPYXT_COMMANDS`."""

    @command(
        name,
        summary,
        description,
        map_options,
        picture_options,
        example=f"pyxt-hpc {name} -c A1795_cluster_config.ini --format png,pdf",
        is_listed=False,
    )
    def run(arguments: argparse.Namespace) -> None:
        from pyxt_hpc.maps.make import CLUSTERPYXT_COMMANDS

        _make(arguments, CLUSTERPYXT_COMMANDS[name])

    return run


def _make(arguments: argparse.Namespace, names: Sequence[str], mask: str | None = None) -> None:
    make_map_files(
        read_config(arguments.config),
        tell,
        names,
        resolution=arguments.resolution,
        mode="average" if arguments.average else arguments.paint,
        mask=mask,
        style=_picture_style(arguments, names),
    )


def _picture_style(arguments: argparse.Namespace, names: Sequence[str]) -> "PictureStyle":
    """Style of pictures from `picture_options`.

    Raises
    ------
    ConfigError
        If an option is invalid, or ends of the colour scale are given for several quantities.
    """
    from pyxt_hpc.maps.catalogue import base_name, map_names
    from pyxt_hpc.plots.maps.style import PictureStyle

    single = map_names(names)
    if arguments.vmin is not None or arguments.vmax is not None:
        quantities = dict.fromkeys(map(base_name, single))
        if len(quantities) > 1:
            raise ConfigError(
                f"--vmin and --vmax are for one quantity, found {len(quantities)}: name one, as in "
                "make-maps temperature --vmin 2 --vmax 12"
            )
    centre = None if arguments.center is None else place_on_sky("--center", arguments.center)
    asked_for = frozenset(map(base_name, single)) & frozenset(single) or frozenset(single)
    return PictureStyle(
        vmin=arguments.vmin,
        vmax=arguments.vmax,
        cmap=arguments.cmap,
        scale=arguments.scale,
        only=asked_for,
        dpi=arguments.dpi,
        formats=tuple(dict.fromkeys(filter(None, arguments.format.replace(" ", "").split(",")))),
        centre=centre,
        zoom=arguments.zoom,
        contours=not arguments.no_contours,
        regions=arguments.regions,
    )


@command(
    "make-maps",
    "stage 7: the main maps and an overview of them, or maps by name",
    "Without a name: surface brightness, temperature with its errors, norm, density, pressure, entropy,\n"
    "counts, goodness, datasets, flags, radius, S/N (and the abundance if it was fitted), about 15 maps in\n"
    "main_output/, and an overview of them. By name: one map with its errors (temperature or kT,\n"
    "cooling_time, ...), a single error map (temperature_error), or a group: fits, gas, gradient, residual,\n"
    "all. `pyxt-hpc help maps` has every name, formula and convention.",
    option("names", metavar="NAME", nargs="*", help="maps to make (default: the main maps)"),
    map_options,
    option("--all", action="store_true", help="make all maps, as with the name all"),
    option(
        "--mask",
        metavar="EXPR",
        help="leave pixels blank if this is true, e.g. 'fractional_error > 0.3 or flags': maps, names of "
        "flags, numbers, < <= > >= == !=, and, or, not, + - * /; file names end with _masked_map",
    ),
    picture_options,
    example="pyxt-hpc make-maps kT entropy -c A1795_cluster_config.ini --mask 'error > 2 or flags'",
)
def everything(arguments: argparse.Namespace) -> None:
    _make(arguments, [*arguments.names, *(["all"] if arguments.all else [])], arguments.mask)


@command(
    "find-shocks",
    "stage 7: shock fronts from jumps of temperature and density",
    "Compare the circles on both sides of every pixel in all directions, and find places where brightness\n"
    "and temperature jump in the same direction. Writes maps of Mach number and direction, a table of\n"
    "candidate fronts, DS9 regions and a histogram.",
    config_option,
    resolution_option(None, "default: that of the fits"),
    json_option,
    example="pyxt-hpc find-shocks -c A1795_cluster_config.ini",
)
def shocks(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.files.writing import write_ecsv
    from pyxt_hpc.maps.fitted import read_fitted_regions
    from pyxt_hpc.maps.shocks.search import make_shock_maps, search_shocks, shock_table
    from pyxt_hpc.plots.shocks import draw_histogram, write_fronts
    from pyxt_hpc.plots.write_products import write_products

    regions = read_fitted_regions(read_config(arguments.config), arguments.resolution)
    layout, search = regions.layout, search_shocks(regions)
    for line in map_lines(write_products(regions, make_shock_maps(regions, search))):
        tell(line)
    write_ecsv(layout.shock_table, shock_table(regions, search.fronts))
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
    _clusterpyxt_command(
        "make-temperature-map",
        "stage 7: maps of the temperature as FITS files and pictures",
        "Make maps of temperature and norm with their errors, counts and radii, in main_output/. Pixels\n"
        "without a fit are blank (NaN), never 0.",
    ),
    _clusterpyxt_command(
        "make-pressure-map",
        "stage 7: maps of density and pressure",
        "Pseudo-pressure kT (norm/area)^(1/2), electron density and pressure n_e kT with their errors.\n"
        + _DEPTH,
    ),
    _clusterpyxt_command(
        "make-entropy-map",
        "stage 7: maps of entropy and cooling time",
        "Pseudo-entropy kT (norm/area)^(-1/3), entropy kT n_e^(-2/3) and cooling time with their errors.\n"
        + _DEPTH,
    ),
    everything,
    _clusterpyxt_command(
        "make-gradient-map",
        "edges in the surface brightness: its gradient on several scales",
        "Gaussian gradient magnitude of the exposure-corrected, background-subtracted surface brightness,\n"
        "also relative to the brightness, and its significance. Needs only the bundle of crop-data, no fits.",
    ),
    _clusterpyxt_command(
        "make-residual-map",
        "surface brightness relative to a smooth cluster",
        "Residuals of the surface brightness from the best elliptical beta model and from the average over\n"
        "its ellipses: ratio, its error, and sigma. Needs only the bundle of crop-data, no fits.",
    ),
    shocks,
)
