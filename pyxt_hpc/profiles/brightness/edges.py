"""Edges in a brightness profile, as a projected density with a jump between two power laws."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from pyxt_hpc.errors import ConfigError, EmptySelection
from pyxt_hpc.profiles.brightness.count_fit import RingFit, fit_counts
from pyxt_hpc.profiles.brightness.rings import Rings

FloatArray = NDArray[np.float64]

_NODES, _WEIGHTS = leggauss(40)
_FAR = 14.0
"""Upper limit of integrals in u, where z = R sinh u."""

_SLOPE = -0.4, 4.0
_OUTER_SLOPE = 0.6, 6.0
_MAX_JUMP = 30.0
_MIN_RINGS = 8
_SCAN = 9


@dataclass(frozen=True)
class Edge:
    """A jump of the density.

    Parameters
    ----------
    r_min, r_max
        Range of the fit [arcsec].
    radius, radius_lo, radius_hi
        Radius of the edge with its 68% interval [arcsec].
    jump, jump_lo, jump_hi
        n_e inside over n_e outside with its 68% interval from the profile likelihood; NaN at an open end.
    inner_slope, outer_slope
        Exponents of r^-slope for n_e on both sides.
    norm, constant
        Brightness of the density just outside the edge over a depth of the edge's radius, and residual
        background [count s^-1 arcmin^-2].
    statistic, n_bins
        C, and the number of rings.
    improvement
        C of the best model without a jump, minus C; both models have two slopes.
    """

    r_min: float
    r_max: float
    radius: float
    radius_lo: float
    radius_hi: float
    jump: float
    jump_lo: float
    jump_hi: float
    inner_slope: float
    outer_slope: float
    norm: float
    constant: float
    statistic: float
    n_bins: int
    improvement: float

    def brightness(self, radius: ArrayLike) -> FloatArray:
        """Brightness at radii [arcsec], without the constant."""
        shape = broken_power_law(radius, self.radius, self.jump, self.inner_slope, self.outer_slope)
        return np.asarray(self.norm * shape)


def broken_power_law(
    radius: ArrayLike, edge: float, jump: float, inner_slope: float, outer_slope: float
) -> FloatArray:
    """Brightness of a density with a jump, projected along the line of sight.

    n = jump (r/edge)^-inner_slope within the edge, (r/edge)^-outer_slope outside (Markevitch & Vikhlinin
    2007, Phys. Rep. 443, 1).

    Parameters
    ----------
    radius
        Projected radius [any unit].
    edge
        Radius of the edge, in the same unit.
    jump
        n inside over n outside at the edge.
    inner_slope, outer_slope
        Slopes; the outer one must be above 0.5, so that the integral along the line of sight is finite.

    Returns
    -------
    numpy.ndarray
        Integral of n^2 along the line of sight, over the edge's radius.
    """
    R = np.atleast_1d(np.asarray(radius, float))
    u_edge = np.arccosh(np.maximum(edge / R, 1.0))
    inner = _column(R / edge, np.zeros(len(R)), u_edge, 2.0 * inner_slope)
    # The integrand falls as exp(-(2 slope - 1) u).
    end = u_edge + np.minimum(_FAR / (2.0 * outer_slope - 1.0) + 3.0, 60.0)
    outer = _column(R / edge, u_edge, end, 2.0 * outer_slope)
    return jump**2 * inner + outer


def _column(R: FloatArray, low: FloatArray, high: FloatArray, power: float) -> FloatArray:
    """2 int (R^2 + z^2)^(-power/2) dz with z = R sinh u, for u from `low` to `high`."""
    half = 0.5 * (high - low)[:, None]
    u = half * _NODES + 0.5 * (high + low)[:, None]
    # The logarithm of cosh, which itself would overflow at large u.
    log_cosh = u + np.log1p(np.exp(-2.0 * u)) - np.log(2.0)
    integral = np.sum(half * _WEIGHTS * np.exp((1.0 - power) * log_cosh), axis=1)
    return 2.0 * R ** (1.0 - power) * integral


def fit_edge(rings: Rings, r_min: float, r_max: float) -> Edge:
    """Fit the edge in a range of a profile.

    The radius of the edge is searched within the central 90% of the range (in ln r). The interval of the jump
    is where C is at most 1 above its minimum, minimised over all other parameters. The PSF is not modelled:
    if it is not small compared with the radius of the edge, the fitted jump is too small.

    Parameters
    ----------
    rings
        Thin rings.
    r_min, r_max
        Range [arcsec].

    Raises
    ------
    ConfigError
        If the range is reversed or begins at 0.
    EmptySelection
        If it has too few rings or counts.
    """
    if not 0 < r_min < r_max:
        raise ConfigError(f"edge between {r_min:g} and {r_max:g} arcsec: expected 0 < first < second")
    use = (rings.edges[:-1] >= r_min) & (rings.edges[1:] <= r_max) & (rings.exposure > 0)
    radius, counts, background, exposure = (
        a[use] for a in (rings.radius, rings.counts, rings.background, rings.exposure)
    )
    net = float(counts.sum() - background.sum())
    if len(radius) < _MIN_RINGS or net < 5.0 * np.sqrt(max(float(counts.sum()), 1.0)):
        raise EmptySelection(
            f"edge between {r_min:g} and {r_max:g} arcsec: {len(radius)} rings with {net:.0f} counts above "
            f"the background; expected {_MIN_RINGS} rings or more and 5 sigma: choose a wider range or sector"
        )
    span = np.log(r_max / r_min)
    places = [float(np.log(r_min)) + float(span) * part for part in (0.05, 0.95)]
    floor = -0.95 * float(np.min(background / exposure)) if background.all() else 0.0
    # Bounded, because a free constant would be degenerate with the outer slope in this range.
    level = net / float(exposure.sum())

    def model(p: FloatArray, log_jump: float) -> FloatArray:
        shape = broken_power_law(
            radius, float(np.exp(p[0])), float(np.exp(log_jump)), float(p[1]), float(p[2])
        )
        return exposure * (np.exp(p[3]) * shape + p[4]) + background

    low = [places[0], _SLOPE[0], _OUTER_SLOPE[0], np.log(level) - 15.0, floor]
    high = [places[1], _SLOPE[1], _OUTER_SLOPE[1], np.log(level) + 15.0, max(level, 1e-12) + abs(floor)]

    def at(log_jump: float, starts: list[list[float]]) -> RingFit:
        return fit_counts(counts, lambda p: model(p, log_jump), starts, (low, high))

    def free(p: FloatArray) -> FloatArray:
        return model(p[:5], p[5])

    scan = np.linspace(places[0], places[1], _SCAN + 2)[1:-1].tolist()
    begins = [[place, 0.7, 1.2, np.log(level), 0.0, 0.4] for place in scan]
    best = fit_counts(counts, free, begins, ([*low, -np.log(_MAX_JUMP)], [*high, np.log(_MAX_JUMP)]))
    others = best.values[:5].tolist()
    without = at(0.0, [others, *(begin[:5] for begin in begins[::3])])

    def above(log_jump: float) -> float:
        return at(log_jump, [others]).statistic - best.statistic - 1.0

    error = max(float(np.sqrt(best.covariance[5, 5])), 1e-3)
    jump_lo, jump_hi = (
        float(np.exp(_crossing(above, float(best.values[5]), sign * error))) for sign in (-1.0, 1.0)
    )
    place, place_error = float(best.values[0]), float(np.sqrt(best.covariance[0, 0]))
    return Edge(
        r_min=r_min,
        r_max=r_max,
        radius=float(np.exp(place)),
        radius_lo=float(np.exp(place - place_error)),
        radius_hi=float(np.exp(place + place_error)),
        jump=float(np.exp(best.values[5])),
        jump_lo=jump_lo,
        jump_hi=jump_hi,
        inner_slope=float(best.values[1]),
        outer_slope=float(best.values[2]),
        norm=float(np.exp(best.values[3])),
        constant=float(best.values[4]),
        statistic=best.statistic,
        n_bins=len(radius),
        improvement=without.statistic - best.statistic,
    )


def _crossing(above: Callable[[float], float], best: float, step: float) -> float:
    """ln of the jump where C is 1 above its minimum, on one side; NaN if it stays below."""
    near, far = best, best + step
    for _ in range(8):
        if abs(far) > np.log(_MAX_JUMP):
            return np.nan
        if above(far) > 0:
            return float(brentq(above, near, far, xtol=1e-3 * abs(step)))
        near, far = far, best + 2.0 * (far - best)
    return np.nan
