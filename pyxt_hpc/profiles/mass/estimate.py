"""The mass of a cluster from the table of its profile: models are set up and sampled over workers."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from astropy.cosmology import FLRW
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError, EmptySelection, Interrupted, StoreInUse
from pyxt_hpc.files.lock import WriterLock, current_owner
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.fit.cosmology import cosmology
from pyxt_hpc.fit.observations import fold_observations
from pyxt_hpc.parallel.master.driver import run_chunks
from pyxt_hpc.parallel.master.ledger import Collector
from pyxt_hpc.parallel.pools.pool import Payload, Pool
from pyxt_hpc.profiles.mass.annuli import MIN_ANNULI, AnnularFits
from pyxt_hpc.profiles.mass.likelihood import Likelihood
from pyxt_hpc.profiles.mass.mixing import Mixing
from pyxt_hpc.profiles.mass.models import WAYS, Backward, Forward, GasModel, MassModel, Parameter
from pyxt_hpc.profiles.mass.nfw import critical_density
from pyxt_hpc.profiles.mass.posterior import Posterior, is_hopeless, posterior_of
from pyxt_hpc.profiles.mass.sampler import (
    BLOCK,
    NEEDED,
    Chain,
    SamplerOptions,
    advance_ensemble,
    best_fit,
    check_chain,
    first_walkers,
    gelman_rubin,
    is_finished,
)
from pyxt_hpc.provenance import fingerprint, software
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.spectra.models.gas import Particles

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_GOES_ON = "run the same command again to continue the ensembles"


@dataclass(frozen=True)
class MassOptions:
    """Options of a mass estimate.

    Parameters
    ----------
    ways
        One or more of `WAYS`.
    core
        Whether the density has a second component, for a cool core that one component cannot describe.
    ensembles
        Number of independent ensembles of walkers for each way; each can use one worker.
    sampler
        Options of the sampling.
    """

    ways: tuple[str, ...] = WAYS
    core: bool = False
    ensembles: int = 2
    sampler: SamplerOptions = field(default_factory=SamplerOptions)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Samples and results of one way.

    Parameters
    ----------
    posterior
        Masses and profiles from the samples.
    samples : (n, n_parameter)
        Samples of all ensembles, in the order of `parameters`.
    parameters
        Parameters of the model.
    chains
        Steps, autocorrelation times and convergence of each ensemble.
    """

    posterior: Posterior
    samples: FloatArray
    parameters: tuple[Parameter, ...]
    chains: tuple[Chain, ...]

    @property
    def converged(self) -> bool:
        """Whether every ensemble is long enough."""
        return all(chain.converged for chain in self.chains)

    @property
    def autocorrelation(self) -> float:
        """Longest autocorrelation time of all parameters and ensembles [steps]."""
        return float(max(chain.autocorrelation.max() for chain in self.chains))

    @property
    def gelman_rubin(self) -> float:
        """R-hat of the ensembles; NaN for a single ensemble."""
        return gelman_rubin(list(self.chains))


@dataclass(frozen=True, eq=False)
class ClusterMass:
    """The mass of a cluster, by one way or two.

    Parameters
    ----------
    annuli
        Data of the fit.
    ways
        Results by way.
    critical
        Critical density at the redshift [Msun kpc^-3].
    fingerprint
        Fingerprint of annuli and options, which determine the results.
    """

    annuli: AnnularFits
    ways: dict[str, Sampled]
    critical: float
    fingerprint: str


@dataclass(frozen=True, eq=False)
class MassProblem:
    """Likelihoods and options of a mass estimate, small enough to be sent to every worker.

    Parameters
    ----------
    likelihoods
        One for each way.
    critical
        Critical density [Msun kpc^-3].
    mu_e
        Mass of the gas per electron [u].
    options
        Options of the mass estimate.
    """

    likelihoods: tuple[Likelihood, ...]
    critical: float
    mu_e: float
    options: MassOptions

    @classmethod
    def of(
        cls,
        annuli: AnnularFits,
        mixing: Callable[[AnnularFits], Mixing],
        *,
        redshift: float,
        cosmology: FLRW,
        particles: Particles,
        options: MassOptions,
    ) -> "MassProblem":
        """Set up the models; annuli without a norm are left out.

        Parameters
        ----------
        annuli
            Fits of annuli around one centre.
        mixing
            Function that makes the tables of `Mixing` for annuli.
        redshift, cosmology
            These give the critical density.
        particles
            Composition of the gas.
        options
            Ways and sampling.

        Raises
        ------
        ConfigError
            If a way is unknown.
        EmptySelection
            If there are too few annuli.
        """
        if unknown := [way for way in options.ways or [""] if way not in WAYS]:
            raise ConfigError(f"way {quoted(unknown[0])} of a mass is unknown; choose {' or '.join(WAYS)}")
        used = annuli.of(annuli.has_norm)
        if used.has_kT.sum() < MIN_ANNULI:
            raise EmptySelection(
                f"{len(annuli.kT)} annuli, {int(used.has_kT.sum())} of them with closed intervals of kT and "
                f"norm; a mass needs {MIN_ANNULI} or more: make the profile with fewer counts an annulus"
            )
        gas = GasModel(float(used.radius[0]), used.outermost, options.core)
        critical, mu = critical_density(cosmology, redshift), float(particles.mu)
        models: dict[str, MassModel] = {
            "forward": Forward(gas, mu, tuple(np.sort([*used.radius, *used.r_out]).tolist())),
            "backward": Backward(gas, mu, critical),
        }
        tables = mixing(used)
        likelihoods = tuple(
            Likelihood.of(used, models[way], tables, redshift, particles) for way in options.ways
        )
        return cls(likelihoods, critical, float(particles.mu_e), options)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of everything that a chain depends on, except its length."""
        first, sampler = self.likelihoods[0], self.options.sampler
        return fingerprint(
            {
                **vars(first.annuli),
                "slope": first.mixing.slope,
                "software": software(),
                "priors": "flat, but even in profiles of kT",  # change this text whenever the priors change
                "options": [self.options.core, sampler.walkers_per_parameter, sampler.seed],
                "constants": [first.norm_of_measure, self.critical, first.model.mu, self.mu_e],
            }
        )


def mass_problem(
    bundle: Bundle, config: ClusterConfig, annuli: AnnularFits, abundance: float, options: MassOptions
) -> MassProblem:
    """Set up the mass estimate of a cluster; raises the errors of `MassProblem.of`.

    Parameters
    ----------
    bundle, config
        The cluster.
    annuli, abundance
        Fits of annuli, and abundance of the gas [solar]; NaN: that of the bundle.
    options
        Ways and sampling.
    """
    metals = abundance if np.isfinite(abundance) else bundle.abundance
    return MassProblem.of(
        annuli,
        partial(mixing_of, bundle, metals),
        redshift=bundle.redshift,
        cosmology=cosmology(config),
        particles=Particles.of(metals, bundle.abundance_table),
        options=options,
    )


def mixing_of(bundle: Bundle, abundance: float, annuli: AnnularFits) -> Mixing:
    """Tables for single-temperature fits of gas of many temperatures, with a cluster's responses.

    Exposures are those of whole observations: their shares of an annulus hardly change the shape of its
    spectrum.
    """
    options = FitOptions(abundance=abundance)
    model = fold_observations(bundle, None, 0.0, options, "resolution")
    exposure, ratio = map(model.by_bin, (model.exposure_s, model.ratio))
    expected = (model.hhe[0] + abundance * model.metals[0]) * exposure
    net = np.maximum(annuli.counts - annuli.background, 1.0)
    return Mixing.of(model.kT, expected, model.background_shape / ratio, net, annuli.background)


@dataclass(frozen=True, eq=False)
class Task:
    """One ensemble: its likelihood, first walkers, chain file and seed."""

    likelihood: Likelihood
    walkers: FloatArray
    path: Path
    seed: int


@dataclass(frozen=True, eq=False)
class Sampling:
    """All ensembles, ready to be sampled.

    Parameters
    ----------
    problem
        The mass estimate.
    tasks
        One task for each ensemble.
    free_chi2
        Smallest chi^2 of each way's models, with or without equilibrium.
    """

    problem: MassProblem
    tasks: tuple[Task, ...]
    free_chi2: tuple[float, ...]


def prepare_sampling(problem: MassProblem, chain_path: Callable[[str, int], Path]) -> Sampling:
    """Find the best models, around which the walkers start.

    Parameters
    ----------
    problem
        The mass estimate.
    chain_path
        Function of a way and the index of an ensemble that returns the file of its chain. A chain of the same
        problem is continued; another chain is replaced.

    Raises
    ------
    EmptySelection
        If no model near the data is in equilibrium.
    DamagedFile, StoreInUse
        If a chain's file cannot be read, or another process is sampling it.
    """
    seed = problem.options.sampler.seed
    starts = [_start(one, problem.options) for one in problem.likelihoods]
    tasks = tuple(
        Task(one, walkers, chain_path(one.model.way, k), seed + k)
        for one, start in zip(problem.likelihoods, starts, strict=True)
        for k, walkers in enumerate(start.walkers)
    )
    for task in tasks:
        if owner := current_owner(task.path):
            raise StoreInUse(f"{task.path}: {owner} is sampling this chain: wait for it or end it")
        check_chain(task.path)
    return Sampling(problem, tasks, tuple(start.chi2 for start in starts))


def sample_mass(sampling: Sampling | None, pool: Pool) -> ClusterMass | None:
    """Sample every way and derive masses and profiles; None on MPI ranks that were workers.

    Parameters
    ----------
    sampling
        Ensembles to sample; only the master has them.
    pool
        Workers; a block of steps of one ensemble is one task.

    Raises
    ------
    Interrupted
        At a signal; the same command continues the ensembles.
    WorkerFailed
        If an ensemble cannot be sampled.
    StoreInUse
        If another process is sampling it.
    """
    found: dict[int, Chain] = {}
    locks: list[WriterLock] = []

    def collect(items: NDArray, chains: Sequence[Chain]) -> None:
        found.update(zip(items.tolist(), chains, strict=True))
        for lock in locks:
            lock.touch()

    payload = None if sampling is None else Payload(sampling, {})
    with ExitStack() as held, pool.open(_prepare, payload) as workers:
        if workers is None or sampling is None:
            return None
        # emcee opens a chain at every step; without locks, another process could add steps in between.
        for task in sampling.tasks:
            locks.append(held.enter_context(WriterLock(task.path)))
            locks[-1].leave_to_sleeper()
        options = sampling.problem.options.sampler
        waiting = np.arange(len(sampling.tasks))
        while len(waiting):
            steps = min((chain.steps for i, chain in found.items() if i in waiting), default=0)
            stopped_by = run_chunks(
                workers,
                _advance,
                waiting,
                Collector(collect, "ensemble"),
                label=f"mass, steps {steps} to {min(steps + BLOCK, options.max_steps)}",
                unit="ensemble",
                when_stopped=_GOES_ON,
            )
            waiting = np.array(
                [i for i in waiting.tolist() if not _is_done(sampling.tasks[i], options, found[i])], np.int64
            )
            for line in _progress([(sampling.tasks[i], found[i]) for i in waiting.tolist()]):
                log.info("mass: %s", line)
            if stopped_by and len(waiting):
                raise Interrupted(f"mass: stopped by {stopped_by}; {_GOES_ON}")
    problem, ways = sampling.problem, {}
    rng = np.random.default_rng(problem.options.sampler.seed)
    for likelihood, free_chi2 in zip(problem.likelihoods, sampling.free_chi2, strict=True):
        chains = tuple(found[i] for i, task in enumerate(sampling.tasks) if task.likelihood is likelihood)
        samples = np.concatenate([chain.samples for chain in chains])
        log_probability = np.concatenate([chain.log_probability for chain in chains])
        posterior = posterior_of(
            likelihood, samples, log_probability, problem.critical, problem.mu_e, free_chi2, rng
        )
        ways[likelihood.model.way] = Sampled(posterior, samples, likelihood.model.parameters, chains)
    return ClusterMass(problem.likelihoods[0].annuli, ways, problem.critical, problem.fingerprint)


@dataclass(frozen=True, eq=False)
class _Start:
    """First walkers of every ensemble, and the smallest chi^2 of any model."""

    walkers: list[FloatArray]
    chi2: float


def _start(likelihood: Likelihood, options: MassOptions) -> _Start:
    annuli, seed = likelihood.annuli, options.sampler.seed
    kT = float(np.exp(np.mean(np.log(annuli.kT[annuli.has_kT]))))
    rng = np.random.default_rng(seed)
    best, covariance = best_fit(likelihood.residuals, likelihood.model.start(kT), likelihood.bounds, rng)
    n_walkers = 2 * (-(-options.sampler.walkers_per_parameter * len(best) // 2))
    walkers = []
    for k in range(options.ensembles):
        rng = np.random.default_rng([seed, k])
        drawn = first_walkers(best, covariance, likelihood.bounds, likelihood.log_probability, n_walkers, rng)
        if drawn is None:
            raise EmptySelection(
                f"{likelihood.model.way}: no model near the data has a mass that grows outwards: the gas is "
                "not in equilibrium, or kT falls too steeply; look at the profile, or try sectors or another "
                "way"
            )
        walkers.append(drawn)
    return _Start(walkers, float(np.sum(likelihood.residuals(best[None]) ** 2)))


def _progress(unfinished: Sequence[tuple[Task, Chain]]) -> Iterator[str]:
    """How far the slowest ensemble of each way is from being believed."""
    for way in dict.fromkeys(task.likelihood.model.way for task, _ in unfinished):
        chains = [chain for task, chain in unfinished if task.likelihood.model.way == way]
        times, steps = min(
            (chain.steps / float(chain.autocorrelation.max()), chain.steps) for chain in chains
        )
        yield f"{way}: {steps} steps are {times:.0f} autocorrelation times; {NEEDED:.0f} are needed"


def _prepare(meta: Sampling, arrays: dict[str, np.ndarray]) -> Sampling:
    return meta


def _advance(sampling: Sampling, items: NDArray) -> list[Chain]:
    """Continue the chains of some ensembles."""
    name, options = sampling.problem.fingerprint[:16], sampling.problem.options.sampler
    return [
        advance_ensemble(
            task.path, name, task.likelihood.log_probability, task.walkers, options, task.seed,
            partial(_is_done, task, options),
        )
        for task in (sampling.tasks[i] for i in items.tolist())
    ]  # fmt: skip


def _is_done(task: Task, options: SamplerOptions, chain: Chain) -> bool:
    return is_finished(chain, options) or is_hopeless(task.likelihood, chain.samples, chain.log_probability)
