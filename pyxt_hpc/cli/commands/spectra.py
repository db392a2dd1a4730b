"""The commands for fits of single spectra and the comparison of engines."""

import argparse
from pathlib import Path

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import (
    as_key,
    config_option,
    engine_option,
    json_option,
    number_option,
    option,
    output_option,
    place_on_sky,
    range_option,
    resolution_option,
)
from pyxt_hpc.cli.plain import plain_fits
from pyxt_hpc.cli.screen import answer, tell
from pyxt_hpc.config.cluster import read_config, warn_of_column
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.writing import check_place
from pyxt_hpc.layout import Layout
from pyxt_hpc.pipeline.summaries import aligned_columns, fit_lines


@command(
    "fit-region",
    "fit one region and draw its spectrum",
    "Fit one region as fit-spectra does, and draw spectrum, model, background and residuals in\n"
    "main_output/. Region numbers are the values of acb/<name>_scale_map_region_index.fits; --at selects\n"
    "the region of a position on the sky.",
    config_option,
    option("region", metavar="REGION", nargs="?", help="number of the region"),
    option("--at", metavar="'RA DEC'", help="its position, such as '10:00:06 +20:01:00' or '150.025 20.017'"),
    option(
        "--spectra",
        metavar="DIR",
        type=Path,
        help="also write its spectra, with background, ARF and RMF, for XSPEC and Sherpa",
    ),
    json_option,
    example="pyxt-hpc fit-region -c A1795_cluster_config.ini --at '10:00:06 +20:01:00'",
)
def fit_region(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.cluster.cluster import Cluster

    if (arguments.region is None) == (arguments.at is None):
        raise ConfigError("fit-region takes the number of a region, or a position --at 'RA DEC'")
    if arguments.spectra is not None:
        check_place(arguments.spectra, is_folder=True)
    cluster = Cluster(arguments.config)
    if arguments.at is None:
        number = _number(arguments.region)
    else:
        number = cluster.region_at(*place_on_sky("--at", arguments.at))
    region = cluster.fit_region(number)
    names, rows = [str(region.number)], region.row[None]
    answer(plain_fits(names, rows)[0], fit_lines(names, rows))
    path = region.write(Layout.of(cluster.config).region_picture(region.number))
    tell(f"{path}")
    if arguments.spectra is not None:
        tell(*map(str, region.write_spectra(arguments.spectra)))


def _number(text: str) -> int:
    from pyxt_hpc.reference.spot_check import region_numbers

    numbers = region_numbers(text)
    if len(numbers) != 1:
        raise ConfigError(f"fit-region draws one region, found {text}: see fit-spectra --regions")
    return int(numbers[0])


@command(
    "fit-pha",
    "fit OGIP spectra (.pi files) with the same engine",
    "Fit one absorbed APEC model to a spectrum, or to several jointly, and draw the fit.\n"
    "BACKFILE, RESPFILE, ANCRFILE, GROUPING and QUALITY of the files are used.",
    option("spectra", metavar="SRC.pi", nargs="+", type=Path, help="source spectra"),
    option("--redshift", type=as_key("redshift"), metavar="Z", required=True, help="redshift of the source"),
    option(
        "--nH",
        type=as_key("nH"),
        metavar="NH",
        required=True,
        help="absorbing column in 1e22 cm^-2, e.g. 0.0348",
    ),
    option(
        "--abundance",
        type=as_key("abundance"),
        default=0.3,
        metavar="A",
        help="abundance [solar] (default 0.3)",
    ),
    range_option(
        "--kT",
        "range of kT in keV (default 0.1 40)",
        ("MIN", "MAX"),
        type=as_key("temperature_min_keV"),
        default=(0.1, 40.0),
    ),
    option("--free-abundance", action="store_true", help="fit the abundance, between 0 and 5"),
    option("--free-nH", action="store_true", help="fit nH, between 0 and 1"),
    range_option(
        "--energy",
        "band in keV (default 0.7 8)",
        ("MIN", "MAX"),
        type=as_key("energy_min_keV"),
        default=(0.7, 8.0),
    ),
    option(
        "--statistic",
        choices=("wstat", "cstat", "chi2gehrels"),
        help="statistic (default wstat; cstat for spectra without background)",
    ),
    option(
        "--absorption", choices=("phabs", "tbabs"), default="phabs", help="absorption model (default phabs)"
    ),
    option(
        "--abundance-table",
        metavar="NAME",
        type=as_key("abundance_table"),
        default="angr",
        help="abundance table by XSPEC's name (default angr)",
    ),
    option(
        "--grouping",
        choices=("file", "resolution", "none"),
        help="bins of the file, bins by energy resolution and background counts, or channels "
        "(default: those of the file, if it has bins)",
    ),
    *(
        option(f"--{name}", metavar="FILE", help=f"file to use instead of {what}, or 'none'")
        for name, what in (("background", "BACKFILE"), ("arf", "ANCRFILE"), ("rmf", "RESPFILE"))
    ),
    engine_option("engine (default fast); sherpa: fit with Sherpa"),
    output_option("PNG", "file of the picture (default: beside the first spectrum)"),
    json_option,
    example="pyxt-hpc fit-pha src.pi --redshift 0.0625 --nH 0.012",
)
def fit_pha(arguments: argparse.Namespace) -> None:
    import numpy as np

    from pyxt_hpc.fit.single.fit import fit_single
    from pyxt_hpc.fit.single.spectrum_files import prepare_fit
    from pyxt_hpc.plots.spectra import draw_spectrum
    from pyxt_hpc.spectra.templates import SourceModel

    for name, pair in (("energy", arguments.energy), ("kT", arguments.kT)):
        if not pair[0] < pair[1]:
            raise ConfigError(f"--{name} is {pair[0]:g} to {pair[1]:g} keV, expected the lower value first")
    warn_of_column(arguments.nH, "--nH")
    model = SourceModel(arguments.redshift, arguments.nH, arguments.absorption, arguments.abundance_table)
    spectra, options = prepare_fit(
        arguments.spectra,
        model,
        energy_keV=arguments.energy,
        grouping=arguments.grouping,
        statistic=arguments.statistic,
        background=arguments.background,
        arf=arguments.arf,
        rmf=arguments.rmf,
        abundance=arguments.abundance,
        abundance_bounds=(0.0, 5.0) if arguments.free_abundance else None,
        nH_bounds=(0.0, 1.0) if arguments.free_nH else None,
        kT_bounds=tuple(arguments.kT),
    )
    names = " + ".join(path.name for path in arguments.spectra)
    if arguments.engine == "sherpa":
        from pyxt_hpc.reference.sherpa_engine import fit_with_sherpa
        from pyxt_hpc.reference.sherpa_models import which_model

        tell(f"Sherpa's model: {which_model()}")
        rows = np.atleast_1d(fit_with_sherpa(spectra, model, options))
        answer(plain_fits([names], rows)[0], fit_lines([names], rows))
        return
    fit = fit_single(spectra, model, options)
    low, high = arguments.energy
    tell(
        f"{options.statistic}, {sum(s.n_bin for s in spectra)} bins in {low:g}-{high:g} keV, "
        f"goodness {fit.goodness:+.2f}"
    )
    rows = np.atleast_1d(fit.row)
    answer({"statistic_name": options.statistic} | plain_fits([names], rows)[0], fit_lines([names], rows))
    first = arguments.spectra[0]
    path = arguments.output or first.with_name(first.name.removesuffix(".gz")).with_suffix(".png")
    draw_spectrum(path, fit, names)
    tell(f"{path}")


@command(
    "compare-engines",
    "compare fits with those of Sherpa for a sample of regions",
    "Fit a random sample of regions with the fast engine and with Sherpa, and draw the differences in\n"
    "units of sigma. This takes about a second per region.",
    config_option,
    resolution_option(2, "default 2"),
    number_option("--sample", 1, 1_000_000, 40, "number of regions"),
    json_option,
    example="pyxt-hpc compare-engines -c A1795_cluster_config.ini --sample 20",
)
def compare_engines(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.plots.comparison import draw_comparison
    from pyxt_hpc.reference import comparison as engines

    config = read_config(arguments.config)
    comparison = engines.compare_engines(config, resolution=arguments.resolution, sample=arguments.sample)
    picture = Layout.of(config).engine_comparison
    draw_comparison(picture, comparison)
    engines.write_comparison(picture.with_suffix(".ecsv"), comparison)
    lines = [f"Sherpa's model: {comparison.model}"]
    lines.append(
        f"{comparison.usable.sum()} of {len(comparison.regions)} regions fitted by both, "
        f"{comparison.same_minimum.sum()} in the same minimum, {comparison.noticeable.sum()} clearly differ"
    )
    rows = [(what, f"{median:.2g}", f"{worst:.2g}") for what, median, worst in comparison.summary()]
    lines += aligned_columns(("", "median", "worst"), rows)
    lines.append(
        f"seconds per region: fast {comparison.fast_seconds:.2g}, Sherpa {comparison.sherpa_seconds:.2g}: "
        f"{comparison.sherpa_seconds / comparison.fast_seconds:.0f} times longer"
    )
    answer(
        {
            "model": comparison.model,
            "regions": len(comparison.regions),
            "fitted_by_both": comparison.usable.sum(),
            "same_minimum": comparison.same_minimum.sum(),
            "differences": [
                {"of": what, "median": median, "worst": worst} for what, median, worst in comparison.summary()
            ],
            "seconds_a_region": {"fast": comparison.fast_seconds, "sherpa": comparison.sherpa_seconds},
        },
        lines,
    )
    tell(f"{picture}  and .ecsv")


COMMANDS = (fit_region, fit_pha, compare_engines)
