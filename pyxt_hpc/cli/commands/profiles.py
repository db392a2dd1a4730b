"""The command of radial profiles."""

import argparse
from collections.abc import Iterator
from math import degrees
from typing import TYPE_CHECKING

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import as_key, config_option, json_option, number_option, option, range_option
from pyxt_hpc.cli.screen import answer, tell
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.fit.single.rounding import with_ends, with_error
from pyxt_hpc.layout import Layout
from pyxt_hpc.pipeline.summaries import aligned_columns

if TYPE_CHECKING:
    from pyxt_hpc.profiles.analysis import ClusterProfile


@command(
    "profile-analysis",
    "radial profiles: brightness, deprojected density and temperature, entropy, cool core",
    "Fit beta models and, with --edge, a density jump to the surface brightness in rings; fit the spectra\n"
    "of annuli separately, and jointly for spherical shells. Results are density, pressure, entropy,\n"
    "cooling time and gas mass with errors, and a classification of the core. Writes tables (ECSV) and\n"
    "pictures in main_output/. Needs only the bundle of crop-data; see `pyxt-hpc help profiles`.",
    config_option,
    option(
        "--center",
        default="peak",
        metavar="WHERE",
        help="centre: peak (of the smoothed image), centroid, or 'RA DEC' (default peak)",
    ),
    option("--elliptical", action="store_true", help="use the ellipses of the best beta model"),
    range_option(
        "--sector",
        "sector in degrees counterclockwise from the right of the image, as in DS9; 330 390 crosses 0",
    ),
    option("--counts", type=float, metavar="N", help="net counts of every annulus"),
    option(
        "--signal-to-noise",
        type=float,
        metavar="S",
        help="S/N of every annulus (default: signal_to_noise_threshold of the configuration)",
    ),
    option("--r-max", type=float, metavar="ARCSEC", help="largest radius of a spectrum"),
    range_option(
        "--band",
        "band of the brightness in keV, limited to the bundle's band (default 0.5 2)",
        ("MIN", "MAX"),
        type=as_key("energy_min_keV"),
        default=(0.5, 2.0),
    ),
    range_option("--edge", "search for a jump of the density between these radii in arcsec"),
    option("--free-abundance", action="store_true", help="fit the abundance of every annulus and shell"),
    option(
        "--smoothing",
        type=float,
        default=0.0,
        metavar="W",
        help="weight of second differences of ln kT between shells (default 0: shells are independent)",
    ),
    number_option("--draws", 20, 100_000, 300, "number of draws for errors"),
    number_option("--seed", 0, 2**31 - 1, 0, "seed of the draws"),
    json_option,
    example="pyxt-hpc profile-analysis -c A1795_cluster_config.ini --sector 330 390 --counts 3000",
)
def profile_analysis(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.cluster.cluster import Cluster

    config = read_config(arguments.config)
    settings = {"free_abundance": True} if arguments.free_abundance else {}
    profile = Cluster(config).profile(
        center=arguments.center,
        elliptical=arguments.elliptical,
        sector=arguments.sector,
        counts=arguments.counts,
        signal_to_noise=arguments.signal_to_noise,
        r_max=arguments.r_max,
        band=arguments.band,
        edge=arguments.edge,
        smoothing=arguments.smoothing,
        draws=arguments.draws,
        seed=arguments.seed,
        **settings,
    )
    shells = profile.shells
    answer({**shells.meta, "shells": shells.as_array()}, _lines(profile.analysis))
    for path in profile.write(Layout.of(config)):
        tell(f"{path}")


def _lines(profile: "ClusterProfile") -> Iterator[str]:
    """Results as lines for the user."""
    beta, frame = profile.beta_model, profile.frame
    place = (
        f"center {profile.ra_deg:.5f} {profile.dec_deg:+.5f} (row {frame.row:.1f}, column {frame.col:.1f})"
    )
    if any(frame.stretch):
        place += f", axis ratio {frame.axis_ratio:.2f} at {degrees(frame.angle):.0f} degrees"
    yield place
    cores = " and ".join(f"{core:.1f}" for core in beta.cores)
    quality = f"C {beta.statistic:.0f} in {beta.n_bins} rings"
    yield f"brightness: beta {beta.beta:.3f}, core {cores} arcsec, {quality}"
    if (edge := profile.edge) is not None:
        yield (
            f"edge: at {edge.radius:.1f} arcsec, density jumps by {edge.jump:.2f} ({edge.jump_lo:.2f} to "
            f"{edge.jump_hi:.2f}); C is {edge.improvement:.1f} better than without"
        )
    cells = []
    for i, words in enumerate(profile.status):
        kT, n_e, K = (profile.shells[name] for name in ("kT", "n_e", "entropy"))
        cells.append(
            (
                f"{profile.geometry.edges_kpc[i]:.0f}-{profile.geometry.edges_kpc[i + 1]:.0f}",
                f"{profile.rows['kT'][i]:.2f}",
                *(with_ends(*map(float, (one.value[i], one.low[i], one.high[i]))) for one in (kT, n_e, K)),
                words,
            )
        )
    yield from aligned_columns(
        ("kpc", "kT projected", "kT [keV]", "n_e [cm^-3]", "K [keV cm^2]", "shell"), cells
    )
    if (fit := profile.entropy_fit) is not None:
        K0, slope = with_error(fit.K0, fit.K0_error), with_error(fit.alpha, fit.alpha_error)
        yield f"entropy: K0 {K0} keV cm^2, slope {slope}"
    else:
        yield "entropy: too few shells, or too few draws, for K0"
    core = profile.core
    time = f"{core.cooling_time:.2g} Gyr at {core.cooling_radius_kpc:.0f} kpc"
    yield f"core: cooling time {time}: {core.by_cooling_time}"
    ratio = with_error(core.concentration, core.concentration_error)
    yield f"core: concentration {ratio}: {core.by_concentration}"


COMMANDS = (profile_analysis,)
