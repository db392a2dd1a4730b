"""Simulated clusters with a shock front, and clusters with other features that could look like one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC, ClusterTruth
from pyxt_hpc.simulate.direct import scaled_to

SHOCK_FREE = ("round", "elliptical", "cool core", "cold front", "hot blob", "off-centre")

_COUNTS = 5e5
"""Counts of every cluster: radii for S/N of 40 to 50 are 3 pixels in the core, and 10 to 20 far outside."""


@dataclass(frozen=True, eq=False)
class FrontTruth:
    """A cluster and its shock front.

    Parameters
    ----------
    cluster
        The cluster.
    mach
        Mach number of the front; 1 without a front.
    row, col
        Middle of the front [pixels].
    angle
        Direction towards the shocked side, from the direction of columns to that of rows [rad].
    radius, half_opening
        Radius of the front's arc [pixels], and half of its opening angle [rad].
    """

    cluster: ClusterTruth
    mach: float = 1.0
    row: float = np.nan
    col: float = np.nan
    angle: float = np.nan
    radius: float = np.nan
    half_opening: float = np.nan

    def is_at(self, pixels: NDArray, angle: float, tolerance: float = 4.0) -> bool:
        """Whether most pixels of a candidate are on this front's arc, with a direction within 60 degrees.

        Parameters
        ----------
        pixels : (n, 2)
            Rows and columns of the candidate.
        angle
            Direction towards its bright side [rad].
        tolerance
            Largest distance of pixels on the arc [pixels].
        """
        row, col = (
            pixels - [self.row, self.col] - self.radius * np.array([np.sin(self.angle), np.cos(self.angle)])
        ).T
        off = _turn(np.arctan2(row, col) - self.angle - np.pi)
        on = (np.abs(np.hypot(row, col) - self.radius) < tolerance) & (np.abs(off) < self.half_opening)
        return bool(np.mean(on) > 0.5 and abs(_turn(angle - self.angle)) < np.pi / 3)


def shocked_cluster(mach: float, rng: np.random.Generator, side: int = 200) -> FrontTruth:
    """A round or elliptical cluster with a shock front at a random position.

    The front is an arc of 40 to 120 degrees, and need not be centred on the cluster. The jumps of density and
    temperature are constant along the front, except near its ends, and decrease over 30 to 60 pixels behind
    it.
    """
    shape = (side, side)
    middle = 0.5 * (side - 1) + rng.uniform(-0.03, 0.03, 2) * side
    axis_ratio = rng.uniform(0.6, 1.0)
    kT, norm, abundance = _smooth(shape, middle, axis_ratio, rng.uniform(0, np.pi), rng)
    distance = rng.uniform(0.17, 0.28) * side
    outwards = rng.uniform(-np.pi, np.pi)
    radius = distance * rng.uniform(0.7, 1.4)
    half = np.radians(rng.uniform(40.0, 120.0)) / 2
    normal = np.array([np.sin(outwards), np.cos(outwards)])
    at = middle + distance * normal
    y, x = np.indices(shape, float)
    centre = at - radius * normal
    behind = radius - np.hypot(y - centre[0], x - centre[1])
    off = np.abs(_turn(np.arctan2(y - centre[0], x - centre[1]) - outwards))
    depth = rng.uniform(0.15, 0.3) * side
    along = np.clip((half - off) / (0.15 * half), 0.0, 1.0)
    shock = np.where(behind > 0, along * np.exp(-((np.maximum(behind, 0.0) / depth) ** 2)), 0.0)
    t = (5 * mach**4 + 14 * mach**2 - 3) / (16 * mach**2)
    r = 4 * mach**2 / (mach**2 + 3)
    cluster = _cluster(kT * t**shock, norm * r ** (2 * shock), abundance)
    angle = float(np.angle(-np.exp(1j * outwards)))
    return FrontTruth(cluster, mach, float(at[0]), float(at[1]), angle, float(radius), float(half))


def shock_free_cluster(kind: str, rng: np.random.Generator, side: int = 200) -> FrontTruth:
    """A cluster without a shock, of a kind in `SHOCK_FREE`."""
    shape = (side, side)
    middle = np.full(2, 0.5 * (side - 1))
    y, x = np.indices(shape, float)
    axis_ratio = rng.uniform(0.6, 0.8) if kind == "elliptical" else rng.uniform(0.9, 1.0)
    if kind == "off-centre":
        middle = middle + rng.uniform(0.1, 0.2) * side * _direction(rng)
    kT, norm, abundance = _smooth(
        shape, middle, axis_ratio, rng.uniform(0, np.pi), rng, cool_core=kind == "cool core"
    )
    if kind == "off-centre":  # a second, wider halo around another centre
        _, wide, _ = _smooth(shape, middle + 0.06 * side * _direction(rng), 1.0, 0.0, rng)
        norm = 0.5 * (norm + wide)
    if kind == "cold front":
        radius = rng.uniform(0.12, 0.25) * side
        outwards, half = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(30.0, 60.0))
        behind = radius - np.hypot(y - middle[0], x - middle[1])
        off = np.abs(_turn(np.arctan2(y - middle[0], x - middle[1]) - outwards))
        along = np.clip((half - off) / (0.3 * half), 0.0, 1.0)
        inside = np.where(behind > 0, along * np.exp(-((np.maximum(behind, 0.0) / (0.2 * side)) ** 2)), 0.0)
        jump = rng.uniform(1.4, 2.0)
        kT, norm = kT * jump**-inside, norm * jump ** (2 * inside)
    if kind == "hot blob":
        at = middle + rng.uniform(0.1, 0.25) * side * _direction(rng)
        blob = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * (rng.uniform(0.04, 0.07) * side) ** 2))
        kT = kT * rng.uniform(1.4, 2.0) ** blob
    return FrontTruth(_cluster(kT, norm, abundance))


def _turn(angle: NDArray | float) -> NDArray[np.float64]:
    """Angle between -pi and pi."""
    return np.angle(np.exp(1j * np.asarray(angle)))


def point_sources(rng: np.random.Generator, side: int = 200, number: int = 8) -> NDArray[np.bool_]:
    """Live pixels (side, side) of a field, with holes of 2 to 4 pixels radius in place of sources."""
    y, x = np.indices((side, side), float)
    live = np.ones((side, side), bool)
    for row, col in rng.uniform(0, side, (number, 2)):
        live &= np.hypot(y - row, x - col) > rng.uniform(2.0, 4.0)
    return live


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    angle = rng.uniform(-np.pi, np.pi)
    return np.array([np.sin(angle), np.cos(angle)])


def _smooth(
    shape: tuple[int, int],
    middle: NDArray[np.float64],
    axis_ratio: float,
    turned: float,
    rng: np.random.Generator,
    *,
    cool_core: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """kT, norm and abundance of an elliptical beta model with a temperature that decreases outwards."""
    y, x = np.indices(shape, float) - middle[:, None, None]
    along, across = x * np.cos(turned) + y * np.sin(turned), y * np.cos(turned) - x * np.sin(turned)
    radius = np.hypot(along, across / axis_ratio) * np.sqrt(axis_ratio)
    core, beta = rng.uniform(0.08, 0.14) * shape[0], rng.uniform(0.55, 0.7)
    norm = (1.0 + (radius / core) ** 2) ** (0.5 - 3.0 * beta)
    kT = rng.uniform(5.0, 7.0) / (1.0 + (radius / (0.6 * shape[0])) ** 2)
    if cool_core:
        kT *= 1.0 - 0.55 / (1.0 + (radius / (0.4 * core)) ** 2)
        norm += 5.0 * (1.0 + (radius / (0.3 * core)) ** 2) ** (0.5 - 3.0 * beta)
    return kT, norm, 0.25 + 0.2 / (1.0 + (radius / core) ** 2)


def _cluster(
    kT: NDArray[np.float64], norm: NDArray[np.float64], abundance: NDArray[np.float64]
) -> ClusterTruth:
    ra, dec = 150.0, 20.0
    wcs = tangent_plane(ra, dec, PIXEL_ARCSEC, crpix=(kT.shape[1] / 2, kT.shape[0] / 2))
    # A front adds brightness, so the counts are scaled: all fields have the same number.
    truth = ClusterTruth(
        ra=ra, dec=dec, redshift=0.1, nH=0.05, wcs=wcs, kT=kT, norm=norm / norm.sum(), abundance=abundance
    )
    return scaled_to(truth, _COUNTS * (kT.size / 200**2))
