"""Intervals, limits and status of each shell of gas."""

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.profiles.gas.deprojection import Deprojection
from pyxt_hpc.profiles.gas.thermodynamics import Gas, Intervals

FloatArray = NDArray[np.float64]

_TAIL = 0.16
"""Fraction of draws beyond one end of a 68% interval."""


def _without(fit: Deprojection) -> NDArray[np.bool_]:
    """Shells whose emission is not significant."""
    return np.asarray(fit.no_emission | (fit.no_emission_drawn.mean(axis=0) > _TAIL))


def _at_bound(kT: FloatArray, bounds: tuple[float, float] | None) -> NDArray[np.bool_]:
    low, high = bounds or (0.0, np.inf)
    return np.asarray((kT <= low * (1 + 1e-9)) | (kT >= high * (1 - 1e-9)))


def intervals_of(
    gas: Gas, draws: Gas, fit: Deprojection, kT_bounds: tuple[float, float] | None
) -> tuple[dict[str, Intervals], tuple[str, ...]]:
    """68% intervals of all quantities, NaN where unknown, and the status of each shell in words.

    Parameters
    ----------
    gas, draws
        Gas of the best fit (n,) and of the draws (n_draw, n).
    fit
        Deprojection, which has the shells without emission.
    kT_bounds
        Bounds of kT in the fit [keV].
    """
    without, at_bound = _without(fit), _at_bound(gas.kT, kT_bounds)
    shells = {}
    for name, value in vars(gas).items():
        unknown = fit.no_emission_drawn & (name != "gas_mass")  # the gas mass is a sum over shells
        of_draws = np.where(unknown, np.nan, getattr(draws, name))
        shells[name] = Intervals.of_draws(value, of_draws)
    low, high = kT_bounds or (0.0, np.inf)
    open_lo = np.mean(draws.kT <= low * (1 + 1e-9), axis=0) > _TAIL
    open_hi = np.mean(draws.kT >= high * (1 - 1e-9), axis=0) > _TAIL
    # A shell without emission has no temperature; its density has an upper limit.
    for name in ("kT", "abundance", "pressure", "entropy", "cooling_time"):
        shells[name] = shells[name].blanked(without)
    for name in ("kT", "pressure", "entropy", "cooling_time"):
        one = shells[name]
        shells[name] = Intervals(
            np.where(at_bound, np.nan, one.value),
            np.where(open_lo, np.nan, one.low),
            np.where(open_hi, np.nan, one.high),
        )
    n_e = shells["n_e"]
    limit = np.percentile(draws.n_e, 100.0 * (1.0 - _TAIL), axis=0)
    shells["n_e"] = Intervals(
        np.where(without, np.nan, n_e.value),
        np.where(without, np.nan, n_e.low),
        np.where(without, limit, n_e.high),
    )
    # The draws have another solution than the fit, for example if most of a shell is masked.
    n_e = shells["n_e"]
    astray = ~without & ((n_e.value < n_e.low) | (n_e.value > n_e.high))
    for name, one in shells.items():
        shells[name] = Intervals(np.where(astray, np.nan, one.value), one.low, one.high)
    words = np.select(
        [without, astray, at_bound, open_lo | open_hi],
        ["no significant emission", "not determined", "kT at its bound", "kT interval open"],
        "ok",
    ).tolist()
    if words[-1] == "ok":
        words[-1] = "ok, kT also of the gas beyond"
    return shells, tuple(words)
