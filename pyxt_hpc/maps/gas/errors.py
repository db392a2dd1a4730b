"""Errors of what a region's parameters say about the gas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.maps.painting.paint import Measured


@dataclass(frozen=True, eq=False)
class Uncertain:
    """Something a result depends on.

    `slope` is of ln result over ln parameter, or over the parameter; `minus`, `plus` are errors of the same.
    """

    slope: NDArray | float
    minus: NDArray | float
    plus: NDArray | float

    @classmethod
    def power(cls, slope: NDArray | float, parameter: Measured) -> "Uncertain":
        """Of a result that goes as a power of the parameter."""
        with np.errstate(divide="ignore", invalid="ignore"):  # norm 0 has no relative error
            return cls(slope, parameter.minus / parameter.value, parameter.plus / parameter.value)

    def moves(self, up: bool) -> NDArray[np.float64]:
        """Change of ln result by the error on the side that moves it up, or down."""
        slope = np.asarray(self.slope, float)
        # where the slope is 0 an open interval does not matter
        return np.where(slope == 0, 0.0, slope * np.where((slope > 0) == up, self.plus, self.minus))


def propagate(
    value: NDArray, on: Sequence[Uncertain], correlations: Mapping[tuple[int, int], NDArray | float]
) -> Measured:
    """Errors of a result, in first order of its logarithm.

    The relative variance is sum_ij rho_ij d_i d_j, d_i being what parameter i moves it by with its error
    on the sides that move the result the same way. `correlations` are rho_ij of pairs i < j.
    """

    def side(up: bool) -> NDArray:
        moves = [parameter.moves(up) for parameter in on]
        variance = np.sum([move**2 for move in moves], axis=0)
        for (i, j), rho in correlations.items():
            variance = variance + 2.0 * rho * moves[i] * moves[j]
        return value * np.sqrt(np.maximum(variance, 0.0))

    with np.errstate(invalid="ignore"):
        return Measured(np.where(np.isfinite(value), value, np.nan), side(up=False), side(up=True))
