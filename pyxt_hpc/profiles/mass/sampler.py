"""Samples of a posterior by ensembles of walkers, which are kept in a file and go on where they stopped.

emcee (Foreman-Mackey et al. 2013, PASP 125, 306) moves the walkers and keeps their chain. Ensembles do not
know each other, so that each can be a task of its own.
"""

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import emcee
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from pyxt_hpc.errors import DamagedFile, EmptySelection
from pyxt_hpc.files.hdf5 import open_hdf5
from pyxt_hpc.files.quoting import one_line
from pyxt_hpc.files.system_errors import system_errors
from pyxt_hpc.files.writing import check_regular

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]
LogProbability = Callable[[FloatArray], FloatArray]

THIN = 10
"""Steps from one that is stored to the next: neighbours are nearly the same, and writing takes time."""

LENGTH = 50.0
"""Autocorrelation times that a chain must have before it is believed, as emcee's authors advise."""

BLOCK = 500
"""Steps between two judgements of a chain: some seconds, so that a signal is soon heeded."""

_HDF5_CHUNKS = 2**21
"""A file grows by whole chunks, of 1 MiB at most in each of two data sets [bytes]."""

_DISCARD = 5.0

NEEDED = LENGTH + _DISCARD
"""Autocorrelation times of a whole chain, with the beginning that is left out."""

_STARTS, _SAME_COST = 6, 0.02
_DRAWS = 100


@dataclass(frozen=True)
class SamplerOptions:
    """How long to sample.

    Parameters
    ----------
    walkers_per_parameter
        Of each ensemble, at least 2.
    max_steps
        An ensemble stops here even if it has not converged.
    length
        Autocorrelation times after which it has.
    seed
        The same seed gives the same chains.
    """

    walkers_per_parameter: int = 4
    max_steps: int = 20_000
    length: float = LENGTH
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Chain:
    """What an ensemble has sampled.

    Parameters
    ----------
    samples : (n, n_parameter)
        Without the beginning, which remembers where the walkers started.
    log_probability : (n,)
        Of the samples.
    steps
        Of every walker, the beginning included.
    autocorrelation : (n_parameter,)
        Integrated autocorrelation times [steps].
    converged
        Whether the chain is long enough.
    acceptance
        Share of the proposed steps that were taken, of those that are stored.
    """

    samples: FloatArray
    log_probability: FloatArray
    steps: int
    autocorrelation: FloatArray
    converged: bool
    acceptance: float


def best_fit(
    residuals: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    bounds: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Best parameters within bounds, and their covariance by the curvature there.

    Parameters
    ----------
    residuals
        Function of (n, n_parameter) that gives (n, n_data), in sigma.
    start : (n_parameter,)
        Where the search begins for the first time; further searches begin around it.
    bounds : (2, n_parameter)
        Lowest and highest values.
    rng
        Of the further searches.

    Raises
    ------
    EmptySelection
        If no search finds a model that can be compared with the data.
    """
    low, high = bounds
    span = high - low

    def one(theta: FloatArray) -> FloatArray:
        return residuals(np.clip(theta, low, high)[None])[0]

    def slopes(theta: FloatArray) -> FloatArray:
        step = 1e-4 * span * np.where(theta + 1e-4 * span < high, 1.0, -1.0)
        moved = residuals(np.concatenate([theta[None], theta + np.diag(step)]))
        return ((moved[1:] - moved[0]) / step[:, None]).T

    found = []
    for attempt in range(_STARTS):
        scatter = 0.08 * span * rng.standard_normal(len(start)) if attempt else 0.0
        first = np.clip(start + scatter, low + 1e-3 * span, high - 1e-3 * span)
        if not np.all(np.isfinite(one(first))):
            continue
        found.append(least_squares(one, first, slopes, bounds=(low, high), x_scale=span, max_nfev=200))
        costs = sorted(float(result.cost) for result in found)
        if len(costs) > 1 and costs[1] - costs[0] < _SAME_COST:
            break  # found twice, from different places
    if not found:
        raise EmptySelection(
            "no model of the cluster gives finite temperatures in its annuli: look at kT, norm and radii in "
            "the profile's table"
        )
    best = min(found, key=lambda result: float(result.cost))
    jacobian = slopes(best.x)
    # a flat prior knows no more than its own width
    covariance = np.linalg.inv(jacobian.T @ jacobian + np.diag(12.0 / span**2))
    return np.asarray(best.x, np.float64), np.asarray(covariance, np.float64)


def first_walkers(
    best: FloatArray,
    covariance: FloatArray,
    bounds: FloatArray,
    log_probability: LogProbability,
    number: int,
    rng: np.random.Generator,
) -> FloatArray | None:
    """Where walkers start: (number, n_parameter) about the best fit, each where the posterior is not 0.

    Further and further away from it if need be; None if that finds nothing.
    """
    low, high = bounds
    found = np.zeros((0, len(best)))
    for attempt in range(_DRAWS):
        wider = 1.0 + 10.0 * attempt / _DRAWS
        drawn = rng.multivariate_normal(best, wider**2 * covariance, size=4 * number, method="eigh")
        # what falls outside is reflected, and evenly spread if that does not help
        drawn = np.where(drawn < low, 2.0 * low - drawn, np.where(drawn > high, 2.0 * high - drawn, drawn))
        anywhere = rng.uniform(low, high, drawn.shape)
        drawn = np.where((drawn > low) & (drawn < high), drawn, anywhere)
        found = np.concatenate([found, drawn[np.isfinite(log_probability(drawn))]])
        if len(found) >= number:
            return found[:number]
    return None


def is_finished(chain: Chain, options: SamplerOptions) -> bool:
    """Whether a chain is long enough, or as long as it may be."""
    return chain.converged or chain.steps >= options.max_steps


def advance_ensemble(
    path: Path,
    name: str,
    log_probability: LogProbability,
    walkers: FloatArray,
    options: SamplerOptions,
    seed: int,
    is_done: Callable[[Chain], bool],
) -> Chain:
    """Sample `BLOCK` steps more, fewer at the end, going on with what the file has.

    Parameters
    ----------
    path, name
        HDF5 file of emcee's backend, and the chain's group in it.
    log_probability
        Function of (n, n_parameter) that gives (n,).
    walkers
        (n_walker, n_parameter) where they start if there is no chain yet.
    options
        How long.
    seed
        Of this ensemble.
    is_done
        Whether a chain is to stay as it is.

    Raises
    ------
    DamagedFile
        If the file cannot be read.
    DiskFull
        If there is no room for the steps.
    """
    backend = _backend(path, name)
    if check_regular(path) and not backend.initialized:
        log.info("%s: a chain of other data or options is replaced", path)
        path.unlink()
    if backend.initialized and backend.iteration:
        # resumed: the last walkers and the state of the random numbers are in the file
        n_walkers, n_parameters = backend.shape
        state = backend.get_last_sample()
        chain = chain_of(backend, options)
        if is_done(chain):
            return chain
    else:
        n_walkers, n_parameters = walkers.shape
        state = emcee.State(walkers, random_state=np.random.RandomState(seed).get_state())
        backend.reset(n_walkers, n_parameters)
    moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)]
    sampler = emcee.EnsembleSampler(
        n_walkers, n_parameters, log_probability, moves=moves, backend=backend, vectorize=True
    )
    stored = min(BLOCK // THIN, -(-options.max_steps // THIN) - backend.iteration)
    _see_that_there_is_room(path, 2 * stored * n_walkers * (n_parameters + 1) * 8 + _HDF5_CHUNKS)
    sampler.run_mcmc(state, stored, thin_by=THIN)
    return chain_of(backend, options)


def chain_of(backend: emcee.backends.Backend, options: SamplerOptions) -> Chain:
    """The chain of a backend that has begun, judged."""
    stored = backend.iteration
    chain, log_probability = backend.get_chain(), backend.get_log_prob()
    times = autocorrelation(chain)
    longest = float(np.max(times))
    beginning = min(int(_DISCARD * longest), stored // 2)
    return Chain(
        samples=chain[beginning:].reshape(-1, chain.shape[2]),
        log_probability=log_probability[beginning:].ravel(),
        steps=stored * THIN,
        autocorrelation=times * THIN,
        converged=bool(np.isfinite(longest) and stored - beginning >= options.length * longest),
        acceptance=float(np.mean(backend.accepted) / stored),
    )


def autocorrelation(chain: FloatArray) -> FloatArray:
    """Integrated autocorrelation time (n_parameter,) [stored steps] of (n_step, n_walker, n_parameter).

    At least 1: of a chain that is thinner than its memory it would be half a step.
    """
    times = emcee.autocorr.integrated_time(chain, c=5, tol=0, quiet=True)
    return np.maximum(np.where(np.isfinite(times), times, len(chain)), 1.0)


def gelman_rubin(chains: list[Chain]) -> float:
    """Largest R-hat of a parameter: scatter between ensembles over that within; 1 where they agree."""
    if len(chains) < 2:
        return float("nan")
    means = np.array([chain.samples.mean(axis=0) for chain in chains])
    within = np.mean([chain.samples.var(axis=0) for chain in chains], axis=0)
    return float(np.sqrt(1.0 + means.var(axis=0, ddof=1) / within).max())


def check_chain(path: Path) -> None:
    """Raise DamagedFile if a file is no chain: emcee would take it for one that is not there."""
    if check_regular(path):
        try:
            with open_hdf5(path) as file:
                for group in file.values():
                    for values in group.values():
                        values[-1:]  # what a kill or a full disk cut off is at the end
        except (OSError, RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
            raise DamagedFile(
                f"{path}: this chain cannot be read ({one_line(str(error))}); delete it"
            ) from error


def _see_that_there_is_room(path: Path, size: int) -> None:
    """Raise DiskFull if a file cannot grow by so many bytes: HDF5 would take the process down with it."""
    with system_errors(path), tempfile.TemporaryFile(dir=path.parent) as file:
        os.posix_fallocate(file.fileno(), 0, size)


def _backend(path: Path, name: str) -> emcee.backends.HDFBackend:
    check_chain(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return emcee.backends.HDFBackend(str(path), name=name)
