"""Concentric ellipses of the same shape in an image."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ellipse:
    """Centre and shape of concentric ellipses.

    Parameters
    ----------
    row, col
        Centre [pixels, from 0].
    stretch
        e cos(2 theta), e sin(2 theta): theta is the angle of the major axis, from the column axis towards
        the row axis; the axis ratio is sqrt((1 - e)/(1 + e)). (0, 0) is a circle.
    """

    row: float
    col: float
    stretch: tuple[float, float] = field(default=(0.0, 0.0), kw_only=True)

    @classmethod
    def of(cls, row: float, col: float, axis_ratio: float, angle: float) -> "Ellipse":
        """Ellipse with a ratio of minor to major axis, and the angle theta of the major axis [rad]."""
        e = (1.0 - axis_ratio**2) / (1.0 + axis_ratio**2)
        return cls(row, col, stretch=(e * np.cos(2.0 * angle), e * np.sin(2.0 * angle)))

    @property
    def axis_ratio(self) -> float:
        """Ratio of minor to major axis."""
        e = float(np.hypot(*self.stretch))
        return float(np.sqrt((1.0 - e) / (1.0 + e)))

    @property
    def angle(self) -> float:
        """Angle theta of the major axis [rad], 0 <= theta < pi."""
        return float(0.5 * np.arctan2(self.stretch[1], self.stretch[0])) % np.pi

    def distance(self, row: NDArray, col: NDArray) -> NDArray[np.float64]:
        """Geometric mean of the semi-axes of the ellipse through each point [pixels]."""
        distance: NDArray[np.float64] = np.sqrt(distance_sq(row - self.row, col - self.col, self.stretch))
        return distance

    def radius(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """`distance` of every pixel, (ny, nx)."""
        return self.distance(*np.ogrid[: shape[0], : shape[1]])


def distance_sq(y: np.ndarray, x: np.ndarray, stretch: Sequence[float] | np.ndarray) -> np.ndarray:
    """Square of `Ellipse.distance` at offsets from the centre; an empty `stretch` means a circle."""
    form: np.ndarray
    if not len(stretch):
        form = y**2 + x**2
        return form
    e_cos, e_sin = stretch
    form = (1.0 - e_cos) * x**2 + (1.0 + e_cos) * y**2 - 2.0 * e_sin * (x * y)
    form /= np.sqrt(1.0 - e_cos**2 - e_sin**2)
    return form
