"""Sampling of a posterior by ensembles of walkers, whose chains are kept in files and can be continued.

emcee (Foreman-Mackey et al. 2013, PASP 125, 306) moves the walkers and stores their chain. Ensembles are
independent, so that each can be a task of its own.
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
"""Number of steps for each stored one, since successive steps are nearly equal and writing takes time."""

LENGTH = 50.0
"""Smallest length of a converged chain in autocorrelation times, as emcee's authors advise."""

BLOCK = 500
"""Number of steps between two checks of a chain; these take seconds, so that a signal is soon noticed."""

_HDF5_CHUNKS = 2**21
"""Size of the last chunks of a file [bytes]: at most 1 MiB in each of two data sets."""

_DISCARD = 5.0

NEEDED = LENGTH + _DISCARD
"""Autocorrelation times of a whole chain, with the beginning that is left out."""

_STARTS, _SAME_COST = 6, 0.02
_DRAWS = 100


@dataclass(frozen=True)
class SamplerOptions:
    """Options of the sampling.

    Parameters
    ----------
    walkers_per_parameter
        Number of walkers of each ensemble per parameter, at least 2.
    max_steps
        Largest number of steps, at which an ensemble stops even without convergence.
    length
        Length of a converged chain in autocorrelation times.
    seed
        Seed of the random numbers; the same seed gives the same chains.
    """

    walkers_per_parameter: int = 4
    max_steps: int = 20_000
    length: float = LENGTH
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Chain:
    """Samples of an ensemble.

    Parameters
    ----------
    samples : (n, n_parameter)
        Samples after the burn-in.
    log_probability : (n,)
        Log of the posterior of the samples.
    steps
        Number of steps of every walker, including the burn-in.
    autocorrelation : (n_parameter,)
        Integrated autocorrelation times [steps].
    converged
        Whether the chain is long enough.
    acceptance
        Fraction of proposed steps that were accepted, among the stored ones.
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
    """Best parameters within bounds, and their covariance from the curvature there.

    Parameters
    ----------
    residuals
        Function of parameters (n, n_parameter) that returns residuals (n, n_data) in sigma.
    start : (n_parameter,)
        Start of the first search; further searches start around it.
    bounds : (2, n_parameter)
        Lowest and highest values.
    rng
        Random numbers of the further searches.

    Raises
    ------
    EmptySelection
        If the residuals are not finite at any start.
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
            break  # two searches have found the same minimum
    if not found:
        raise EmptySelection(
            "no model of the cluster gives finite temperatures in its annuli: look at kT, norm and radii in "
            "the profile's table"
        )
    best = min(found, key=lambda result: float(result.cost))
    jacobian = slopes(best.x)
    # The variance of the uniform prior limits that of parameters without constraints.
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
    """First walkers (number, n_parameter) around the best fit, where the posterior is not 0.

    The scatter is increased until enough walkers are found; None if they are not.
    """
    low, high = bounds
    found = np.zeros((0, len(best)))
    for attempt in range(_DRAWS):
        wider = 1.0 + 10.0 * attempt / _DRAWS
        drawn = rng.multivariate_normal(best, wider**2 * covariance, size=4 * number, method="eigh")
        # Values outside the bounds are reflected; if they are still outside, they are drawn uniformly.
        drawn = np.where(drawn < low, 2.0 * low - drawn, np.where(drawn > high, 2.0 * high - drawn, drawn))
        anywhere = rng.uniform(low, high, drawn.shape)
        drawn = np.where((drawn > low) & (drawn < high), drawn, anywhere)
        found = np.concatenate([found, drawn[np.isfinite(log_probability(drawn))]])
        if len(found) >= number:
            return found[:number]
    return None


def is_finished(chain: Chain, options: SamplerOptions) -> bool:
    """Whether a chain has converged, or has its largest length."""
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
    """Continue the chain of a file by `BLOCK` steps, or fewer at its end.

    Parameters
    ----------
    path, name
        HDF5 file of emcee's backend, and the chain's group in it.
    log_probability
        Function of parameters (n, n_parameter) that returns (n,).
    walkers
        (n_walker, n_parameter) first walkers of a new chain.
    options
        Length of the chain.
    seed
        Seed of this ensemble.
    is_done
        Whether a chain needs no more steps.

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
        # The file has the last walkers and the state of the random numbers.
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
    """Chain of a backend that has samples."""
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

    It is at least 1, since strongly thinned chains would give half a step.
    """
    times = emcee.autocorr.integrated_time(chain, c=5, tol=0, quiet=True)
    return np.maximum(np.where(np.isfinite(times), times, len(chain)), 1.0)


def gelman_rubin(chains: list[Chain]) -> float:
    """Largest R-hat of all parameters, from the variances between and within ensembles; 1 if they agree."""
    if len(chains) < 2:
        return float("nan")
    means = np.array([chain.samples.mean(axis=0) for chain in chains])
    within = np.mean([chain.samples.var(axis=0) for chain in chains], axis=0)
    return float(np.sqrt(1.0 + means.var(axis=0, ddof=1) / within).max())


def check_chain(path: Path) -> None:
    """Raise DamagedFile if a file is not a chain, since emcee would treat it as missing."""
    if check_regular(path):
        try:
            with open_hdf5(path) as file:
                for group in file.values():
                    for values in group.values():
                        values[-1:]  # a kill or a full disk truncates the end
        except (OSError, RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
            raise DamagedFile(
                f"{path}: this chain cannot be read ({one_line(str(error))}); delete it"
            ) from error


def _see_that_there_is_room(path: Path, size: int) -> None:
    """Raise DiskFull if a file cannot grow by `size` bytes, since HDF5 would crash the process."""
    with system_errors(path), tempfile.TemporaryFile(dir=path.parent) as file:
        os.posix_fallocate(file.fileno(), 0, size)


def _backend(path: Path, name: str) -> emcee.backends.HDFBackend:
    check_chain(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return emcee.backends.HDFBackend(str(path), name=name)
