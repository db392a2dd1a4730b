"""Bias, scatter and coverage of hydrostatic masses of simulated spherical clusters.

For every cluster, mass, concentration, density profile and redshift are drawn. Spectra of annuli, with all
temperatures along the line of sight and Poisson noise, are fitted, and give a mass as in ``mass-estimation``.

    python -m benchmarks.accuracy.mass --clusters 200 --way backward --output mass.jsonl

Posteriors are sampled by importance sampling, in about a second for each cluster, or by emcee if this gives
too few effective samples. With ``--steps 3000``, emcee samples all, in 10 to 30 s for each cluster.
``--against`` compares the results in two files. A repeated run continues from its file; with
``--clusters 0`` it only prints tables.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_t

from benchmarks.accuracy.simulated_annuli import AnnularSky
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.parallel.pools.choose import choose_pool
from pyxt_hpc.profiles.gas.projection import volumes
from pyxt_hpc.profiles.gas.vikhlinin import GasDensity
from pyxt_hpc.profiles.mass.estimate import MassOptions, MassProblem, prepare_sampling, sample_mass
from pyxt_hpc.profiles.mass.models import WAYS
from pyxt_hpc.profiles.mass.posterior import Posterior, posterior_of
from pyxt_hpc.profiles.mass.sampler import SamplerOptions, best_fit
from pyxt_hpc.simulate.spherical import SphericalCluster

EDGES_R500 = np.array([0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.27, 0.36, 0.48, 0.63, 0.82, 1.05])
GAS_FRACTION = 0.12
DRAWS, DEGREES, ENOUGH, MAX_ROUNDS = 2500, 6, 300, 10
FEW, STEPS = 50, 3000
SEED = 42


def random_cluster(rng: np.random.Generator) -> SphericalCluster:
    """A cluster of 3e14 to 1e15 Msun, with or without a cool core, and a gas fraction of 0.12 at R500."""
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
    """Masses and gas fractions of one cluster over the true values."""
    rng = np.random.default_rng([SEED, number])
    cluster = random_cluster(rng)
    truth = {d: float(cluster.halo.radius(d, cluster.critical_density)) for d in (2500.0, 500.0)}
    sky = AnnularSky(cluster, EDGES_R500 * truth[500.0] / cluster.kpc_per_arcsec, exposure_s=exposure_s)
    annuli, mixing = sky.observe(rng), sky.mixing
    sampler = SamplerOptions(max_steps=steps or STEPS)
    options = MassOptions(ways=(way,), ensembles=1, sampler=sampler)
    start = time.perf_counter()
    result: dict[str, object] = {"number": number, "way": way, "true_M500": cluster.M500}
    try:
        problem = MassProblem.of(
            annuli,
            lambda used: mixing_of(mixing, annuli.has_norm),
            redshift=cluster.redshift,
            cosmology=cluster.cosmology,
            particles=cluster.particles,
            options=options,
        )
        posterior, quality = by_emcee(problem, way) if steps else by_importance(problem, rng)
        if quality.get("effective", FEW) < FEW:
            posterior, more = by_emcee(problem, way)
            quality |= more
    except EmptySelection as error:
        return {**result, "refused": str(error)}
    result |= {"chi2": posterior.chi2, **quality}
    for sphere in posterior.overdensities:
        name = f"{sphere.overdensity:g}"
        true_mass, true_gas = (float(f(truth[sphere.overdensity])) for f in (cluster.mass, cluster.gas_mass))
        for label, interval, true in (
            ("M", sphere.mass, true_mass),
            ("fgas", sphere.gas_fraction, true_gas / true_mass),
        ):
            result[f"{label}{name}"] = [
                float(v) / true for v in (interval.value, interval.low, interval.high)
            ]
        result[f"note{name}"] = sphere.note
    result["seconds"] = time.perf_counter() - start
    return result


def by_emcee(problem: MassProblem, way: str) -> tuple[Posterior, dict[str, float]]:
    """Sample the posterior as ``mass-estimation`` does."""
    with tempfile.TemporaryDirectory() as directory:
        sampling = prepare_sampling(problem, lambda way, k: Path(directory) / f"{way}-{k}.h5")
        found = sample_mass(sampling, choose_pool(1))
    assert found is not None
    return found.ways[way].posterior, {"autocorrelation": found.ways[way].autocorrelation}


def by_importance(problem: MassProblem, rng: np.random.Generator) -> tuple[Posterior, dict[str, float]]:
    """Sample the same posterior by adaptive multiple importance sampling, in a tenth of the time.

    Cornuet et al. (2012, Scand. J. Stat. 39, 798): each proposal is adapted to the weighted samples, and all
    samples are weighted with the mixture of all proposals.
    """
    (likelihood,) = problem.likelihoods
    low, high = likelihood.bounds
    annuli = likelihood.annuli
    kT = float(np.exp(np.mean(np.log(annuli.kT[annuli.has_kT]))))
    best, covariance = best_fit(likelihood.residuals, likelihood.model.start(kT), likelihood.bounds, rng)
    samples, log_probability, proposals = np.zeros((0, len(best))), np.zeros(0), []
    mean, effective = best, 0.0
    while effective < ENOUGH and len(proposals) < MAX_ROUNDS:
        if likelihood.model.way == "forward" and not proposals:
            proposals.append(Shapes(likelihood, best, covariance, rng))
        else:
            proposals.append(multivariate_t(mean, covariance, df=DEGREES, seed=rng))
        drawn = proposals[-1].rvs(DRAWS)
        inside = np.all((drawn > low) & (drawn < high), axis=1)
        found = np.full(DRAWS, -np.inf)
        parts = np.array_split(np.flatnonzero(inside), max(int(inside.sum()) // 40, 1))
        for part in parts:
            found[part] = likelihood.log_probability(drawn[part])
        samples, log_probability = np.concatenate([samples, drawn]), np.concatenate([log_probability, found])
        density = logsumexp([proposal.logpdf(samples) for proposal in proposals], axis=0)
        weight = np.exp(log_probability - density - np.max(log_probability - density))
        effective = weight.sum() ** 2 / (weight**2).sum()
        # A few large weights would make the next proposal too narrow (Ionides 2008, JCGS 17, 295).
        cut = np.minimum(weight, weight.mean() * np.sqrt(len(weight)))
        mean = np.average(samples, axis=0, weights=cut)
        covariance = np.cov(samples.T, aweights=cut)
    chosen = rng.choice(len(samples), len(samples), p=weight / weight.sum())
    free = float(np.sum(likelihood.residuals(best[None]) ** 2))
    posterior = posterior_of(
        likelihood, samples[chosen], log_probability[chosen], problem.critical, problem.mu_e, free, rng
    )
    return posterior, {"effective": float(effective)}


class Shapes:
    """Proposal for forward models: temperature profiles that agree with the data, densities near the best.

    An ellipse does not describe the posterior of the temperature's parameters, which is curved and has
    several maxima. Many shapes of the profile are drawn between the bounds. For each, the spectroscopic-like
    temperatures (Mazzotta et al. 2004) of the annuli, with the best scale T0, are compared with the data,
    with larger errors.
    """

    N_SHAPES, WIDER = 40_000, 1.3

    def __init__(self, likelihood, best, covariance, rng):
        self.likelihood, self.rng = likelihood, rng
        n = len(likelihood.model.gas.parameters)
        self.density = multivariate_t(best[:n], covariance[:n, :n], df=DEGREES, seed=rng)
        self.low, self.high = likelihood.bounds[:, n + 1 :]
        annuli = likelihood.annuli
        known = annuli.has_kT
        sigma = self.WIDER * 0.5 * np.log(annuli.kT_hi[known] / annuli.kT_lo[known])
        self.data, self.weight = np.log(annuli.kT[known]), sigma**-2.0
        edges = np.geomspace(0.3 * annuli.radius[0], 4.0 * annuli.outermost, 48)
        self.radius = np.sqrt(edges[1:] * edges[:-1])
        n_e = likelihood.model.gas.density(best[None])(self.radius)[0]
        pairs = zip(annuli.r_in[known], annuli.r_out[known], strict=True)
        self.measure = np.array([volumes([r_in, r_out], edges)[0] for r_in, r_out in pairs]) * n_e**2
        self.shapes = rng.uniform(self.low, self.high, (self.N_SHAPES, 4))
        self.scale, log_weight = self._compared(self.shapes)
        self.log_sum = logsumexp(log_weight)
        self.probability = np.exp(log_weight - self.log_sum)

    def _compared(self, shapes):
        """Best ln T0 of shapes (n, 4), and their log-likelihood with this scale."""
        theta = np.concatenate([np.zeros((len(shapes), 1)), shapes], axis=1)
        kT = self.likelihood.model.temperature(theta)(self.radius)
        off = self.data - np.log((kT**0.25 @ self.measure.T) / (kT**-0.75 @ self.measure.T))
        scale = off @ self.weight / self.weight.sum()
        return scale, -0.5 * (off - scale[:, None]) ** 2 @ self.weight

    def rvs(self, number):
        chosen = self.rng.choice(self.N_SHAPES, number, p=self.probability)
        scale = self.scale[chosen] + self.rng.standard_normal(number) / np.sqrt(self.weight.sum())
        return np.column_stack([self.density.rvs(number), scale, self.shapes[chosen]])

    def logpdf(self, theta):
        n = theta.shape[1] - 5
        scale, log_weight = self._compared(np.clip(theta[:, n + 1 :], self.low, self.high))
        off = (theta[:, n] - scale) * np.sqrt(self.weight.sum())
        norm = self.log_sum - np.log(self.N_SHAPES) + np.sum(np.log(self.high - self.low))
        norm += 0.5 * np.log(2.0 * np.pi / self.weight.sum())
        inside = np.all((theta[:, n + 1 :] >= self.low) & (theta[:, n + 1 :] <= self.high), axis=1)
        shape = np.where(inside, log_weight - 0.5 * off**2 - norm, -np.inf)
        return self.density.logpdf(theta[:, :n]) + shape


def mixing_of(mixing, used):
    """Tables of the mixing for some of the annuli."""
    return type(mixing)(mixing.gas_kT, mixing.fit_kT, mixing.slope[used], mixing.gain[used])


def print_agreement(rows: list[dict], others: list[dict]) -> None:
    """Print differences between results of the same clusters, in half-widths of the others' 68% intervals."""
    print("| | clusters | difference: mean | rms | largest | relative width |\n|---|---|---|---|---|---|")
    for way in WAYS:
        mine, theirs = ({row["number"]: row for row in some if row["way"] == way} for some in (rows, others))
        for name in ("M2500", "M500"):
            pairs = np.array([(mine[n][name], theirs[n][name]) for n in mine if n in theirs])
            if len(pairs):
                half = np.diff(pairs[:, :, 1:], axis=2)[:, :, 0] / 2.0
                apart = (pairs[:, 0, 0] - pairs[:, 1, 0]) / half[:, 1]
                rms, wider = np.sqrt(np.mean(apart**2)), np.mean(half[:, 0] / half[:, 1])
                print(
                    f"| {way} {name} | {len(pairs)} | {apart.mean():+.2f} | {rms:.2f} | "
                    f"{np.abs(apart).max():.2f} | {wider:.2f} |"
                )


def print_table(rows: list[dict]) -> None:
    """Print bias, scatter and coverage of the results."""
    print(
        "| over truth | clusters | refused | median | mean | scatter | half of 68% "
        "| 68% interval holds truth |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for way in WAYS:
        own = [row for row in rows if row["way"] == way]
        if not own:
            continue
        for name in ("M2500", "M500", "fgas2500", "fgas500"):
            known = np.array([row[name] for row in own if name in row and np.isfinite(row[name]).all()])
            value, low, high = known.T
            inside = np.mean((low <= 1.0) & (high >= 1.0))
            error = np.sqrt(inside * (1.0 - inside) / len(value))
            print(
                f"| {way} {name} | {len(known)} | {len(own) - len(known)} | {np.median(value):.3f} | "
                f"{value.mean():.3f} +- {value.std() / np.sqrt(len(value)):.3f} | {value.std():.3f} | "
                f"{np.mean(high - low) / 2:.3f} | {inside:.1%} +- {error:.1%} |"
            )


def main() -> None:
    """Compute missing clusters, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--way", choices=WAYS, default="backward")
    parser.add_argument("--exposure", type=float, default=1e5, help="[s]; default 1e5")
    parser.add_argument("--steps", type=int, default=0, help="of emcee; default: importance")
    parser.add_argument("--against", type=Path, help="results of the other sampler to compare with")
    parser.add_argument("--output", type=Path, default=Path("mass-benchmark.jsonl"))
    arguments = parser.parse_args()
    done = (
        [json.loads(line) for line in arguments.output.read_text().splitlines()]
        if arguments.output.exists()
        else []
    )
    numbers = {row["number"] for row in done if row["way"] == arguments.way}
    for number in range(arguments.clusters):
        if number in numbers:
            continue
        done.append(one_realisation(number, arguments.way, arguments.exposure, arguments.steps))
        with arguments.output.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    print_table(done)
    if arguments.against:
        print_agreement(done, [json.loads(line) for line in arguments.against.read_text().splitlines()])


if __name__ == "__main__":
    main()
