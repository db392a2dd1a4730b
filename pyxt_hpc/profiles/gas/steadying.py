"""Temperatures of shells steadied where they are little more than noise, and norms that go with them.

Shells of few counts have temperatures that scatter by factors. Hot gas is fainter for its density, so that
noise of the temperature, which has a longer tail upwards, makes densities too high. What needs no temperature
of a single shell, as the mass of all gas and what brightness says of the density, is taken at temperatures
whose run is steady: the most probable ones if second differences of ln kT have a standard deviation of
`ROUGHNESS`. Where the data know better, they stay what they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.profiles.gas.deprojection import Deprojection

FloatArray = NDArray[np.float64]

ROUGHNESS = 0.2
"""Standard deviation that is expected of second differences of ln kT from shell to shell."""

_LEAST_ERROR = 0.01
"""Of ln kT, added in squares: more than the covariance of draws can tell of shells beside each other."""


@dataclass(frozen=True, eq=False)
class Steadied:
    """Shells at steadied temperatures.

    Parameters
    ----------
    kT, kT_draws : (n,), (n_draw, n)
        [keV]; as fitted where a shell took no part.
    norm, norm_draws : (n,), (n_draw, n)
        What norms are at these temperatures, by their covariance with the temperatures that were fitted.
    """

    kT: FloatArray
    kT_draws: FloatArray
    norm: FloatArray
    norm_draws: FloatArray


def steadied(fit: Deprojection, known: NDArray[np.bool_]) -> Steadied:
    """Steady the temperatures of shells.

    Parameters
    ----------
    fit
        Shells and draws. Where draws are not twice as many as shells, which tells no covariance, all stays.
    known : (n,)
        Shells that have a temperature; the others stay as they are.
    """
    best, draws = fit.best, fit.draws
    n = int(np.count_nonzero(known))
    if n < 3 or len(draws.kT) < 2 * n:
        return Steadied(best.kT, draws.kT, best.norm, draws.norm)
    kT, kT_drawn, norm_drawn = (
        np.log(values) for values in (best.kT[known], draws.kT[:, known], draws.norm[:, known])
    )
    both = np.cov(np.concatenate([norm_drawn, kT_drawn], axis=1), rowvar=False)
    weight = np.linalg.inv(both[n:, n:] + _LEAST_ERROR**2 * np.eye(n))
    second = np.diff(np.eye(n), 2, axis=0)
    steady = np.linalg.solve(weight + second.T @ second / ROUGHNESS**2, weight)
    norm_by_kT = both[:n, n:] @ weight

    def moved(values: FloatArray, by: FloatArray) -> FloatArray:
        result = values.copy()
        result[..., known] *= np.exp(by)
        return result

    change, changes = kT @ steady.T - kT, kT_drawn @ steady.T - kT_drawn
    return Steadied(
        kT=moved(best.kT, change),
        kT_draws=moved(draws.kT, changes),
        norm=moved(best.norm, change @ norm_by_kT.T),
        norm_draws=moved(draws.norm, changes @ norm_by_kT.T),
    )
