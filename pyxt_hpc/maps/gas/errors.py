"""Propagation of the errors of a region's parameters to properties of the gas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.maps.painting.paint import Measured


@dataclass(frozen=True, eq=False)
class Uncertain:
    """A parameter on which a result depends.

    `slope` is the derivative of ln(result) by ln(parameter), or by the parameter; `minus` and `plus` are the
    errors of ln(parameter), or of the parameter.
    """

    slope: NDArray | float
    minus: NDArray | float
    plus: NDArray | float

    @classmethod
    def power(cls, slope: NDArray | float, parameter: Measured) -> "Uncertain":
        """Parameter for a result that is proportional to its power `slope`."""
        with np.errstate(divide="ignore", invalid="ignore"):  # norm 0 has no relative error
            return cls(slope, parameter.minus / parameter.value, parameter.plus / parameter.value)

    def moves(self, up: bool) -> NDArray[np.float64]:
        """Slope times the error on the side that moves the result up, or down; it has the slope's sign."""
        slope = np.asarray(self.slope, float)
        # If the slope is 0, an open interval (NaN) has no effect.
        return np.where(slope == 0, 0.0, slope * np.where((slope > 0) == up, self.plus, self.minus))


def propagate(
    value: NDArray, on: Sequence[Uncertain], correlations: Mapping[tuple[int, int], NDArray | float]
) -> Measured:
    """Value of a result with its errors, to first order in its logarithm.

    The relative variance is sum_ij rho_ij d_i d_j. Here d_i is the slope times the error of parameter i, on
    the side that moves the result up for the upper error, and down for the lower error. `correlations` are
    the rho_ij of pairs i < j.
    """

    def side(up: bool) -> NDArray:
        moves = [parameter.moves(up) for parameter in on]
        variance = np.sum([move**2 for move in moves], axis=0)
        for (i, j), rho in correlations.items():
            variance = variance + 2.0 * rho * moves[i] * moves[j]
        return value * np.sqrt(np.maximum(variance, 0.0))

    with np.errstate(invalid="ignore"):
        return Measured(np.where(np.isfinite(value), value, np.nan), side(up=False), side(up=True))
