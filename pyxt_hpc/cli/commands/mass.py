"""The command of hydrostatic masses."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import config_option, cpus_option, json_option, number_option, option, range_option
from pyxt_hpc.cli.screen import answer, tell
from pyxt_hpc.config.cluster import ClusterConfig, read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.world import detect_world
from pyxt_hpc.pipeline.run import count_workers
from pyxt_hpc.pipeline.summaries import aligned_columns

if TYPE_CHECKING:
    from pyxt_hpc.profiles.mass.estimate import ClusterMass, MassOptions, Sampling
    from pyxt_hpc.profiles.mass.posterior import Interval

_UNLIKELY = 0.01
"""Probability of chi^2 below which a warning is printed."""


@command(
    "mass-estimation",
    "hydrostatic mass: M(r), gas fraction, R2500, M2500, R500, M500",
    "Mass of a spherical cluster in hydrostatic equilibrium from the annuli of profile-analysis, by two\n"
    "methods: forward (functions for density and temperature) and backward (an NFW halo and the density).\n"
    "Writes tables (ECSV) and pictures in main_output/. Samples are stored in acb/, and the same command\n"
    "continues them. Also under mpirun; see `pyxt-hpc help mass`.",
    config_option,
    cpus_option,
    range_option("--sector", "use the profile of this sector (default: that of the full circle)"),
    option("--way", choices=("both", "forward", "backward"), default="both", help="method (default both)"),
    option(
        "--core", action="store_true", help="use a second component of the density, for a sharp cool core"
    ),
    number_option(
        "--ensembles", 1, 64, 2, "number of ensembles of walkers for each method; each uses a process or rank"
    ),
    number_option(
        "--max-steps", 100, 10_000_000, 20_000, "largest number of steps of a walker, if not converged before"
    ),
    number_option("--seed", 0, 2**31 - 1, 1, "seed of the samples"),
    json_option,
    example="pyxt-hpc mass-estimation -c A1795_cluster_config.ini --way backward",
    serial=False,
)
def mass_estimation(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.cluster.mass import Mass
    from pyxt_hpc.parallel.pools.choose import choose_pool
    from pyxt_hpc.profiles.analysis import ProfileOptions
    from pyxt_hpc.profiles.mass.estimate import MassOptions, sample_mass
    from pyxt_hpc.profiles.mass.models import WAYS
    from pyxt_hpc.profiles.mass.sampler import SamplerOptions

    world = detect_world()
    config = world.from_master(lambda: read_config(arguments.config))
    n_workers = count_workers(arguments.num_cpus, config, world)
    options = MassOptions(
        ways=WAYS if arguments.way == "both" else (arguments.way,),
        core=arguments.core,
        ensembles=arguments.ensembles,
        sampler=SamplerOptions(max_steps=arguments.max_steps, seed=arguments.seed),
    )
    tag = ProfileOptions(sector=arguments.sector and tuple(arguments.sector)).tag
    with world.others_wait():
        sampling, depends_on = _prepare(config, tag, options) if world.is_master else (None, {})
    mass = sample_mass(sampling, choose_pool(n_workers, world))
    if mass is not None:
        found = Mass(config.name, mass, tag, depends_on)
        answer({**found.table.meta, "overdensities": found.table.as_array()}, _lines(mass))
        for path in found.write(Layout.of(config)):
            tell(f"{path}")


def _prepare(config: ClusterConfig, tag: str, options: "MassOptions") -> "tuple[Sampling, dict[str, Any]]":
    """Read bundle and profile, and return the sampling with its start, and the origin noted in the tables."""
    from pyxt_hpc.fit.inputs import read_cluster_bundle
    from pyxt_hpc.profiles.mass.estimate import mass_problem, prepare_sampling
    from pyxt_hpc.profiles.mass.tables import made_from, read_annuli

    layout, bundle = Layout.of(config), read_cluster_bundle(config)
    problem = mass_problem(bundle, config, *read_annuli(config, bundle, tag), options)
    sampling = prepare_sampling(problem, lambda way, k: layout.mass_chain(f"{tag}_{way}_{k + 1}"))
    return sampling, made_from(bundle, config)


def _lines(mass: "ClusterMass") -> Iterator[str]:
    """Results as lines for the user."""
    rows = []
    for way, sampled in mass.ways.items():
        posterior = sampled.posterior
        yield (
            f"{way}: chi^2 {posterior.chi2:.1f} for {posterior.n_data} data and {posterior.n_parameters} "
            f"parameters"
        )
        if posterior.n_data <= posterior.n_parameters:
            yield f"warning: {way}: as many parameters as data: the result depends strongly on the priors"
        elif posterior.probability < _UNLIKELY:
            yield f"warning: {way}: chi^2 is improbably large: the intervals are too narrow"
        steps = ", ".join(str(chain.steps) for chain in sampled.chains)
        agreement = f", R-hat {sampled.gelman_rubin:.3f}" if len(sampled.chains) > 1 else ""
        verdict = "converged" if sampled.converged else "NOT CONVERGED, more --max-steps are needed"
        if posterior.refusal and not sampled.converged:
            verdict = "not sampled to the end, since there is no mass"
        yield (
            f"{way}: {verdict}: {steps} steps, autocorrelation at most "
            f"{sampled.autocorrelation:.0f} steps{agreement}"
        )
        for sphere in posterior.overdensities:
            if sphere.note:
                yield f"warning: {way}: no M{sphere.overdensity:g}: {sphere.note}"
            rows.append(
                (
                    way,
                    f"{sphere.overdensity:g}",
                    _shown(sphere.radius, 1.0, 0),
                    _shown(sphere.mass, 1e14, 2),
                    _shown(sphere.gas_fraction, 1.0, 3),
                    "extrapolated" if sphere.is_extrapolated else "",
                )
            )
    yield from aligned_columns(("way", "overdensity", "R [kpc]", "M [1e14 Msun]", "gas fraction", ""), rows)
    yield f"the last annulus ends at {mass.annuli.outermost:.0f} kpc"


def _shown(interval: "Interval", unit: float, digits: int) -> str:
    value, low, high = (f"{x / unit:.{digits}f}" for x in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})" if value != "nan" else "-"


COMMANDS = (mass_estimation,)
