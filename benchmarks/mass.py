"""How well hydrostatic masses of simulated spherical clusters agree with the truth.

Every cluster is another one: mass, concentration, density profile and redshift are drawn. Its annuli get
Poisson spectra with all temperatures along the line of sight, fits, and a mass as ``mass-estimation`` has it.

    python benchmarks/mass.py --clusters 200 --way backward --output mass-backward.jsonl

A run that is repeated goes on where it stopped; ``--clusters 0`` only prints the table of a file.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.parallel.pools.choose import choose_pool
from pyxt_hpc.profiles.mass.estimate import MassOptions, MassProblem, sample_mass
from pyxt_hpc.profiles.mass.models import WAYS
from pyxt_hpc.profiles.mass.sampler import SamplerOptions
from pyxt_hpc.profiles.vikhlinin import GasDensity
from pyxt_hpc.simulate.annuli import AnnularSky
from pyxt_hpc.simulate.spherical import SphericalCluster

EDGES_R500 = np.array([0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.27, 0.36, 0.48, 0.63, 0.82, 1.05])
GAS_FRACTION = 0.12
SEED = 42


def random_cluster(rng: np.random.Generator) -> SphericalCluster:
    """A cluster of 3e14 to 1e15 Msun, with a cool core or without, whose gas fraction is 0.12 at R500."""
    mass, concentration = np.exp(rng.uniform(np.log(3e14), np.log(1e15))), rng.uniform(2.0, 5.0)
    redshift = rng.uniform(0.1, 0.3)
    plain = GasDensity(1.0, 100.0, 0.5, 0.6, 800.0, 1.5)
    size = SphericalCluster(plain, mass, concentration, redshift)
    R500 = float(size.halo.radius(500.0, size.critical_density))
    density = GasDensity(
        n0=1.0,
        rc=R500 * rng.uniform(0.07, 0.15),
        alpha=rng.uniform(0.0, 1.2),
        beta=rng.uniform(0.55, 0.68),
        rs=R500 * rng.uniform(0.5, 1.0),
        epsilon=rng.uniform(1.0, 2.5),
    )
    one = SphericalCluster(density, mass, concentration, redshift)
    n0 = GAS_FRACTION * mass / float(one.gas_mass(R500))
    return SphericalCluster(GasDensity(**{**vars(density), "n0": n0}), mass, concentration, redshift)


def one_realisation(number: int, way: str, exposure_s: float, steps: int) -> dict[str, object]:
    """Mass of one cluster over the truth."""
    rng = np.random.default_rng([SEED, number])
    cluster = random_cluster(rng)
    truth = {d: float(cluster.halo.radius(d, cluster.critical_density)) for d in (2500.0, 500.0)}
    sky = AnnularSky(cluster, EDGES_R500 * truth[500.0] / cluster.kpc_per_arcsec, exposure_s=exposure_s)
    annuli, mixing = sky.observe(rng), sky.mixing
    options = MassOptions(
        ways=(way,), ensembles=1, sampler=SamplerOptions(walkers_per_parameter=2, max_steps=steps)
    )
    start = time.perf_counter()
    result: dict[str, object] = {"number": number, "way": way, "true_M500": cluster.M500}
    with tempfile.TemporaryDirectory() as directory:
        try:
            problem = MassProblem.of(
                annuli,
                lambda used: mixing_of(mixing, annuli.has_norm),
                redshift=cluster.redshift,
                cosmology=cluster.cosmology,
                particles=cluster.particles,
                options=options,
            )
            found = sample_mass(problem, lambda w, k: Path(directory) / f"{w}-{k}.h5", choose_pool(1))
        except EmptySelection as error:
            return {**result, "refused": str(error)}
    assert found is not None
    sampled = found.ways[way]
    result |= {"chi2": sampled.posterior.chi2, "tau": sampled.autocorrelation}
    for sphere in sampled.posterior.overdensities:
        name = f"{sphere.overdensity:g}"
        true_mass, true_gas = (float(f(truth[sphere.overdensity])) for f in (cluster.mass, cluster.gas_mass))
        for label, interval, true in (
            ("M", sphere.mass, true_mass),
            ("fgas", sphere.gas_fraction, true_gas / true_mass),
        ):
            ratios = [float(v) / true for v in (interval.value, interval.low, interval.high)]
            result[f"{label}{name}"] = ratios
        result[f"note{name}"] = sphere.note
    result["seconds"] = time.perf_counter() - start
    return result


def mixing_of(mixing, used):
    """Tables of some of the annuli."""
    return type(mixing)(mixing.gas_kT, mixing.fit_kT, mixing.slope[used], mixing.gain[used])


def print_table(rows: list[dict]) -> None:
    """Bias, scatter and coverage of what the rows have."""
    print("| | clusters | refused | median over truth | mean over truth | scatter | 68% interval | holds truth |")
    print("|---|---|---|---|---|---|---|---|")
    for way in WAYS:
        own = [row for row in rows if row["way"] == way]
        if not own:
            continue
        for name in ("M2500", "M500", "fgas2500", "fgas500"):
            known = np.array([row[name] for row in own if name in row and np.isfinite(row[name]).all()])
            value, low, high = known.T
            inside = np.mean((low <= 1.0) & (high >= 1.0))
            print(
                f"| {way} {name} | {len(known)} | {len(own) - len(known)} | {np.median(value):.3f} | "
                f"{value.mean():.3f} +- {value.std() / np.sqrt(len(value)):.3f} | {value.std():.3f} | "
                f"{np.mean(high - low) / 2:.3f} | {inside:.1%} |"
            )


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--way", choices=WAYS, default="backward")
    parser.add_argument("--exposure", type=float, default=1e5, help="[s]; default 1e5")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--output", type=Path, default=Path("mass-benchmark.jsonl"))
    arguments = parser.parse_args()
    done = [json.loads(line) for line in arguments.output.read_text().splitlines()] if arguments.output.exists() else []
    numbers = {row["number"] for row in done if row["way"] == arguments.way}
    for number in range(arguments.clusters):
        if number in numbers:
            continue
        done.append(one_realisation(number, arguments.way, arguments.exposure, arguments.steps))
        with arguments.output.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    print_table(done)


if __name__ == "__main__":
    main()
