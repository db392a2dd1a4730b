"""Masses and profiles of gas and temperature from samples of a model, with 68% intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from pyxt_hpc.profiles.mass.hydrostatic import gas_mass
from pyxt_hpc.profiles.mass.likelihood import Likelihood
from pyxt_hpc.profiles.mass.nfw import overdensity_mass

FloatArray = NDArray[np.float64]

OVERDENSITIES = (2500.0, 500.0)

PERCENTILES = (50.0, 15.865, 84.135)

MAX_REDUCED = 10.0
"""Largest chi^2 per degree of freedom; a model with more does not describe the data, and gives no mass."""

_HOPELESS = 2.0
"""Times `MAX_REDUCED`: samples that are so far off do not come back to a model that describes the data."""

MAX_EXCESS = 9.0
"""Largest increase of chi^2 (3 sigma) by the condition that the mass grows outwards; with more, there is no
mass."""

_ENOUGH, _ENOUGH_FITTED = 2000, 500
"""Number of samples for intervals, and for predictions of the annuli."""

_AT_ONCE = 5000
"""Number of samples whose priors are computed at once, to limit memory."""

_MAX_UNREACHED = 0.1
"""Largest fraction of samples that may not reach an overdensity."""

_REACH = 4.0
_STEPS_PER_E = 25


@dataclass(frozen=True)
class Interval:
    """Median and ends of the 68% interval; NaN where there is none."""

    value: float
    low: float
    high: float


NONE = Interval(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class OverdensityMass:
    """Sphere whose mean density is `overdensity` times the critical density.

    Parameters
    ----------
    overdensity
        Such as 500.
    radius, mass, gas_mass, gas_fraction
        Radius [kpc], masses [Msun], and gas mass over total mass.
    is_extrapolated
        Whether the radius is beyond the last annulus.
    note
        Why there is no result; empty if there is one.
    """

    overdensity: float
    radius: Interval
    mass: Interval
    gas_mass: Interval
    gas_fraction: Interval
    is_extrapolated: bool
    note: str = ""


@dataclass(frozen=True, eq=False)
class Posterior:
    """One model of one cluster, after sampling.

    Parameters
    ----------
    way
        ``forward`` or ``backward``.
    radius : (m,)
        Radii of the profiles [kpc].
    profiles
        (3, m) median and ends of the 68% interval of n_e [cm^-3], kT [keV], mass [Msun], gas_mass [Msun] and
        gas_fraction (the last three within the radius), by name.
    predicted_kT, predicted_norm : (3, n)
        Predicted results of the fits of the annuli, to compare with the data.
    overdensities
        Spheres at `OVERDENSITIES`.
    parameters
        Medians and 68% intervals by name, in the unit of the parameter, not of its logarithm.
    outermost
        Outer edge of the last annulus [kpc].
    chi2
        chi^2 of the best sample.
    n_data, n_parameters
        Numbers of data and of parameters.
    excess
        Decrease of chi^2 if the mass may fall outwards over the annuli; above `MAX_EXCESS`, there is no mass.
    refusal
        Reason why there is no mass at all; empty if there is one.
    """

    way: str
    radius: FloatArray
    profiles: dict[str, FloatArray]
    predicted_kT: FloatArray
    predicted_norm: FloatArray
    overdensities: tuple[OverdensityMass, ...]
    parameters: dict[str, Interval]
    outermost: float
    chi2: float
    n_data: int
    n_parameters: int
    excess: float
    refusal: str

    @property
    def probability(self) -> float:
        """Probability of a chi^2 at least as large, if the model is true."""
        return float(chdtrc(_degrees(self.n_data, self.n_parameters), self.chi2))


def _degrees(n_data: int, n_parameters: int) -> int:
    return max(n_data - n_parameters, 1)


def posterior_of(
    likelihood: Likelihood,
    samples: FloatArray,
    log_probability: FloatArray,
    critical: float,
    mu_e: float,
    free_chi2: float,
    rng: np.random.Generator,
) -> Posterior:
    """Profiles and masses of samples.

    Parameters
    ----------
    likelihood
        The sampled likelihood.
    samples, log_probability : (n, n_parameter), (n,)
        Samples of all ensembles.
    critical
        Critical density [Msun kpc^-3].
    mu_e
        Mass of the gas per electron [u].
    free_chi2
        Smallest chi^2 of any model, with or without equilibrium.
    rng
        Random numbers that choose the samples for intervals.
    """
    annuli, model = likelihood.annuli, likelihood.model
    chosen = rng.choice(len(samples), min(_ENOUGH, len(samples)), replace=False)
    theta = samples[chosen]
    middle = annuli.radius
    radius = np.geomspace(
        0.5 * middle[0],
        _REACH * annuli.outermost,
        int(_STEPS_PER_E * np.log(2.0 * _REACH * annuli.outermost / middle[0])),
    )
    chi2 = _least_chi2(likelihood, samples, log_probability)
    excess = chi2 - free_chi2
    mass = model.mass_at(theta, radius)
    degrees = _degrees(likelihood.n_data, len(model.parameters))
    refusal = _refusal(chi2, degrees, excess)
    if refusal:
        mass = np.full_like(mass, np.nan)
    density, kT = model.gas_at(theta, radius)
    gas = gas_mass(radius, density, mu_e)
    profiles = {"n_e": density, "kT": kT, "mass": mass, "gas_mass": gas, "gas_fraction": gas / mass}
    fitted_kT, fitted_norm = likelihood.predicted(theta[:_ENOUGH_FITTED])
    return Posterior(
        way=model.way,
        radius=radius,
        profiles={name: _percentiles(values) for name, values in profiles.items()},
        predicted_kT=_percentiles(fitted_kT),
        predicted_norm=_percentiles(fitted_norm),
        overdensities=tuple(
            _at_overdensity(one, radius, mass, gas, critical, annuli.outermost, refusal)
            for one in OVERDENSITIES
        ),
        parameters={
            p.name: Interval(*_percentiles(np.exp(theta[:, i]) if p.is_log else theta[:, i]))
            for i, p in enumerate(model.parameters)
        },
        outermost=annuli.outermost,
        chi2=chi2,
        n_data=likelihood.n_data,
        n_parameters=len(model.parameters),
        excess=excess,
        refusal=refusal,
    )


def is_hopeless(likelihood: Likelihood, samples: FloatArray, log_probability: FloatArray) -> bool:
    """Whether more samples need not be drawn: `posterior_of` will refuse the mass, whatever they are.

    Parameters
    ----------
    likelihood
        What is sampled.
    samples, log_probability : (n, n_parameter), (n,)
        So far.
    """
    degrees = _degrees(likelihood.n_data, len(likelihood.model.parameters))
    return _least_chi2(likelihood, samples, log_probability) > _HOPELESS * MAX_REDUCED * degrees


def _least_chi2(likelihood: Likelihood, samples: FloatArray, log_probability: FloatArray) -> float:
    """Chi^2 of the sample that fits best, whatever its prior."""
    parts = np.array_split(samples, len(samples) // _AT_ONCE + 1)
    log_prior = np.concatenate([likelihood.model.log_prior(part) for part in parts])
    best = samples[np.argmax(log_probability - log_prior)]
    return float(np.sum(likelihood.residuals(best[None]) ** 2))


def _refusal(chi2: float, degrees: int, excess: float) -> str:
    """Why there is no mass; empty if there is one."""
    if excess > MAX_EXCESS:
        return (
            f"the data favour a mass that falls outwards: one that grows has a chi^2 higher by {excess:.1f}"
        )
    if chi2 > MAX_REDUCED * degrees:
        return f"the model does not describe the annuli: chi^2 {chi2:.0f} with {degrees} degrees of freedom"
    return ""


def overdensity_radius(
    overdensity: float, radius: FloatArray, mass: FloatArray, critical: float
) -> FloatArray:
    """Outermost radius [kpc] where the mean density of each profile (n, m) falls below an overdensity.

    NaN if there is none within `radius` (m,).
    """
    ratio = mass / overdensity_mass(radius, overdensity, critical)
    above = ratio > 1.0
    last = len(radius) - 1 - np.argmax(above[:, ::-1], axis=1)
    known = above.any(axis=1) & (last < len(radius) - 1)
    last = np.where(known, last, 0)
    rows = np.arange(len(mass))
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = np.log(ratio[rows, last]), np.log(np.maximum(ratio[rows, last + 1], 1e-300))
        share = left / (left - right)
        at = np.exp((1.0 - share) * np.log(radius[last]) + share * np.log(radius[last + 1]))
    return np.where(known, at, np.nan)


def _at_overdensity(
    overdensity: float,
    radius: FloatArray,
    mass: FloatArray,
    gas: FloatArray,
    critical: float,
    outermost: float,
    refusal: str,
) -> OverdensityMass:
    if refusal:
        return OverdensityMass(overdensity, NONE, NONE, NONE, NONE, False, refusal)
    at = overdensity_radius(overdensity, radius, mass, critical)
    reached = np.isfinite(at)
    if reached.mean() < 1.0 - _MAX_UNREACHED:
        note = (
            f"{1.0 - reached.mean():.0%} of the samples do not reach this overdensity between "
            f"{radius[0]:.0f} and {radius[-1]:.0f} kpc"
        )
        return OverdensityMass(overdensity, NONE, NONE, NONE, NONE, False, note)
    at, gas = at[reached], gas[reached]
    log_at, grid = np.log(at), np.log(radius)
    within = np.exp([np.interp(x, grid, np.log(one)) for x, one in zip(log_at, gas, strict=True)])
    total = overdensity_mass(at, overdensity, critical)
    spheres, masses, gases, fractions = (
        Interval(*_percentiles(values)) for values in (at, total, within, within / total)
    )
    return OverdensityMass(overdensity, spheres, masses, gases, fractions, spheres.value > outermost)


def _percentiles(values: FloatArray) -> FloatArray:
    return np.percentile(values, PERCENTILES, axis=0)
