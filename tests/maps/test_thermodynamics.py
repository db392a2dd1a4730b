"""Gas of simulated clusters, from photons: densities and pressures, and whether their errors are right."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pyxt_hpc.maps.gas import cooling_time
from pyxt_hpc.maps.in_memory import fit_in_memory
from pyxt_hpc.maps.paint import Measured
from pyxt_hpc.maps.thermodynamics import Thermodynamics, kpc_per_arcsec
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC, ClusterTruth
from pyxt_hpc.simulate.direct import observe_directly, scaled_to
from pyxt_hpc.simulate.fronts import shock_free_cluster
from pyxt_hpc.spectra.extract import disc_area, disc_sums
from pyxt_hpc.truth import spectroscopic_like_temperature

COUNTS = 5e5
EVERYWHERE = slice(None)


def apart(rows: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Indices of circles that share no pixel and lie within the image, as many as come first."""
    row, col, radius = (rows[name].astype(float) for name in ("row", "col", "radius"))
    inside = (np.minimum(row, col) > radius) & (np.maximum(row, col) < min(shape) - 1 - radius)
    chosen: list[int] = []
    for i in np.random.default_rng(3).permutation(np.flatnonzero(inside)):
        distance = np.hypot(row[chosen] - row[i], col[chosen] - col[i])
        if np.all(distance > radius[chosen] + radius[i]):
            chosen.append(int(i))
    return np.array(chosen)


class Field:
    """A cluster with its gas as measured and as it is, in circles that share no photons."""

    def __init__(self, truth: ClusterTruth, seed: int, abundance_error: float, **keys: object) -> None:
        bundle = observe_directly(truth, np.random.default_rng([seed, 1]))
        regions = fit_in_memory(bundle, **keys)  # type: ignore[arg-type]
        self.gas = Thermodynamics(regions, abundance_error)
        circles = tuple(regions.rows[name] for name in ("row", "col", "radius"))
        images = np.stack([truth.density**2, truth.norm, truth.norm * truth.abundance])
        squared, norm, metals = disc_sums(*circles, images).T
        self.rows, self.circles = regions.rows, apart(regions.rows, truth.kT.shape)
        # the emission of a circle belongs to the root of its mean square density
        self.density = np.sqrt(squared / disc_area(circles[2]))
        self.kT = spectroscopic_like_temperature(truth.kT, truth.norm, *circles)
        self.abundance = metals / norm

    def deviations(self, measured: Measured, truth: np.ndarray) -> np.ndarray:
        """(n_circle,) in units of the error on the side of the truth."""
        error = np.where(measured.value > truth, measured.minus, measured.plus)
        return ((measured.value - truth) / error)[self.circles]

    def ratio(self, measured: Measured, truth: np.ndarray) -> np.ndarray:
        """(n_circle,) measured over true."""
        return (measured.value / truth)[self.circles]


def with_abundance(truth: ClusterTruth, abundance: float) -> ClusterTruth:
    return scaled_to(replace(truth, abundance=np.full_like(truth.kT, abundance)), COUNTS)


def cool_core(seed: int) -> ClusterTruth:
    return shock_free_cluster("cool core", np.random.default_rng([seed, 0])).cluster


@cache
def as_frozen() -> tuple[Field, ...]:
    """Cool cores whose abundance is the one that the fits take; S/N 40."""
    return tuple(Field(with_abundance(cool_core(seed), 0.3), seed, 0.0) for seed in range(501, 508))


@cache
def richer_and_poorer() -> tuple[Field, ...]:
    """Half of them have 0.1 solar more than the fits take, half less."""
    pairs = zip(range(511, 517), [0.2, 0.4] * 3, strict=True)
    return tuple(Field(with_abundance(cool_core(seed), z), seed, 0.1) for seed, z in pairs)


@cache
def with_gradients() -> tuple[Field, ...]:
    """Abundance 0.45 in the middle, 0.25 outside, and free in the fits."""
    return tuple(Field(cool_core(seed), seed, 0.1, free_abundance=True) for seed in range(521, 525))


def chi2_per_circle(fields: tuple[Field, ...], quantity: str) -> float:
    found = []
    for field in fields:
        gas, kT = field.gas, Measured(*(field.rows["kT"] * 0 for _ in range(3)))
        if quantity == "kT":
            kT = gas.regions.parameter("kT")
            found.append(field.deviations(kT, field.kT))
        elif quantity == "density":
            found.append(field.deviations(gas.density, field.density))
        elif quantity == "pressure":
            found.append(field.deviations(gas.pressure, field.density * field.kT))
        elif quantity == "entropy":
            found.append(field.deviations(gas.entropy, field.kT * field.density ** (-2 / 3)))
        else:
            truth = cooling_time(field.kT, field.density, field.abundance)
            found.append(field.deviations(gas.cooling_time, truth))
    return float(np.mean(np.concatenate(found) ** 2))


if __name__ == "__main__":
    import time

    for fs in (as_frozen, richer_and_poorer, with_gradients):
        t = time.time()
        fields = fs()
        print(fs.__name__, time.time() - t, sum(len(f.circles) for f in fields))
        for q in ("kT", "density", "pressure", "entropy", "time"):
            print("  ", q, chi2_per_circle(fields, q))
        n = np.concatenate([f.ratio(f.gas.density, f.density) for f in fields])
        p = np.concatenate([f.ratio(f.gas.pressure, f.density * f.kT) for f in fields])
        print(
            "  n",
            np.median(n),
            n.mean(),
            n.std(),
            np.mean(abs(n - 1) < 0.05),
            abs(n - 1).max(),
            "P",
            np.median(p),
            p.mean(),
            p.std(),
        )
